"""Free-form tools: the model writes plain text for them, not JSON (https://platform.openai.com/docs/guides/function-calling#custom-tools).

Inside, and for every other provider, such a tool is a function with one text argument of a name nothing else uses. By that name a call
is known again, so a client gets a custom call for a custom tool whoever answered.
"""

from typing import Literal

import msgspec

from setpoint.domain.chat import Tool
from setpoint.wire.openai_responses.words import NAME

ARGUMENT = "custom_tool_input"

SCHEMA = (
    b'{"type":"object","properties":{"custom_tool_input":{"type":"string","description":"The whole input of the tool, as plain text."}},'
    b'"required":["custom_tool_input"],"additionalProperties":false}'
)

OPENING = '{"custom_tool_input":"'
CLOSING = '"}'

_encode = msgspec.json.Encoder().encode
_arguments = msgspec.json.Decoder(dict[str, str]).decode


class Format(msgspec.Struct, gc=False):
    type: str = "text"
    syntax: str | None = None
    definition: str | None = None


def tool_of(name: str, description: str | None, given: Format | None, raw: bytes) -> Tool:
    """A grammar can only be asked for in words."""
    if given is not None and given.definition:
        grammar = f"The input must follow this {given.syntax or ''} grammar:\n{given.definition}"
        description = f"{description}\n\n{grammar}" if description else grammar
    return Tool(name, description, SCHEMA, dialect=NAME, raw=raw)


def arguments_of(text: str) -> str:
    return OPENING + escaped(text) + CLOSING


def escaped(text: str) -> str:
    """`text` as it stands inside a JSON string."""
    return _encode(text).decode()[1:-1]


def input_of(arguments: str) -> str | None:
    """The text of a custom call; None when the arguments are those of a function."""
    if ARGUMENT not in arguments:
        return None
    try:
        members = _arguments(arguments)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return members[ARGUMENT] if members.keys() == {ARGUMENT} else None


def kind_of_beginning(arguments: str) -> Literal["function", "custom", ""]:
    """What arguments that begin like this belong to; empty while that is open."""
    squeezed = "".join(arguments[: len(OPENING) * 2].split())
    if squeezed.startswith(OPENING):
        return "custom"
    return "" if OPENING.startswith(squeezed) and len(arguments) < len(OPENING) * 2 else "function"
