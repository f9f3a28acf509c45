"""What differs between models behind this dialect and cannot be asked of the server.

Facts as data: a name that no rule knows is taken for an OpenAI-compatible server of the classic kind.
"""

import re

STOP_SEQUENCES_MAX = 4

_OPENAI_REASONING = re.compile(r"(?:^|/)(?:o\d|gpt-[5-9])(?!.*-chat)")
_NO_REASONING = re.compile(r"(?:^|/)(?:gpt-3|gpt-4|chatgpt-4)")


def is_openai_reasoning(model: str) -> bool:
    """These want max_completion_tokens instead of max_tokens, and refuse sampling parameters and stop sequences."""
    return _OPENAI_REASONING.search(model) is not None


def takes_reasoning_effort(model: str) -> bool:
    """False for models known to answer 400 to `reasoning_effort`."""
    return _NO_REASONING.search(model) is None
