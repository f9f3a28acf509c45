"""Answers, streams and errors of Converse, read and written; what is written is read back by botocore's own parsers."""

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.bedrock.oracle import EventStreamError, parsed_answer, parsed_stream

from setpoint.domain.chat import Audio, ChatAnswer, Citation, Foreign, Image, Part, Refusal, Text, Thinking, ToolCall
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
from setpoint.wire.aws_event_stream import FrameDecoder, encode_frame
from setpoint.wire.bedrock_converse import stream_in
from setpoint.wire.bedrock_converse.dialect import BEDROCK_CONVERSE
from setpoint.wire.bedrock_converse.words import ANSWER_TOOL
from setpoint.wire.dialect import DELTA_BYTES_MAX

PIXEL = b64encode(b"png").decode()
CITATION = {"title": "t", "source": "https://x", "sourceContent": [{"text": "q"}], "location": {"documentPage": {"documentIndex": 1}}}
USAGE = {"inputTokens": 5, "outputTokens": 7, "totalTokens": 15, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 1}


def frame(kind: str, **payload: Any) -> bytes:
    headers: Any = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return encode_frame(headers, json.dumps(payload).encode())


def exception(kind: str, message: str) -> bytes:
    return encode_frame({":exception-type": kind, ":message-type": "exception"}, json.dumps({"message": message}).encode())


def start(index: int, **block: Any) -> bytes:
    return frame("contentBlockStart", contentBlockIndex=index, start=block)


def delta(index: int, **block: Any) -> bytes:
    return frame("contentBlockDelta", contentBlockIndex=index, delta=block)


def stop(index: int) -> bytes:
    return frame("contentBlockStop", contentBlockIndex=index)


def end(reason: str = "end_turn", **more: Any) -> bytes:
    return frame("messageStop", stopReason=reason, **more) + frame("metadata", usage=USAGE, metrics={"latencyMs": 3})


BEGIN = frame("messageStart", role="assistant")


def decoded(*chunks: bytes) -> list[StreamEvent]:
    decoder = BEDROCK_CONVERSE.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def rendered(*events: StreamEvent) -> bytes:
    renderer = BEDROCK_CONVERSE.stream_renderer("m", 1, include_usage=False)
    return b"".join([renderer.render(event) for event in events]) + renderer.finish()


def answer_of(*blocks: Any, reason: str = "end_turn", **more: Any) -> ChatAnswer:
    body = {"output": {"message": {"role": "assistant", "content": list(blocks)}}, "stopReason": reason, "usage": USAGE, **more}
    answer = BEDROCK_CONVERSE.decode_answer(json.dumps(body).encode())
    assert isinstance(answer, ChatAnswer), answer
    return answer


# ------------------------------------------------------------------------------------------------------------------ answers


def test_an_answer_is_read_whole() -> None:
    server = {"toolUse": {"toolUseId": "s", "name": "nova_code_interpreter", "input": {}, "type": "server_tool_use"}}
    result = {"toolResult": {"toolUseId": "s", "content": [{"json": {}}], "type": "nova_code_interpreter_result", "status": "success"}}
    answer = answer_of(
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
        {"text": "a"},
        {"citationsContent": {"content": [{"text": "b"}, {"text": "c"}], "citations": [CITATION]}},
        {"toolUse": {"toolUseId": "1", "name": "f", "input": {"x": 1}}},
        server,
        result,
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
        {"audio": {"format": "wav", "source": {"bytes": PIXEL}}},
        {"somethingNew": {"a": 1}},
        reason="tool_use",
        serviceTier={"type": "flex"},
        additionalModelResponseFields={"stop_sequence": "x"},
        trace={"promptRouter": {"invokedModelId": "arn:model"}},
    )
    raw = json.dumps(CITATION).encode()
    cited = Text("bc", citations=(Citation("https://x", "t", "q", document=1, dialect="bedrock_converse", raw=raw),))
    assert answer.parts[:4] == (Thinking("t", "anthropic:s"), Text("a"), cited, ToolCall("1", "f", '{"x": 1}'))
    foreign = answer.parts[4:6] + answer.parts[8:]
    assert [(part.kind, json.loads(part.raw)) for part in foreign if isinstance(part, Foreign)] == [
        ("server_tool_use", server),
        ("server_tool_result", result),
        ("somethingNew", {"somethingNew": {"a": 1}}),
    ]
    assert answer.parts[6:8] == (Image(data=PIXEL, media_type="image/png"), Audio(PIXEL, "wav"))
    assert (answer.finish, answer.stop_sequence, answer.service_tier, answer.model) == ("tool_calls", "x", "flex", "arn:model")
    assert answer.usage == Usage(input=5, cached_read=2, cache_write=1, output=7)
    again = BEDROCK_CONVERSE.encode_answer(answer, "m", 1)
    assert BEDROCK_CONVERSE.decode_answer(again) == ChatAnswer("", "", *_after_model(answer))


