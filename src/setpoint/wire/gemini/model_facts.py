"""What differs between models behind this dialect and cannot be asked of the server.

Facts as data; a name without a version (`gemini-flash-latest`, a tuned model) is taken for a current one, with what the oldest and the
newest current models share. Sources: https://ai.google.dev/gemini-api/docs/thinking, …/thought-signatures, …/gemini-3,
…/structured-output.
"""

import re

STOP_SEQUENCES_MAX = 5

SEED_MAX = 2**31 - 1

SKIPPED_SIGNATURE = "skip_thought_signature_validator"
"""Stands in for the signature of a call that another model made; Gemini 3 refuses a call without one
(https://ai.google.dev/gemini-api/docs/thought-signatures#faqs)."""

BUDGET_BY_EFFORT = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576, "max": 24_576}
"""Thinking tokens for an effort in words, as Google's own OpenAI endpoint has it (https://ai.google.dev/gemini-api/docs/openai#thinking)."""

LEVELS = {"minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH", "xhigh": "HIGH", "max": "HIGH"}

_VERSION = re.compile(r"(?:^|[/-])gemini-(\d{1,2})(?:\.(\d))?(?![\d])")
_OLD_FAMILIES = re.compile(r"gemma|learnlm|palm|bison|gemini-pro(?:-vision)?$")


def _version(model: str) -> tuple[int, int] | None:
    match = _VERSION.search(model)
    return (int(match[1]), int(match[2] or 0)) if match else None


def is_generation_3(model: str) -> bool:
    """Gemini 3 and later: levels of thinking, signatures on calls, files in results, a form for the answer beside tools."""
    version = _version(model)
    return version is not None and version >= (3, 0)


def thinks(model: str) -> bool:
    version = _version(model)
    return _OLD_FAMILIES.search(model) is None and (version is None or version >= (2, 5))


def thinks_always(model: str) -> bool:
    """Models whose thinking cannot be switched off: the Pro ones, and all of generation 3."""
    return is_generation_3(model) or "gemini-2.5-pro" in model


def budget_range(model: str) -> tuple[int, int]:
    """The least and the most thinking tokens a model takes."""
    if "pro" in model:
        return 128, 32_768
    return (512, 24_576) if "lite" in model else (1, 24_576)
