"""Stop reasons of this dialect."""

import re

from setpoint.domain.chat import Finish

_READ: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}

_WRITTEN: dict[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
    "unknown": "end_turn",
}

_ODD = re.compile(r"[^a-zA-Z0-9_-]")


def finish_of(word: str | None) -> Finish:
    return _READ.get(word or "", "unknown")


def stop_reason(finish: Finish, refused: bool) -> str:
    """An answer that is a refusal says so, whatever its own dialect called the end."""
    return "refusal" if refused and finish in {"stop", "unknown"} else _WRITTEN[finish]


def message_id(given: str) -> str:
    """Clients expect the vendor's prefix."""
    return given if given.startswith("msg_") else "msg_" + given.removeprefix("chatcmpl-")


def call_id(given: str) -> str:
    """Ids here are letters, digits, `_` and `-` only; other providers put dots and colons in (Kimi: functions.name:0)."""
    return _ODD.sub("_", given) if _ODD.search(given) else given


_TIERS = {"standard": "standard", "default": "standard", "priority": "priority", "batch": "batch"}
"""Service tiers as `usage` names them."""


def shown_tier(given: str | None) -> str | None:
    return _TIERS.get(given) if given else None
