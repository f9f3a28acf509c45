"""Anthropic's messages on Bedrock and Vertex."""

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.faults import FaultKind
from setpoint.domain.stream import Finished, TextDelta, UsageReported, fold
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.aws_event_stream import encode_frame
from setpoint.wire.bedrock_invoke import BedrockFrames, bedrock_body, vertex_body

EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "claude", "usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße\n"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
    {"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 9, "invocationLatency": 5}},
]


def chunk(document: Any) -> bytes:
    payload = {"bytes": b64encode(json.dumps(document, ensure_ascii=False).encode()).decode(), "p": "abc"}
    return encode_frame(
        {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}, json.dumps(payload).encode()
    )


def exception(kind: str, message: str) -> bytes:
    return encode_frame({":exception-type": kind, ":message-type": "exception"}, json.dumps({"message": message}).encode())


STREAM = b"".join(map(chunk, EVENTS))


def test_a_body_for_bedrock_has_the_version_and_neither_model_nor_stream() -> None:
    body = (
        b'{"model": "claude", "max_tokens":  10.0, "messages": [ {"role":"user","content":"\\u00e9 stream"} ],'
        b'"stream":true, "x":{"stream":1}}'
    )
    made = bedrock_body(body)
    assert json.loads(made) == {
        "max_tokens": 10,
        "messages": [{"role": "user", "content": "é stream"}],
        "x": {"stream": 1},
        "anthropic_version": "bedrock-2023-05-31",
    }
    assert b'[ {"role":"user","content":"\\u00e9 stream"} ]' in made
    assert b'"max_tokens":10.0' in made


def test_a_body_for_vertex_keeps_stream() -> None:
    made = json.loads(vertex_body(b'{"model":"claude","max_tokens":1,"stream":true}'))
    assert made == {"max_tokens": 1, "stream": True, "anthropic_version": "vertex-2023-10-16"}


def test_betas_join_those_of_the_body_once_each() -> None:
    body = b'{"model":"m","anthropic_beta":["a","b"],"anthropic_version":"old"}'
    assert json.loads(bedrock_body(body, ("b", "c"))) == {"anthropic_beta": ["a", "b", "c"], "anthropic_version": "bedrock-2023-05-31"}
    assert json.loads(bedrock_body(body))["anthropic_beta"] == ["a", "b"]
    assert json.loads(vertex_body(b'{"anthropic_beta":null}', ("c",)))["anthropic_beta"] == ["c"]


def test_a_member_spelled_with_escapes_is_dropped_too() -> None:
    assert json.loads(bedrock_body(b'{"mod\\u0065l":"a","model":"b","str\\u0065am":true}')) == {"anthropic_version": "bedrock-2023-05-31"}


def test_a_body_that_is_no_object_is_told() -> None:
    with pytest.raises(msgspec.DecodeError):
        bedrock_body(b"[1]")


@given(st.lists(st.integers(0, len(STREAM)), max_size=12).map(sorted))
def test_any_cut_gives_the_same_events_and_the_dialect_reads_them(at: list[int]) -> None:
    frames, decoder, tap = BedrockFrames(), ANTHROPIC.stream_decoder(), ANTHROPIC.tap()
    events, relayed = [], b""
    for a, b in pairwise([0, *at, len(STREAM)]):
        out = frames.feed(STREAM[a:b])
        relayed += tap.feed(out)
        events += decoder.feed(out)
    events += decoder.finish()
    relayed += tap.flush()
    answer = fold(events)
    assert TextDelta("Grüße\n") in events
    assert UsageReported(Usage(input=9, output=4)) in events
    assert isinstance(events[-1], Finished)
    assert (tap.done, tap.finish, tap.usage) == (True, "end_turn", Usage(input=9, output=4))
    assert frames.error is None
    assert not hasattr(answer, "kind")
    assert relayed.startswith(b'event: message_start\ndata: {"type": "message_start"')
    assert relayed.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert b"invocationMetrics" not in relayed


@pytest.mark.parametrize(
    ("kind", "message", "expected"),
    [
        ("throttlingException", "Too many tokens, please wait", FaultKind.upstream_rate),
        ("serviceUnavailableException", "busy", FaultKind.upstream_overloaded),
        ("modelStreamErrorException", "broke", FaultKind.upstream_server),
        ("modelTimeoutException", "slow", FaultKind.upstream_timeout),
        ("validationException", "Input is too long for requested model.", FaultKind.context_length),
        ("validationException", "no", FaultKind.upstream_refused),
    ],
)
def test_an_exception_is_kept_and_told_as_anthropic_tells_errors(kind: str, message: str, expected: FaultKind) -> None:
    frames, tap = BedrockFrames(), ANTHROPIC.tap()
    out = tap.feed(frames.feed(chunk(EVENTS[0]) + exception(kind, message) + chunk(EVENTS[5])))
    assert frames.error is not None
    assert (frames.error.kind, frames.error.message) == (expected, message)
    assert tap.error is not None
    assert (tap.error.kind, tap.error.message) == (expected, message)
    assert out.endswith(b"\n\n")
    assert b"message_stop" not in out
    assert frames.feed(STREAM) == b""


def test_a_damaged_frame_is_a_fault_and_what_came_before_is_kept() -> None:
    broken = bytearray(STREAM)
    broken[-6] ^= 1
    frames = BedrockFrames()
    out = frames.feed(bytes(broken))
    assert b"event: message_delta" in out
    assert b"event: error" in out
    assert frames.error is not None
    assert frames.error.kind is FaultKind.upstream_server


@pytest.mark.parametrize("payload", [b"", b"[]", b'{"bytes":"%%%"}', b'{"bytes":"e30"}', b'{"bytes":"W10="}', b"\xff"])
def test_a_chunk_that_cannot_be_read_is_a_fault(payload: bytes) -> None:
    frames = BedrockFrames()
    frames.feed(encode_frame({":event-type": "chunk", ":message-type": "event"}, payload))
    assert frames.error is not None
    assert frames.error.kind is FaultKind.upstream_server


def test_half_a_frame_at_the_end_says_nothing() -> None:
    frames, tap = BedrockFrames(), ANTHROPIC.tap()
    tap.feed(frames.feed(STREAM[:-9]))
    assert frames.finish() == b""
    tap.flush()
    assert frames.error is None
    assert tap.finish == "end_turn"
