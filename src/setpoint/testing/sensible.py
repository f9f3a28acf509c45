"""A model that answers sensibly, so that whole suites of a client can be run against a fake provider: `up.says(sensible)`.

It calls the tools it is given, once, with what the prompt names; fills the schema it is given; tells what tools said; else says
something about the prompt. It knows nothing.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from setpoint.adapters.sim.example_json import example
from setpoint.testing.asked import Asked, AskedTool, Document
from setpoint.testing.replies import Call, Reply

_QUOTED = re.compile(r"""(?<!\w)['"“]([^'"”]+)['"”]""")
_NUMBER = re.compile(r"-?\d+")
_WORD = re.compile(r"\S+\s*")


def sensible(asked: Asked) -> Reply:
    """The answer to any request, in tokens of a word each."""
    if called := _calls(asked):
        return Reply((), called, _tokens(asked.prompt), len(called))
    said = _stopped(_text(asked), asked.stop)
    pieces = tuple(_WORD.findall(said)) or (said,)
    return Reply(pieces, (), _tokens(asked.prompt), len(pieces))


def _tokens(text: str) -> int:
    return len(_WORD.findall(text)) + 3


def _calls(asked: Asked) -> tuple[Call, ...]:
    """A tool that must be called is; else the one the prompt fits best, unless tools have answered already or a schema is to be filled."""
    if asked.forced is not None:
        chosen = [tool for tool in asked.tools if tool.name == asked.forced] or _fitting(asked)[:1]
    elif asked.results or asked.schema is not None:
        chosen = []
    else:
        chosen = _fitting(asked)[:1]
    return tuple(Call(tool.name, _arguments(tool, asked.prompt), f"call_{no}_{tool.name}") for no, tool in enumerate(chosen))


def _fitting(asked: Asked) -> list[AskedTool]:
    """Tools by how many words of their names stand in the prompt."""
    words = asked.prompt.lower()
    return sorted(asked.tools, key=lambda tool: -sum(word in words for word in tool.name.lower().split("_")))


def _arguments(tool: AskedTool, prompt: str) -> str:
    values = example(tool.schema or {"type": "object"})
    texts, numbers = iter(_QUOTED.findall(prompt)), (int(found) for found in _NUMBER.findall(prompt))
    if isinstance(values, dict):
        values = {name: _told(tool.schema, name, value, texts, numbers) for name, value in values.items()}
    return msgspec.json.encode(values).decode()


def _told(schema: Document, name: str, value: Any, texts: Iterator[str], numbers: Iterator[int]) -> Any:
    """What the prompt quotes or counts goes to the members of that kind, in order."""
    kind = schema.get("properties", {}).get(name, {}).get("type")
    if isinstance(value, str) and kind in ("string", "STRING"):
        return next(texts, value)
    return next(numbers, value) if kind in ("integer", "number", "INTEGER", "NUMBER") else value


def _text(asked: Asked) -> str:
    if asked.schema is not None or "JSON" in asked.system:
        # Where any object will do, the prompt says which members it wants. Where a dialect cannot ask for JSON, the instructions do.
        schema = asked.schema or {"type": "object", "properties": {name: {"type": "string"} for name in _QUOTED.findall(asked.prompt)}}
        return msgspec.json.encode(example(schema)).decode()
    if asked.results:
        return "The tools said: " + " ".join(result.text for result in asked.results)
    return f"You said: {asked.prompt}. I cannot know what to make of it."


def _stopped(text: str, stop: tuple[str, ...]) -> str:
    for word in stop:
        text = text.partition(word)[0] if word else text
    return text
