"""What a simulated model says: a plain function from a chat request to an answer.

In this order: a call of a tool when the request forces one or its prompt names one; JSON that conforms to the schema of `response_format`;
the result of an arithmetic question ("What is 17 + 25?"), right as often as the model promises; for `sim/echo` the last user message;
else a few sentences that say that they are simulated. Chance comes from a hash of the request, so the same request gets the same answer.
"""

import hashlib
import re
from operator import add, mul, sub
from typing import Any

import msgspec

from setpoint.adapters.sim.example_json import example
from setpoint.adapters.sim.models import SimModel

_TOKEN = re.compile(r"\s*(?:\w{1,8}|[^\w\s])|\s+$")
_SUM = re.compile(r"(-?\d+)\s*([+*x×-])\s*(\d+)")
_OPERATIONS = {"+": add, "-": sub, "*": mul, "x": mul, "×": mul}
_SENTENCES = (
    "The wind had turned before anyone looked up.",
    "Three kettles sat on the stove, and only one of them sang.",
    "A small boat can wait longer than a large one.",
    "Nobody had counted the stairs, so they counted them twice.",
    "The map was right about the river and wrong about the bridge.",
    "By evening the lamp and the window agreed.",
)


class ToolCall(msgspec.Struct, frozen=True):
    """`arguments` is JSON text."""

    id: str
    name: str
    arguments: str


class Said(msgspec.Struct, frozen=True):
    """An answer: text cut into tokens, or tool calls; token counts as a word-and-punctuation count."""

    tokens: tuple[str, ...]
    tool_calls: tuple[ToolCall, ...]
    finish: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def text(self) -> str:
        return "".join(self.tokens)


def tokens_of(text: str) -> list[str]:
    """Pieces that join to `text` again. About as many as a real tokenizer would make of English, but no more than that."""
    return _TOKEN.findall(text)


def seed_of(body: bytes) -> int:
    """64 bits from the whole request: all the chance a simulated model has."""
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest(), "big")


def failure_of(model: SimModel, seed: int) -> int | None:
    """The status this request fails with, or None. The choice does not change when the same request is sent again."""
    if seed % 100 >= model.failures_percent:
        return None
    return (429, 500, 503)[seed // 100 % 3]


def say(model: SimModel, request: dict[str, Any], seed: int) -> Said:
    """The answer of `model` to a chat request that has been checked to have messages."""
    messages = request["messages"]
    prompt_tokens = sum(len(tokens_of(text_of(m))) + 3 for m in messages)
    if calls := _tool_calls(request, seed):
        used = sum(len(tokens_of(call.arguments)) + len(tokens_of(call.name)) for call in calls)
        return Said((), calls, "tool_calls", prompt_tokens, used)
    text, finish = _stopped(_text(model, request, seed), request.get("stop"))
    tokens = tokens_of(text)
    most = request.get("max_completion_tokens") or request.get("max_tokens") or len(tokens)
    if len(tokens) > most:
        tokens, finish = tokens[:most], "length"
    return Said(tuple(tokens), (), finish, prompt_tokens, len(tokens))


def text_of(message: dict[str, Any]) -> str:
    """The text of a message, whose content may be a string, a list of parts or null."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _last(messages: list[dict[str, Any]], role: str) -> str:
    return next((text_of(m) for m in reversed(messages) if m.get("role") == role), "")


def _text(model: SimModel, request: dict[str, Any], seed: int) -> str:
    messages = request["messages"]
    form = request.get("response_format") or {}
    if form.get("type") == "json_schema":
        return msgspec.json.encode(example(form.get("json_schema", {}).get("schema", {}), seed % 7)).decode()
    if form.get("type") == "json_object":
        return msgspec.json.encode({"simulated": True, "about": _last(messages, "user")}).decode()
    if messages[-1].get("role") == "tool":
        return f"Simulated answer from {model.name}: the tool said {text_of(messages[-1])}"
    asked = _last(messages, "user")
    if model.name == "sim/echo":
        return asked
    if sum_ := _SUM.search(asked):
        return _arithmetic(model, sum_, seed)
    return _prose(model, asked, seed)


def _arithmetic(model: SimModel, found: re.Match[str], seed: int) -> str:
    right = _OPERATIONS[found[2]](int(found[1]), int(found[3]))
    return str(right if seed % 100 < model.right_percent else right + 1 + seed // 100 % 9)


def _prose(model: SimModel, asked: str, seed: int) -> str:
    about = " ".join(asked.split()[:8])
    chosen = [_SENTENCES[(seed >> (4 * i)) % len(_SENTENCES)] for i in range(3)]
    return f'Simulated answer from {model.name} to "{about}": ' + " ".join(chosen)


def _stopped(text: str, stop: str | list[str] | None) -> tuple[str, str]:
    for word in [stop] if isinstance(stop, str) else stop or []:
        text = text.partition(word)[0] if word else text
    return text, "stop"


def _tool_calls(request: dict[str, Any], seed: int) -> tuple[ToolCall, ...]:
    tools = [t["function"] for t in request.get("tools") or [] if t.get("type") == "function"]
    chosen = _chosen(tools, request)
    return tuple(ToolCall(f"call_{seed:016x}{i}", tool["name"], _arguments(tool, request, seed + i)) for i, tool in enumerate(chosen))


def _chosen(tools: list[dict[str, Any]], request: dict[str, Any]) -> list[dict[str, Any]]:
    """Named in the prompt: those, in the order of the prompt. Forced: the named one, or the first."""
    choice = request.get("tool_choice", "auto")
    if isinstance(choice, dict):
        return [t for t in tools if t["name"] == choice.get("function", {}).get("name")]
    if choice == "none" or not tools or request["messages"][-1].get("role") == "tool":
        return []
    asked = _last(request["messages"], "user")
    named = sorted((t for t in tools if t["name"] in asked), key=lambda t: asked.index(t["name"]))
    return named or (tools[:1] if choice == "required" else [])


def _arguments(tool: dict[str, Any], request: dict[str, Any], seed: int) -> str:
    """Conforming arguments; members whose name stands in the prompt as `name=value` get that value when it fits."""
    parameters = tool.get("parameters") or {"type": "object", "properties": {}}
    values = example(parameters, seed % 7)
    asked = _last(request["messages"], "user")
    for name, schema in parameters.get("properties", {}).items():
        told = re.search(rf"\b{re.escape(name)}\s*[=:]\s*\"?([\w.-]+)", asked)
        if told and isinstance(values, dict) and schema.get("type") == "string" and "enum" not in schema:
            values[name] = told[1]
    return msgspec.json.encode(values).decode()
