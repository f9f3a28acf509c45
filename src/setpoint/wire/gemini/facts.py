"""Usage of Gemini answers, and what the ledger and the tap read of them; nothing else is decoded.

promptTokenCount includes what came from a cache; candidatesTokenCount excludes thoughts; what tools of the provider put into the
prompt is counted beside both, in toolUsePromptTokenCount (https://ai.google.dev/api/generate-content#UsageMetadata).
"""

import msgspec

from setpoint.domain.usage import Usage
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.gemini.words import reason_name

_IMAGE: frozenset[object] = frozenset({"IMAGE", 2})
_AUDIO: frozenset[object] = frozenset({"AUDIO", 4})
"""Modalities by name, and by number where a client asked for enums as numbers."""


class _Count(msgspec.Struct, gc=False, rename="camel"):
    modality: str | int | None = None
    token_count: int | None = None


class UsageShape(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    total_token_count: int | None = None
    prompt_tokens_details: list[_Count] | None = None
    cache_tokens_details: list[_Count] | None = None
    candidates_tokens_details: list[_Count] | None = None
    tool_use_prompt_tokens_details: list[_Count] | None = None
    service_tier: str | None = None


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part | None] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    content: _Content | None = None
    finish_reason: str | int | None = None


class _Feedback(msgspec.Struct, gc=False, rename="camel"):
    block_reason: str | int | None = None


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: UsageShape | None = None
    model_version: str | None = None
    error: msgspec.Raw = msgspec.Raw()


chunk_facts = msgspec.json.Decoder(_Answer).decode
_NOTHING = AnswerFacts(None, "", "")


def read_usage(body: bytes) -> AnswerFacts:
    """Usage, model and finish reason of a unary answer; empty facts when the body is not one."""
    try:
        answer = chunk_facts(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
    return AnswerFacts(usage_of(answer.usage_metadata), answer.model_version or "", finish_word(answer))


def finish_word(answer: _Answer) -> str:
    """The reason of the first candidate, or why the prompt was blocked."""
    for candidate in (answer.candidates or ())[:1]:
        return reason_name(candidate.finish_reason)
    feedback = answer.prompt_feedback
    return str(feedback.block_reason) if feedback is not None and feedback.block_reason else ""


def has_content(answer: _Answer) -> bool:
    """Whether a chunk holds content: a text that is not empty, or a part of another kind."""
    for candidate in (answer.candidates or ())[:1]:
        content = candidate.content
        return content is not None and any(part is not None and part.text != "" for part in content.parts or ())
    return False


def usage_of(shape: UsageShape | None) -> Usage | None:
    """Disjoint classes; None when there is no count at all (Vertex sends the traffic type alone while a stream runs)."""
    if shape is None:
        return None
    counts = (shape.prompt_token_count, shape.candidates_token_count, shape.thoughts_token_count, shape.tool_use_prompt_token_count)
    if all(count is None for count in counts):
        return None
    prompt, candidates, thoughts, tool_use = (count or 0 for count in counts)
    cached = min(prompt, shape.cached_content_token_count or 0)
    left = prompt + tool_use - cached
    asked = [*(shape.prompt_tokens_details or ()), *(shape.tool_use_prompt_tokens_details or ())]
    audio_in = _within(left, _sum(asked, _AUDIO) - _sum(shape.cache_tokens_details, _AUDIO))
    image_in = _within(left - audio_in, _sum(asked, _IMAGE) - _sum(shape.cache_tokens_details, _IMAGE))
    audio_out = _within(candidates, _sum(shape.candidates_tokens_details, _AUDIO))
    return Usage(
        input=left - audio_in - image_in,
        cached_read=cached,
        output=candidates - audio_out,
        reasoning=thoughts,
        audio_input=audio_in,
        audio_output=audio_out,
        image_input=image_in,
    )


def merged(before: UsageShape | None, now: UsageShape) -> UsageShape:
    """Each chunk of a stream counts all so far, but some leave out members that an earlier one had.

    Where what a chunk does say adds up to its own total, nothing is left out.
    """
    if before is None or _is_whole(now):
        return now
    values = [getattr(now, name) for name in UsageShape.__struct_fields__]
    if None not in values:
        return now
    return UsageShape(
        *[value if value is not None else getattr(before, name) for name, value in zip(UsageShape.__struct_fields__, values, strict=True)]
    )


def _is_whole(shape: UsageShape) -> bool:
    counts = (shape.prompt_token_count, shape.candidates_token_count, shape.thoughts_token_count, shape.tool_use_prompt_token_count)
    return shape.total_token_count is not None and shape.total_token_count == sum(count or 0 for count in counts)


def shape_of(usage: Usage | None, tier: str | None = None) -> dict[str, object]:
    """The usageMetadata of `usage`; details only where there is more than text."""
    if usage is None:
        return {"serviceTier": tier}
    shape: dict[str, object] = {
        "promptTokenCount": usage.prompt_total,
        "candidatesTokenCount": usage.output + usage.audio_output,
        "totalTokenCount": usage.total,
    }
    if usage.cached_read:
        shape["cachedContentTokenCount"] = usage.cached_read
    if usage.reasoning:
        shape["thoughtsTokenCount"] = usage.reasoning
    if usage.audio_input or usage.image_input:
        text = usage.prompt_total - usage.audio_input - usage.image_input
        shape["promptTokensDetails"] = _details(TEXT=text, AUDIO=usage.audio_input, IMAGE=usage.image_input)
    if usage.audio_output:
        shape["candidatesTokensDetails"] = _details(TEXT=usage.output, AUDIO=usage.audio_output)
    if tier is not None:
        shape["serviceTier"] = tier
    return shape


def _sum(counts: list[_Count] | None, modality: frozenset[object]) -> int:
    return sum(count.token_count or 0 for count in counts or () if count.modality in modality)


def _within(most: int, count: int) -> int:
    return max(0, min(most, count))


def _details(**counts: int) -> list[dict[str, object]]:
    return [{"modality": modality, "tokenCount": count} for modality, count in counts.items() if count]
