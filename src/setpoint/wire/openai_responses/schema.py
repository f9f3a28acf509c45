"""What strict mode asks of a JSON Schema (https://platform.openai.com/docs/guides/structured-outputs#supported-schemas)."""


def admits_strict(schema: object) -> bool:
    """Whether every object is closed and every property required."""
    if isinstance(schema, list):
        return all(map(admits_strict, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if isinstance(properties, dict) and set(schema.get("required") or ()) != set(properties):
        return False
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        return False
    return all(map(admits_strict, schema.values()))
