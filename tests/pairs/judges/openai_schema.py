"""OpenAI judges a request: its OpenAPI document, and for unknown members the parameter types of its SDK.

The document joins overlapping shapes by `oneOf` and tells them apart by discriminators, which JSON Schema does not know; here one match
is enough.
"""

import json
from functools import cache
from typing import Any

import jsonschema
import referencing
from jsonschema.exceptions import best_match
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from referencing.jsonschema import DRAFT202012
from tests.pairs.judges.walking import RefusedError, admit, in_parts, strict_adapter
from tests.pairs.recordings import SHARED

DOCUMENT = SHARED / "specs" / "openai-openapi.json"
_CHAT = strict_adapter(CompletionCreateParamsNonStreaming | CompletionCreateParamsStreaming)


def _one_match_is_enough(value: Any) -> Any:
    if isinstance(value, list):
        return [_one_match_is_enough(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {name: _one_match_is_enough(item) for name, item in value.items()}
    if isinstance(made.get("oneOf"), list):
        made["allOf"] = [*made.get("allOf", ()), {"anyOf": made.pop("oneOf")}]
    return made


@cache
def _registry() -> Any:
    document = _one_match_is_enough(json.loads(DOCUMENT.read_bytes()))
    registry: referencing.Registry[Any] = referencing.Registry()
    return registry.with_resource("urn:openai", DRAFT202012.create_resource(document))


@cache
def _validator(name: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator({"$ref": f"urn:openai#/components/schemas/{name}"}, registry=_registry())


def _admit(name: str, body: Any) -> None:
    error = best_match(_validator(name).iter_errors(body))
    if error is not None:
        raise RefusedError(f"{'/'.join(map(str, error.absolute_path))}: {error.message[:500]}")


def judge_chat(request: bytes, stream: bool) -> None:
    body = json.loads(request)
    assert bool(body.get("stream")) is stream
    _admit("CreateChatCompletionRequest", body)
    admit(_CHAT, in_parts(body, "text"))


def judge_response(request: bytes, stream: bool) -> None:
    body = json.loads(request)
    assert bool(body.get("stream")) is stream
    _admit("CreateResponse", body)


def judge_completions(request: bytes, stream: bool) -> None:
    body = json.loads(request)
    assert bool(body.get("stream")) is stream
    _admit("CreateCompletionRequest", body)