def _after_model(answer: ChatAnswer) -> tuple[Any, ...]:
    return answer.parts, answer.finish, answer.usage, answer.stop_sequence, 0, (), answer.service_tier


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop_sequence"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "unknown"),
        ("malformed_tool_use", "unknown"),
        ("something_new", "unknown"),
    ],
)
def test_reasons_to_stop(reason: str, finish: str) -> None:
    assert answer_of({"text": "a"}, reason=reason).finish == finish
    assert decoded(BEGIN, delta(0, text="a"), stop(0), end(reason))[-1] == Finished(finish)


def test_the_tool_that_stands_for_an_answer_is_read_as_text() -> None:
    answer = answer_of({"toolUse": {"toolUseId": "1", "name": ANSWER_TOOL, "input": {"a": 1}}}, reason="tool_use")
    assert (answer.parts, answer.finish) == ((Text('{"a": 1}'),), "stop")
    events = decoded(
        BEGIN,
        start(0, toolUse={"toolUseId": "1", "name": ANSWER_TOOL}),
        delta(0, toolUse={"input": '{"a":'}),
        delta(0, toolUse={"input": "1}"}),
        stop(0),
        end("tool_use"),
    )
    streamed = fold(events)
    assert isinstance(streamed, ChatAnswer)
    assert (streamed.parts, streamed.finish) == ((Text('{"a":1}'),), "stop")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", FaultKind.upstream_server),
        (b"[]", FaultKind.upstream_server),
        (b"\xff", FaultKind.upstream_server),
        (b'{"output":null}', FaultKind.upstream_server),
        (b'{"output":{"message":{"content":[{"text":1}]}}}', FaultKind.upstream_server),
        (b'{"__type":"ThrottlingException","message":"slow down"}', FaultKind.upstream_rate),
    ],
)
def test_a_body_that_is_no_answer_is_a_fault(body: bytes, kind: FaultKind) -> None:
    fault = BEDROCK_CONVERSE.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind
    assert BEDROCK_CONVERSE.read_usage(body).usage is None


def test_nulls_in_an_answer_are_absent() -> None:
    body = b'{"output":{"message":{"content":[{"text":null,"toolUse":{"input":null}},{}]}},"usage":null,"trace":null,"serviceTier":null}'
    answer = BEDROCK_CONVERSE.decode_answer(body)
    assert isinstance(answer, ChatAnswer)
    assert answer.parts[0] == ToolCall("", "", "null")
    assert answer.usage is None


def test_boto_reads_an_answer_of_any_dialect() -> None:
    parts: tuple[Part, ...] = (
        Thinking("t", "gemini:s"),
        Thinking("", redacted="anthropic:EqAB"),
        Text("a"),
        ToolCall("call.1", "f", '{"x":[1]}'),
        ToolCall("2", "g", "broken"),
        Image(data=PIXEL, media_type="image/webp"),
        Foreign("web_search", "anthropic", b'{"type":"x"}'),
        Refusal("no"),
    )
    answer = ChatAnswer("id", "m", parts, "stop", Usage(3, 2, 1, 4, 5), "x", service_tier="priority")
    shown = parsed_answer(BEDROCK_CONVERSE.encode_answer(answer, "m", 1))
    assert shown["output"]["message"]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "gemini:s"}}},
        {"reasoningContent": {"redactedContent": b"EqAB"}},
        {"text": "a"},
        {"toolUse": {"toolUseId": "call.1", "name": "f", "input": {"x": [1]}}},
        {"toolUse": {"toolUseId": "2", "name": "g", "input": {"INVALID_JSON": "broken"}}},
        {"image": {"format": "webp", "source": {"bytes": b"png"}}},
        {"text": "no"},
    ]
    assert (shown["stopReason"], shown["serviceTier"]) == ("content_filtered", {"type": "priority"})
    assert shown["usage"] == {"inputTokens": 3, "outputTokens": 9, "totalTokens": 15, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 1}
    assert shown["additionalModelResponseFields"] == {"stop_sequence": "x"}


