"""Streams: neutral events to what OpenAI's own client puts together, and providers' events, however cut or odd, to neutral ones."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from tests.pairs.vendors.openai_sdk import client

from setpoint.domain.chat import ChatAnswer, Citation, Foreign, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Cited,
    Failed,
    Finished,
    ForeignShown,
    LogprobsReported,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from setpoint.domain.usage import Usage
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.openai_responses import custom_tools
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES
from setpoint.wire.openai_responses.stream_in import ResponsesStreamDecoder
from setpoint.wire.sse import SseDecoder

NAME = "openai_responses"
USAGE = Usage(input=3, cached_read=2, output=5, reasoning=1)
Json = dict[str, Any]


def rendered(events: Sequence[StreamEvent], finish: bool = True) -> bytes:
    renderer = OPENAI_RESPONSES.stream_renderer("shown", 1, include_usage=True)
    return b"".join(renderer.render(event) for event in events) + (renderer.finish() if finish else b"")


def whole(*middle: StreamEvent, finish: Finished | None = None) -> list[StreamEvent]:
    return [Started("chatcmpl-1", "m", 9), *middle, UsageReported(USAGE), finish or Finished("stop")]


def datas(stream: bytes) -> list[Json]:
    decoder = SseDecoder()
    return [json.loads(event.data) for event in decoder.feed(stream) + decoder.finish()]


def kinds(stream: bytes) -> list[str]:
    return [data["type"].removeprefix("response.") for data in datas(stream)]


def put_together(stream: bytes) -> Response:
    """By the SDK's accumulator: it raises where events do not fit together."""
    last: Response | None = None
    with client(stream, "text/event-stream").responses.stream(model="m", input="x") as events:
        for no, event in enumerate(events):
            assert event.sequence_number == no
            if event.type in {"response.completed", "response.incomplete"}:
                last = event.response
    assert last is not None
    return Response.model_validate(last.model_dump(warnings=False), strict=True)


def decoded(*chunks: bytes) -> list[StreamEvent]:
    decoder = OPENAI_RESPONSES.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def there_and_back(*middle: StreamEvent, finish: Finished | None = None) -> ChatAnswer:
    answer = fold(decoded(rendered(whole(*middle, finish=finish))))
    assert isinstance(answer, ChatAnswer), answer
    return answer


# ---------------------------------------------------------------------------------------------------------------- written


def test_every_event_is_there_and_in_its_order() -> None:
    stream = rendered(
        whole(
            ThinkingDelta("hm"),
            ThinkingDelta("", "anthropic:S"),
            TextDelta("a"),
            TextDelta("b"),
            ToolCallStarted(0, "c1", "f"),
            ToolCallDelta(0, '{"a":'),
            ToolCallDelta(0, "1}"),
        )
    )
    assert kinds(stream) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    response = put_together(stream)
    assert response.output_text == "ab"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens) == (5, 6)
    assert (response.id, response.model, response.created_at) == ("resp_1", "shown", 9)


def test_the_last_event_says_what_a_unary_answer_would() -> None:
    events = whole(
        ThinkingDelta("hm", "anthropic:S"),
        TextDelta("a"),
        LogprobsReported((TokenLogprob("a", -1.0, b"a"),)),
        Cited(Citation("https://x.test", "X", start=0, end=1)),
        RefusalDelta("no"),
        ToolCallStarted(0, "c1", "f", "gemini:T"),
        ToolCallDelta(0, '{"a":1}'),
        ForeignShown(Foreign("web_search_call", NAME, b'{"type":"web_search_call","id":"ws_1"}')),
        ThinkingDelta(redacted="anthropic:R"),
        finish=Finished("length", service_tier="flex"),
    )
    answer = fold(events)
    assert isinstance(answer, ChatAnswer)
    unary = json.loads(OPENAI_RESPONSES.encode_answer(answer, "shown", 1))
    assert datas(rendered(events))[-1]["response"] == unary


@pytest.mark.parametrize("kind", ["text", "refusal", "thinking", "arguments", "custom"])
def test_deltas_are_bounded_and_whole(kind: str) -> None:
    text = "ü€😀x" * DELTA_BYTES_MAX
    custom = custom_tools.arguments_of(text)
    made: dict[str, tuple[StreamEvent, ...]] = {
        "text": (TextDelta(text),),
        "refusal": (RefusalDelta(text),),
        "thinking": (ThinkingDelta(text),),
        "arguments": (ToolCallStarted(0, "c", "f"), ToolCallDelta(0, json.dumps({"a": text}, ensure_ascii=False))),
        "custom": (ToolCallStarted(0, "c", "f"), ToolCallDelta(0, custom[:9]), ToolCallDelta(0, custom[9:])),
    }
    events = datas(rendered(whole(*made[kind])))
    deltas = [event["delta"] for event in events if event["type"].endswith(".delta")]
    assert max(len(delta.encode()) for delta in deltas) <= DELTA_BYTES_MAX
    assert text in "".join(deltas)


