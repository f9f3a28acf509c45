"""Finish reasons, ids and service tiers of this dialect."""

from datetime import UTC, datetime

from setpoint.domain.chat import Finish

_NUMBERS = {
    1: "STOP",
    2: "MAX_TOKENS",
    3: "SAFETY",
    4: "RECITATION",
    5: "OTHER",
    6: "BLOCKLIST",
    7: "PROHIBITED_CONTENT",
    8: "SPII",
    9: "MALFORMED_FUNCTION_CALL",
    10: "MODEL_ARMOR",
}
"""Vertex writes enums as numbers to clients that ask for `$alt=json;enum-encoding=int`
(google.cloud.aiplatform.v1 Candidate.FinishReason)."""

_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "ESCALATION",
    }
)

_WRITTEN: dict[Finish, str] = {
    "stop": "STOP",
    "stop_sequence": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
    "refusal": "SAFETY",
    "pause": "STOP",
    "unknown": "OTHER",
}

_TIERS = {"default": "standard", "standard": "standard", "standard_only": "standard", "flex": "flex", "priority": "priority"}

CALL_ID_CHARS_MAX = 40
"""OpenAI refuses longer ids of tool calls."""


def reason_name(reason: str | int | None) -> str:
    """A finish or block reason by its name; empty when there is none."""
    if isinstance(reason, int):
        return _NUMBERS.get(reason, "") if reason else ""
    return reason or ""


def finish_of(reason: str | int | None, called_tools: bool) -> Finish:
    """Gemini says STOP after function calls as well; a malformed call, or any reason without a counterpart, is `unknown`."""
    name = reason_name(reason)
    if name == "STOP":
        return "tool_calls" if called_tools else "stop"
    if name == "MAX_TOKENS":
        return "length"
    return "content_filter" if name in _FILTERED else "unknown"


def finish_reason(finish: Finish, refused: bool) -> str:
    """A refusal in words ends in SAFETY, whatever its own dialect called the end."""
    return "SAFETY" if refused and finish in {"stop", "unknown"} else _WRITTEN[finish]


def call_id(response_id: str, number: int) -> str:
    """An id for a call that Gemini gave none: the same in a stream and out of one, and another one in every answer."""
    return f"call_{response_id[: CALL_ID_CHARS_MAX - 12]}_{number}" if response_id else f"call_{number}"


def service_tier(given: str) -> str | None:
    """Another dialect's word for a service tier in this one's; None when there is none."""
    return _TIERS.get(given)


def shown_tier(given: str | None) -> str | None:
    """The tier of an answer as a Gemini client reads it."""
    return _TIERS.get(given, given) if given else None


def created_s(create_time: str | None) -> int:
    """RFC 3339 to Unix seconds; 0 when there is no time or it makes no sense."""
    try:
        return int(datetime.fromisoformat(create_time).timestamp()) if create_time else 0
    except (ValueError, OverflowError):
        return 0


def create_time(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
