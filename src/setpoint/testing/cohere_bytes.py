"""Replies as Cohere's wire format, second version, written by hand so that they share no code with the dialect under test.

Source: https://docs.cohere.com/reference/chat, /reference/chat-stream, /reference/embed
"""

from typing import Any

import msgspec

from setpoint.testing.openai_bytes import DONE, vector
from setpoint.testing.replies import Call, Ending, Refusal, Reply

_json = msgspec.json.Encoder().encode
_FINISHES: dict[Ending, str] = {"done": "COMPLETE", "length": "MAX_TOKENS", "filtered": "ERROR_TOXIC"}


def message(reply: Reply) -> bytes:
    said: dict[str, Any] = {"role": "assistant"}
    content = [{"type": "thinking", "thinking": reply.thinking}] if reply.thinking else []
    content += [{"type": "text", "text": reply.text}] if reply.pieces else []
    if content:
        said["content"] = content
    if reply.calls:
        said["tool_calls"] = [_call(call, call.arguments) for call in reply.calls]
    return _json({"id": "fake", "finish_reason": _finish(reply), "message": said, "usage": _usage(reply)})


def events(reply: Reply) -> tuple[bytes, ...]:
    """A stream, one event each."""
    started = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
    out = [_event("message-start", id="fake", delta={"message": started})]
    index = 0
    if reply.thinking:
        out += _content(index, "thinking", (reply.thinking,))
        index += 1
    if reply.pieces:
        out += _content(index, "text", reply.pieces)
    for no, call in enumerate(reply.calls):
        out += _call_events(no, call)
    return (*out, _event("message-end", delta={"finish_reason": _finish(reply), "usage": _usage(reply)}), DONE)


def embeddings(texts: list[str]) -> bytes:
    """The answer of /v2/embed."""
    meta = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 3 * len(texts)}}
    vectors = {"float": [vector(no) for no in range(len(texts))]}
    return _json({"id": "fake", "embeddings": vectors, "texts": texts, "meta": meta, "response_type": "embeddings_by_type"})


def refusal(says: Refusal) -> bytes:
    return _json({"id": "fake", "message": says.message})


def error_event() -> bytes:
    """Cohere has no error event of its own: a stream that fails ends in a finish that says so."""
    return _event("message-end", delta={"finish_reason": "ERROR", "error": "the fake upstream failed in mid-stream"})


def _content(index: int, kind: str, pieces: tuple[str, ...]) -> list[bytes]:
    def event(name: str, **content: str) -> bytes:
        return _event(name, index=index, delta={"message": {"content": content}})

    started = event("content-start", type=kind, **{kind: ""})
    return [started, *(event("content-delta", **{kind: piece}) for piece in pieces), _event("content-end", index=index)]


def _call_events(no: int, call: Call) -> list[bytes]:
    half = len(call.arguments) // 2
    parts = [{"function": {"arguments": part}} for part in (call.arguments[:half], call.arguments[half:])]
    return [
        _event("tool-call-start", index=no, delta={"message": {"tool_calls": _call(call, "")}}),
        *(_event("tool-call-delta", index=no, delta={"message": {"tool_calls": part}}) for part in parts),
        _event("tool-call-end", index=no),
    ]


def _call(call: Call, arguments: str) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _usage(reply: Reply) -> dict[str, Any]:
    counts = {"input_tokens": reply.input_tokens, "output_tokens": reply.output_tokens}
    cached = {"cached_tokens": reply.cached_tokens} if reply.cached_tokens else {}
    return {"billed_units": counts, "tokens": counts, **cached}


def _finish(reply: Reply) -> str:
    return "TOOL_CALL" if reply.calls else _FINISHES[reply.ending]


def _event(kind: str, **members: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + _json({"type": kind, **members}) + b"\n\n"