def test_parallel_calls_that_come_interleaved_follow_each_other() -> None:
    stream = rendered(
        whole(
            ToolCallStarted(0, "c1", "f"),
            ToolCallStarted(1, "c2", "g"),
            ToolCallStarted(2, "c3", "h"),
            ToolCallDelta(1, '{"b":'),
            ToolCallDelta(0, '{"a":'),
            ToolCallDelta(2, "{}"),
            ToolCallDelta(1, "2}"),
            ToolCallDelta(0, "1}"),
        )
    )
    open_items: list[int] = []
    for event in datas(stream):
        if event["type"] == "response.output_item.added":
            assert not open_items
            open_items.append(event["output_index"])
        elif event["type"] == "response.output_item.done":
            assert open_items.pop() == event["output_index"]
        elif "output_index" in event:
            assert open_items == [event["output_index"]]
    calls = [(item.call_id, item.arguments) for item in put_together(stream).output if item.type == "function_call"]
    assert calls == [("c1", '{"a":1}'), ("c2", '{"b":2}'), ("c3", "{}")]


def test_arguments_for_a_call_that_is_closed_end_the_stream() -> None:
    stream = rendered(whole(ToolCallStarted(0, "c", "f"), ToolCallDelta(0, "{}"), TextDelta("a"), ToolCallDelta(0, '{"a":1}')))
    assert kinds(stream)[-2:] == ["error", "failed"]
    blank = rendered(whole(ToolCallStarted(0, "c", "f"), ToolCallDelta(0, "{}"), TextDelta("a"), ToolCallDelta(0, " ")))
    assert kinds(blank)[-1] == "completed"


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_a_custom_call_is_known_however_its_arguments_are_cut(cut: int) -> None:
    arguments = custom_tools.arguments_of('say "hi"\n')
    stream = rendered(whole(ToolCallStarted(0, "c", "patch"), ToolCallDelta(0, arguments[:cut]), ToolCallDelta(0, arguments[cut:])))
    (call,) = put_together(stream).output
    assert call.type == "custom_tool_call"
    assert (call.call_id, call.name, call.input) == ("c", "patch", 'say "hi"\n')
    assert "custom_tool_call_input.done" in kinds(stream)


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "{}", '{"custom_tool_inpu":""}', '{"custom_tool_input":5}', '{"custom_tool_input":"a","b":1}', '{"custom_tool_input":"a'],
)
def test_what_only_looks_like_a_custom_call_is_a_function_call(arguments: str) -> None:
    stream = rendered(whole(ToolCallStarted(0, "c", "f"), *(ToolCallDelta(0, letter) for letter in arguments)))
    (call,) = put_together(stream).output
    assert call.type == "function_call"
    assert call.arguments == (arguments or "{}")
    assert "".join(data["delta"] for data in datas(stream) if data["type"].endswith(".delta")) == call.arguments


@pytest.mark.parametrize(
    ("finish", "kind", "reason"),
    [
        (Finished("stop"), "completed", None),
        (Finished("tool_calls"), "completed", None),
        (Finished("length"), "incomplete", "max_output_tokens"),
        (Finished("content_filter"), "incomplete", "content_filter"),
        (Finished("refusal"), "incomplete", "content_filter"),
    ],
)
def test_ends(finish: Finished, kind: str, reason: str | None) -> None:
    stream = rendered(whole(TextDelta("a"), finish=finish))
    *_, done, last = datas(stream)
    assert last["type"] == f"response.{kind}"
    assert done["item"]["status"] == kind
    assert (last["response"]["incomplete_details"] or {}).get("reason") == reason
    assert put_together(stream).status == kind


