"""Streams: what one dialect renders it decodes, whatever the cut; and what is cut short is never taken for whole."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.domain.chat import ChatAnswer, Finish, Foreign, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Failed,
    Finished,
    ForeignShown,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.anthropic.stream_in import MessagesStreamDecoder
from setpoint.wire.dialect import DELTA_BYTES_MAX, Dialect, StreamDecoder
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_chat.stream_in import ChatStreamDecoder
from setpoint.wire.sse import SseDecoder, SseEvent

BOTH: list[Dialect] = [OPENAI_CHAT, ANTHROPIC]
PREFIX = {"openai_chat": "chatcmpl-", "anthropic": "msg_"}

WORDS = st.text(min_size=1, max_size=12)
COUNTS = st.integers(0, 99)
OBJECTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3).map(
    lambda o: json.dumps(o, ensure_ascii=False)
)


def cut_text(draw: st.DrawFn, text: str) -> list[str]:
    at = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=3))})
    return [text[a:b] for a, b in itertools.pairwise(at)]


@st.composite
def streams(draw: st.DrawFn, refusals: bool = False, interleaved: bool = True) -> list[StreamEvent]:
    """A whole answer, in any order of content a provider may choose; tool calls come last, possibly interleaved."""
    events: list[StreamEvent] = [Started("x1", "shown")]
    kinds = ["text", "thinking", "redacted", *(["refusal"] if refusals else [])]
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=4)):
        if kind == "text":
            events += [TextDelta(text) for text in draw(st.lists(WORDS, min_size=1, max_size=3))]
        elif kind == "thinking":
            events += [ThinkingDelta(text) for text in draw(st.lists(WORDS, min_size=1, max_size=2))] + [
                ThinkingDelta(signature="anthropic:" + draw(WORDS))
            ]
        elif kind == "redacted":
            events.append(ThinkingDelta(redacted="anthropic:" + draw(WORDS)))
        else:
            events.append(RefusalDelta(draw(WORDS)))
    calls = draw(st.lists(OBJECTS, max_size=3))
    lanes: list[list[StreamEvent]] = [
        [ToolCallStarted(no, f"c{no}", f"f{no}"), *(ToolCallDelta(no, piece) for piece in cut_text(draw, text))]
        for no, text in enumerate(calls)
    ]
    while any(lanes):
        startable = next((no for no, lane in enumerate(lanes) if lane and isinstance(lane[0], ToolCallStarted)), len(lanes))
        ready = [no for no, lane in enumerate(lanes) if lane and no <= startable]
        events.append(lanes[draw(st.sampled_from(ready)) if interleaved else ready[0]].pop(0))
    events.append(
        UsageReported(
            Usage(input=draw(COUNTS), cached_read=draw(COUNTS), cache_write=draw(COUNTS), output=draw(COUNTS), reasoning=draw(COUNTS))
        )
    )
    finish: Finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    return [*events, Finished(finish)]


def rendered(dialect: Dialect, events: list[StreamEvent]) -> bytes:
    renderer = dialect.stream_renderer("shown", 0, include_usage=True)
    return b"".join([renderer.render(event) for event in events]) + renderer.finish()


def decoded(decoder: StreamDecoder, chunks: list[bytes]) -> list[StreamEvent]:
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def whole(dialect: Dialect, stream: bytes) -> list[StreamEvent]:
    return decoded(dialect.stream_decoder(), [stream])


def answer(events: list[StreamEvent], dialect: Dialect | None = None) -> ChatAnswer:
    told = fold(events)
    assert isinstance(told, ChatAnswer), told
    return told


def comparable(told: ChatAnswer) -> tuple[Any, ...]:
    return told.parts, told.finish, told.usage, told.model


@given(streams())
def test_folding_what_was_rendered_gives_what_was_said(events: list[StreamEvent]) -> None:
    for dialect in BOTH:
        again = answer(whole(dialect, rendered(dialect, events)))
        assert comparable(again) == comparable(answer(events))
        assert again.id == PREFIX[dialect.name] + "x1"


@given(streams())
def test_a_stream_crosses_both_dialects_and_comes_back(events: list[StreamEvent]) -> None:
    there = whole(ANTHROPIC, rendered(ANTHROPIC, events))
    back = whole(OPENAI_CHAT, rendered(OPENAI_CHAT, there))
    assert comparable(answer(back)) == comparable(answer(events))


@given(streams(refusals=True), st.lists(st.integers(0, 3_000), max_size=10))
@settings(max_examples=50)
def test_decoders_do_not_care_where_the_bytes_are_cut(events: list[StreamEvent], cuts: list[int]) -> None:
    for dialect in BOTH:
        stream = rendered(dialect, events)
        at = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        expected = whole(dialect, stream)
        assert decoded(dialect.stream_decoder(), [stream[a:b] for a, b in itertools.pairwise(at)]) == expected
        assert decoded(dialect.stream_decoder(), [stream[i : i + 1] for i in range(len(stream))]) == expected
        crlf = stream.replace(b"\n", b"\r\n")
        assert decoded(dialect.stream_decoder(), [crlf[a:b] for a, b in itertools.pairwise(at)] + [crlf[at[-1] :]]) == expected


@given(streams(), st.floats(0, 1))
@settings(max_examples=50)
def test_a_stream_cut_short_fails_exactly_once(events: list[StreamEvent], share: float) -> None:
    for dialect, ends in ((OPENAI_CHAT, (b'"finish_reason":"', b"[DONE]")), (ANTHROPIC, (b'"stop_reason":"',))):
        stream = rendered(dialect, events)
        part = stream[: min([int(len(stream) * share), *(at for end in ends if (at := stream.find(end)) >= 0)])]
        got = whole(dialect, part)
        assert [type(event) for event in got if isinstance(event, Failed | Finished)] == [Failed]
        last = got[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultKind.upstream_cut
        assert dialect.stream_decoder().finish() != []


@given(streams(), st.data())
@settings(max_examples=50)
def test_no_damage_to_a_stream_breaks_a_decoder(events: list[StreamEvent], data: st.DataObject) -> None:
    for dialect in BOTH:
        stream = bytearray(rendered(dialect, events))
        for _ in range(data.draw(st.integers(1, 5))):
            stream[data.draw(st.integers(0, len(stream) - 1))] = data.draw(st.integers(0, 255))
        got = whole(dialect, bytes(stream))
        assert len([event for event in got if isinstance(event, Failed | Finished)]) == 1
        assert isinstance(got[-1], Failed | Finished)
        for other in BOTH:
            out = rendered(other, got)
            assert out.count(b"[DONE]") + out.count(b"event: message_stop") + out.count(b'"error":{') >= 1


def sse(*events: dict[str, Any] | str) -> bytes:
    return b"".join(b"data: " + (event if isinstance(event, str) else json.dumps(event)).encode() + b"\n\n" for event in events)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "model": "m", "choices": choices, **more}


def openai_events(*chunks: dict[str, Any] | str) -> list[StreamEvent]:
    return whole(OPENAI_CHAT, sse(*chunks))


def anthropic_datas(events: list[StreamEvent]) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in SseDecoder().feed(rendered(ANTHROPIC, events))]


def test_a_stream_as_an_anthropic_client_gets_it() -> None:
    events: list[StreamEvent] = [
        Started("chatcmpl-1", "up"),
        TextDelta("Hi"),
        ToolCallStarted(0, "c0", "f"),
        ToolCallDelta(0, '{"a":1}'),
        UsageReported(Usage(input=3, cached_read=2, output=4)),
        Finished("tool_calls"),
    ]
    usage = {"input_tokens": 0, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 0}
    opened: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "shown",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    assert anthropic_datas(events) == [
        {"type": "message_start", "message": {**opened, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "c0", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {**usage, "input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 4},
        },
        {"type": "message_stop"},
    ]
    assert rendered(ANTHROPIC, events).startswith(b'event: message_start\ndata: {"type":"message_start",')


def test_a_stream_as_an_openai_client_gets_it() -> None:
    events: list[StreamEvent] = [
        Started("msg_1", "up"),
        TextDelta("Hi"),
        UsageReported(Usage(input=3, cached_read=2, output=4)),
        Finished("stop"),
    ]
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "shown"}

    def line(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {**shared, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]}

    expected = [line({"role": "assistant", "content": "", "refusal": None}), line({"content": "Hi"}), line({}, "stop")]
    plain = OPENAI_CHAT.stream_renderer("shown", 7, include_usage=False)
    datas = [event.data for event in SseDecoder().feed(b"".join(map(plain.render, events)))]
    assert list(map(json.loads, datas[:-1])) == expected
    assert datas[-1] == b"[DONE]"

    asked = OPENAI_CHAT.stream_renderer("shown", 7, include_usage=True)
    datas = [event.data for event in SseDecoder().feed(b"".join(map(asked.render, events)))]
    usage = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2}}
    assert list(map(json.loads, datas[:-1])) == [*({**e, "usage": None} for e in expected), {**shared, "choices": [], "usage": usage}]


def test_calls_one_after_the_other_stream_without_waiting() -> None:
    renderer = ANTHROPIC.stream_renderer("m", 0, True)
    renderer.render(Started())
    renderer.render(ToolCallStarted(0, "a", "f"))
    renderer.render(ToolCallDelta(0, '{"x":1}'))
    assert b"content_block_start" in renderer.render(ToolCallStarted(1, "b", "g"))
    assert b"partial_json" in renderer.render(ToolCallDelta(1, "{"))


def test_an_interleaved_call_waits_until_the_open_one_is_whole() -> None:
    renderer = ANTHROPIC.stream_renderer("m", 0, True)
    renderer.render(Started())
    renderer.render(ToolCallStarted(0, "a", "f"))
    renderer.render(ToolCallDelta(0, '{"x"'))
    assert renderer.render(ToolCallStarted(1, "b", "g")) == b""
    assert renderer.render(ToolCallDelta(1, '{"y":2}')) == b""
    both = renderer.render(ToolCallDelta(0, ":1}"))
    assert both.count(b"content_block_stop") == 2
    assert b'{\\"y\\":2}' in both


def test_arguments_for_a_closed_call_are_an_error_not_a_loss() -> None:
    renderer = ANTHROPIC.stream_renderer("m", 0, True)
    for event in (Started(), ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{}"), TextDelta("x")):
        renderer.render(event)
    assert renderer.render(ToolCallDelta(0, " \n")) == b""
    assert b"event: error" in renderer.render(ToolCallDelta(0, "}"))
    assert renderer.render(TextDelta("y")) == b""


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize("text", ["x" * 10_000, "€" * 5_000, "a" + "😀" * 3_000])
def test_a_long_delta_is_split_between_characters(dialect: Dialect, text: str) -> None:
    for events in ([TextDelta(text)], [ThinkingDelta(text)], [RefusalDelta(text)], [ToolCallStarted(0, "c", "f"), ToolCallDelta(0, text)]):
        out = whole(dialect, rendered(dialect, [Started(), *events, Finished("stop")]))
        texts = [e.text for e in out if isinstance(e, TextDelta | ThinkingDelta | RefusalDelta)]
        texts += [e.arguments for e in out if isinstance(e, ToolCallDelta)]
        assert "".join(texts) == text
        assert max(len(piece.encode()) for piece in texts) <= DELTA_BYTES_MAX


@pytest.mark.parametrize("decoder", [ChatStreamDecoder, MessagesStreamDecoder])
def test_an_event_over_the_limit_fails_the_stream(decoder: type[ChatStreamDecoder] | type[MessagesStreamDecoder]) -> None:
    events = decoded(decoder(event_bytes_max=100), [b"data: " + b"x" * 60, b"x" * 60, b"\n\n"])
    assert len(events) == 1
    assert isinstance(events[0], Failed)
    assert events[0].fault.kind is FaultKind.upstream_server


def test_openai_tool_calls_are_told_apart_however_servers_number_them() -> None:
    def call(index: int | None, call_id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
        given: dict[str, Any] = {"function": {"name": name, "arguments": arguments}}
        return given | ({} if index is None else {"index": index}) | ({} if call_id is None else {"id": call_id})

    ways = {
        "by index": [call(0, "a", "f", ""), call(0, None, None, "{}"), call(1, "b", "g", "{}")],
        "all of them number 0": [call(0, "a", "f", "{}"), call(0, "b", "g", "{}")],
        "id repeated": [call(0, "a", "f", "{"), call(0, "a", None, "}"), call(1, "b", "g", "{}")],
        "no index": [call(None, "a", "f", "{"), call(None, None, None, "}"), call(None, "b", "g", "{}")],
    }
    for way, calls in ways.items():
        told = answer(openai_events(*[chunk({"tool_calls": [given]}) for given in calls], chunk({}, "tool_calls"), "[DONE]"))
        assert told.parts == (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")), way


def test_openai_arguments_may_be_an_object_and_ids_may_be_missing() -> None:
    told = answer(openai_events(chunk({"tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}), chunk({}, "stop"), "[DONE]"))
    assert told.parts == (ToolCall("call_c_0", "f", '{"x": 1}'),)
    assert told.finish == "tool_calls"


def test_openai_thinking_in_every_shape_vendors_use() -> None:
    mistral = [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "a"}]
    for delta in ({"reasoning_content": "t", "content": "a"}, {"reasoning": "t", "content": "a"}, {"content": mistral}):
        assert answer(openai_events(chunk(delta), chunk({}, "stop"))).parts == (Thinking("t"), Text("a"))


def test_openai_ends() -> None:
    said = chunk({"content": "a"})
    assert openai_events(said, chunk({}, "length"))[-1] == Finished("length"), "a finish reason without [DONE]"
    assert openai_events(said, "[DONE]")[-1] == Finished("stop"), "[DONE] without a finish reason"
    assert openai_events(said, chunk({}, "stop"), chunk(None, usage={"prompt_tokens": 1}), "[DONE]")[-2:] == [
        UsageReported(Usage(input=1)),
        Finished("stop"),
    ]
    for cut in (openai_events(said), openai_events("[DONE]"), openai_events()):
        assert isinstance(cut[-1], Failed)
        assert cut[-1].fault.kind is FaultKind.upstream_cut


def test_other_choices_are_not_mixed_in() -> None:
    second = {"id": "c", "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}]}
    assert answer(openai_events(chunk({"content": "yes"}), second, chunk({}, "stop"), "[DONE]")).parts == (Text("yes"),)


def test_errors_inside_streams_are_faults_and_nothing_follows() -> None:
    inside = chunk({"content": ""}, error={"code": 400, "message": "Token limit reached"})
    got = openai_events(chunk({"content": "a"}), inside, chunk({"content": "b"}), "[DONE]")
    assert isinstance(got[-1], Failed)
    assert got[-1].fault.kind is FaultKind.context_length
    assert TextDelta("b") not in got
    other = whole(
        ANTHROPIC, sse({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, {"type": "message_stop"})
    )
    assert len(other) == 1
    assert isinstance(other[0], Failed)
    assert other[0].fault.kind is FaultKind.upstream_overloaded


def anthropic_stream(*blocks: list[dict[str, Any]], stop: str = "end_turn", **delta: Any) -> list[StreamEvent]:
    start = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}
    inner = [event for block in blocks for event in block]
    end = {"type": "message_delta", "delta": {"stop_reason": stop, **delta}, "usage": {"output_tokens": 9}}
    return whole(ANTHROPIC, sse(start, {"type": "ping"}, *inner, end, {"type": "message_stop"}))


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def test_anthropic_calls_without_deltas_have_the_arguments_of_their_start() -> None:
    told = answer(
        anthropic_stream(
            block(0, {"type": "tool_use", "id": "a", "name": "f", "input": {}}, {"type": "input_json_delta", "partial_json": ""}),
            block(1, {"type": "tool_use", "id": "b", "name": "g", "input": {"x": 1}}),
            stop="tool_use",
        )
    )
    assert told.parts == (ToolCall("a", "f", "{}"), ToolCall("b", "g", '{"x": 1}'))


def test_anthropic_tools_that_ran_at_the_provider_are_shown_whole_to_its_own_clients_only() -> None:
    told = answer(
        anthropic_stream(
            block(
                0,
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "input_json_delta", "partial_json": '{"query": '},
                {"type": "input_json_delta", "partial_json": '"x"}'},
            ),
            block(1, {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}),
            block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}),
        )
    )
    use = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "x"}}
    result = {"type": "web_search_tool_result", "tool_use_id": "s", "content": []}
    assert [json.loads(part.raw) for part in told.parts if isinstance(part, Foreign)] == [use, result]
    assert told.parts[2:] == (Text("a"),)
    assert told.usage == Usage(input=5, output=9)
    message = json.loads(ANTHROPIC.encode_answer(told, "m", 1))
    assert message["content"] == [use, result, {"type": "text", "text": "a"}]
    assert json.loads(OPENAI_CHAT.encode_answer(told, "m", 1))["choices"][0]["message"] == {
        "role": "assistant",
        "content": "a",
        "refusal": None,
    }


def test_an_anthropic_refusal_tells_why() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "Not that."}
    told = answer(anthropic_stream(stop="refusal", stop_details=details))
    assert (told.finish, told.parts[1:]) == ("refusal", (Refusal("Not that."),))
    message = json.loads(ANTHROPIC.encode_answer(told, "m", 1))
    assert (message["stop_details"], message["content"]) == (details, [])
    end = anthropic_datas([Started(), *(ForeignShown(part) for part in told.parts if isinstance(part, Foreign)), RefusalDelta("Not that."),
                           Finished("refusal")])[-2]  # fmt: skip
    assert end["delta"] == {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}


def test_a_refusal_is_text_and_a_stop_reason_for_an_anthropic_client() -> None:
    datas = anthropic_datas([Started(), RefusalDelta("No."), Finished("stop")])
    assert datas[2]["delta"] == {"type": "text_delta", "text": "No."}
    assert datas[-2]["delta"]["stop_reason"] == "refusal"


def test_a_second_message_start_goes_on_with_the_answer() -> None:
    start = {"type": "message_start", "message": {"id": "msg_2", "model": "m", "usage": {"input_tokens": 5, "output_tokens": 1}}}
    told = answer(anthropic_stream(block(0, {"type": "text", "text": "a"}), [start], block(0, {"type": "text", "text": "b"})))
    assert (told.id, told.parts) == ("msg_1", (Text("ab"),))


@pytest.mark.parametrize("dialect", BOTH)
def test_a_renderer_that_is_left_without_an_end_says_so(dialect: Dialect) -> None:
    renderer = dialect.stream_renderer("m", 0, True)
    renderer.render(Started())
    assert b'"error":{' in renderer.finish()
    assert renderer.finish() == b""
    failed = dialect.stream_renderer("m", 0, True)
    fault = Fault(FaultKind.upstream_cut, "It ended.")
    assert failed.render(Failed(fault)) == dialect.render_stream_fault(fault, "")
    assert failed.finish() == failed.render(TextDelta("x")) == b""


@pytest.mark.parametrize("dialect", BOTH)
def test_content_without_a_start_gets_one(dialect: Dialect) -> None:
    assert answer(whole(dialect, rendered(dialect, [TextDelta("a"), Finished("stop")]))).parts == (Text("a"),)


def test_a_fold_keeps_the_last_usage_and_the_fault() -> None:
    assert answer([Started(), UsageReported(Usage(input=1)), UsageReported(Usage(input=2)), Finished("stop")]).usage == Usage(input=2)
    fault = Fault(FaultKind.upstream_cut, "x")
    assert fold([Started(), TextDelta("a"), Failed(fault)]) == fault


def test_names_of_events_do_not_matter_to_the_decoder() -> None:
    assert SseDecoder().feed(b"event: error\ndata: {}\n\n") == [SseEvent(b"error", b"{}")]
    assert isinstance(whole(OPENAI_CHAT, b'event: error\ndata: {"message":"x"}\n\n')[-1], Failed)
