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
    """Disjoint classes of an OpenAI usage object, which add up to the provider's own totals.

    Some providers give details that exceed the whole (a cache write reported beside the read of the same tokens); a class then gets
    what is left, so that no token is billed twice.
    """
    prompt, completion = shape.prompt_tokens or 0, shape.completion_tokens or 0
    inside, beside = shape.prompt_tokens_details, shape.completion_tokens_details
    cached = min(prompt, (inside and inside.cached_tokens) or shape.cached_tokens or shape.prompt_cache_hit_tokens or 0)
    written = audio_in = image_in = reasoning = audio_out = 0
    if inside is not None:
        written = min(prompt - cached, inside.cache_write_tokens or 0)
        audio_in = min(prompt - cached - written, inside.audio_tokens or 0)
        image_in = min(prompt - cached - written - audio_in, inside.image_tokens or 0)
    if beside is not None:
        reasoning = beside.reasoning_tokens or 0
        if shape.total_tokens == prompt + completion + reasoning:
            completion += reasoning
        reasoning = min(completion, reasoning)
        audio_out = min(completion - reasoning, beside.audio_tokens or 0)
    return Usage(
        input=prompt - cached - written - audio_in - image_in,
        cached_read=cached,
        cache_write=written,
        output=completion - reasoning - audio_out,
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