@pytest.mark.parametrize("begun", [True, False])
def test_official_clients_raise_on_a_stream_that_fails(begun: bool) -> None:
    fault = Fault(FaultKind.upstream_overloaded, "busy", upstream_status=529)
    for stream in (
        rendered([Started("1"), TextDelta("a"), Failed(fault)] if begun else [Failed(fault)]),
        OPENAI_RESPONSES.render_stream_fault(fault, "req_1"),
    ):
        with pytest.raises(openai.APIError, match=r"busy.*error 1604"):
            put_together(stream)
        with pytest.raises(openai.APIError, match="busy"):
            list(client(stream, "text/event-stream").responses.create(model="m", input="x", stream=True))
        (failed,) = [event for event in decoded(stream) if isinstance(event, Failed)]
        assert failed.fault.message.startswith("busy")


def test_a_failed_stream_names_its_answer_and_keeps_what_was_done() -> None:
    fault = Fault(FaultKind.upstream_rate, "slow down")
    events = datas(rendered([Started("1"), TextDelta("a"), ToolCallStarted(0, "c", "f"), Failed(fault)]))
    error, failed = events[-2:]
    assert (error["code"], error["error"]["type"], error["param"]) == ("rate_limit_exceeded", "rate_limit_error", None)
    assert failed["response"]["id"] == "resp_1"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"] == {"code": "rate_limit_exceeded", "message": "slow down"}
    assert [item["type"] for item in failed["response"]["output"]] == ["message"]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


def test_a_stream_that_just_stops_ends_in_an_error() -> None:
    assert kinds(rendered([Started("1"), TextDelta("a")]))[-2:] == ["error", "failed"]
    assert rendered([*whole(), TextDelta("late")]) == rendered(whole())


def test_parts_come_back_as_they_were() -> None:
    own = Foreign("web_search_call", NAME, b'{"type":"web_search_call","id":"ws"}')
    answer = there_and_back(
        ThinkingDelta("t"),
        ThinkingDelta("", "anthropic:A"),
        ThinkingDelta(redacted="anthropic:B"),
        TextDelta("a"),
        TextEnded(),
        TextDelta("b"),
        RefusalDelta("no"),
        ForeignShown(own),
        ForeignShown(Foreign("server_tool_use", "anthropic", b"{}")),
        ToolCallStarted(0, "c", "f", "gemini:C"),
        ToolCallDelta(0, "{}"),
        ToolCallStarted(1, "d", "patch"),
        ToolCallDelta(1, custom_tools.arguments_of("x\ny")),
        finish=Finished("tool_calls", service_tier="default"),
    )
    assert answer.parts == (
        Thinking("t", "anthropic:A"),
        Thinking("", redacted="anthropic:B"),
        Text("a"),
        Text("b"),
        Refusal("no"),
        own,
        ToolCall("c", "f", "{}", signature="gemini:C"),
        ToolCall("d", "patch", custom_tools.arguments_of("x\ny")),
    )
    assert (answer.finish, answer.usage, answer.service_tier) == ("tool_calls", USAGE, "default")


# ------------------------------------------------------------------------------------------------------------------- read


def sse(*events: Json) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def response(**more: object) -> Json:
    return {"id": "resp_1", "object": "response", "model": "m", "created_at": 5, "status": "in_progress", "output": [], **more}


CREATED = {"type": "response.created", "response": response()}
COMPLETED = {"type": "response.completed", "response": response(status="completed", usage={"input_tokens": 1, "output_tokens": 2})}


def item(kind: str, no: int = 0, **members: object) -> Json:
    return {"type": f"response.output_item.{kind}", "output_index": no, "item": members}


def answer_of(*events: Json) -> ChatAnswer:
    answer = fold(decoded(sse(CREATED, *events, COMPLETED)))
    assert isinstance(answer, ChatAnswer), answer
    return answer


SAID = {"type": "output_text", "text": "hello", "annotations": [{"type": "url_citation", "url": "u"}]}
CALLED = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a":1}'}


def test_items_told_without_deltas_are_read_whole() -> None:
    answer = answer_of(
        item("added", 0, type="reasoning", id="rs", summary=[]),
        item("done", 0, type="reasoning", id="rs", summary=[{"type": "summary_text", "text": "hm"}], encrypted_content="g"),
        item("added", 1, type="message", content=[]),
        item("done", 1, type="message", content=[SAID, {"type": "refusal", "refusal": "no"}]),
        item("added", 2, **{**CALLED, "arguments": ""}),
        item("done", 2, **CALLED),
        item("done", 3, type="custom_tool_call", call_id="d", name="p", input="x"),
    )
    thought, text, *rest = answer.parts
    assert thought == Thinking("hm", f"{NAME}:rs:g")
    assert isinstance(text, Text)
    assert (text.text, text.citations[0].url) == ("hello", "u")
    assert rest == [Refusal("no"), ToolCall("c", "f", '{"a":1}'), ToolCall("d", "p", custom_tools.arguments_of("x"))]


