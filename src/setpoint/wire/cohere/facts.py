"""What the ledger and the tap read of Cohere answers; nothing else is decoded. No answer names its model."""

import msgspec

from setpoint.wire.cohere.usage import UsageShape, usage_of
from setpoint.wire.dialect import AnswerFacts


class Delta(msgspec.Struct, gc=False):
    error: str | None = None
    finish_reason: str | None = None
    usage: UsageShape | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    delta: Delta | None = None


class _Answer(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    usage: UsageShape | None = None


_answer = msgspec.json.Decoder(_Answer).decode
event_facts = msgspec.json.Decoder(_Event).decode


def read_usage(body: bytes) -> AnswerFacts:
    """Usage and finish of a unary answer; empty facts when the body is not one."""
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
    return AnswerFacts(usage_of(answer.usage), "", answer.finish_reason or "")
