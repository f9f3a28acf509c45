"""Tools, and which of them the model may or must call, from JSON to nouns (https://ai.google.dev/api/caching#Tool)."""

import msgspec

from setpoint.domain.chat import Tool, ToolChoice
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.schema import json_schema
from setpoint.wire.gemini.signed import NAME

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class _Function(msgspec.Struct, gc=False, rename="camel"):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = shapes.NO_RAW
    parameters_json_schema: msgspec.Raw = shapes.NO_RAW


class _Calling(msgspec.Struct, gc=False, rename="camel"):
    mode: str | int | None = None
    allowed_function_names: list[str] | None = None


_function = msgspec.json.Decoder(_Function).decode
_calling = msgspec.json.Decoder(_Calling).decode

_FUNCTION_MEMBERS = frozenset({"name", "description", "parameters", "parametersJsonSchema"})
_MODES = {"": "AUTO", "0": "AUTO", "1": "AUTO", "2": "ANY", "3": "NONE", "MODE_UNSPECIFIED": "AUTO"}


def read_tools(raw: msgspec.Raw, extras: dict[str, bytes]) -> list[Tool]:
    """Functions, and one tool for each thing the provider runs itself. Members of functions that no noun has go to `extras`."""
    tools: list[Tool] = []
    for entry in shapes.items(raw):
        for name, value in _members(entry).items():
            if not shapes.given(value):
                continue
            if name == "functionDeclarations":
                tools += [_read_function(item, extras) for item in shapes.items(value)]
            else:
                tools.append(Tool(name, foreign=name[:64], dialect=NAME, raw=_encode({name: value})))
    return tools


def _read_function(raw: bytes, extras: dict[str, bytes]) -> Tool:
    function = _function(raw)
    for name, value in _members(raw).items():
        if name not in _FUNCTION_MEMBERS and (found := shapes.given(value)):
            extras.setdefault(f"functionDeclarations.{name}", found)
    native, google = shapes.given(function.parameters_json_schema), shapes.given(function.parameters)
    schema = shapes.compact(native).encode() if native else json_schema(google) if google else None
    return Tool(function.name, function.description, schema)


def read_choice(raw: msgspec.Raw, tools: list[Tool], extras: dict[str, bytes]) -> tuple[ToolChoice | None, list[Tool]]:
    """The choice, and the tools that are left: names that alone are allowed are the same as no other tools.

    Members without a noun go to `extras`: `toolConfig.…`, and `functionCallingConfig.…` for those inside of it.
    """
    given = shapes.given(raw)
    if not given:
        return None, tools
    config = {name: value for name, item in _members(given).items() if (value := shapes.given(item))}
    calling = config.pop("functionCallingConfig", b"")
    extras.update({f"toolConfig.{name}": value for name, value in config.items()})
    if not calling:
        return None, tools
    asked = _calling(calling)
    for name, item in _members(calling).items():
        if name not in {"mode", "allowedFunctionNames"} and (value := shapes.given(item)):
            extras[f"functionCallingConfig.{name}"] = value
    mode = _MODES.get(str(asked.mode or ""), str(asked.mode))
    allowed = asked.allowed_function_names or []
    if mode == "ANY" and len(allowed) == 1:
        return ToolChoice("named", allowed[0]), tools
    if allowed and mode in {"ANY", "VALIDATED"}:
        tools = [tool for tool in tools if tool.foreign is not None or tool.name in allowed]
    if mode not in {"AUTO", "ANY", "NONE"}:
        extras["functionCallingConfig.mode"] = _encode(mode)
    return ToolChoice("required" if mode == "ANY" else "none" if mode == "NONE" else "auto"), tools