def test_an_answer_told_in_its_last_event_only_is_read() -> None:
    output = [{"type": "message", "content": [SAID]}, CALLED, {"type": "web_search_call", "id": "ws"}]
    last = {"type": "response.completed", "response": response(status="completed", output=output)}
    answer = fold(decoded(sse(CREATED, last)))
    assert isinstance(answer, ChatAnswer)
    assert [type(part).__name__ for part in answer.parts] == ["Text", "ToolCall", "Foreign"]
    assert answer.finish == "tool_calls"


def test_what_deltas_left_out_is_taken_from_the_whole_text() -> None:
    place = {"output_index": 0, "content_index": 0, "item_id": "m"}
    answer = answer_of(
        item("added", 0, type="message", content=[]),
        {"type": "response.output_text.delta", **place, "delta": "hel"},
        {"type": "response.output_text.done", **place, "text": "hello"},
        item("done", 0, type="message", content=[{"type": "output_text", "text": "hello world"}]),
        item("added", 1, **{**CALLED, "arguments": ""}),
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"a"'},
        {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": '{"a":1}'},
        item("done", 1, **CALLED),
    )
    assert answer.parts == (Text("hello world"), ToolCall("c", "f", '{"a":1}'))


def test_a_call_without_a_name_starts_when_it_is_done() -> None:
    answer = answer_of(
        item("added", 0, type="function_call", id="fc"),
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": '{"a"'},
        item("done", 0, **CALLED),
    )
    assert answer.parts == (ToolCall("c", "f", '{"a":1}'),)


def test_parts_and_messages_stay_apart() -> None:
    def delta(no: int, part: int, text: str) -> Json:
        return {"type": "response.output_text.delta", "output_index": no, "content_index": part, "delta": text}

    answer = answer_of(
        item("added", 0, type="message"),
        delta(0, 0, "a"),
        delta(0, 0, "b"),
        delta(0, 1, "c"),
        item("done", 0, type="message", content=[{"type": "output_text", "text": "ab"}, {"type": "output_text", "text": "c"}]),
        item("added", 1, type="message"),
        delta(1, 0, "d"),
        item("done", 1, type="message", content=[{"type": "output_text", "text": "d"}]),
    )
    assert answer.parts == (Text("ab"), Text("c"), Text("d"))


def test_paragraphs_of_a_summary_are_one_thought() -> None:
    def delta(no: int, text: str) -> Json:
        return {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": no, "delta": text}

    summary = [{"type": "summary_text", "text": text} for text in ("ab", "c")]
    answer = answer_of(
        item("added", 0, type="reasoning", id="rs"),
        delta(0, "a"),
        delta(0, "b"),
        delta(1, "c"),
        item("done", 0, type="reasoning", id="rs", summary=summary, encrypted_content="g"),
    )
    assert answer.parts == (Thinking("ab\n\nc", f"{NAME}:rs:g"),)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "code": "server_error", "message": "oops", "param": None}, FaultKind.upstream_server),
        (
            {"type": "error", "error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "oops"}},
            FaultKind.upstream_quota,
        ),
        ({"type": "error", "error": "oops"}, FaultKind.upstream_server),
        (
            {"type": "response.failed", "response": response(error={"code": "rate_limit_exceeded", "message": "oops"})},
            FaultKind.upstream_rate,
        ),
        (
            {"type": "response.failed", "response": response(error={"code": "invalid_image_url", "message": "oops"})},
            FaultKind.upstream_refused,
        ),
    ],
)
def test_errors_inside_a_stream(event: Json, kind: FaultKind) -> None:
    *_, last = decoded(sse(CREATED, event, COMPLETED))
    assert isinstance(last, Failed)
    assert (last.fault.kind, last.fault.message) == (kind, "oops")
    tap = OPENAI_RESPONSES.tap()
    tap.feed(sse(CREATED, event))
    assert tap.error == last.fault


def test_a_stream_without_its_end_was_cut() -> None:
    *_, last = decoded(sse(CREATED, item("done", 0, type="message", content=[SAID])) + b"data: [DONE]\n\n")
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultKind.upstream_cut


