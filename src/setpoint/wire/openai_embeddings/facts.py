"""Usage of an embeddings answer; the vectors are not decoded."""

import msgspec

from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_shapes import UsageShape, usage_of


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    usage: UsageShape | None = None


_answer = msgspec.json.Decoder(_Answer).decode


def read_usage(body: bytes) -> AnswerFacts:
    """Usage and model; empty facts when the body is not an embeddings answer."""
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
    usage = answer.usage
    if usage is not None and usage.prompt_tokens is None:
        usage.prompt_tokens = usage.total_tokens  # Voyage gives the total alone, and all of it was asked
    return AnswerFacts(None if usage is None else usage_of(usage), answer.model or "", "")
