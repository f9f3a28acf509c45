"""Vectors, from bytes to nouns and back. The older form, with one `embedding`, is read too."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsAnswer
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import unread_answer
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.ollama.faults import classify_ollama_fault


class _Facts(msgspec.Struct, gc=False):
    model: str | None = None
    prompt_eval_count: int | None = None


class _Answer(_Facts, gc=False):
    embeddings: list[list[float]] | None = None
    embedding: list[float] | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_facts = msgspec.json.Decoder(_Facts).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> EmbeddingsAnswer | Fault:
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    given = answer.embeddings
    if given is None and answer.embedding is not None:
        given = [answer.embedding]
    if given is None:
        return classify_ollama_fault(0, {}, body, 0.0) if b'"error"' in body else unread_answer(ValueError("it has no vectors"))
    return EmbeddingsAnswer(tuple([tuple(vector) for vector in given]), answer.model or "", _usage(answer))


def encode_answer(answer: EmbeddingsAnswer, model: str) -> bytes:
    """Numbers only: the dialect knows no base64."""
    body: dict[str, object] = {"model": model, "embeddings": answer.vectors}
    if answer.usage is not None:
        body["prompt_eval_count"] = answer.usage.prompt_total
    return _encode(body)


def read_usage(body: bytes) -> AnswerFacts:
    """Usage and model; the vectors are not decoded."""
    try:
        facts = _facts(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
    return AnswerFacts(_usage(facts), facts.model or "", "")


def _usage(facts: _Facts) -> Usage | None:
    return None if facts.prompt_eval_count is None else Usage(input=facts.prompt_eval_count)