# ------------------------------------------------------------------------------------------------------------------ streams

RICH = (
    BEGIN,
    delta(0, reasoningContent={"text": "hm"}),
    delta(0, reasoningContent={"signature": "sig"}),
    stop(0),
    delta(1, text="Grü"),
    delta(1, text="ße"),
    delta(1, citation=CITATION),
    stop(1),
    start(2, toolUse={"toolUseId": "1", "name": "f"}),
    delta(2, toolUse={"input": '{"a":'}),
    delta(2, toolUse={"input": "1}"}),
    stop(2),
    start(3, toolUse={"toolUseId": "2", "name": "g"}),
    stop(3),
    end("tool_use"),
)


def test_a_stream_is_read_whole() -> None:
    citation = Citation("https://x", "t", "q", document=1, dialect="bedrock_converse", raw=json.dumps(CITATION).encode())
    assert decoded(*RICH) == [
        Started(),
        ThinkingDelta("hm"),
        ThinkingDelta(signature="anthropic:sig"),
        TextDelta("Grü"),
        TextDelta("ße"),
        Cited(citation),
        TextEnded(),
        ToolCallStarted(0, "1", "f"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        ToolCallStarted(1, "2", "g"),
        ToolCallDelta(1, "{}"),
        UsageReported(Usage(input=5, cached_read=2, cache_write=1, output=7)),
        Finished("tool_calls"),
    ]


@given(st.lists(st.integers(0, len(b"".join(RICH))), max_size=15).map(sorted))
def test_any_cut_gives_the_same_events_and_the_tap_forwards_every_byte(at: list[int]) -> None:
    whole = b"".join(RICH)
    chunks = [whole[a:b] for a, b in pairwise([0, *at, len(whole)])]
    assert decoded(*chunks) == decoded(whole)
    tap = BEDROCK_CONVERSE.tap()
    assert b"".join([tap.feed(chunk) for chunk in chunks]) + tap.flush() == whole
    assert (tap.events, tap.content_started, tap.done, tap.finish) == (16, True, True, "tool_use")
    assert tap.usage == Usage(input=5, cached_read=2, cache_write=1, output=7)


@given(st.data())
def test_mutated_bytes_never_crash_and_never_end_well(data: st.DataObject) -> None:
    whole = bytearray(b"".join(RICH))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    events = decoded(bytes(whole))
    last = len(whole) - len(frame("metadata", usage=USAGE, metrics={"latencyMs": 3}))
    assert isinstance(events[-1], Failed)
    tap = BEDROCK_CONVERSE.tap()
    out = tap.feed(bytes(whole)) + tap.flush()
    if tap.error is not None:
        said = b"" if tap.error.upstream_body is not None else BEDROCK_CONVERSE.render_stream_fault(tap.error, "")
        with pytest.raises(EventStreamError):
            parsed_stream(out + said)
    assert tap.usage is None or place >= last


MEMBERS = [
    "delta",
    "start",
    "text",
    "toolUse",
    "input",
    "contentBlockIndex",
    "reasoningContent",
    "usage",
    "stopReason",
    "image",
    "citation",
]
PAYLOAD = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "delta",
                    "start",
                    "text",
                    "toolUse",
                    "input",
                    "contentBlockIndex",
                    "reasoningContent",
                    "usage",
                    "stopReason",
                    "image",
                    "citation",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KINDS = ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata", "somethingNew"]


@given(st.lists(st.tuples(st.sampled_from(KINDS), PAYLOAD), max_size=6))
def test_odd_events_never_crash_and_every_stream_ends_once(given_events: list[tuple[str, Any]]) -> None:
    whole = b"".join(
        encode_frame({":event-type": kind, ":message-type": "event"}, json.dumps(payload).encode()) for kind, payload in given_events
    )
    events = decoded(whole)
    assert sum(isinstance(event, Finished | Failed) for event in events) == 1
    assert isinstance(events[-1], Finished | Failed)
    tap = BEDROCK_CONVERSE.tap()
    assert tap.feed(whole) + tap.flush() == whole


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("throttlingException", "slow", FaultKind.upstream_rate),
        ("modelStreamErrorException", "broke", FaultKind.upstream_server),
        ("validationException", "Input is too long for requested model.", FaultKind.context_length),
        ("validationException", "no", FaultKind.upstream_refused),
        ("internalServerException", "oops", FaultKind.upstream_server),
        ("serviceUnavailableException", "busy", FaultKind.upstream_overloaded),
        ("somethingNewException", "new", FaultKind.upstream_server),
    ],
)
def test_an_exception_ends_a_stream(kind: str, message: str, expected: FaultKind) -> None:
    whole = BEGIN + delta(0, text="a") + exception(kind, message)
    events = decoded(whole, stop(0))
    assert isinstance(events[-1], Failed)
    assert events[-1].fault.message == message
    assert events[-1].fault.kind is expected
    tap = BEDROCK_CONVERSE.tap()
    assert tap.feed(whole + stop(0)) + tap.feed(stop(0)) + tap.flush() == whole
    assert tap.error is not None
    assert (tap.error.kind, tap.done) == (expected, False)


