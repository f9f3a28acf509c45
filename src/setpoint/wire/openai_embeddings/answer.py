"""Vectors, from bytes to nouns and back."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsAnswer
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import unread_answer
from setpoint.wire.openai_embeddings.vectors import packed, unpacked
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import UsageShape, usage_of


class _Vector(msgspec.Struct, gc=False):
    embedding: list[float] | str
    index: int | None = None


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    data: list[_Vector] | None = None
    usage: UsageShape | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> EmbeddingsAnswer | Fault:
    """The vectors in the order of the inputs. A good status with an error inside is a fault."""
    try:
        answer = _decode(body)
        if answer.data is None:
            if b'"error"' in body or b'"detail"' in body:
                return classify_openai_fault(0, {}, body, 0.0)
            return unread_answer(ValueError("it has no vectors"))
        ordered = sorted(enumerate(answer.data), key=lambda item: item[0] if item[1].index is None else item[1].index)
        vectors = tuple([_numbers(item.embedding) for _, item in ordered])
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        return unread_answer(error)
    return EmbeddingsAnswer(vectors, answer.model or "", _usage(answer.usage))


def _numbers(given: list[float] | str) -> tuple[float, ...]:
    return unpacked(given) if isinstance(given, str) else tuple(given)


def _usage(shape: UsageShape | None) -> Usage | None:
    """Voyage gives the total only; all of it is input."""
    if shape is None:
        return None
    if shape.prompt_tokens is None and shape.completion_tokens is None:
        return Usage(input=shape.total_tokens or 0)
    return usage_of(shape)


def encode_answer(answer: EmbeddingsAnswer, model: str, encoding: str) -> bytes:
    """Numbers are written so that they are read back exactly; in base64 as 32-bit floats."""
    data = [
        {"object": "embedding", "index": no, "embedding": packed(vector) if encoding == "base64" else vector}
        for no, vector in enumerate(answer.vectors)
    ]
    tokens = answer.usage.prompt_total if answer.usage is not None else 0
    return _encode({"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
