"""Ollama judges a request: the types of its SDK; a member they do not know is refused, but for those the server took later.

The ids of tool calls are such: servers since version 0.12 write and read them, the Python types have no place for them
(https://docs.ollama.com/api/chat).
"""

import base64
import json
from typing import Any

import ollama
from ollama._types import ChatRequest
from pydantic import BaseModel, ValidationError
from tests.pairs.judges.walking import RefusedError

_LATER = {("ToolCall", "id"), ("Message", "tool_call_id"), ("ToolCall", "type"), ("Function", "index")}


def judge(request: bytes, stream: bool) -> None:
    body = json.loads(request)
    if (body.get("stream") is not False) is not stream:
        raise RefusedError("it streams unless `stream` is false")
    try:
        asked = ChatRequest.model_validate({**body, "messages": []})
        messages = [ollama.Message.model_validate(_in_python(message)) for message in body["messages"]]
        options = ollama.Options.model_validate(body.get("options") or {}, strict=True)
    except ValidationError as error:
        raise RefusedError(str(error)[:2_000]) from None
    _known({name: value for name, value in body.items() if name not in {"messages", "tools", "options"}}, asked)
    _known(body.get("options") or {}, options)
    for message, given in zip(messages, body["messages"], strict=True):
        _known(_in_python(given), message)
        if given["role"] not in {"system", "user", "assistant", "tool"}:
            raise RefusedError(f"there is no role {given['role']}")
        for image in given.get("images") or ():
            _base64(image)
    for tool, given in zip(asked.tools or (), body.get("tools") or (), strict=True):
        if tool.function is None or not tool.function.name or set(given) - {"type", "function"}:
            raise RefusedError("a tool is a function with a name")
    if not messages:
        raise RefusedError("messages is empty")


def _base64(image: Any) -> None:
    try:
        base64.b64decode(image, validate=True)
    except (TypeError, ValueError):
        raise RefusedError("an image is base64 text") from None


def _in_python(message: dict[str, Any]) -> dict[str, Any]:
    """The SDK holds images as objects and writes them as base64 texts."""
    return {**message, "images": [{"value": image} for image in message["images"]]} if message.get("images") else message


def _known(given: Any, made: Any) -> None:
    """Every member of `given` is a field of the model it became."""
    if isinstance(made, BaseModel) and isinstance(given, dict):
        kind = type(made).__name__
        if unknown := [name for name in given if name not in type(made).model_fields and (kind, name) not in _LATER]:
            raise RefusedError(f"{kind} has no member {', '.join(unknown)}")
        for name, inner in given.items():
            _known(inner, getattr(made, name, None))
    elif isinstance(made, list | tuple) and isinstance(given, list):
        for inner, one in zip(given, made, strict=True):
            _known(inner, one)
