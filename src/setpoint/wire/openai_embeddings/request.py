"""A request for embeddings, from bytes to nouns and back.

Voyage speaks the same dialect with members of its own: `input_type` says what the vectors are for, `output_dimension` is `dimensions`
(https://docs.voyageai.com/reference/embeddings-api).
"""

import msgspec

from setpoint.domain.embeddings import EmbeddingsRequest, EmbeddingTask
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, loss_names, utf8, wrong
from setpoint.wire.dialect import Encoded


class _Request(msgspec.Struct, gc=False):
    model: str
    input: str | list[str | int | list[int]]
    encoding_format: str | None = None
    dimensions: int | None = None
    user: str | None = None
    input_type: str | None = None
    output_dimension: int | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_TASKS: dict[str | None, EmbeddingTask] = {"query": "query", "document": "document"}
_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def decode_request(body: bytes) -> EmbeddingsRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = extra_members(body, _KNOWN)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    inputs = _inputs(asked.input)
    if not inputs:
        return wrong("input", "at least one text is needed.")
    if asked.encoding_format not in {None, "float", "base64"}:
        return wrong("encoding_format", "expected float or base64.")
    if asked.input_type is not None and asked.input_type not in _TASKS:
        extras["input_type"] = _encode(asked.input_type)
    return EmbeddingsRequest(
        asked.model,
        inputs,
        asked.output_dimension if asked.dimensions is None else asked.dimensions,
        "base64" if asked.encoding_format == "base64" else "float",
        _TASKS.get(asked.input_type),
        user=asked.user,
        extras=extras,
    )


def _inputs(given: str | list[str | int | list[int]]) -> tuple[str | tuple[int, ...], ...]:
    """A text, texts, one list of tokens, or lists of tokens."""
    if isinstance(given, str):
        return (given,)
    tokens = tuple(item for item in given if isinstance(item, int))
    if tokens and len(tokens) == len(given):
        return (tokens,)
    return tuple(item if isinstance(item, str) else (item,) if isinstance(item, int) else tuple(item) for item in given)


def encode_request(request: EmbeddingsRequest, model: str) -> Encoded | Fault:
    inputs: object = request.inputs[0] if len(request.inputs) == 1 else request.inputs
    body: dict[str, object] = {"model": model, "input": inputs}
    if request.encoding == "base64":
        body["encoding_format"] = "base64"
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.user is not None:
        body["user"] = request.user
    losses = [name for name, value in (("input_type", request.task), ("title", request.title)) if value is not None]
    return Encoded(_encode(body), (*losses, *loss_names(request.extras)))
