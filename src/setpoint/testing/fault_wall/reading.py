"""What a reader has understood of an answer, and the documents that it reads."""

from typing import Any

import msgspec

from setpoint.testing.fault_wall.framings import Unreadable

Document = dict[str, Any]
DONE = b"[DONE]"


class Reading(msgspec.Struct):
    """What was understood so far. `finished`: the reason why the answer ended came. `terminal`: so did the surface's own last event.

    `error` is the message of an error event. `usage` is input and output tokens.
    `protest` says what no answer of this surface can have in it.
    """

    text: str = ""
    finished: bool = False
    terminal: bool = False
    error: str = ""
    usage: tuple[int, int] | None = None
    protest: str = ""


def document_of(data: bytes) -> Document:
    """An event, or a whole answer. Raises Unreadable."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable(f"no JSON: {data[:200]!r}") from None
    if not isinstance(found, dict):
        raise Unreadable(f"not an object: {data[:200]!r}")
    return found
