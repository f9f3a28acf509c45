"""Replies as OpenAI's wire format, written by hand so that they share no code with the dialect under test.

Source: https://platform.openai.com/docs/api-reference/chat, /completions, /embeddings, /models. `reasoning_content` is what providers of
reasoning models add to it (https://api-docs.deepseek.com/guides/reasoning_model).
"""

import base64
import struct
from typing import Any

import msgspec

from setpoint.testing.replies import Call, Ending, Refusal, Reply

_json = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"
CREATED_S = 1_700_000_000
_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_FINISHES: dict[Ending, str] = {"done": "stop", "length": "length", "filtered": "content_filter"}


def completion(reply: Reply, model: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text if reply.pieces else None, "refusal": None}
    if reply.thinking:
        message["reasoning_content"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    return _json({**_frame("chat.completion", reply, model), "choices": [choice], "usage": _usage(reply)})


def events(reply: Reply, model: str, *, with_usage: bool) -> tuple[bytes, ...]:
    """A stream, one event each."""
    frame = _frame("chat.completion.chunk", reply, model)

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        return _event({**frame, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    out = [chunk({"role": "assistant", "content": "" if reply.pieces else None})]
    out += [chunk({"reasoning_content": reply.thinking})] if reply.thinking else []
    out += [chunk({"content": piece}) for piece in reply.pieces]
    for i, call in enumerate(reply.calls):
        out.append(chunk({"tool_calls": [{**_call(call), "index": i, "function": {"name": call.name, "arguments": ""}}]}))
        out += [chunk({"tool_calls": [{"index": i, "function": {"arguments": part}}]}) for part in _halves(call.arguments)]
    out.append(chunk({}, _finish(reply)))
    if with_usage:
        out.append(_event({**frame, "choices": [], "usage": _usage(reply)}))
    return (*out, DONE)


def text_completion(reply: Reply, model: str) -> bytes:
    """An answer of the older surface, /completions."""
    choice = {"index": 0, "text": reply.text, "logprobs": None, "finish_reason": _finish(reply)}
    return _json({**_frame("text_completion", reply, model), "choices": [choice], "usage": _usage(reply)})


def text_events(reply: Reply, model: str, *, with_usage: bool) -> tuple[bytes, ...]:
    """A stream of the older surface, one event each."""
    frame = _frame("text_completion", reply, model)

    def chunk(text: str, finish: str | None = None) -> bytes:
        return _event({**frame, "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}]})

    out = [*(chunk(piece) for piece in reply.pieces), chunk("", _finish(reply))]
    if with_usage:
        out.append(_event({**frame, "choices": [], "usage": _usage(reply)}))
    return (*out, DONE)


def vector(no: int) -> list[float]:
    """What every fake provider says to text number `no` of a request for embeddings."""
    return [0.6, 0.8, float(no)]


def embeddings(texts: int, model: str, *, as_base64: bool = False) -> bytes:
    data = [{"object": "embedding", "index": i, "embedding": _packed(vector(i)) if as_base64 else vector(i)} for i in range(texts)]
    return _json({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": 3 * texts, "total_tokens": 3 * texts}})


def models(names: tuple[str, ...]) -> bytes:
    data = [{"id": name, "object": "model", "created": CREATED_S, "owned_by": "fake"} for name in names]
    return _json({"object": "list", "data": data})


def refusal(says: Refusal) -> bytes:
    kind = _KINDS.get(says.status, "server_error" if says.status >= 500 else "invalid_request_error")
    return _json({"error": {"message": says.message, "type": kind, "param": None, "code": says.code}})


def error_event() -> bytes:
    """What providers send when a stream fails after its head."""
    return _event({"error": {"message": "the fake upstream failed in mid-stream", "type": "server_error", "param": None, "code": None}})


def _frame(kind: str, reply: Reply, model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-fake", "object": kind, "created": CREATED_S, "model": reply.model or model, "system_fingerprint": "fp_fake"}


def _usage(reply: Reply) -> dict[str, Any]:
    details: dict[str, Any] = {"prompt_tokens_details": {"cached_tokens": reply.cached_tokens}} if reply.cached_tokens else {}
    if reply.thinking_tokens:
        details["completion_tokens_details"] = {"reasoning_tokens": reply.thinking_tokens}
    total = reply.input_tokens + reply.output_tokens
    return {"prompt_tokens": reply.input_tokens, "completion_tokens": reply.output_tokens, "total_tokens": total, **details}


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _finish(reply: Reply) -> str:
    return "tool_calls" if reply.calls else _FINISHES[reply.ending]


def _packed(values: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


def _halves(whole: str) -> list[str]:
    return [part for part in (whole[: len(whole) // 2], whole[len(whole) // 2 :]) if part]


def _event(document: dict[str, Any]) -> bytes:
    return b"data: " + _json(document) + b"\n\n"
