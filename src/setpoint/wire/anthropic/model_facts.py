"""What differs between models behind this dialect and cannot be asked of the server.

Facts as data; a name that no rule knows is taken for a current model. Sources: the model pages and parameter types of Anthropic's own
SDK (thinking.type=enabled is deprecated from version 4.6 on; output_config.format came with 4.5, and to Opus 4.1).
"""

import re

DEFAULT_MAX_TOKENS = 4_096
"""Anthropic wants `max_tokens`; a request of another dialect without one gets this, which every model since Claude 3 accepts."""

THINKING_TOKENS_MIN = 1_024

BUDGET_BY_EFFORT = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 32_768}
"""Thinking tokens for an effort in words, for models that take a budget."""

_OLD = re.compile(r"claude-(?:2|instant|3|(?:opus|sonnet)-4-(?:0|2025\d{4})(?!\d)|(?:opus|sonnet)-4(?:@|$))")
_BUDGETED = re.compile(r"claude-(?:2|instant|3|(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|2025\d{4})|(?:opus|sonnet)-4(?:@|$))")


def takes_output_format(model: str) -> bool:
    """Whether the model can be held to a JSON schema by `output_config.format`."""
    return _OLD.search(model) is None


def takes_adaptive_thinking(model: str) -> bool:
    """Whether the model chooses its own thinking by `output_config.effort`; older ones want a budget."""
    return _BUDGETED.search(model) is None
