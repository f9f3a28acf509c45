"""Vectors, from bytes to nouns and back. The answer is filed by type of number; the first version's plain list is read too."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsAnswer
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unread_answer
from setpoint.wire.cohere.faults import classify_cohere_fault
from setpoint.wire.cohere.usage import UsageShape, usage_of
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_embeddings.vectors import packed, unpacked


class _ByType(msgspec.Struct, gc=False):
    floats: list[list[float]] | None = msgspec.field(default=None, name="float")
    base64: list[str] | None = None


class _Answer(msgspec.Struct, gc=False):
    embeddings: _ByType | list[list[float]] | None = None
    meta: UsageShape | None = None


class _Facts(msgspec.Struct, gc=False):
    meta: UsageShape | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_facts = msgspec.json.Decoder(_Facts).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> EmbeddingsAnswer | Fault:
    try:
        answer = _decode(body)
        given = answer.embeddings
        if isinstance(given, list):
            given = _ByType(given)
        if given is None and b'"message"' in body:
            return classify_cohere_fault(0, {}, body, 0.0)
        if given is None or (given.floats is None and given.base64 is None):
            return unread_answer(ValueError("it has no vectors"))
        vectors = (
            [tuple(vector) for vector in given.floats] if given.floats is not None else [unpacked(text) for text in given.base64 or ()]
        )
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        return unread_answer(error)
    return EmbeddingsAnswer(tuple(vectors), usage=usage_of(answer.meta))


def encode_answer(answer: EmbeddingsAnswer, encoding: str) -> bytes:
    """The shape names no model. Texts are not repeated: they are with the client."""
    vectors: object = [packed(vector) for vector in answer.vectors] if encoding == "base64" else answer.vectors
    units = {"input_tokens": answer.usage.prompt_total if answer.usage is not None else 0}
    return _encode(
        {
            "id": "",
            "embeddings": {"base64" if encoding == "base64" else "float": vectors},
            "texts": [],
            "meta": {"api_version": {"version": "2"}, "billed_units": units},
            "response_type": "embeddings_by_type",
        }
    )


def read_usage(body: bytes) -> AnswerFacts:
    """Usage; the vectors are not decoded, and no model is named."""
    try:
        return AnswerFacts(usage_of(_facts(body).meta), "", "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
