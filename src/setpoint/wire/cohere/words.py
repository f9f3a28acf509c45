"""Kinds of events and finish reasons of this dialect."""

from setpoint.domain.chat import Finish

_READ: dict[str, Finish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "content_filter",
    "ERROR_TOXIC": "content_filter",
    "ERROR_LIMIT": "length",
}
"""`ERROR` with a text before it is an answer that was broken off; see `ended_badly` for the one without."""

WRITTEN: dict[Finish, str] = {
    "stop": "COMPLETE",
    "stop_sequence": "STOP_SEQUENCE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR",
    "refusal": "ERROR",
    "pause": "COMPLETE",
    "unknown": "COMPLETE",
}


_EVENTS = frozenset(
    {
        "message-start",
        "content-start",
        "content-delta",
        "content-end",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "tool-call-end",
        "citation-start",
        "citation-end",
        "message-end",
    }
)


def kind_of(said: str | None, name: bytes) -> str | None:
    """What an event of a stream is; its name stands for a type that it does not say. None is an error, which has neither."""
    if said is not None:
        return said
    known = name.decode("utf-8", "replace")
    return known if known in _EVENTS else None


def finish_of(word: str | None, called_tools: bool) -> Finish:
    finish = _READ.get(word or "", "unknown")
    return "tool_calls" if called_tools and finish in {"stop", "unknown"} else finish


def ended_badly(word: str | None, error: str | None, said_something: bool) -> bool:
    """Whether an answer is a failure of the provider: it says why, or it ran out of time, or nothing came before the error.

    `said_something` is true when there is content, or a count of tokens: an answer that was filtered whole still cost some.
    """
    return bool(error) or word == "TIMEOUT" or (word == "ERROR" and not said_something)
