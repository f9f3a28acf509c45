"""What differs between models behind this dialect and cannot be asked of the server.

Facts as data: a name that no rule knows is taken for an OpenAI-compatible server of the classic kind.
"""

import re

_OPENAI_REASONING = re.compile(r"(?:^|/)(?:o\d|gpt-[5-9])(?!.*-chat)")
_NO_STOP = re.compile(r"(?:^|/)(?:o3(?!-mini)|o[4-9]|gpt-[5-9])(?!.*-chat)")
_MAY_NOT_REASON = re.compile(r"(?:^|/)gpt-(?:5\.[1-9]|[6-9])(?!.*(?:-chat|-pro|codex))")
_NO_REASONING = re.compile(r"(?:^|/)(?:gpt-3|gpt-4|chatgpt-4)")


def is_openai_reasoning(model: str) -> bool:
    """These want max_completion_tokens instead of max_tokens, and refuse sampling parameters."""
    return _OPENAI_REASONING.search(model) is not None


def takes_reasoning_effort(model: str) -> bool:
    """False for models known to answer 400 to `reasoning_effort`."""
    return _NO_REASONING.search(model) is None


def may_not_reason(model: str) -> bool:
    """Whether `reasoning_effort` none is known to the model: OpenAI's from gpt-5.1 on (https://platform.openai.com/docs/guides/reasoning)."""
    return _MAY_NOT_REASON.search(model) is not None


def refuses_stop(model: str) -> bool:
    """Whether it answers 400 to stop sequences (https://platform.openai.com/docs/api-reference/chat/create, `stop`)."""
    return _NO_STOP.search(model) is not None
