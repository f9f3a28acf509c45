"""What the ledger and the tap read of Anthropic answers; nothing else is decoded.

Anthropic's input_tokens excludes cache reads and writes; output_tokens includes thinking
(https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching).
"""

import msgspec

from setpoint.domain.usage import Usage
from setpoint.wire.dialect import AnswerFacts


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class UsageShape(msgspec.Struct, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    stop_reason: str | None = None
    usage: UsageShape | None = None


class _Delta(msgspec.Struct, gc=False):
    stop_reason: str | None = None


class _Block(msgspec.Struct, gc=False):
    type: str = ""


class _StreamEvent(msgspec.Struct, gc=False):
    type: str = ""
    message: _Answer | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: UsageShape | None = None


_answer = msgspec.json.Decoder(_Answer).decode
event_facts = msgspec.json.Decoder(_StreamEvent).decode
_NOTHING = AnswerFacts(None, "", "")


def read_usage(body: bytes) -> AnswerFacts:
    """Usage, model and stop reason of a unary answer; empty facts when the body is not one."""
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
    return AnswerFacts(usage_of(answer.usage) if answer.usage is not None else None, answer.model or "", answer.stop_reason or "")


def usage_of(shape: UsageShape) -> Usage:
    thinking = (shape.output_tokens_details and shape.output_tokens_details.thinking_tokens) or 0
    return Usage(
        input=shape.input_tokens or 0,
        cached_read=shape.cache_read_input_tokens or 0,
        cache_write=shape.cache_creation_input_tokens or 0,
        output=max(0, (shape.output_tokens or 0) - thinking),
        reasoning=thinking,
    )


def merged(start: UsageShape | None, delta: UsageShape) -> UsageShape:
    """Figures of message_delta replace those of message_start; they are totals, not increments."""
    if start is None:
        return delta
    return UsageShape(
        delta.input_tokens if delta.input_tokens is not None else start.input_tokens,
        delta.output_tokens if delta.output_tokens is not None else start.output_tokens,
        delta.cache_creation_input_tokens if delta.cache_creation_input_tokens is not None else start.cache_creation_input_tokens,
        delta.cache_read_input_tokens if delta.cache_read_input_tokens is not None else start.cache_read_input_tokens,
        delta.output_tokens_details or start.output_tokens_details,
        delta.service_tier or start.service_tier,
    )


def shape_of(usage: Usage) -> dict[str, object]:
    """The Anthropic usage object of `usage`. Audio and images are input there; thinking is part of the output."""
    shape: dict[str, object] = {
        "input_tokens": usage.input + usage.audio_input + usage.image_input,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached_read,
        "output_tokens": usage.completion_total,
    }
    if usage.reasoning:
        shape["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return shape
