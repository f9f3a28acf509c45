"""What the ledger and the tap read of Converse answers; nothing else is decoded.

inputTokens excludes what was read from and written to the cache; totalTokens is the sum of all four
(https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html). outputTokens includes reasoning, which is not counted apart.
"""

import msgspec

from setpoint.domain.usage import Usage
from setpoint.wire.dialect import AnswerFacts


class UsageShape(msgspec.Struct, gc=False, rename="camel"):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None


class Tier(msgspec.Struct, gc=False):
    type: str | None = None


class _Router(msgspec.Struct, gc=False, rename="camel"):
    invoked_model_id: str | None = None


class Trace(msgspec.Struct, gc=False, rename="camel"):
    """A prompt router says which model it chose; no other answer names a model."""

    prompt_router: _Router | None = None


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    stop_reason: str | None = None
    usage: UsageShape | None = None
    trace: Trace | None = None


_answer = msgspec.json.Decoder(_Answer).decode
_NOTHING = AnswerFacts(None, "", "")


def read_usage(body: bytes) -> AnswerFacts:
    """Usage and stop reason of a unary answer; empty facts when the body is not one."""
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
    usage = usage_of(answer.usage) if answer.usage is not None else None
    return AnswerFacts(usage, model_of(answer.trace), answer.stop_reason or "")


def model_of(trace: Trace | None) -> str:
    return (trace.prompt_router.invoked_model_id or "") if trace is not None and trace.prompt_router is not None else ""


def usage_of(shape: UsageShape) -> Usage:
    return Usage(
        input=shape.input_tokens or 0,
        cached_read=shape.cache_read_input_tokens or 0,
        cache_write=shape.cache_write_input_tokens or 0,
        output=shape.output_tokens or 0,
    )


def shape_of(usage: Usage) -> dict[str, object]:
    """The usage object of `usage`. Audio and images are input there, reasoning is output; cache counts only where they say something."""
    shape: dict[str, object] = {
        "inputTokens": usage.input + usage.audio_input + usage.image_input,
        "outputTokens": usage.completion_total,
        "totalTokens": usage.total,
    }
    if usage.cached_read or usage.cache_write:
        shape["cacheReadInputTokens"] = usage.cached_read
        shape["cacheWriteInputTokens"] = usage.cache_write
    return shape