def test_an_event_over_the_limit_ends_the_stream() -> None:
    for size, ok in ((400, True), (399, False)):
        decoder = ResponsesStreamDecoder(event_bytes_max=400)
        event = b'data: {"type":"response.output_text.delta","delta":"' + b"x" * (400 - 56) + b'"}\n\n'
        assert len(event) == 400
        decoder = ResponsesStreamDecoder(event_bytes_max=size)
        assert isinstance(decoder.feed(event)[0], TextDelta) is ok


def test_events_of_unknown_kinds_and_odd_shapes_are_passed_over() -> None:
    odd: list[Json] = [
        {"type": "response.novelty", "text": {"a": 1}, "arguments": [1], "item": None, "logprobs": {}},
        {"type": "response.output_item.added", "item": None},
        {"type": "response.output_item.done", "item": None},
        {"type": "response.output_text.delta", "delta": None},
        {"type": "response.output_text.annotation.added", "annotation": 5},
        {"type": "response.in_progress", "response": None},
    ]
    assert answer_of(*odd, {"type": "response.output_text.delta", "delta": "a"}).parts == (Text("a"),)


TEXTS = st.text(st.sampled_from('aü😀"\\\n'), min_size=1, max_size=6)
EVENTS = st.lists(
    st.one_of(
        st.builds(TextDelta, TEXTS),
        st.builds(RefusalDelta, TEXTS),
        st.builds(ThinkingDelta, TEXTS),
        st.builds(lambda text: ThinkingDelta(text, "anthropic:S"), TEXTS),
        st.builds(lambda text: ThinkingDelta(redacted="anthropic:" + text), TEXTS),
        st.just(TextEnded()),
        st.builds(lambda text: LogprobsReported((TokenLogprob(text, -1.0, text.encode()),)), TEXTS),
        st.builds(lambda url: Cited(Citation(url)), TEXTS),
        st.just(ForeignShown(Foreign("mcp_call", NAME, b'{"type":"mcp_call"}'))),
    ),
    max_size=8,
)


@given(EVENTS, st.lists(TEXTS, max_size=3), st.data())
def test_any_events_fit_together_and_any_cut_reads_the_same(events: list[StreamEvent], calls: list[str], data: st.DataObject) -> None:
    called: list[StreamEvent] = [ToolCallStarted(no, f"c{no}", "f") for no in range(len(calls))]
    called += data.draw(st.permutations([ToolCallDelta(no, json.dumps({"a": text})) for no, text in enumerate(calls)]))
    told = whole(*events, *called, finish=Finished("tool_calls" if calls else "stop"))
    stream = rendered(told)
    wanted = fold(told)
    assert isinstance(wanted, ChatAnswer)
    numbers = [event["sequence_number"] for event in datas(stream)]
    assert numbers == list(range(len(numbers)))
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=6))})
    read = decoded(*(stream[a:b] for a, b in itertools.pairwise(cuts)))
    assert read == decoded(stream)
    again = fold(read)
    assert isinstance(again, ChatAnswer)
    for kind in (Text, Refusal, Thinking):
        assert texts_of(again, kind) == texts_of(wanted, kind)
    assert [part for part in again.parts if isinstance(part, ToolCall)] == [part for part in wanted.parts if isinstance(part, ToolCall)]


def texts_of(answer: ChatAnswer, kind: type[Text | Refusal | Thinking]) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, kind))


GOOD = rendered(
    whole(
        ThinkingDelta("t", "anthropic:s"), TextDelta("a"), Cited(Citation("u")), ToolCallStarted(0, "c", "f"), ToolCallDelta(0, '{"a":1}')
    )
)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=4), st.integers(0, 6))
def test_mutated_bytes_never_crash(at: int, put: bytes, cut: int) -> None:
    body = GOOD[:at] + put + GOOD[at + cut :]
    events = decoded(body)
    assert isinstance(events[-1], Finished | Failed)
    rendered(events)
    tap = OPENAI_RESPONSES.tap()
    assert body.startswith(tap.feed(body) + tap.flush()[:0])


def test_citations_and_log_probs_may_come_when_their_text_has_ended() -> None:
    token = TokenLogprob("a", -1.0, b"a")
    stream = rendered(whole(TextDelta("a"), TextEnded(), Cited(Citation("u")), LogprobsReported((token,)), TextDelta("b")))
    (message,) = put_together(stream).output
    assert message.type == "message"
    first, second = message.content
    assert first.type == second.type == "output_text"
    assert (len(first.annotations), len(first.logprobs or ()), len(second.annotations)) == (1, 1, 0)
