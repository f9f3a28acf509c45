"""What the judges of requests share: a refusal, and how to look through what pydantic made of a body."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

TEXTUAL = {"content", "system", "input"}
OPAQUE = {"schema", "input_schema", "parameters", "arguments"}


class RefusedError(AssertionError):
    """The vendor's schema does not admit a request; the text says why."""


def strict_adapter(kind: Any) -> TypeAdapter[Any]:
    """Reads parameter types of an SDK; a member no type knows is an error, which the SDKs themselves leave to the server."""
    return TypeAdapter(kind | None, config=ConfigDict(extra="forbid"))


def admit(adapter: TypeAdapter[Any], value: Any) -> None:
    try:
        walk(adapter.validate_python(value))
    except ValidationError as error:
        raise RefusedError(str(error)[:2_000]) from None


def walk(value: Any) -> None:
    """Lists are declared as iterables, which pydantic checks only when they are walked. No model may hold a member it does not know."""
    if isinstance(value, BaseModel):
        if value.model_extra:
            raise RefusedError(f"{type(value).__name__} has no member {', '.join(value.model_extra)}")
        for name in value.model_fields_set:
            walk(getattr(value, name))
    elif isinstance(value, Mapping):
        for inner in value.values():
            walk(inner)
    elif not isinstance(value, str | bytes) and isinstance(value, Iterable):
        for inner in value:
            walk(inner)


def in_parts(value: Any, kind: str) -> Any:
    """A text is an iterable too, and pydantic cannot tell; so texts become lists of one part of `kind`, which both vendors take."""
    if isinstance(value, list):
        return [in_parts(item, kind) for item in value]
    if not isinstance(value, dict):
        return value
    texts = {name: [{"type": kind, "text": text}] for name, text in value.items() if name in TEXTUAL and isinstance(text, str)}
    return {name: item if name in OPAQUE or _is_call(value, name) else in_parts(item, kind) for name, item in value.items()} | texts


def _is_call(value: dict[str, Any], name: str) -> bool:
    """`input` is the prompt of a Responses request, and the arguments of an Anthropic tool call."""
    return name == "input" and value.get("type") in {"tool_use", "server_tool_use"}
