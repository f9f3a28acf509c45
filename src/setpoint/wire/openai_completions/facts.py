"""What the ledger and the tap read of completions; nothing else is decoded."""

import msgspec

from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_shapes import UsageShape, usage_of


class _Choice(msgspec.Struct, gc=False):
    text: str | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None
    error: msgspec.Raw = msgspec.Raw()


completion_facts = msgspec.json.Decoder(_Completion).decode


def read_usage(body: bytes) -> AnswerFacts:
    """Usage, model and finish of a unary answer; empty facts when the body is not one."""
    try:
        answer = completion_facts(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
    finish = answer.choices[0].finish_reason if answer.choices else None
    return AnswerFacts(usage_of(answer.usage) if answer.usage is not None else None, answer.model or "", finish or "")
