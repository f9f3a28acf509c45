"""What differs between models behind this dialect and cannot be asked of the server, and limits of its parameters.

Sources: https://docs.cohere.com/docs/reasoning, and the parameters' descriptions at https://docs.cohere.com/reference/chat.
"""

TOP_P_MIN, TOP_P_MAX = 0.01, 0.99
TOP_K_MAX = 500
PENALTY_MIN, PENALTY_MAX = 0.0, 1.0
STOP_SEQUENCES_MAX = 5

BUDGET_BY_EFFORT = {"minimal": 1_024, "low": 2_048, "medium": 8_192}
"""Thinking tokens for an effort in words. More than medium is left without a bound, which is the vendor's default."""


def thinks(model: str) -> bool:
    """Whether the model takes the member `thinking`, and blocks of thinking in earlier turns."""
    return "reasoning" in model
