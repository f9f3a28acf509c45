"""Server-sent events, incrementally: any cut of the bytes is fine.

The format is that of https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream, with one deliberate
difference: an event that is not followed by an empty line at the end of the stream is delivered, because real providers forget the
last line end and its content would be lost.

A *block* is the bytes of one event up to and with the empty line that ends it. Blocks are found first, in one search over bytes,
and taken apart afterwards, so that an observer that is not interested in a block never looks at its lines.
"""

import re

import msgspec

EVENT_BYTES_MAX = 8 * 1024 * 1024
"""The longest block a decoder holds; a longer one ends the stream with `overflowed`."""

BOM = b"\xef\xbb\xbf"
_LINE_END = rb"(?:\r\n|\n|\r(?!\n))"
_BLOCK_END = re.compile(_LINE_END + _LINE_END)
_LINES = re.compile(rb"\r\n|\n|\r")


class SseEvent(msgspec.Struct, frozen=True, gc=False):
    """One event. `name` is empty when the stream gave none; `data` is the lines of data joined by line feeds."""

    name: bytes
    data: bytes


def complete_until(buffer: bytes | bytearray, start: int = 0) -> int:
    """Offset behind the last complete block of `buffer`, searching from `start`; 0 when there is none.

    A carriage return that ends the buffer is not taken as the end of a block yet: its line feed may follow.
    """
    if buffer.find(b"\r", start) < 0:
        at = buffer.rfind(b"\n\n", start)
        return 0 if at < 0 else at + 2
    end = 0
    for match in _BLOCK_END.finditer(buffer, start):
        if match.end() != len(buffer) or buffer[-1] != 13:
            end = match.end()
    return end


def blocks(region: bytes) -> list[bytes]:
    """Cut complete blocks apart; every byte of `region` is in exactly one of them."""
    if b"\r" not in region:
        parts = region.split(b"\n\n")
        rest = parts.pop()
        found = [part + b"\n\n" for part in parts]
    else:
        found, at = [], 0
        for match in _BLOCK_END.finditer(region):
            found.append(region[at : match.end()])
            at = match.end()
        rest = region[at:]
    if rest:
        found.append(rest)
    return found


def parse_block(block: bytes) -> SseEvent | None:
    """The event of one block, or None when it has no data line (comments, `retry`, stray empty lines)."""
    name, data = b"", None
    for line in _LINES.split(block.removeprefix(BOM)) if b"\r" in block or block.startswith(BOM) else block.split(b"\n"):
        if line.startswith(b"data:"):
            value = line[6:] if line.startswith(b"data: ") else line[5:]
            data = value if data is None else data + b"\n" + value
        elif line.startswith(b"event:"):
            name = line[6:].removeprefix(b" ")
        elif line == b"data":
            data = b"" if data is None else data + b"\n"
    return None if data is None else SseEvent(name, data)


def encode_event(data: bytes, name: bytes = b"") -> bytes:
    """One event in its canonical form. `data` may hold line feeds; `name` must hold neither kind of line end."""
    head = b"event: " + name + b"\n" if name else b""
    if b"\n" not in data and b"\r" not in data:
        return head + b"data: " + data + b"\n\n"
    return head + b"".join(b"data: " + line + b"\n" for line in _LINES.split(data)) + b"\n"


class SseDecoder:
    """Bytes in, events out. `overflowed` turns true, and stays so, at the first block over `event_bytes_max`; nothing after it counts."""

    __slots__ = ("_carry", "_event_bytes_max", "overflowed")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._carry = bytearray()
        self._event_bytes_max = event_bytes_max
        self.overflowed = False

    def feed(self, data: bytes) -> list[SseEvent]:
        if not self._carry and data.endswith(b"\n\n") and b"\r" not in data:
            return self._events(data)
        before = len(self._carry)
        self._carry += data
        end = complete_until(self._carry, max(0, before - 3))
        region = bytes(self._carry[:end])
        del self._carry[:end]
        events = self._events(region) if region else []
        if len(self._carry) > self._event_bytes_max:
            self._overflow()
        return events

    def finish(self) -> list[SseEvent]:
        """The stream ended: what is held is the last event."""
        rest = bytes(self._carry)
        self._carry.clear()
        return self._events(rest) if rest else []

    def _overflow(self) -> None:
        self.overflowed = True
        self._carry.clear()

    def _events(self, region: bytes) -> list[SseEvent]:
        events: list[SseEvent] = []
        for block in blocks(region):
            if self.overflowed:
                break
            if len(block) > self._event_bytes_max:
                self._overflow()
            elif (event := parse_block(block)) is not None:
                events.append(event)
        return events
