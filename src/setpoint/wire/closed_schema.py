"""JSON Schema as Anthropic's structured outputs take it, at Anthropic and at Bedrock.

They want every object closed and refuse constraints on numbers, lengths and counts
(https://docs.anthropic.com/en/docs/build-with-claude/structured-outputs#json-schema-limitations). What is refused moves into the
description, where the model still reads it; the caller is told which words were moved.
"""

import msgspec

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

_REFUSED = frozenset(
    {
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "maxItems",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "patternProperties",
        "$schema",
    }
)


def closed(schema: bytes) -> tuple[msgspec.Raw, tuple[str, ...]]:
    """`schema` with objects closed and refused words in descriptions, and the words that changed, sorted."""
    changed: set[str] = set()
    made = _closed(_decode(schema), changed)
    return msgspec.Raw(_encode(made) if changed else schema), tuple(sorted(changed))


def _closed(schema: object, changed: set[str]) -> object:
    if isinstance(schema, list):
        return [_closed(item, changed) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: dict[str, object] = {}
    moved = []
    for word, value in schema.items():
        if word in _REFUSED or (word == "minItems" and value not in {0, 1}):
            changed.add(word)
            moved.append(f"{word}: {_encode(value).decode()}")
        elif word in {"properties", "$defs", "definitions"} and isinstance(value, dict):
            made[word] = {name: _closed(inner, changed) for name, inner in value.items()}
        else:
            made[word] = value if word in {"enum", "const", "default", "examples", "required"} else _closed(value, changed)
    if (schema.get("type") == "object" or "properties" in schema) and schema.get("additionalProperties") is not False:
        changed.add("additionalProperties")
        made["additionalProperties"] = False
    if moved:
        made["description"] = " ".join(filter(None, [str(schema.get("description") or ""), "{" + ", ".join(moved) + "}"]))
    return made
