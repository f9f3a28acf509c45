"""Replies as the wire format of Bedrock's Converse, written by hand so that they share no code with the dialect under test.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, _ConverseStream.html; the frames of a stream:
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import base64
import struct
import zlib
from typing import Any

import msgspec

from setpoint.testing.replies import SIGNATURE, Call, Ending, Refusal, Reply

_json = msgspec.json.Encoder().encode
_STRING = 7
"""The type of a header whose value is a string."""
_FRAME_OVERHEAD = 16
"""Two lengths, the checksum of the lengths, the checksum of all."""
_ERRORS = {
    400: "ValidationException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 408: "ModelTimeoutException",
    424: "ModelErrorException", 429: "ThrottlingException", 500: "InternalServerException", 503: "ServiceUnavailableException",
}  # fmt: skip
_STOPS: dict[Ending, str] = {"done": "end_turn", "length": "max_tokens", "filtered": "content_filtered"}


def message(reply: Reply) -> bytes:
    content: list[dict[str, Any]] = []
    if reply.thinking:
        content.append({"reasoningContent": {"reasoningText": {"text": reply.thinking, "signature": SIGNATURE}}})
    content += [{"text": reply.text}] if reply.pieces else []
    content += [{"toolUse": {**_tool_use(call), "input": msgspec.json.decode(call.arguments)}} for call in reply.calls]
    output = {"message": {"role": "assistant", "content": content}}
    return _json({"metrics": {"latencyMs": 1}, "output": output, "stopReason": _stop(reply), "usage": _usage(reply)})


def events(reply: Reply) -> tuple[bytes, ...]:
    """A stream, one frame each."""
    out = [_event("messageStart", role="assistant")]
    index = 0
    if reply.thinking:
        thoughts = [{"reasoningContent": {"text": reply.thinking}}, {"reasoningContent": {"signature": SIGNATURE}}]
        out += _block(index, None, thoughts)
        index += 1
    if reply.pieces:
        out += _block(index, None, [{"text": piece} for piece in reply.pieces])
        index += 1
    for call in reply.calls:
        half = len(call.arguments) // 2
        deltas = [{"toolUse": {"input": part}} for part in (call.arguments[:half], call.arguments[half:])]
        out += _block(index, {"toolUse": _tool_use(call)}, deltas)
        index += 1
    return (*out, _event("messageStop", stopReason=_stop(reply)), _event("metadata", usage=_usage(reply), metrics={"latencyMs": 1}))


def chunks(documents: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """A stream of InvokeModelWithResponseStream: what the model's own dialect says, each document in a frame."""
    return tuple(_event("chunk", bytes=base64.b64encode(document).decode()) for document in documents)


def refusal(says: Refusal) -> bytes:
    return _json({"message": says.message})


def refusal_headers(says: Refusal) -> tuple[tuple[str, str], ...]:
    """Which error it is stands in a header."""
    return (("x-amzn-errortype", says.code or _ERRORS.get(says.status) or _ERRORS[400 if says.status < 500 else 500]),)


def error_event() -> bytes:
    """What Bedrock sends when a stream fails after its head."""
    headers = {":exception-type": "modelStreamErrorException", ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, _json({"message": "the fake upstream failed in mid-stream"}))


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of the binary event stream."""
    head = b"".join(
        struct.pack(f">B{len(name)}sBH", len(name), name.encode(), _STRING, len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    lengths = struct.pack(">II", len(head) + len(payload) + _FRAME_OVERHEAD, len(head))
    unsigned = lengths + struct.pack(">I", zlib.crc32(lengths)) + head + payload
    return unsigned + struct.pack(">I", zlib.crc32(unsigned))


def _event(kind: str, **members: Any) -> bytes:
    return frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, _json(members))


def _block(index: int, start: dict[str, Any] | None, deltas: list[dict[str, Any]]) -> list[bytes]:
    """Only calls of tools are announced."""
    opened = [_event("contentBlockStart", contentBlockIndex=index, start=start)] if start else []
    deltas_ = [_event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in deltas]
    return [*opened, *deltas_, _event("contentBlockStop", contentBlockIndex=index)]


def _usage(reply: Reply) -> dict[str, int]:
    """Cached tokens are counted beside `inputTokens`; a reply means them inside."""
    return {
        "inputTokens": reply.input_tokens - reply.cached_tokens,
        "outputTokens": reply.output_tokens,
        "totalTokens": reply.input_tokens + reply.output_tokens,
        "cacheReadInputTokens": reply.cached_tokens,
        "cacheWriteInputTokens": 0,
    }


def _tool_use(call: Call) -> dict[str, Any]:
    return {"toolUseId": call.id, "name": call.name}


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.calls else _STOPS[reply.ending]
