"""Taps see everything, change nothing, and do not care where the bytes are cut."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.faults import FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.tap import MessagesTap
from setpoint.wire.openai_chat.tap import ChatTap
from setpoint.wire.openai_completions.tap import CompletionsTap
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder
from setpoint.wire.tap import Tap

USAGE = {"prompt_tokens": 10, "completion_tokens": 7, "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}}


def chunk(delta: dict[str, object] | None = None, finish: str | None = None, **more: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"id": "c", "model": "m-1", "choices": choices, **more}, ensure_ascii=False, separators=(",", ":")).encode()


def openai_events(texts: list[str], null_usage: bool, finish: str | None, usage: bool) -> list[bytes]:
    more = {"usage": None} if null_usage else {}
    events = [chunk({"role": "assistant", "content": ""}, **more)]
    events += [chunk({"content": text}, **more) for text in texts]
    if finish:
        events.append(chunk({}, finish, **more))
    if usage:
        events.append(chunk(None, None, usage=USAGE))
    return events


def framed(events: list[bytes], end: bytes, comment: bool, done: bool) -> bytes:
    out = b"".join((b": keep-alive" + end * 2 if comment else b"") + b"data: " + event + end * 2 for event in events)
    return out + (b"data: [DONE]" + end * 2 if done else b"")


def anthropic_events(texts: list[str], stop: str | None) -> list[bytes]:
    def named(event: dict[str, object]) -> bytes:
        return f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n".encode()

    start_usage = {"input_tokens": 5, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2, "output_tokens": 1}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": {"id": "msg", "model": "m-2", "usage": start_usage, "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
    ]
    if stop:
        events.append({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 9}})
        events.append({"type": "message_stop"})
    return [named(event) for event in events]


TEXTS = st.lists(
    st.sampled_from(
        ["a", "ü😀", '"usage":{', '"finish_reason":"', "message_stop", '"error"', "\n\ndata: x\n\n", "", "data: [DONE]", "a\\", '","']
    ),
    max_size=6,
)
OPENAI = st.builds(
    framed,
    st.builds(openai_events, TEXTS, st.booleans(), st.sampled_from([None, "stop", "tool_calls"]), st.booleans()),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.booleans(),
    st.booleans(),
)
ANTHROPIC = st.builds(lambda texts, stop: b"".join(anthropic_events(texts, stop)), TEXTS, st.sampled_from([None, "end_turn", "tool_use"]))
CUTS = st.lists(st.integers(0, 2000), max_size=12)


def run(tap: Tap, stream: bytes, cuts: list[int]) -> tuple[bytes, tuple[object, ...]]:
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    out = b"".join(tap.feed(stream[a:b]) for a, b in itertools.pairwise(at)) + tap.flush()
    return out, (tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error)


@given(OPENAI, CUTS)
def test_an_openai_tap_forwards_every_byte_and_sees_the_same_under_any_cut(stream: bytes, cuts: list[int]) -> None:
    out, seen = run(ChatTap(), stream, cuts)
    assert out == stream
    assert seen == run(ChatTap(), stream, [])[1]
    assert seen == run(ChatTap(), stream, list(range(len(stream))))[1]


@given(ANTHROPIC, CUTS)
def test_an_anthropic_tap_forwards_every_byte_and_sees_the_same_under_any_cut(stream: bytes, cuts: list[int]) -> None:
    out, seen = run(MessagesTap(), stream, cuts)
    assert out == stream
    assert seen == run(MessagesTap(), stream, [])[1]
    assert seen == run(MessagesTap(), stream, list(range(len(stream))))[1]


@given(TEXTS, st.booleans(), st.sampled_from([None, "stop"]), st.sampled_from([b"\n", b"\r\n"]), st.booleans(), CUTS)
def test_hiding_gives_the_stream_of_a_client_that_did_not_ask(
    texts: list[str], comment: bool, finish: str | None, end: bytes, done: bool, cuts: list[int]
) -> None:
    asked = framed(openai_events(texts, True, finish, True), end, comment, done)
    not_asked = framed(openai_events(texts, False, finish, False), end, comment, done)
    tail = end * 2 if comment else b""
    out, seen = run(ChatTap(hide_usage=True), asked + tail, cuts)
    assert out.replace(b": keep-alive" + end * 2, b"") == (not_asked + tail).replace(b": keep-alive" + end * 2, b"")
    assert seen[2] == Usage(input=6, cached_read=4, output=7)


def test_hiding_leaves_usage_beside_content_alone() -> None:
    """Mistral and Groq send usage in their last chunk to everybody; that chunk is content."""
    stream = b"data: " + chunk({"content": "x"}, "stop", usage=USAGE) + b"\n\n"
    assert run(ChatTap(hide_usage=True), stream, [])[0] == stream


def test_hiding_understands_spaced_json() -> None:
    kept = b'data: {"choices": [{"delta": {"content": "x"}, "finish_reason": null}]}\n\n'
    stream = kept.replace(b"]}", b']}, "usage": null}'.replace(b"}, ", b", ")) + b'data: {"choices": [], "usage": {"prompt_tokens": 1}}\n\n'
    out, seen = run(ChatTap(hide_usage=True), stream, [])
    assert out == kept
    assert seen[2] == Usage(input=1)


def test_a_chunk_without_news_is_returned_itself() -> None:
    for tap in (ChatTap(), ChatTap(hide_usage=True)):
        tap.feed(b"data: " + chunk({"content": "x"}) + b"\n\n")
        data = b"data: " + chunk({"content": "y"}) + b"\n\n"
        assert tap.feed(data) is data


@pytest.mark.parametrize(
    ("delta", "started"),
    [
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "refusal": None}, False),
        ({"content": "a"}, True),
        ({"reasoning_content": "a"}, True),
        ({"reasoning": "a"}, True),
        ({"refusal": "a"}, True),
        ({"content": [{"type": "thinking"}]}, True),
        ({"tool_calls": [{"index": 0}]}, True),
    ],
)
def test_content_starts_with_the_first_token_not_with_the_role(delta: dict[str, object], started: bool) -> None:
    tap = ChatTap()
    tap.feed(b"data: " + chunk(delta) + b"\n\n")
    assert tap.content_started is started


def test_anthropic_content_starts_behind_the_opening_and_the_ping() -> None:
    tap = MessagesTap()
    *opening, delta = anthropic_events(["a"], None)[:4]
    tap.feed(b"".join(opening))
    assert not tap.content_started
    tap.feed(delta)
    assert tap.content_started


def test_anthropic_usage_of_the_delta_replaces_that_of_the_start() -> None:
    tap = MessagesTap()
    tap.feed(b"".join(anthropic_events(["a"], "end_turn")))
    assert (tap.usage, tap.finish, tap.model, tap.done) == (Usage(input=5, cached_read=3, cache_write=2, output=9), "end_turn", "m-2", True)


def test_groq_usage_in_its_own_member_is_found() -> None:
    tap = ChatTap()
    tap.feed(b"data: " + chunk({"content": "x"}) + b"\n\ndata: " + chunk({}, "stop", x_groq={"usage": USAGE}) + b"\n\n")
    assert tap.usage == Usage(input=6, cached_read=4, output=7)


def test_events_that_leave_the_mould_of_the_first_are_seen() -> None:
    plain = b"data: " + chunk({"content": "x"}) + b"\n\n"
    for hide in (False, True):
        tap = ChatTap(hide)
        for _ in range(4):
            assert tap.feed(plain) == plain
        overlapping = plain.replace(b'"x"', b'"')
        assert tap.feed(overlapping) == overlapping
        tap.feed(b"data: " + chunk({"content": "y"}, "stop") + b"\n\n")
        assert (tap.finish, tap.events) == ("stop", 6)


def test_a_finish_without_done_is_a_good_end_but_neither_is_a_cut() -> None:
    assert run(ChatTap(), framed(openai_events(["a"], False, "stop", False), b"\n", False, False), [])[1][5] is True
    assert run(ChatTap(), framed(openai_events(["a"], False, None, False), b"\n", False, False), [])[1][5] is False


def test_an_error_event_is_a_fault() -> None:
    tap = ChatTap()
    tap.feed(
        b"data: " + chunk({"content": "x"}) + b'\n\nevent: error\ndata: {"error":{"message":"Rate limit","code":"rate_limit_exceeded"}}\n\n'
    )
    assert tap.error is not None
    assert tap.error.kind is FaultKind.upstream_rate
    other = MessagesTap()
    other.feed(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n')
    assert other.error is not None
    assert other.error.kind is FaultKind.upstream_overloaded


def test_an_event_that_is_no_json_is_a_fault_and_is_forwarded() -> None:
    for tap in (ChatTap(), MessagesTap()):
        assert tap.feed(b"data: {oops\n\n") == b"data: {oops\n\n"
        assert tap.error is not None
        assert tap.error.kind is FaultKind.upstream_server


@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("size", [1, 100, 100_000])
@pytest.mark.parametrize(("more", "whole"), [(0, True), (1, False)])
def test_an_event_over_its_bound_is_an_error_and_is_not_forwarded(more: int, whole: bool, size: int, hide: bool) -> None:
    first, last = b"data: " + chunk({"content": "a"}) + b"\n\n", b"data: " + chunk({}, "stop") + b"\n\n"
    long = b"data: " + chunk({"content": "x" * 1_000}) + b"\n\n"
    stream = first + long + last
    tap = ChatTap(hide)
    tap.event_bytes_max = len(long) - more
    out = b"".join(tap.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + tap.flush()
    assert out == (stream if whole else first)
    assert (tap.error is None, tap.finish) == ((True, "stop") if whole else (False, ""))


def test_an_event_without_an_end_is_held_up_to_the_bound_of_all_events() -> None:
    tap = ChatTap()
    for _ in range(EVENT_BYTES_MAX // 1_048_576):
        assert tap.feed(b"x" * 1_048_576) == b""
    before = tap.error
    assert tap.feed(b"x") == b""
    assert (before, tap.error is not None and tap.error.kind) == (None, FaultKind.upstream_server)
    assert tap.feed(b"data: {}\n\n") == b""


def test_half_an_event_at_the_end_is_a_cut_not_an_error() -> None:
    for tap in (ChatTap(), MessagesTap()):
        tap.feed(b'data: {"choices":[{"delta":{}')
        tap.flush()
        assert (tap.done, tap.error) == (False, None)


@given(st.binary(max_size=200), CUTS)
def test_a_tap_survives_any_bytes_and_forwards_them_but_for_half_an_event(noise: bytes, cuts: list[int]) -> None:
    for tap in (ChatTap(), MessagesTap()):
        out = run(tap, noise, cuts)[0]
        assert out in {noise, noise + b"\n\n"} or b"data" in noise[len(out) :]


@given(ANTHROPIC | OPENAI, st.integers(0, 2000), st.booleans(), CUTS)
def test_a_broken_stream_ends_between_events_so_that_an_error_can_follow(stream: bytes, at: int, hide: bool, cuts: list[int]) -> None:
    for tap in (ChatTap(hide), MessagesTap()):
        out, _ = run(tap, stream[:at], cuts)
        if not tap.done:
            decoder = SseDecoder()
            events = decoder.feed(out + b'data: {"error":{}}\n\n') + decoder.finish()
            assert events[-1].data == b'{"error":{}}'
            assert all(event.data == b"[DONE]" or json.loads(event.data) for event in events)


@pytest.mark.parametrize("tap", [ChatTap, CompletionsTap])
@pytest.mark.parametrize("data", [b'{"message":"no"}', b'{"error":{"message":"no"}}'])
def test_an_event_named_error_is_seen_under_any_cut(tap: type[Tap], data: bytes) -> None:
    """What the vendor of the error put inside does not matter."""
    said = b'data: {"model":"m","choices":[{"index":0,"text":"a","delta":{"content":"a"},"finish_reason":null}]}\n\n'
    stream = said * 3 + b"event: error\ndata: " + data + b"\n\n"
    seen = [run(tap(), stream, cuts)[1] for cuts in ([], [len(said)], [len(said) * 3], list(range(len(stream))))]
    assert seen[1:] == seen[:-1]
    assert seen[0][-1] is not None