def test_an_error_frame_says_it_in_its_headers() -> None:
    events = decoded(encode_frame({":message-type": "error", ":error-code": "InternalFailure", ":error-message": "bad"}, b""))
    assert events == [Failed(Fault(FaultKind.upstream_server, "bad", upstream_body=b'{"message":"bad"}'))]


def test_the_end_waits_for_metadata_and_does_without_it() -> None:
    decoder = BEDROCK_CONVERSE.stream_decoder()
    assert decoder.feed(BEGIN + delta(0, text="a") + stop(0) + frame("messageStop", stopReason="end_turn"))[-1] == TextEnded()
    assert decoder.finish() == [Finished("stop")]
    early = (
        BEGIN
        + frame("metadata", usage=USAGE)
        + frame("messageStop", stopReason="stop_sequence", additionalModelResponseFields={"delta": {"stop_sequence": "x"}})
    )
    assert decoded(early)[-1] == Finished("stop_sequence", "x")
    tap = BEDROCK_CONVERSE.tap()
    tap.feed(BEGIN + frame("messageStop", stopReason="end_turn"))
    assert not tap.done
    tap.flush()
    assert tap.done


def test_a_stream_without_an_end_was_cut() -> None:
    for whole in (b"", BEGIN, BEGIN + delta(0, text="a"), BEGIN + frame("messageStop", stopReason="end_turn")[:-1]):
        events = decoded(whole)
        assert isinstance(events[-1], Failed)
        assert events[-1].fault.kind is FaultKind.upstream_cut
        tap = BEDROCK_CONVERSE.tap()
        tap.feed(whole)
        assert tap.flush() == b""
        assert not tap.done


def test_parts_without_a_noun_are_shown_whole() -> None:
    events = decoded(
        BEGIN,
        start(0, toolUse={"toolUseId": "1", "name": "nova", "type": "server_tool_use"}),
        delta(0, toolUse={"input": '{"a":'}),
        delta(0, toolUse={"input": "1}"}),
        stop(0),
        start(1, toolResult={"toolUseId": "1", "type": "r", "status": "success"}),
        delta(1, toolResult=[{"text": "x"}]),
        delta(1, toolResult=[{"json": {}}]),
        stop(1),
        start(2, image={"format": "png"}),
        delta(2, image={"source": {"bytes": b64encode(b"a").decode()}}),
        delta(2, image={"source": {"bytes": b64encode(b"b").decode()}}),
        stop(2),
        end("tool_use"),
    )
    shown = [(event.part.kind, json.loads(event.part.raw)) for event in events if isinstance(event, ForeignShown)]
    assert shown == [
        ("server_tool_use", {"toolUse": {"toolUseId": "1", "name": "nova", "type": "server_tool_use", "input": {"a": 1}}}),
        (
            "server_tool_result",
            {"toolResult": {"toolUseId": "1", "type": "r", "status": "success", "content": [{"text": "x"}, {"json": {}}]}},
        ),
        ("image", {"image": {"format": "png", "source": {"bytes": b64encode(b"ab").decode()}}}),
    ]
    assert events[-1] == Finished("stop")
    assert fold(decoded(rendered(*events))) == fold(events)


def test_what_is_held_back_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_in, "COLLECTED_BYTES_MAX", 8)
    piece = delta(0, image={"source": {"bytes": "AAAA"}})
    begun = (BEGIN, start(0, image={"format": "png"}), piece, piece)
    assert not isinstance(decoded(*begun, stop(0), end())[-1], Failed)
    events = decoded(*begun, piece, stop(0), end())
    assert isinstance(events[-1], Failed)
    assert events[-1].fault.kind is FaultKind.upstream_server


