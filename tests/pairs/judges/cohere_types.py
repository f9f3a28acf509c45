"""Cohere judges a request: the parameters of its SDK's chat (API v2) and their types. They are generated from its API definition."""

import inspect
import json
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import cohere
from pydantic import BaseModel, TypeAdapter, ValidationError
from tests.pairs.judges.walking import RefusedError, walk

_OPEN = {"schema", "json_schema", "parameters"}


@cache
def _parameters() -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(cohere.ClientV2.chat)
    names = [name for name in inspect.signature(cohere.ClientV2.chat).parameters if name not in {"self", "request_options"}]
    return {name: TypeAdapter(hints[name]) for name in names}


def judge(request: bytes, stream: bool) -> None:
    body = json.loads(request)
    assert bool(body.pop("stream", False)) is stream
    known = _parameters()
    for name, value in body.items():
        if name not in known:
            raise RefusedError(f"there is no parameter {name}")
        try:
            made = known[name].validate_python(value)
        except ValidationError as error:
            raise RefusedError(f"{name}: {str(error)[:2_000]}") from None
        walk(made)
        _types(made, value)
        if (words := _words(name)) and value not in words:
            raise RefusedError(f"{name} is one of {words}, not {value!r}")
    if not body.get("messages") or "model" not in body:
        raise RefusedError("messages and model are required")
    for message in body["messages"]:
        if message["role"] == "user" and not message["content"]:
            raise RefusedError("a user says nothing")


@cache
def _words(name: str) -> tuple[str, ...]:
    """The words of a parameter that is a choice of them; the SDK takes any other value for one that came later."""
    choices = get_args(get_type_hints(cohere.ClientV2.chat)[name])
    return next((get_args(choice) for choice in choices if get_origin(choice) is Literal), ())


def _types(made: Any, value: Any) -> None:
    """The SDK takes any discriminator and any word; here a type must be the one its class is made for."""
    if isinstance(made, BaseModel):
        for name, field in type(made).model_fields.items():
            given = value.get(name) if isinstance(value, dict) else None
            if name in {"role", "type"} and given is not None and field.default not in {None, given} and field.default is not ...:
                raise RefusedError(f"{type(made).__name__}.{name} cannot be {given!r}")
            if isinstance(value, dict) and name not in _OPEN:
                _types(getattr(made, name, None), given)
    elif isinstance(made, list) and isinstance(value, list):
        for inner, given in zip(made, value, strict=True):
            _types(inner, given)
