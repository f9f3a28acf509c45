"""What differs between models behind this dialect and cannot be asked of the server.

Facts as data: a name that no rule knows is taken for a model without rules of its own.
"""

import re

MAX_OUTPUT_TOKENS_MIN = 16
"""The least `max_output_tokens` this API takes."""

_START = r"(?:^|[/.])"
_OPENAI_REASONING = re.compile(_START + r"(?:o\d|gpt-[5-9]|codex-mini|computer-use)(?!.*-chat)")
_SIGNING = re.compile(_START + r"grok-[4-9]")
_NO_REASONING = re.compile(_START + r"(?:gpt-3|gpt-4|chatgpt-4)")
_OPEN = re.compile(r"(?i)gpt-oss|deepseek|qwen|kimi|glm|minimax|mimo|nemotron|magistral")
_MAY_SKIP = re.compile(_START + r"gpt-(?:5\.[1-9]|[6-9])")
_MAX_EFFORT = re.compile(_START + r"gpt-(?:5\.[6-9]|[6-9])")


def is_openai_reasoning(model: str) -> bool:
    """These refuse sampling parameters and log-probs."""
    return _OPENAI_REASONING.search(model) is not None


def signs_reasoning(model: str) -> bool:
    """These give `reasoning.encrypted_content`; others answer 400 when asked for it."""
    return is_openai_reasoning(model) or _SIGNING.search(model) is not None


def takes_reasoning(model: str) -> bool:
    """False for models known to answer 400 to `reasoning`."""
    return _NO_REASONING.search(model) is None


def thinks_openly(model: str) -> bool:
    """Whether the model shows its thinking itself, not encrypted, and goes on from it when it is sent back as it is."""
    return _OPEN.search(model) is not None


def may_skip_reasoning(model: str) -> bool:
    """Whether the model takes effort `none`; older reasoning models always think."""
    return _MAY_SKIP.search(model) is not None


def takes_max_effort(model: str) -> bool:
    """Whether effort `max` is known; before, the most was `xhigh`."""
    return _MAX_EFFORT.search(model) is not None


def takes_cache_breakpoints(model: str) -> bool:
    """Whether the model takes `prompt_cache_breakpoint` (https://platform.openai.com/docs/guides/prompt-caching)."""
    return _MAX_EFFORT.search(model) is not None