@pytest.mark.parametrize("size", [1, 13, 100_000])
@pytest.mark.parametrize(("more", "whole"), [(0, True), (1, False)])
def test_a_frame_over_its_bound_is_an_error_for_tap_and_decoder(more: int, whole: bool, size: int) -> None:
    long = delta(0, text="a" * 1_000)
    stream = BEGIN + long + stop(0) + end()
    tap, decoder = BEDROCK_CONVERSE.tap(), BEDROCK_CONVERSE.stream_decoder(len(long) - more)
    tap.event_bytes_max = len(long) - more
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert b"".join(tap.feed(piece) for piece in pieces) + tap.flush() == (stream if whole else BEGIN)
    assert (tap.error is None, tap.done) == (whole, whole)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    assert isinstance(events[-1], Failed) is not whole


# --------------------------------------------------------------------------------------------------------------- rendering


def test_boto_reads_a_stream_of_any_dialect() -> None:
    stream = rendered(
        Started("id", "m"),
        ThinkingDelta("hm"),
        ThinkingDelta(signature="gemini:s"),
        ThinkingDelta(redacted="anthropic:EqAB"),
        TextDelta("a" * DELTA_BYTES_MAX + "b"),
        LogprobsReported(()),
        Cited(Citation("https://x", quote="q")),
        TextEnded(),
        TextDelta("c"),
        ToolCallStarted(0, "1", "f"),
        ToolCallDelta(0, "{}"),
        ForeignShown(Foreign("web_search", "anthropic", b"{}")),
        UsageReported(Usage(1, 2, 3, 4)),
        Finished("stop_sequence", "x", "flex"),
    )
    assert parsed_stream(stream) == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "gemini:s"}}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"reasoningContent": {"redactedContent": b"EqAB"}}}},
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"text": "a" * DELTA_BYTES_MAX}}},
        {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"text": "b"}}},
        {
            "contentBlockDelta": {
                "contentBlockIndex": 2,
                "delta": {"citation": {"sourceContent": [{"text": "q"}], "location": {"web": {"url": "https://x"}}}},
            }
        },
        {"contentBlockStop": {"contentBlockIndex": 2}},
        {"contentBlockDelta": {"contentBlockIndex": 3, "delta": {"text": "c"}}},
        {"contentBlockStop": {"contentBlockIndex": 3}},
        {"contentBlockStart": {"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "1", "name": "f"}}}},
        {"contentBlockDelta": {"contentBlockIndex": 4, "delta": {"toolUse": {"input": "{}"}}}},
        {"contentBlockStop": {"contentBlockIndex": 4}},
        {"messageStop": {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "x"}}},
        {
            "metadata": {
                "metrics": {"latencyMs": 0},
                "usage": {"inputTokens": 1, "outputTokens": 4, "totalTokens": 10, "cacheReadInputTokens": 2, "cacheWriteInputTokens": 3},
                "serviceTier": {"type": "flex"},
            }
        },
    ]


def test_interleaved_calls_are_put_one_after_the_other() -> None:
    events: list[StreamEvent] = [
        Started(),
        ToolCallStarted(0, "a", "f"),
        ToolCallStarted(1, "b", "g"),
        ToolCallDelta(1, '{"y":'),
        ToolCallDelta(0, '{"x":'),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, "2}"),
        TextDelta("done"),
        Finished("tool_calls"),
    ]
    answer = fold(decoded(rendered(*events)))
    assert isinstance(answer, ChatAnswer)
    assert answer.parts == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'), Text("done"))


def test_arguments_that_come_too_late_end_the_stream_in_an_exception() -> None:
    stream = rendered(
        Started(), ToolCallStarted(0, "a", "f"), ToolCallDelta(0, "{"), TextDelta("x"), ToolCallDelta(0, "}"), Finished("stop")
    )
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        parsed_stream(stream)


def test_a_refusal_says_so_at_the_end() -> None:
    assert {"messageStop": {"stopReason": "content_filtered"}} in parsed_stream(rendered(Started(), RefusalDelta("no"), Finished("stop")))


def test_a_stream_that_is_not_finished_ends_in_an_exception() -> None:
    with pytest.raises(EventStreamError, match="ended before it was complete"):
        parsed_stream(rendered(Started(), TextDelta("a")))
    with pytest.raises(EventStreamError, match="throttlingException"):
        parsed_stream(rendered(Started(), Failed(Fault(FaultKind.upstream_rate, "slow")), TextDelta("a")))


