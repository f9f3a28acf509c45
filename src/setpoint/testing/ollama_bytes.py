"""Replies as Ollama's wire format, written by hand so that they share no code with the dialect under test.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md, "Generate a chat completion", "Generate Embeddings". A stream is a JSON
document a line.
"""

from typing import Any

import msgspec

from setpoint.testing.openai_bytes import vector
from setpoint.testing.replies import Call, Ending, Refusal, Reply

_json = msgspec.json.Encoder().encode
_REASONS: dict[Ending, str] = {"done": "stop", "length": "length", "filtered": "stop"}


def message(reply: Reply, model: str) -> bytes:
    said: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.thinking:
        said["thinking"] = reply.thinking
    if reply.calls:
        said["tool_calls"] = [_call(no, call) for no, call in enumerate(reply.calls)]
    return _json(_last(reply, model, said))


def events(reply: Reply, model: str) -> tuple[bytes, ...]:
    """A stream, one line each. Calls come whole."""
    said: list[dict[str, Any]] = [{"content": "", "thinking": reply.thinking}] if reply.thinking else []
    said += [{"content": piece} for piece in reply.pieces]
    said += [{"content": "", "tool_calls": [_call(no, call)]} for no, call in enumerate(reply.calls)]
    lines = [{**_frame(reply, model), "message": {"role": "assistant", **members}, "done": False} for members in said]
    return tuple(_json(line) + b"\n" for line in (*lines, _last(reply, model, {"role": "assistant", "content": ""})))


def embeddings(texts: int, model: str) -> bytes:
    """The answer of /api/embed."""
    vectors = [vector(no) for no in range(texts)]
    return _json({"model": model, "embeddings": vectors, "total_duration": 1_000, "load_duration": 100, "prompt_eval_count": 3 * texts})


def refusal(says: Refusal) -> bytes:
    return _json({"error": says.message})


def error_event() -> bytes:
    """What Ollama sends when a stream fails after its head."""
    return _json({"error": "the fake upstream failed in mid-stream"}) + b"\n"


def _frame(reply: Reply, model: str) -> dict[str, Any]:
    return {"model": reply.model or model, "created_at": "2023-11-14T22:13:20.5Z"}


def _last(reply: Reply, model: str, said: dict[str, Any]) -> dict[str, Any]:
    """Durations are nanoseconds."""
    durations = {"total_duration": 4_000, "load_duration": 1_000, "prompt_eval_duration": 1_000, "eval_duration": 2_000}
    counts = {"prompt_eval_count": reply.input_tokens, "eval_count": reply.output_tokens}
    return {**_frame(reply, model), "message": said, "done": True, "done_reason": _REASONS[reply.ending], **durations, **counts}


def _call(no: int, call: Call) -> dict[str, Any]:
    return {"id": call.id, "function": {"index": no, "name": call.name, "arguments": msgspec.json.decode(call.arguments)}}
