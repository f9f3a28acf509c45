"""Cohere's counts (https://docs.cohere.com/reference/chat#response.body.usage).

    {"billed_units": {"input_tokens": 7, "output_tokens": 88}, "tokens": {"input_tokens": 69, "output_tokens": 89}, "cached_tokens": 64}

`tokens` is what the model read and wrote, with the vendor's own preamble; `billed_units` what is paid for. `tokens` is taken where it is
given; cached ones are inside its input. Numbers are written as floats sometimes.
"""

import msgspec

from setpoint.domain.usage import Usage


class Counts(msgspec.Struct, gc=False):
    input_tokens: float | None = None
    output_tokens: float | None = None
    image_tokens: float | None = None


class UsageShape(msgspec.Struct, gc=False):
    """`usage` of a chat answer; `meta` of vectors has the same members."""

    tokens: Counts | None = None
    billed_units: Counts | None = None
    cached_tokens: float | None = None


def usage_of(shape: UsageShape | None) -> Usage | None:
    counts = (shape.tokens or shape.billed_units) if shape is not None else None
    if shape is None or counts is None:
        return None
    prompt = int(counts.input_tokens or 0)
    cached = min(prompt, int(shape.cached_tokens or 0))
    return Usage(
        input=prompt - cached, cached_read=cached, output=int(counts.output_tokens or 0), image_input=int(counts.image_tokens or 0)
    )


def shape_of(usage: Usage) -> dict[str, object]:
    """The usage object of a chat answer. What is billed is not known here, so it is all that was counted."""
    counts = {"input_tokens": usage.prompt_total, "output_tokens": usage.completion_total}
    shape: dict[str, object] = {"billed_units": counts, "tokens": counts}
    if usage.cached_read:
        shape["cached_tokens"] = usage.cached_read
    return shape
