"""JSON shapes that several OpenAI-like dialects share: usage, and how its classes become disjoint.

OpenAI counts cached and audio tokens inside prompt_tokens, and reasoning and audio inside completion_tokens
(https://platform.openai.com/docs/api-reference/chat/object). Vendors differ: xAI counts reasoning beside completion_tokens,
Together and Moonshot give `cached_tokens` on top, DeepSeek `prompt_cache_hit_tokens`.
"""

import msgspec

from setpoint.domain.usage import Usage


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None


class UsageShape(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    cached_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None


def usage_of(shape: UsageShape) -> Usage:
    """Disjoint classes of an OpenAI usage object; a class never goes below zero, whatever the provider says."""
    prompt, completion = shape.prompt_tokens or 0, shape.completion_tokens or 0
    inside, beside = shape.prompt_tokens_details, shape.completion_tokens_details
    cached = (inside and inside.cached_tokens) or shape.cached_tokens or shape.prompt_cache_hit_tokens or 0
    written = audio_in = image_in = reasoning = audio_out = 0
    if inside is not None:
        written, audio_in, image_in = inside.cache_write_tokens or 0, inside.audio_tokens or 0, inside.image_tokens or 0
    if beside is not None:
        reasoning, audio_out = beside.reasoning_tokens or 0, beside.audio_tokens or 0
    within = audio_out
    if reasoning and shape.total_tokens != prompt + completion + reasoning:
        within += reasoning
    return Usage(
        input=max(0, prompt - cached - written - audio_in - image_in),
        cached_read=cached,
        cache_write=written,
        output=max(0, completion - within),
        reasoning=reasoning,
        audio_input=audio_in,
        audio_output=audio_out,
        image_input=image_in,
    )


def shape_of(usage: Usage) -> dict[str, object]:
    """The OpenAI usage object of `usage`; details only where they say something."""
    prompt, completion = usage.prompt_total, usage.completion_total
    shape: dict[str, object] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    inside = {
        "cached_tokens": usage.cached_read,
        "cache_write_tokens": usage.cache_write,
        "audio_tokens": usage.audio_input,
        "image_tokens": usage.image_input,
    }
    beside = {"reasoning_tokens": usage.reasoning, "audio_tokens": usage.audio_output}
    if any(inside.values()):
        shape["prompt_tokens_details"] = {name: n for name, n in inside.items() if n or name == "cached_tokens"}
    if any(beside.values()):
        shape["completion_tokens_details"] = {name: n for name, n in beside.items() if n or name == "reasoning_tokens"}
    return shape
