"""Member names in snake_case are the same members in camelCase: Google's servers read both
(https://protobuf.dev/programming-guides/json/, "Field names").

What a client wrote for its own purposes (arguments, results, schemas, labels) has names of its own and is left as it is.
"""

import re

import msgspec

_SNAKE_MEMBER = re.compile(rb'"[a-z][a-zA-Z0-9]*_[a-zA-Z0-9_]*"\s*:')
_UNDERSCORE = re.compile(r"_([a-z0-9])")
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_OPAQUE = frozenset(
    {
        "args",
        "response",
        "labels",
        "parameters",
        "parametersJsonSchema",
        "responseSchema",
        "responseJsonSchema",
        "partMetadata",
        "metadata",
    }
)


def camel_name(name: str) -> str:
    return _UNDERSCORE.sub(lambda match: match[1].upper(), name) if "_" in name else name


def camel_members(body: bytes) -> bytes:
    """`body` with its own members in camelCase; the very same bytes when it has no others."""
    return _encode(_camel(_decode(body))) if _SNAKE_MEMBER.search(body) else body


def _camel(value: object) -> object:
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, object] = {}
    for name, item in value.items():
        camel = camel_name(name)
        made[camel] = item if camel in _OPAQUE else _camel(item)
    return made
