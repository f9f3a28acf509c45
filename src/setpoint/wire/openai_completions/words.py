"""Finish reasons and ids of this dialect."""

from setpoint.domain.chat import Finish

_READ: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "content_filter": "content_filter",
}

WRITTEN: dict[Finish, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "tool_calls": "stop",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "stop",
    "unknown": "stop",
}
"""The dialect has these three words only; it knows no tools."""


def finish_of(word: str | None) -> Finish:
    return _READ.get(word or "", "unknown")


def shown_id(given: str) -> str:
    """Clients expect the vendor's prefix."""
    return given if given.startswith("cmpl-") or not given else "cmpl-" + given.removeprefix("msg_").removeprefix("chatcmpl-")
