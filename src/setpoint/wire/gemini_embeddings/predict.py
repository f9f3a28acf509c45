"""Vertex AI's `:predict` for text embeddings, from bytes to nouns and back
(https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api).

    {"instances": [{"content": "…", "task_type": "RETRIEVAL_QUERY", "title": "…"}], "parameters": {"outputDimensionality": 256}}
    {"predictions": [{"embeddings": {"values": [...], "statistics": {"token_count": 4}}}]}
"""

import msgspec

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import bad_body, unread_answer, utf8, wrong
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.faults import classify_gemini_fault
from setpoint.wire.gemini.spelling import camel_members
from setpoint.wire.gemini_embeddings.tasks import word_of
from setpoint.wire.gemini_embeddings.vectors import Asked, Json, losses_of, request_of, texts_of


class _Instance(msgspec.Struct, gc=False, rename="camel"):
    content: str
    task_type: str | None = None
    title: str | None = None


class _Parameters(msgspec.Struct, gc=False, rename="camel"):
    output_dimensionality: int | None = None


class _Request(msgspec.Struct, gc=False):
    instances: list[_Instance] | None = None
    parameters: msgspec.Raw = shapes.NO_RAW


class _Statistics(msgspec.Struct, gc=False):
    token_count: float | None = None


class _Vector(msgspec.Struct, gc=False):
    values: list[float] | None = None
    statistics: _Statistics | None = None


class _Prediction(msgspec.Struct, gc=False):
    embeddings: _Vector | None = None


class _Answer(msgspec.Struct, gc=False):
    predictions: list[_Prediction] | None = None
    error: msgspec.Raw = shapes.NO_RAW


class _CountedVector(msgspec.Struct, gc=False):
    statistics: _Statistics | None = None


class _CountedPrediction(msgspec.Struct, gc=False):
    embeddings: _CountedVector | None = None


class _Facts(msgspec.Struct, gc=False):
    predictions: list[_CountedPrediction] | None = None


_request = msgspec.json.Decoder(_Request).decode
_parameters = msgspec.json.Decoder(_Parameters).decode
_answer = msgspec.json.Decoder(_Answer).decode
_facts = msgspec.json.Decoder(_Facts).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode

_KNOWN = frozenset({"instances", "parameters"})
_KNOWN_PARAMETERS = frozenset({"outputDimensionality"})


def decode_request(body: bytes) -> EmbeddingsRequest | Fault:
    try:
        body = camel_members(utf8(body))
        asked = _request(body)
        if not asked.instances:
            return wrong("instances", "at least one instance is needed.")
        extras = {name: raw for name, value in _members(body).items() if name not in _KNOWN and (raw := shapes.given(value))}
        inner = camel_members(shapes.given(asked.parameters) or b"{}")
        for name, value in _members(inner).items():
            if name not in _KNOWN_PARAMETERS and (raw := shapes.given(value)):
                extras[f"parameters.{name}"] = raw
        dimensions = _parameters(inner).output_dimensionality
        return request_of([Asked(one.content, one.task_type, one.title, dimensions) for one in asked.instances], extras)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad_body(error)


def encode_request(request: EmbeddingsRequest) -> Encoded | Fault:
    texts = texts_of(request)
    if isinstance(texts, Fault):
        return texts
    every: Json = {}
    if request.task is not None:
        every["task_type"] = word_of(request.task)
    elif "taskType" in request.extras:
        every["task_type"] = msgspec.Raw(request.extras["taskType"])
    if request.title is not None:
        every["title"] = request.title
    body: Json = {"instances": [{"content": text, **every} for text in texts]}
    if request.dimensions is not None:
        body["parameters"] = {"outputDimensionality": request.dimensions}
    return Encoded(_encode(body), losses_of(request))


def decode_answer(body: bytes) -> EmbeddingsAnswer | Fault:
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return unread_answer(error)
    if shapes.given(answer.error):
        return classify_gemini_fault(0, {}, body, 0.0)
    if answer.predictions is None:
        return unread_answer(ValueError("it has no predictions"))
    found = [prediction.embeddings or _Vector() for prediction in answer.predictions]
    return EmbeddingsAnswer(tuple(tuple(vector.values or ()) for vector in found), "", _usage([vector.statistics for vector in found]))


def encode_answer(answer: EmbeddingsAnswer) -> bytes:
    """The tokens of all texts are shown with the first vector: nothing says how they are shared."""
    predictions: list[Json] = []
    for no, vector in enumerate(answer.vectors):
        made: Json = {"values": vector}
        if answer.usage is not None:
            made["statistics"] = {"truncated": False, "token_count": 0 if no else answer.usage.prompt_total}
        predictions.append({"embeddings": made})
    return _encode({"predictions": predictions})


def read_usage(body: bytes) -> AnswerFacts:
    try:
        predictions = _facts(body).predictions or ()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
    return AnswerFacts(_usage([one.embeddings.statistics if one.embeddings else None for one in predictions]), "", "")


def _usage(statistics: list[_Statistics | None]) -> Usage | None:
    counts = [int(one.token_count) for one in statistics if one is not None and one.token_count is not None]
    return Usage(input=sum(counts)) if counts else None
