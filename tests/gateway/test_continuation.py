"""A stream that broke off in the middle of its text is continued by another call, where the route says so and the model can."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.network import Wire
from tests.gateway.streams import (
    SURFACES,
    UPSTREAM_DIALECTS,
    client_of,
    ends_of,
    plain_body,
    plan_for,
    read,
    story,
    stream_head,
    text_of,
    told,
    usage_of,
    whole_answer,
)
from tests.gateway.world import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    World,
    answer,
    body_of,
    chunk,
    event,
    plan_of,
    route_to,
    status_of,
    upstream,
    world,
)

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatRequest, Citation, Message, Reasoning, ResponseFormat, Text, ToolChoice
from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import DialectName, Plan, Retries, Timeouts
from setpoint.domain.stream import Cited, Started, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStarted, UsageReported
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.domain.usage import Usage
from setpoint.gateway.continuation import GO_ON, TEXT_BYTES_MAX, Continuation, continued_request, mode_for, obstacle_of
from setpoint.gateway.seam import SURE_CHARS, WINDOW_CHARS, repeated, undecided
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

FOUR = Retries(attempts=4, base_s=0.1, cap_s=1.0)
every_surface = pytest.mark.parametrize("name", SURFACES)
every_dialect = pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)


def auto(*dialects: DialectName, **members: Any) -> Plan:
    return plan_for(*dialects, continuation="auto", retries=FOUR, **members)


def asked(up: Wire) -> dict[str, Any]:
    """The body of the last request on a connection."""
    body: dict[str, Any] = msgspec.json.decode(up.sent.rpartition(b"\r\n\r\n")[2])
    return body


def begun(w: World, name: str, dialect: DialectName, *texts: str, **members: Any) -> tuple[Wire, Wire]:
    """A client whose stream has begun with these texts, and the upstream's connection."""
    client = client_of(w, name, **members)
    up = w.up()
    up.says(
        stream_head(dialect) + chunk(told(Started("id-1", "m-1-2026", 1_700_000_000), *map(TextDelta, texts), dialect=dialect, end=False))
    )
    w.loop.spin()
    return client, up


def cut(w: World, up: Wire) -> Wire:
    """The connection is cut, and another one made."""
    up.ends(ConnectionResetError())
    w.loop.advance(2)
    return w.up()


# ---- through a whole worker


