"""What the ledger reads of Ollama answers."""

import msgspec

from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.ollama.answer import decode_piece, usage_of


def read_usage(body: bytes) -> AnswerFacts:
    """Usage, model and finish of a unary answer; empty facts when the body is not one."""
    try:
        answer = decode_piece(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
    return AnswerFacts(usage_of(answer), answer.model or "", answer.done_reason or "")
