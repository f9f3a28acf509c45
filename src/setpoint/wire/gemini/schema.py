"""Schemas: Google's own (an OpenAPI subset, in `parameters` and `responseSchema`) and JSON Schema, in both directions.

Google's says types in capitals, `nullable` for null, and knows few words (https://ai.google.dev/api/caching#Schema). Since 2025 its
models take JSON Schema as it is, in `parametersJsonSchema` and `responseJsonSchema`. A schema is written in Google's form when that says
all of it, because every model takes that; otherwise, as with `$ref`, `oneOf`, `const`, `additionalProperties` or an object without
properties, as JSON Schema.
"""

import msgspec

from setpoint.wire.gemini.spelling import camel_name

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
Json = dict[str, object]

_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_COPIED = frozenset({"title", "description", "default", "pattern", "minimum", "maximum", "required"})
_TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array"})
_FORMATS = {"string": {"date-time"}, "number": {"float", "double"}, "integer": {"int32", "int64"}}


class _Unsayable(Exception):
    """Google's form has no word for something in the schema; never leaves this module."""


def json_schema(google: bytes) -> bytes:
    """JSON Schema of a schema in Google's form."""
    return _encode(_plain(_decode(google)))


def google_schema(schema: bytes) -> bytes | None:
    """`schema`, JSON Schema, in Google's form; None when that cannot say all of it."""
    try:
        return _encode(_google(_decode(schema)))
    except _Unsayable:
        return None


def _plain(schema: object) -> object:
    if not isinstance(schema, dict):
        return schema
    said = {camel_name(word): value for word, value in schema.items() if value is not None or word == "default"}
    nullable = said.pop("nullable", None) is True
    ordering = said.pop("propertyOrdering", None)
    if said.get("format") == "enum":
        del said["format"]
    made: Json = {}
    for word, value in said.items():
        if word == "type":
            made |= _plain_type(str(value).lower(), nullable)
        elif word == "properties" and isinstance(value, dict):
            made["properties"] = {name: _plain(value[name]) for name in _ordered(value, ordering)}
        elif word == "anyOf" and isinstance(value, list):
            choices = [_plain(inner) for inner in value]
            made["anyOf"] = [*choices, {"type": "null"}] if nullable and "type" not in said else choices
        elif word == "enum" and isinstance(value, list):
            made["enum"] = [*value, None] if nullable and None not in value else value
        else:
            made |= _plain_word(word, value)
    return made


def _plain_type(kind: str, nullable: bool) -> Json:
    if kind == "null":
        return {"type": kind}
    if kind not in _TYPES:
        return {}
    return {"type": [kind, "null"] if nullable else kind}


def _plain_word(word: str, value: object) -> Json:
    if word == "items":
        return {"items": _plain(value)}
    if word in {"defs", "$defs"} and isinstance(value, dict):
        return {"$defs": {name: _plain(inner) for name, inner in value.items()}}
    if word == "ref":
        return {"$ref": value}
    if word == "example":
        return {"examples": [value]}
    if word in _COUNTS and isinstance(value, str) and value.isascii() and value.isdigit():
        return {word: int(value)}
    return {word: value}


def _ordered(properties: Json, ordering: object) -> list[str]:
    """The names of `properties`, those that `propertyOrdering` names first."""
    first = [name for name in ordering if isinstance(name, str) and name in properties] if isinstance(ordering, list) else []
    return list(dict.fromkeys([*first, *properties]))


def _google(schema: object) -> Json:
    if not isinstance(schema, dict):
        raise _Unsayable
    kind, nullable = _kind(schema)
    made: Json = {}
    for word, value in schema.items():
        if word == "type":
            made |= {"type": kind.upper(), "nullable": True} if nullable else {"type": kind.upper()}
        elif word == "enum":
            made["enum"] = _enum(value, kind, nullable)
        elif word in _COPIED or (word in _COUNTS and isinstance(value, int)):
            made[word] = value
        else:
            made[word] = _google_word(word, value, kind)
    if (kind == "object" and "properties" not in made) or (kind == "array" and "items" not in made):
        raise _Unsayable
    if not _are_declared(made.get("required"), made.get("properties")):
        raise _Unsayable
    return made


def _google_word(word: str, value: object, kind: str) -> object:
    if word == "format" and isinstance(value, str) and value in _FORMATS.get(kind, ()):
        return value
    if word == "properties" and isinstance(value, dict) and value:
        return {name: _google(inner) for name, inner in value.items()}
    if word == "items":
        return _google(value)
    if word == "anyOf" and isinstance(value, list) and value:
        return [_google(inner) for inner in value]
    raise _Unsayable


def _are_declared(required: object, properties: object) -> bool:
    """Google refuses a schema that requires what it does not declare."""
    names = properties if isinstance(properties, dict) else {}
    return required is None or (isinstance(required, list) and all(isinstance(name, str) and name in names for name in required))


def _kind(schema: Json) -> tuple[str, bool]:
    """The type and whether null is admitted too. No type is fine beside `anyOf` only."""
    given = schema.get("type")
    if given is None and "anyOf" in schema:
        return "", False
    if isinstance(given, list) and len(given) == 2 and given[1] == "null" and given[0] in _TYPES:
        return str(given[0]), True
    if isinstance(given, str) and given in _TYPES:
        return given, False
    raise _Unsayable


def _enum(value: object, kind: str, nullable: bool) -> list[str]:
    if not isinstance(value, list) or kind != "string" or (nullable and value[-1:] != [None]):
        raise _Unsayable
    names = value[:-1] if nullable else value
    if not names or not all(isinstance(name, str) for name in names):
        raise _Unsayable
    return names
