"""Tools and the choice among them, from a request."""

import msgspec

from setpoint.domain.chat import Tool, ToolChoice
from setpoint.wire.bodies import wrong
from setpoint.wire.openai_responses import custom_tools
from setpoint.wire.openai_responses.content_in import Unreadable
from setpoint.wire.openai_responses.items_in import KIND_CHARS_MAX
from setpoint.wire.openai_responses.words import NAME

_NO_RAW = msgspec.Raw()
_NOTHING = frozenset({b"", b"null", b"false"})


class _Tool(msgspec.Struct, gc=False):
    type: str | None = None
    name: str | None = None
    description: str | None = None
    parameters: msgspec.Raw = _NO_RAW
    strict: bool | None = None
    format: custom_tools.Format | None = None
    defer_loading: msgspec.Raw = _NO_RAW
    allowed_callers: msgspec.Raw = _NO_RAW
    output_schema: msgspec.Raw = _NO_RAW


class _Kind(msgspec.Struct, gc=False):
    type: str | None = None


class _Choice(msgspec.Struct, gc=False):
    type: str | None = None
    name: str | None = None
    mode: str | None = None
    tools: list[_Kind | None] | None = None


class _Named(msgspec.Struct, gc=False):
    type: str | None = None
    name: str | None = None
    server_label: str | None = None


class _Allowed(msgspec.Struct, gc=False):
    tools: list[_Named | None] | None = None


_kind = msgspec.json.Decoder(_Kind).decode
_tool = msgspec.json.Decoder(_Tool).decode
_named = msgspec.json.Decoder(_Named).decode
_choice = msgspec.json.Decoder(str | _Choice | None).decode
_allowed = msgspec.json.Decoder(_Allowed).decode

_MODES = {"auto": ToolChoice("auto"), "none": ToolChoice("none"), "required": ToolChoice("required")}


def tool_of(raw: msgspec.Raw, at: str, notes: dict[str, bytes]) -> Tool:
    """`notes` takes the members that no other provider knows."""
    kind = _kind(raw).type or ""
    if kind not in {"function", "custom"}:
        return Tool("", foreign=kind[:KIND_CHARS_MAX] or "without a type", dialect=NAME, raw=bytes(raw))
    tool = _tool(raw)
    if not tool.name:
        raise Unreadable(wrong(f"{at}.name", "is missing; it is required."))
    for name in ("defer_loading", "allowed_callers", "output_schema"):
        if bytes(given := getattr(tool, name)) not in _NOTHING:
            notes[f"tools.{name}"] = bytes(given)
    if kind == "custom":
        if tool.format is not None and tool.format.definition:
            notes["tools.format"] = b"true"
        return custom_tools.tool_of(tool.name, tool.description, tool.format, bytes(raw))
    schema = bytes(tool.parameters)
    return Tool(tool.name, tool.description, None if schema in _NOTHING else schema, tool.strict)


def choice_of(raw: msgspec.Raw, tools: tuple[Tool, ...], notes: dict[str, bytes]) -> tuple[ToolChoice | None, tuple[Tool, ...]]:
    """The choice, and the tools it leaves. To allow only some tools is to declare only those."""
    if bytes(raw) in {b"", b"null"}:
        return None, tools
    choice = _choice(raw)
    if choice is None or isinstance(choice, str):
        if choice not in _MODES:
            raise Unreadable(wrong("tool_choice", f"expected auto, none, required or a tool, got {str(choice)[:40]!r}."))
        return _MODES[choice], tools
    if choice.type in {"function", "custom"}:
        if not choice.name:
            raise Unreadable(wrong("tool_choice.name", "is missing; it is required."))
        return ToolChoice("named", choice.name), tools
    if choice.type == "allowed_tools":
        return _MODES.get(choice.mode or "", ToolChoice("auto")), _only(_allowed(raw), tools)
    notes["tool_choice"] = bytes(raw)
    return None, tools


def _only(allowed: _Allowed, tools: tuple[Tool, ...]) -> tuple[Tool, ...]:
    named = [tool for tool in allowed.tools or () if tool is not None]
    names = {tool.name for tool in named if tool.type in {"function", "custom"}}
    kinds = {(tool.type, tool.server_label) for tool in named}
    return tuple(tool for tool in tools if (tool.name in names if tool.foreign is None else _kind_and_label(tool.raw) in kinds))


def _kind_and_label(raw: bytes) -> tuple[str | None, str | None]:
    given = _named(raw)
    return given.type, given.server_label
