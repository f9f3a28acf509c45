"""The tap sees what it must, changes nothing, and looks closely only where something can change."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.faults import FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES
from setpoint.wire.openai_responses.tap import ResponsesTap
from setpoint.wire.sse import SseEvent

Json = dict[str, Any]
USAGE = {"input_tokens": 10, "output_tokens": 7, "total_tokens": 17, "input_tokens_details": {"cached_tokens": 4}}


def framed(*events: Json, end: bytes = b"\n", spaced: bool = False) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    out = b""
    for event in events:
        data = json.dumps(event, ensure_ascii=False, separators=separators).encode()
        out += b"event: " + event["type"].encode() + end + b"data: " + data + end * 2
    return out


def created(model: str = "m-1") -> Json:
    return {"type": "response.created", "response": {"id": "resp_1", "model": model, "status": "in_progress", "error": None, "usage": None}}


def delta(text: str, no: int = 0) -> Json:
    return {"type": "response.output_text.delta", "output_index": 0, "delta": text, "sequence_number": no, "obfuscation": "xyz"}


def end(kind: str = "completed", reason: str | None = None) -> Json:
    details = {"reason": reason} if reason else None
    answer = {"model": "m-1", "status": kind, "usage": USAGE, "incomplete_details": details, "error": None}
    return {"type": f"response.{kind}", "response": answer}


def added(kind: str) -> Json:
    return {"type": "response.output_item.added", "output_index": 0, "item": {"type": kind}}


def run(stream: bytes, cuts: list[int]) -> tuple[bytes, tuple[object, ...]]:
    tap = ResponsesTap()
    at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    out = b"".join(tap.feed(stream[a:b]) for a, b in itertools.pairwise(at)) + tap.flush()
    return out, (tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error)


TEXTS = st.lists(
    st.sampled_from(["a", "ü😀", '"response":', "response.completed", '"error"', "error", "\n\ndata: x\n\n", "", "data: [DONE]", "a\\"]),
    max_size=6,
)


@given(TEXTS, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans(), st.booleans(), st.lists(st.integers(0, 3_000), max_size=12))
def test_every_byte_is_forwarded_and_the_same_is_seen_under_any_cut(
    texts: list[str], line: bytes, spaced: bool, done: bool, cuts: list[int]
) -> None:
    events = [created(), added("message"), *(delta(text, no) for no, text in enumerate(texts)), *([end()] if done else [])]
    stream = framed(*events, end=line, spaced=spaced)
    out, seen = run(stream, cuts)
    assert out == stream
    assert seen == run(stream, [])[1] == run(stream, list(range(len(stream))))[1]
    usage = Usage(input=6, cached_read=4, output=7) if done else None
    assert seen == (len(events), bool(texts), usage, "m-1", "completed" if done else "", done, None)


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (created(), False),
        (added("message"), False),
        (added("reasoning"), False),
        (added("function_call"), True),
        (added("web_search_call"), True),
        (delta("a"), True),
        ({"type": "response.reasoning_summary_text.delta", "delta": "a"}, True),
        ({"type": "response.function_call_arguments.delta", "delta": "a"}, True),
        ({"type": "response.content_part.added", "part": {"type": "output_text"}}, False),
        ({"type": "response.output_item.added", "item": None}, False),
    ],
)
def test_content_begins_with_the_first_delta_or_an_item_that_is_content_itself(event: Json, content: bool) -> None:
    tap = ResponsesTap()
    tap.feed(framed(event))
    assert tap.content_started is content


@pytest.mark.parametrize(
    ("last", "finish"),
    [
        (end(), "completed"),
        (end("incomplete", "max_output_tokens"), "max_output_tokens"),
        (end("incomplete"), "incomplete"),
        ({"type": "response.completed"}, "completed"),
    ],
)
def test_the_end_is_the_status_or_the_reason(last: Json, finish: str) -> None:
    tap = ResponsesTap()
    tap.feed(framed(created(), delta("a"), last))
    assert (tap.finish, tap.done, tap.error) == (finish, True, None)


def test_of_an_error_and_a_failure_the_first_is_kept() -> None:
    error = {"type": "error", "error": {"code": "insufficient_quota", "message": "no money"}}
    failed = {
        "type": "response.failed",
        "response": {"model": "m-1", "status": "failed", "error": {"code": "server_error", "message": "x"}},
    }
    tap = ResponsesTap()
    tap.feed(framed(created(), delta("a"), error, failed))
    assert tap.error is not None
    assert (tap.error.kind, tap.error.message, tap.done) == (FaultKind.upstream_quota, "no money", False)


@pytest.mark.parametrize("started", [True, False])
def test_an_event_that_is_no_json_is_an_error_before_content_only(started: bool) -> None:
    tap = ResponsesTap()
    tap.feed(framed(created(), *([delta("a")] if started else [])))
    tap.feed(b'data: {"response":\n\n')
    assert (tap.error is None) is started


def test_plain_deltas_are_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    look = ResponsesTap._event

    def counting(tap: ResponsesTap, event: SseEvent) -> None:
        looked.append(event.data)
        look(tap, event)

    monkeypatch.setattr(ResponsesTap, "_event", counting)
    tap = ResponsesTap()
    for event in (created(), added("message"), *(delta("a", no) for no in range(100)), end()):
        tap.feed(framed(event))
    assert (tap.events, tap.done, len(looked)) == (103, True, 4)


def test_there_is_no_usage_to_hide() -> None:
    stream = framed(created(), delta("a"), end())
    assert OPENAI_RESPONSES.tap(hide_usage=True).feed(stream) == stream


def test_done_of_vendors_that_send_it_is_passed_on() -> None:
    stream = framed(created(), delta("a"), end()) + b"data: [DONE]\n\n"
    assert run(stream, []) == (stream, run(stream, [5, 50])[1])


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed", "response.cancelled", "error"])
@pytest.mark.parametrize("named", [True, False])
def test_an_end_without_an_answer_is_seen_under_any_cut(kind: str, named: bool) -> None:
    """Whether its type stands in the data or is the event's name only."""
    last = b"event: " + kind.encode() + b"\ndata: {}\n\n" if named else framed({"type": kind})
    stream = framed(created(), delta("a"), delta("b")) + last
    whole = run(stream, [])[1]
    assert whole == run(stream, [len(stream) - len(last)])[1] == run(stream, list(range(len(stream))))[1]
    *_, done, error = whole
    assert (done, error is None) == ((True, True) if kind in {"response.completed", "response.incomplete"} else (False, False))
