"""Times in this dialect are RFC 3339 texts in UTC, with up to nine decimals: 2026-08-07T06:08:11.017589Z.

An answer has no id, but its time is known to the microsecond, so it is the id: `ollama-2026-08-07T06:08:11.017589Z`.
"""

from datetime import UTC, datetime

_PREFIX = "ollama-"


def seconds_of(text: str) -> int:
    """Unix seconds; 0 when the text is no time."""
    try:
        at = datetime.fromisoformat(text)
        return max(0, int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError, OSError):
        return 0


def id_of(text: str) -> str:
    return _PREFIX + text if text else ""


def time_of(answer_id: str, created_s: int) -> str:
    """The time of an answer: its own when it came from here, else from Unix seconds."""
    if answer_id.startswith(_PREFIX):
        return answer_id.removeprefix(_PREFIX)
    return datetime.fromtimestamp(max(0, min(created_s, _LAST_S)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_LAST_S = 253_402_300_799
"""The last second of the year 9999; some servers give milliseconds for seconds, and others nonsense."""


def call_id(text: str, no: int) -> str:
    """An id for a call of an answer of that time, for servers that give none; it does not come again in the next turn."""
    return f"call_{''.join(filter(str.isalnum, text))}_{no}"
