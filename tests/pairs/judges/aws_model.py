"""AWS judges a request: botocore's validator of parameters, and the patterns and lengths of its service model."""

import json
import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator
from tests.pairs.judges.walking import RefusedError


@cache
def _operation(name: str) -> OperationModel:
    loader = botocore.session.get_session().get_component("data_loader")
    return ServiceModel(loader.load_service_model("bedrock-runtime", "service-2"), "bedrock-runtime").operation_model(name)


def judge(request: bytes, stream: bool) -> None:
    shape = _operation("ConverseStream" if stream else "Converse").input_shape
    assert shape is not None
    body = {"modelId": "m", **json.loads(request)}
    report = ParamValidator().validate(body, shape)
    if report.has_errors():
        raise RefusedError(report.generate_report())
    if not body.get("messages"):
        raise RefusedError("messages is empty")
    _patterns(body, shape, "")


def _patterns(value: Any, shape: Shape, at: str) -> None:
    """botocore leaves patterns to the server."""
    if getattr(shape, "is_document_type", False):
        return
    if shape.type_name == "structure":
        for name, inner in value.items():
            _patterns(inner, shape.members[name], f"{at}.{name}")
    elif shape.type_name == "list":
        for no, inner in enumerate(value):
            _patterns(inner, shape.member, f"{at}[{no}]")
    elif shape.type_name == "string":
        pattern = shape.metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            raise RefusedError(f"{at}: {value[:80]!r} does not fit {pattern}")
        longest = shape.metadata.get("max")
        if longest and len(value) > longest:
            raise RefusedError(f"{at}: {len(value)} characters, more than {longest}")
        if (words := shape.metadata.get("enum")) and value not in words:
            raise RefusedError(f"{at}: {value[:80]!r} is none of {words}")
