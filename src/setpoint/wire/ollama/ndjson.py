"""JSON documents, one a line (https://github.com/ndjson/ndjson-spec), incrementally: any cut of the bytes is fine.

A line that is not followed by a line end at the end of the stream is delivered; empty lines are passed over.
"""

from setpoint.wire.sse import EVENT_BYTES_MAX


class LineDecoder:
    """Bytes in, lines out. `overflowed` turns true, and stays so, at the first line over `line_bytes_max`; nothing after it counts."""

    __slots__ = ("_carry", "_line_bytes_max", "overflowed")

    def __init__(self, line_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._carry = bytearray()
        self._line_bytes_max = line_bytes_max
        self.overflowed = False

    def feed(self, data: bytes) -> list[bytes]:
        end = data.rfind(b"\n") + 1
        if not end:
            self._carry += data
            region = b""
        else:
            region = bytes(self._carry) + data[:end] if self._carry else data[:end]
            self._carry[:] = data[end:]
        lines = self._lines(region)
        if len(self._carry) > self._line_bytes_max:
            self._overflow()
        return lines

    def finish(self) -> list[bytes]:
        """The stream ended: what is held is the last line."""
        rest = bytes(self._carry)
        self._carry.clear()
        return self._lines(rest)

    def _overflow(self) -> None:
        self.overflowed = True
        self._carry.clear()

    def _lines(self, region: bytes) -> list[bytes]:
        found: list[bytes] = []
        for line in lines_of(region):
            if self.overflowed:
                break
            if len(line) > self._line_bytes_max:
                self._overflow()
            else:
                found.append(line)
        return found


def lines_of(region: bytes) -> list[bytes]:
    """The lines of `region` that hold something, without their ends. A carriage return alone ends no line: JSON takes it for a space."""
    return [line for part in region.split(b"\n") if (line := part.strip())]


def as_line(document: bytes) -> bytes:
    """A JSON document as a line. Ollama's own client also ends lines where Unicode does (NEL, LS, PS), so these are escaped."""
    for raw, escape in _ODD_LINE_ENDS:
        if raw in document:
            document = document.replace(raw, escape)
    return document + b"\n"


_ODD_LINE_ENDS = tuple([(text.encode(), b"\\u%04x" % ord(text)) for text in ("\x85", "\u2028", "\u2029")])