@every_surface
@every_dialect
def test_a_cut_in_the_middle_of_text_is_continued_on_every_surface_from_every_dialect(name: str, dialect: DialectName) -> None:
    with world(auto(dialect)) as w:
        client, up = begun(w, name, dialect, "The quick ", "brown")
        second = cut(w, up)
        assert second is not up
        assert b"The quick brown" in second.sent
        second.says(stream_head(dialect) + chunk(told(*story(" fox ", "jumps."), dialect=dialect)) + STREAM_END)
        w.loop.spin()
        events = read(name, plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("The quick brown fox jumps.", ["Finished"])
        assert sum(isinstance(each, Started) for each in events) <= 1
        attempt, end = w.sink.records()[1:]
        assert (attempt.head.kind, attempt.head.fault) == (RecordKind.attempt, FaultKind.upstream_cut)
        assert (end.head.outcome, end.head.fault, end.head.attempts) == (Outcome.ok, 0, 2)
        assert w.clean


@pytest.mark.parametrize("second", UPSTREAM_DIALECTS)
@pytest.mark.parametrize("name", ["openai_chat", "anthropic", "openai_responses"])
def test_the_next_target_may_speak_another_dialect(name: str, second: DialectName) -> None:
    with world(auto(SURFACES[name].dialect, second)) as w:
        client, up = begun(w, name, SURFACES[name].dialect, "one two")
        other = cut(w, up)
        other.says(stream_head(second) + chunk(told(*story(" three"), dialect=second)) + STREAM_END)
        w.loop.spin()
        events = read(name, plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("one two three", ["Finished"])
        assert w.clean


@pytest.mark.parametrize("how", ["stalled", "ended", "error event"])
def test_a_stall_a_silent_end_and_an_error_event_are_continued_too(how: str) -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        if how == "ended":
            up.says(STREAM_END)
        elif how == "error event":
            up.says(chunk(b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n'))
        w.loop.advance(31 if how == "stalled" else 2)
        w.up().says(STREAM_HEAD + event(" two") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert text_of(read("openai_chat", plain_body(client.sent))) == "one two"
        kinds = {"stalled": FaultKind.upstream_timeout, "ended": FaultKind.upstream_cut, "error event": FaultKind.upstream_server}
        assert w.sink.records()[1].head.fault == kinds[how]


def test_a_route_that_does_not_ask_for_it_ends_in_an_error_event() -> None:
    with world(plan_for("openai_chat", retries=FOUR)) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        up.ends(ConnectionResetError())
        w.loop.advance(3)
        assert (ends_of(read("openai_chat", plain_body(client.sent))), len(w.loop.wires)) == (["Failed"], 1)


def test_the_client_finds_a_comment_where_its_framing_has_comments() -> None:
    cases: tuple[tuple[DialectName, bool], ...] = (("openai_chat", True), ("anthropic", True), ("ollama", False))
    for name, has in cases:
        with world(auto(name)) as w:
            client, up = begun(w, name, name, "one two")
            cut(w, up).says(stream_head(name) + chunk(told(*story(" three"), dialect=name)) + STREAM_END)
            w.loop.spin()
            assert (b"\n: setpoint continued after upstream_cut at a/m-1" in client.sent) is has


def test_tokens_and_cost_of_all_calls_are_billed_together() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "x" * 40, stream_options={"include_usage": True})
        second = cut(w, up)
        second.says(
            STREAM_HEAD + event("y") + event(finish="stop") + event(usage={"prompt_tokens": 30, "completion_tokens": 1}) + DONE + STREAM_END
        )
        w.loop.spin()
        end = w.sink.ends()[0]
        first_prompt = end.head.input - 30
        assert (first_prompt > 0, end.head.output, end.tail.estimated) == (True, 10 + 1, True)
        assert end.head.cost_nanousd == 1_000 * end.head.input + 2_000 * end.head.output
        shown = usage_of(read("openai_chat", plain_body(client.sent)))
        assert shown is not None
        assert (shown.input, shown.output) == (end.head.input, end.head.output)


def test_figures_that_the_first_call_stated_count() -> None:
    with world(auto("anthropic")) as w:
        client_of(w, "anthropic")
        up = w.up()
        usage = {"input_tokens": 100, "cache_read_input_tokens": 7, "output_tokens": 1}
        start = {"type": "message_start", "message": {"id": "i", "model": "m", "role": "assistant", "content": [], "usage": usage}}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 40}}
        said = b"".join(
            b"event: %b\ndata: %b\n\n" % (str(each["type"]).encode(), msgspec.json.encode(each)) for each in (start, block, delta)
        )
        up.says(stream_head("anthropic") + chunk(said))
        w.loop.spin()
        rest = told(*story(" end", usage=Usage(input=120, output=3)), dialect="anthropic")
        cut(w, up).says(stream_head("anthropic") + chunk(rest) + STREAM_END)
        w.loop.spin()
        head = w.sink.ends()[0].head
        assert (head.input, head.cached_read, head.output) == (100 + 120, 7, 10 + 3)


def test_an_unknown_price_of_one_call_makes_the_whole_unknown() -> None:
    one, two = upstream("one"), upstream("two", provider="nobody")
    plan = plan_of(one, two, routes=(route_to("m-1", "one", "two", continuation="auto", retries=FOUR),))
    with world(plan) as w:
        _, up = begun(w, "openai_chat", "openai_chat", "one")
        cut(w, up).says(STREAM_HEAD + event(" two") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert (w.sink.ends()[0].head.outcome, w.sink.ends()[0].head.cost_nanousd) == (Outcome.ok, -1)


def test_no_more_calls_are_made_than_the_route_allows_and_the_end_is_an_error_event() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "0")
        for no in range(1, FOUR.attempts):
            up = cut(w, up)
            up.says(STREAM_HEAD + event(f" part{no}"))
            w.loop.spin()
        up.ends(ConnectionResetError())
        w.loop.advance(3)
        events = read("openai_chat", plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("0 part1 part2 part3", ["Failed"])
        assert len(w.loop.wires) == FOUR.attempts
        assert [each.head.kind for each in w.sink.records()] == [RecordKind.begin, *[RecordKind.attempt] * 3, RecordKind.end]
        assert w.clean


def test_another_call_that_fails_before_it_says_anything_is_followed_by_another() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        second = cut(w, up)
        second.says(answer(b'{"error":{"message":"busy"}}', 503))
        w.loop.advance(2)
        w.up().says(STREAM_HEAD + event(" two") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert text_of(read("openai_chat", plain_body(client.sent))) == "one two"
        assert w.sink.ends()[0].head.attempts == 3


def test_a_rest_that_the_model_refuses_is_told_as_what_broke_off() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        for _ in range(FOUR.attempts - 1):
            up = cut(w, up) if not up.gone else w.up()
            up.says(answer(b'{"error":{"message":"no prefill here","type":"invalid_request_error"}}', 400))
            w.loop.advance(3)
        assert (status_of(client.sent), b"no prefill here" in client.sent, b"prefill" in body_of(client.sent)) == (200, False, False)
        assert ends_of(read("openai_chat", plain_body(client.sent))) == ["Failed"]
        assert w.sink.ends()[0].head.fault == FaultKind.upstream_cut
        assert w.clean


def test_a_rest_that_comes_as_a_whole_answer_is_told_on_in_the_stream() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        cut(w, up).says(answer(whole_answer(" two", "openai_chat")))
        w.loop.spin()
        events = read("openai_chat", plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("one two", ["Finished"])
        assert client.sent.endswith(STREAM_END)
        assert w.clean


def test_the_deadline_of_the_whole_stream_holds_over_all_its_calls() -> None:
    with world(auto("openai_chat", timeouts=Timeouts(stream_total_s=20.0, idle_s=12.0))) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        w.loop.advance(12.5)
        second = w.up()
        assert second is not up
        second.says(STREAM_HEAD + event(" two"))
        w.loop.advance(8.5)
        events = read("openai_chat", plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("one two", ["Failed"])
        assert w.clean


def test_a_client_that_leaves_between_two_calls_ends_it() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        up.ends(ConnectionResetError())
        client.ends()
        w.loop.advance(3)
        end = w.sink.ends()[0]
        assert (end.head.outcome, len(w.loop.wires), end.tail.estimated) == (Outcome.client_gone, 1, True)
        assert w.clean


def test_a_client_that_is_slow_pauses_the_next_call_too() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        client._protocol.pause_writing()
        second = cut(w, up)
        second.says(STREAM_HEAD + event(" two"))
        assert second.paused
        client._protocol.resume_writing()
        assert not second.paused


OBSTACLES: list[tuple[str, list[StreamEvent]]] = [
    ("a call", [TextDelta("let me see"), ToolCallStarted(0, "c1", "f"), ToolCallDelta(0, '{"a"')]),
    ("a signed thought", [ThinkingDelta("hm"), ThinkingDelta("", "anthropic:sig"), TextDelta("so")]),
]


@pytest.mark.parametrize("events", [each for _, each in OBSTACLES], ids=[what for what, _ in OBSTACLES])
def test_what_no_other_call_can_go_on_with_ends_in_an_error_event(events: list[StreamEvent]) -> None:
    with world(auto("anthropic")) as w:
        client = client_of(w, "anthropic")
        up = w.up()
        up.says(stream_head("anthropic") + chunk(told(Started("i", "m"), *events, dialect="anthropic", end=False)))
        w.loop.spin()
        up.ends(ConnectionResetError())
        w.loop.advance(3)
        assert (ends_of(read("anthropic", plain_body(client.sent))), len(w.loop.wires)) == (["Failed"], 1)


@pytest.mark.parametrize(
    "members",
    [{"response_format": {"type": "json_object"}}, {"n": 2}, {"logprobs": True}],
    ids=["structured", "several", "log-probabilities"],
)
def test_an_answer_with_a_form_of_its_own_ends_in_an_error_event(members: dict[str, Any]) -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one", **members)
        up.ends(ConnectionResetError())
        w.loop.advance(3)
        assert (ends_of(read("openai_chat", plain_body(client.sent))), len(w.loop.wires)) == (["Failed"], 1)


def test_thoughts_alone_are_no_beginning_and_the_request_is_made_again() -> None:
    with world(auto("openai_chat")) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD + chunk(b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"let me think"}}]}\n\n'))
        w.loop.spin()
        second = cut(w, up)
        assert [each["role"] for each in asked(second)["messages"]] == ["user"]
        second.says(STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        events = read("openai_chat", plain_body(client.sent))
        assert (text_of(events), ends_of(events), b"(restart)" in client.sent) == ("hello", ["Finished"], True)


def test_the_ids_of_a_stream_stay_the_same_across_its_calls() -> None:
    with world(auto("openai_chat")) as w:
        client, up = begun(w, "openai_chat", "openai_chat", "one")
        cut(w, up).says(STREAM_HEAD + event(" two") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        lines = [line[6:] for line in plain_body(client.sent).split(b"\n") if line.startswith(b"data: {")]
        assert {msgspec.json.decode(line)["id"] for line in lines} == {"chatcmpl-id-1"}


def test_a_limit_of_tokens_counts_for_the_whole_answer() -> None:
    with world(auto("openai_chat")) as w:
        _, up = begun(w, "openai_chat", "openai_chat", "x" * 40, max_tokens=25)
        body = asked(cut(w, up))
        assert body.get("max_tokens", body.get("max_completion_tokens")) == 15


# ---- how a model is made to go on


PREFILLS = Capabilities(prefill="prefix")
THINKS = Reasoning()


@pytest.mark.parametrize(
    ("dialect", "model", "can", "reasoning", "mode"),
    [
        ("anthropic", "claude-sonnet-4-5", STANDARD, None, "prefill"),
        ("anthropic", "claude-3-5-haiku-20241022", STANDARD, None, "prefill"),
        ("anthropic", "claude-opus-4-20250514", STANDARD, None, "prefill"),
        ("anthropic", "claude-opus-4-6", STANDARD, None, "user turn"),
        ("anthropic", "claude-sonnet-5", STANDARD, None, "user turn"),
        ("anthropic", "claude-sonnet-4-5", STANDARD, THINKS, "user turn"),
        ("anthropic", "claude-sonnet-4-5", STANDARD, Reasoning("disabled"), "prefill"),
        ("bedrock_converse", "anthropic.claude-3-haiku-20240307-v1:0", STANDARD, None, "prefill"),
        ("bedrock_converse", "amazon.nova-lite-v1:0", STANDARD, None, "user turn"),
        ("openai_chat", "gpt-4o", STANDARD, None, "user turn"),
        ("openai_chat", "deepseek-chat", PREFILLS, None, "prefill"),
        ("openai_responses", "gpt-4o", STANDARD, None, "user turn"),
        ("gemini", "gemini-2.5-flash", STANDARD, None, "user turn"),
    ],
)
def test_each_model_is_made_to_go_on_in_the_way_it_can(
    dialect: DialectName, model: str, can: Capabilities, reasoning: Reasoning | None, mode: str
) -> None:
    request = ChatRequest(model, (Message("user", (Text("hi"),)),), reasoning=reasoning)
    assert mode_for(request, "so far", dialect, model, can) == mode
    assert mode_for(request, "\n ", dialect, model, can) == "restart"


def test_what_is_asked_for_the_rest() -> None:
    request = ChatRequest("m", (Message("user", (Text("hi"),)),))
    prefill = continued_request(request, "so far \n", "prefill")
    assert prefill.messages[1:] == (Message("assistant", (Text("so far"),)),)
    turn = continued_request(request, "so far \n", "user turn")
    assert turn.messages[1:] == (Message("assistant", (Text("so far \n"),)), Message("user", (Text(GO_ON),)))
    assert continued_request(request, "", "restart") is request


def test_a_beginning_that_the_client_gave_itself_stays_the_beginning() -> None:
    request = ChatRequest("m", (Message("user", (Text("hi"),)), Message("assistant", (Text("Once "),))))
    assert continued_request(request, "upon a time", "prefill").messages[1:] == (Message("assistant", (Text("Once upon a time"),)),)


def test_a_long_answer_leaves_at_least_one_token() -> None:
    request = ChatRequest("m", (Message("user", (Text("hi"),)),), max_tokens=5)
    assert continued_request(request, "x" * 1_000, "prefill").max_tokens == 1


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest("m", (), response_format=ResponseFormat("json_object")),
        ChatRequest("m", (), n=2),
        ChatRequest("m", (), logprobs=True),
        ChatRequest("m", (), tool_choice=ToolChoice("required")),
        ChatRequest("m", (), extras={"previous_response_id": b'"r"'}),
    ],
)
def test_requests_whose_answers_cannot_be_continued(request_: ChatRequest) -> None:
    assert obstacle_of(request_)
    assert not obstacle_of(ChatRequest("m", (), tool_choice=ToolChoice("auto")))


def heard(*events: StreamEvent) -> Continuation:
    continuation = Continuation(OPENAI_CHAT.stream_renderer("m", 0, include_usage=False))
    for each in events:
        assert list(continuation.hear(each)) == [each]
    return continuation


@pytest.mark.parametrize("event_", [ToolCallStarted(0, "c", "f"), ThinkingDelta(redacted="r"), TextDelta("x", "sig")])
def test_what_was_shown_may_be_an_obstacle(event_: StreamEvent) -> None:
    assert heard(TextDelta("a"), event_).obstacle


def test_a_citation_is_an_obstacle_and_plain_thoughts_are_none() -> None:
    assert heard(TextDelta("a"), Cited(Citation("https://x.test"))).obstacle
    assert not heard(ThinkingDelta("hm"), TextDelta("a"), UsageReported(Usage())).obstacle


@pytest.mark.parametrize(("more", "obstacle"), [(0, False), (1, True)])
def test_a_text_of_any_length_is_not_sent_back(more: int, obstacle: bool) -> None:
    assert bool(heard(TextDelta("x" * (TEXT_BYTES_MAX + more))).obstacle) is obstacle


# ---- the seam


@pytest.mark.parametrize(
    ("shown", "new", "rest"),
    [
        ("The quick ", "brown", "brown"),
        ("The quick", " brown", " brown"),
        ("The quick bro", "brown fox", "wn fox"),
        ("The quick brown fox", "The quick brown fox jumps", " jumps"),
        ("one two three", "two three four", " four"),
        ("end.\n\n", "\n\nNext", "Next"),
        ("end.\n", "\n\nNext", "\nNext"),
        ("word ", " next", "next"),
        ("hel", "lo", "lo"),
        ("a", "an", "an"),
        ("", "text", "text"),
        ("xy" * 20, "xy" * 10 + "z", "z"),
    ],
)
def test_what_both_calls_say_is_said_once(shown: str, new: str, rest: str) -> None:
    assert new[repeated(shown, new) :] == rest


@given(st.text(alphabet="ab \n", max_size=30), st.text(alphabet="ab \n", max_size=30))
def test_only_a_repetition_is_left_out(shown: str, new: str) -> None:
    count = repeated(shown, new)
    assert 0 <= count <= len(new)
    assert shown.endswith(new[:count]) or not new[:count].strip()


@given(st.text(alphabet="abc ", min_size=1, max_size=40), st.text(alphabet="abc ", max_size=40), st.data())
def test_the_seam_is_the_same_however_the_text_is_cut(shown: str, new: str, data: st.DataObject) -> None:
    places = sorted(data.draw(st.lists(st.integers(0, len(new)), max_size=6)))
    pieces = [new[a:b] for a, b in zip([0, *places], [*places, len(new)], strict=True)]

    def rest_of(pieces: list[str]) -> str:
        continuation = heard(TextDelta(shown))
        continuation.goes_on("user turn")
        events = [each for piece in pieces if piece for each in continuation.hear(TextDelta(piece))]
        events += continuation.hear(UsageReported(Usage()))
        return text_of(events)

    assert rest_of(pieces) == rest_of([new])


@pytest.mark.parametrize(("count", "expected"), [(SURE_CHARS - 1, 0), (SURE_CHARS, SURE_CHARS)])
def test_a_repetition_in_the_middle_of_a_word_must_be_long(count: int, expected: int) -> None:
    word = "abcdefghijklmnopqrstuvwxyz"[:count]
    assert repeated("Z" + word, word + "!") == expected


@pytest.mark.parametrize(("back", "found"), [(0, True), (1, False)])
def test_a_repetition_begins_within_the_window(back: int, found: bool) -> None:
    same = "".join(chr(0x4E00 + no) for no in range(WINDOW_CHARS + back))
    assert (repeated(". " + same, same) == len(same)) is found
    assert not undecided(". " + same, same)
