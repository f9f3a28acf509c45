"""Replies as Anthropic's wire format, written by hand so that they share no code with the dialect under test.

Source: https://docs.anthropic.com/en/api/messages, /en/api/messages-streaming, /en/api/messages-count-tokens
"""

from typing import Any

import msgspec

from setpoint.testing.replies import SIGNATURE, Call, Ending, Refusal, Reply

_json = msgspec.json.Encoder().encode
_KINDS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip


_STOPS: dict[Ending, str] = {"done": "end_turn", "length": "max_tokens", "filtered": "refusal"}


def message(reply: Reply, model: str) -> bytes:
    content: list[dict[str, Any]] = [{"type": "thinking", "thinking": reply.thinking, "signature": SIGNATURE}] if reply.thinking else []
    content += [{"type": "text", "text": reply.text}] if reply.pieces else []
    content += [{**_tool_use(call), "input": msgspec.json.decode(call.arguments)} for call in reply.calls]
    usage = _input_usage(reply) | _output_usage(reply)
    return _json({**_frame(reply, model), "content": content, "stop_reason": _stop(reply), "stop_sequence": None, "usage": usage})


def events(reply: Reply, model: str) -> tuple[bytes, ...]:
    """A stream, one event each."""
    return tuple(_event(document) for document in _documents(reply, model))


def documents(reply: Reply, model: str) -> tuple[bytes, ...]:
    """The documents of a stream without its framing, as Bedrock frames them otherwise."""
    return tuple(_json(document) for document in _documents(reply, model))


def count(reply: Reply) -> bytes:
    """The answer of /messages/count_tokens."""
    return _json({"input_tokens": reply.input_tokens})


def models(names: tuple[str, ...]) -> bytes:
    data = [{"type": "model", "id": name, "display_name": name, "created_at": "2024-01-01T00:00:00Z"} for name in names]
    return _json({"data": data, "has_more": False, "first_id": names[0], "last_id": names[-1]})


def refusal(says: Refusal) -> bytes:
    kind = _KINDS.get(says.status, "api_error" if says.status >= 500 else "invalid_request_error")
    return _json({"type": "error", "error": {"type": kind, "message": says.message}, "request_id": "req_fake"})


def error_event() -> bytes:
    """What Anthropic sends when a stream fails after its head."""
    return _event({"type": "error", "error": {"type": "overloaded_error", "message": "the fake upstream failed in mid-stream"}})


def _frame(reply: Reply, model: str) -> dict[str, Any]:
    return {"id": "msg_fake", "type": "message", "role": "assistant", "model": reply.model or model}


def _input_usage(reply: Reply) -> dict[str, Any]:
    """Anthropic counts cached tokens beside `input_tokens`, OpenAI inside; a reply means the OpenAI total."""
    return {
        "input_tokens": reply.input_tokens - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
    }


def _output_usage(reply: Reply) -> dict[str, Any]:
    details = {"output_tokens_details": {"thinking_tokens": reply.thinking_tokens}} if reply.thinking_tokens else {}
    return {"output_tokens": reply.output_tokens, **details}


def _tool_use(call: Call) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name}


def _documents(reply: Reply, model: str) -> list[dict[str, Any]]:
    opened = {**_frame(reply, model), "content": [], "stop_reason": None, "stop_sequence": None}
    out = [_said("message_start", message={**opened, "usage": _input_usage(reply) | {"output_tokens": 1}}), _said("ping")]
    index = 0
    if reply.thinking:
        thoughts = [{"type": "thinking_delta", "thinking": reply.thinking}, {"type": "signature_delta", "signature": SIGNATURE}]
        out += _block(index, {"type": "thinking", "thinking": "", "signature": ""}, thoughts)
        index += 1
    if reply.pieces:
        deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
        out += _block(index, {"type": "text", "text": ""}, deltas)
        index += 1
    for call in reply.calls:
        half = len(call.arguments) // 2
        parts = ("", call.arguments[:half], call.arguments[half:])
        out += _block(index, {**_tool_use(call), "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts])
        index += 1
    delta = {"stop_reason": _stop(reply), "stop_sequence": None}
    return [*out, _said("message_delta", delta=delta, usage=_output_usage(reply)), _said("message_stop")]


def _block(index: int, block: dict[str, Any], deltas: list[dict[str, Any]]) -> list[dict[str, Any]]:
    opened = _said("content_block_start", index=index, content_block=block)
    return [opened, *(_said("content_block_delta", index=index, delta=d) for d in deltas), _said("content_block_stop", index=index)]


def _stop(reply: Reply) -> str:
    return "tool_use" if reply.calls else _STOPS[reply.ending]


def _said(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, **members}


def _event(document: dict[str, Any]) -> bytes:
    return b"event: " + str(document["type"]).encode() + b"\ndata: " + _json(document) + b"\n\n"