DELTAS: st.SearchStrategy[StreamEvent] = st.one_of(
    st.builds(TextDelta, st.text(min_size=1, max_size=5)),
    st.builds(ThinkingDelta, st.text(min_size=1, max_size=5), st.sampled_from(["", "anthropic:s"])),
    st.builds(ThinkingDelta, st.just(""), st.just(""), st.just("anthropic:EqAB")),
    st.just(TextEnded()),
)


@given(st.lists(DELTAS, max_size=8))
def test_what_is_rendered_is_read_back(events: list[StreamEvent]) -> None:
    told = [Started(), *events, UsageReported(Usage(1, 0, 0, 2)), Finished("stop")]
    stream = rendered(*told)
    assert fold(decoded(stream)) == fold(told)
    assert len(parsed_stream(stream)) == len(FrameDecoder().feed(stream))


# ------------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind"),
    [
        (403, {"x-amzn-errortype": "AccessDeniedException:http://internal"}, {"message": "a"}, FaultKind.upstream_auth),
        (403, {}, {"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "a"}, FaultKind.upstream_auth),
        (403, {"x-amzn-errortype": "ExpiredTokenException"}, {"message": "a"}, FaultKind.upstream_auth),
        (429, {"x-amzn-errortype": "ThrottlingException"}, {"message": "Too many tokens per day"}, FaultKind.upstream_rate),
        (400, {"x-amzn-errortype": "ServiceQuotaExceededException"}, {"message": "a"}, FaultKind.upstream_quota),
        (408, {"x-amzn-errortype": "ModelTimeoutException"}, {"message": "a"}, FaultKind.upstream_timeout),
        (429, {"x-amzn-errortype": "ModelNotReadyException"}, {"message": "a"}, FaultKind.upstream_overloaded),
        (424, {"x-amzn-errortype": "ModelErrorException"}, {"originalMessage": "a"}, FaultKind.upstream_server),
        (404, {"x-amzn-errortype": "ResourceNotFoundException"}, {"Message": "a"}, FaultKind.unknown_model),
        (400, {"x-amzn-errortype": "ValidationException"}, {"message": "Input is too long for requested model."}, FaultKind.context_length),
        (400, {}, {"message": "prompt is too long: 1 tokens > 2 maximum"}, FaultKind.context_length),
        (400, {}, {"message": "Output blocked by content filtering policy: content policy"}, FaultKind.content_filter),
        (400, {}, {"message": "The provided model identifier is invalid."}, FaultKind.unknown_model),
        (400, {"x-amzn-errortype": "ValidationException"}, {"message": "a"}, FaultKind.upstream_refused),
        (503, {"x-amzn-errortype": "ServiceUnavailableException"}, {"message": "a"}, FaultKind.upstream_overloaded),
        (500, {"x-amzn-errortype": "InternalServerException"}, {"message": "a"}, FaultKind.upstream_server),
        (502, {}, {}, FaultKind.upstream_server),
        (400, {}, {"message": None, "code": 5}, FaultKind.upstream_refused),
    ],
)
def test_errors_are_told_apart(status: int, headers: dict[str, str], body: Any, kind: FaultKind) -> None:
    fault = BEDROCK_CONVERSE.classify_fault(status, headers, json.dumps(body).encode(), 0.0)
    assert (fault.kind, fault.upstream_status) == (kind, status)


def test_when_to_come_back_is_read() -> None:
    fault = BEDROCK_CONVERSE.classify_fault(429, {"x-amzn-errortype": "ThrottlingException", "retry-after": "7"}, b"{}", 0.0)
    assert (fault.retry_after_s, fault.message) == (7.0, "ThrottlingException")


@pytest.mark.parametrize("kind", list(FaultKind))
def test_boto_reads_every_fault_in_an_answer_and_in_a_stream(kind: FaultKind) -> None:
    fault = Fault(kind, "what happened")
    error = parsed_answer(BEDROCK_CONVERSE.render_fault(fault, "r1"), status=max(400, fault.http_status))["Error"]
    assert error["Code"].endswith("Exception")
    assert error["Message"].startswith("what happened [at fault: ")
    with pytest.raises(EventStreamError, match="what happened"):
        parsed_stream(BEDROCK_CONVERSE.render_stream_fault(fault, "r1"))
    events = decoded(BEDROCK_CONVERSE.render_stream_fault(fault, "r1"))
    assert isinstance(events[-1], Failed)
