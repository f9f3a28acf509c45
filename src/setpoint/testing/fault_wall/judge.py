"""How an answer ended: what its bytes come to for the vendor's own client."""

import msgspec

from setpoint.testing.fault_wall.framings import Unreadable
from setpoint.testing.fault_wall.readers import NO_END_OF_THEIR_OWN, READERS, is_refusal, read_stream, read_whole
from setpoint.testing.fault_wall.reading import Reading
from setpoint.testing.fault_wall.rules import Ending
from setpoint.testing.fault_wall.surfaces import SurfaceName


class Got(msgspec.Struct):
    """What came over the wire. `framed` is false when the connection ended before HTTP said the body was complete; `hung` when the
    client's patience ended first.
    """

    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    framed: bool = False
    hung: bool = False


class Heard(msgspec.Struct, frozen=True):
    """`why` says what was wrong, in words, for an ending that is not honest."""

    ending: Ending
    text: str = ""
    terminal: bool = False
    usage: tuple[int, int] | None = None
    why: str = ""


def judge(surface: SurfaceName, got: Got, said: frozenset[str], *, streamed: bool) -> Heard:
    """`said` are the texts of which one must arrive whole."""
    if got.hung:
        return Heard("hang", why=f"no end in time; status {got.status}, {len(got.body)} bytes")
    if got.status == 0:
        return Heard("none", why="the connection was closed without an answer")
    if got.status != 200:
        return _refused(surface, got)
    if streamed and READERS[surface].content_type not in got.headers.get("content-type", ""):
        return Heard("misshapen", why=f"a stream of type {got.headers.get('content-type')!r}: {got.body[:200]!r}")
    try:
        reading = read_stream(surface, got.body) if streamed else read_whole(surface, got.body)
    except Unreadable as error:
        return Heard("raises", why=str(error)) if streamed else Heard("misshapen", why=str(error))
    return _ended(surface, got, reading, said)


def _refused(surface: SurfaceName, got: Got) -> Heard:
    if not got.framed:
        return Heard("cut", why=f"half an error answer: {got.status} {got.body[:200]!r}")
    if not is_refusal(surface, got.status, got.headers, got.body):
        return Heard("misshapen", why=f"not an error of this surface: {got.status} {got.body[:200]!r}")
    return Heard("status")


def _ended(surface: SurfaceName, got: Got, reading: Reading, said: frozenset[str]) -> Heard:
    begun = any(text.startswith(reading.text) for text in said)
    if reading.protest or not begun:
        return Heard("misshapen", reading.text, why=reading.protest or f"nobody said {reading.text!r}")
    if reading.error:
        return Heard("event", reading.text, usage=reading.usage, why="" if got.framed else "the connection broke behind the error event")
    if not got.framed:
        return Heard("cut", reading.text, why="the connection ended in the middle of the answer")
    if not reading.finished:
        return Heard("truncated", reading.text, why=f"it ends behind {reading.text!r}, without a finish and without an error")
    if reading.text not in said:
        return Heard("truncated", reading.text, why=f"it says it is finished, but has only {reading.text!r}")
    return Heard("whole", reading.text, reading.terminal or surface in NO_END_OF_THEIR_OWN, reading.usage)
