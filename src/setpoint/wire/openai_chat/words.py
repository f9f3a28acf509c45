"""Finish reasons of this dialect and of those that imitate it."""

from setpoint.domain.chat import Finish

_READ: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "content_filter": "content_filter",
    "sensitive": "content_filter",
}

WRITTEN: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "unknown": "stop",
}


def finish_of(word: str | None, called_tools: bool) -> Finish:
    """Some servers say `stop`, or nothing, after tool calls."""
    finish = _READ.get(word or "", "unknown")
    return "tool_calls" if called_tools and finish in {"stop", "unknown"} else finish


def shown_id(given: str) -> str:
    """Clients expect the vendor's prefix."""
    return given if given.startswith("chatcmpl-") or not given else "chatcmpl-" + given.removeprefix("msg_")


_TIERS = {"standard": "default", "standard_only": "default", "batch": "flex", "reserved": "scale"}
"""Other dialects' words for a service tier, in this one's."""


def shown_tier(given: str | None) -> str | None:
    return _TIERS.get(given, given) if given else None
