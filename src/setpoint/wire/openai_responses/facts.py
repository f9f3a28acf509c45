"""What the ledger and the tap read of Responses answers; nothing else is decoded.

`input_tokens` includes cached ones, `output_tokens` includes reasoning (https://platform.openai.com/docs/api-reference/responses/object).
"""

import msgspec

from setpoint.domain.usage import Usage
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_shapes import CompletionDetails, PromptDetails, usage_of
from setpoint.wire.openai_shapes import UsageShape as ChatUsageShape


class UsageShape(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    input_tokens_details: PromptDetails | None = None
    output_tokens_details: CompletionDetails | None = None


class IncompleteDetails(msgspec.Struct, gc=False):
    reason: str | None = None


class ResponseFacts(msgspec.Struct, gc=False):
    model: str | None = None
    status: str | None = None
    usage: UsageShape | None = None
    incomplete_details: IncompleteDetails | None = None


class _Item(msgspec.Struct, gc=False):
    type: str | None = None


class _StreamEvent(msgspec.Struct, gc=False):
    type: str | None = None
    response: ResponseFacts | None = None
    item: _Item | None = None


_answer = msgspec.json.Decoder(ResponseFacts).decode
event_facts = msgspec.json.Decoder(_StreamEvent).decode
_NOTHING = AnswerFacts(None, "", "")


def read_usage(body: bytes) -> AnswerFacts:
    """Usage, model and end of a unary answer; empty facts when the body is not one."""
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
    return AnswerFacts(None if answer.usage is None else usage_classes(answer.usage), answer.model or "", finish_word(answer))


def finish_word(answer: ResponseFacts) -> str:
    """The status, or the reason of an incomplete answer."""
    return (answer.incomplete_details and answer.incomplete_details.reason) or answer.status or ""


def usage_classes(shape: UsageShape) -> Usage:
    return usage_of(
        ChatUsageShape(shape.input_tokens, shape.output_tokens, shape.total_tokens, shape.input_tokens_details, shape.output_tokens_details)
    )


def usage_shape(usage: Usage) -> dict[str, object]:
    """The usage object of `usage`; audio and images are part of the totals here."""
    return {
        "input_tokens": usage.prompt_total,
        "input_tokens_details": {"cached_tokens": usage.cached_read, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.completion_total,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
