"""AWS's own library as the judge. It ships no types, so it is loaded by name."""

import json
import re
from base64 import b64decode
from functools import cache
from importlib import import_module
from types import SimpleNamespace
from typing import Any

EventStreamBuffer: Any = import_module("botocore.eventstream").EventStreamBuffer
SigV4Auth: Any = import_module("botocore.auth").SigV4Auth
AWSRequest: Any = import_module("botocore.awsrequest").AWSRequest
Credentials: Any = import_module("botocore.credentials").Credentials
EventStreamError: Any = import_module("botocore.exceptions").EventStreamError
ParamValidator: Any = import_module("botocore.validate").ParamValidator
create_parser: Any = import_module("botocore.parsers").create_parser
session: Any = import_module("botocore.session").get_session()


@cache
def model() -> Any:
    return session.get_service_model("bedrock-runtime")


def problems(body: bytes, model_id: str = "anthropic.claude-sonnet-4-5") -> list[str]:
    """What botocore, and the enumerations, patterns and lengths of its model, find wrong with a Converse request on the wire."""
    shape = model().operation_model("Converse").input_shape
    found: list[str] = []
    params = _params(shape, {**json.loads(body), "modelId": model_id}, "", found)
    report = ParamValidator().validate(params, shape)
    return found + ([report.generate_report()] if report.has_errors() else [])


def parsed_answer(body: bytes, status: int = 200) -> Any:
    """What boto3's user gets."""
    operation = model().operation_model("Converse")
    response = {"status_code": status, "headers": {}, "body": body, "context": {}}
    return create_parser("rest-json").parse(response, operation.output_shape)


def parsed_stream(stream: bytes) -> list[Any]:
    """The events boto3's user gets; raises botocore's EventStreamError on an exception."""
    shape = model().shape_for("ConverseStreamOutput")
    parser = create_parser("rest-json")._event_stream_parser
    source = SimpleNamespace(stream=lambda: [stream], close=lambda: None)
    return list(import_module("botocore.eventstream").EventStream(source, shape, parser, "ConverseStream"))


def _params(shape: Any, value: Any, at: str, found: list[str]) -> Any:
    """Blobs are bytes for botocore and base64 on the wire."""
    if getattr(shape, "is_document_type", False) or value is None:
        return value
    if shape.type_name == "structure" and isinstance(value, dict):
        members = shape.members
        return {name: _params(members[name], one, f"{at}.{name}", found) if name in members else one for name, one in value.items()}
    if shape.type_name == "list" and isinstance(value, list):
        return [_params(shape.member, one, f"{at}[{no}]", found) for no, one in enumerate(value)]
    if shape.type_name == "map" and isinstance(value, dict):
        if len(value) > shape.metadata.get("max", len(value)):
            found.append(f"{at}: too many pairs")
        return {name: _params(shape.value, one, f"{at}.{name}", found) for name, one in value.items()}
    if shape.type_name == "blob":
        return b64decode(value, validate=True)
    if shape.type_name == "string":
        _check_text(shape, value, at, found)
    if shape.type_name in {"float", "integer"} and value > shape.metadata.get("max", value):
        found.append(f"{at}: {value} is too much")
    return value


def _check_text(shape: Any, value: str, at: str, found: list[str]) -> None:
    facts = shape.metadata
    if facts.get("enum") and value not in facts["enum"]:
        found.append(f"{at}: {value!r} is none of {facts['enum']}")
    if len(value) > facts.get("max", len(value)):
        found.append(f"{at}: {len(value)} characters")
    if "pattern" in facts and at != ".modelId" and re.fullmatch(facts["pattern"], value) is None:
        found.append(f"{at}: {value[:80]!r} does not match {facts['pattern']}")
