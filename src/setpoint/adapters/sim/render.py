"""Answers of the simulated models in OpenAI's wire format: chat completions, chunks, embeddings, the list of models, errors.

Source of the shapes: https://platform.openai.com/docs/api-reference/chat
"""

from typing import Any

import msgspec

from setpoint.adapters.sim.models import SIM_MODELS, SimModel
from setpoint.adapters.sim.speech import Said, ToolCall
from setpoint.adapters.sim.vectors import as_base64, embed

FINGERPRINT = "simulated"
_json = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


def usage(said: Said) -> dict[str, int]:
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def completion(model: SimModel, said: Said, answer_id: str, created_s: int) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": said.text if not said.tool_calls else None, "refusal": None}
    if said.tool_calls:
        message["tool_calls"] = [_call(call) for call in said.tool_calls]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": said.finish}
    return _json(
        {**_frame("chat.completion", model, answer_id, created_s), "choices": [choice], "usage": usage(said)},
    )


def chunks(model: SimModel, said: Said, answer_id: str, created_s: int, *, with_usage: bool) -> list[bytes]:
    """The events of a stream: role, one per token (or tool call), finish, usage when asked for, `[DONE]`."""
    frame = _frame("chat.completion.chunk", model, answer_id, created_s)

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event({**frame, "choices": [choice]} | ({"usage": None} if with_usage else {}))

    events = [chunk({"role": "assistant", "content": None if said.tool_calls else "", "refusal": None})]
    events += [chunk({"content": token}) for token in said.tokens]
    for i, call in enumerate(said.tool_calls):
        opened = _call(call) | {"index": i, "function": {"name": call.name, "arguments": ""}}
        middle = len(call.arguments) // 2
        events.append(chunk({"tool_calls": [opened]}))
        events += [
            chunk({"tool_calls": [{"index": i, "function": {"arguments": part}}]})
            for part in (call.arguments[:middle], call.arguments[middle:])
            if part
        ]
    events.append(chunk({}, said.finish))
    if with_usage:
        events.append(event({**frame, "choices": [], "usage": usage(said)}))
    return [*events, DONE]


def event(document: dict[str, Any]) -> bytes:
    return b"data: " + _json(document) + b"\n\n"


def embeddings(model: SimModel, texts: list[str], dimensions: int, prompt_tokens: int, *, base64: bool) -> bytes:
    vectors = [embed(text, dimensions) for text in texts]
    data = [{"object": "embedding", "index": i, "embedding": as_base64(v) if base64 else v} for i, v in enumerate(vectors)]
    used = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return _json({"object": "list", "data": data, "model": model.name, "usage": used})


def model_list() -> bytes:
    return _json({"object": "list", "data": [model_entry(model) for model in SIM_MODELS]})


def model_entry(model: SimModel) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "sim", "description": f"simulated: {model.about}"}


def error(message: str, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    return _json({"error": {"message": message, "type": kind, "param": param, "code": code}})


def _frame(kind: str, model: SimModel, answer_id: str, created_s: int) -> dict[str, Any]:
    return {"id": answer_id, "object": kind, "created": created_s, "model": model.name, "system_fingerprint": FINGERPRINT}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
