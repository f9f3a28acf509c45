"""A value that conforms to a JSON schema, for `response_format` and for the arguments of tool calls.

Covers what structured output allows: types, enum, const, properties, items, anyOf/oneOf/allOf, `$ref` into the same document, and the
bounds of numbers, strings and arrays. A recursive schema is cut at `DEPTH_MAX`, where only required members are still filled in.
"""

import math
from typing import Any

Schema = dict[str, Any]

DEPTH_MAX = 12

_FORMATS = {
    "date": "2024-01-01", "date-time": "2024-01-01T00:00:00Z", "time": "00:00:00Z", "email": "a@example.com", "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "hostname": "example.com",
}  # fmt: skip


def example(schema: Schema, seed: int = 0) -> Any:
    """A conforming value; `seed` chooses among enum members, alternatives and numbers. Keywords not named above are ignored."""
    return _value(schema, schema, seed, 0)


def _value(schema: Any, root: Schema, seed: int, depth: int) -> Any:
    if not isinstance(schema, dict):
        return {}
    if "$ref" in schema:
        return _value(_resolve(str(schema["$ref"]), root), root, seed, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][seed % len(schema["enum"])]
    for keyword in ("anyOf", "oneOf"):
        if schema.get(keyword):
            # At the depth limit the last alternative, by custom null or a leaf, ends the recursion.
            chosen = schema[keyword][-1 if depth >= DEPTH_MAX else seed % len(schema[keyword])]
            return _value(chosen, root, seed, depth + 1)
    if schema.get("allOf"):
        return _value(_merged(schema, root), root, seed, depth + 1)
    return _typed(schema, root, seed, depth)


def _resolve(ref: str, root: Schema) -> Any:
    at: Any = root
    for step in ref.removeprefix("#").strip("/").split("/"):
        at = at.get(step.replace("~1", "/").replace("~0", "~"), {}) if step and isinstance(at, dict) else at
    return at


def _merged(schema: Schema, root: Schema) -> Schema:
    whole: Schema = {k: v for k, v in schema.items() if k != "allOf"}
    for part in schema["allOf"]:
        resolved = _resolve(str(part["$ref"]), root) if "$ref" in part else part
        properties = {**whole.get("properties", {}), **resolved.get("properties", {})}
        required = [*whole.get("required", []), *resolved.get("required", [])]
        whole = {**whole, **resolved, "properties": properties, "required": required}
    return whole


def _typed(schema: Schema, root: Schema, seed: int, depth: int) -> Any:
    match _type_of(schema):
        case "object":
            return _object(schema, root, seed, depth)
        case "array":
            count = max(int(schema.get("minItems", 0)), 0 if depth >= DEPTH_MAX else min(1, int(schema.get("maxItems", 1))))
            return [_value(schema.get("items", {}), root, seed + i, depth + 1) for i in range(count)]
        case "integer":
            return int(_number(schema, seed, 1))
        case "number":
            return _number(schema, seed, 0.5)
        case "boolean":
            return seed % 2 == 0
        case "null":
            return None
        case _:
            return _string(schema)


def _type_of(schema: Schema) -> str:
    named = schema.get("type", "object" if "properties" in schema else "array" if "items" in schema else "string")
    return str(named[0] if isinstance(named, list) and named else named)


def _object(schema: Schema, root: Schema, seed: int, depth: int) -> dict[str, Any]:
    required = schema.get("required", [])
    members = schema.get("properties", {})
    wanted = [name for name in members if depth < DEPTH_MAX or name in required]
    return {name: _value(members[name], root, seed + i, depth + 1) for i, name in enumerate(wanted)}


def _number(schema: Schema, seed: int, step: float) -> float:
    """The lowest allowed number, else the highest, else one that depends on the seed."""
    unit = schema.get("multipleOf", step)
    if "minimum" in schema or "exclusiveMinimum" in schema:
        low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
        value = math.ceil(low / unit) * unit
        return float(value + unit if value == schema.get("exclusiveMinimum") else value)
    if "maximum" in schema or "exclusiveMaximum" in schema:
        high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
        value = math.floor(high / unit) * unit
        return float(value - unit if value == schema.get("exclusiveMaximum") else value)
    return float(seed % 100 * unit)


def _string(schema: Schema) -> str:
    text = _FORMATS.get(str(schema.get("format", "")), "simulated")
    return text[: schema.get("maxLength", len(text))].ljust(int(schema.get("minLength", 0)), ".")
