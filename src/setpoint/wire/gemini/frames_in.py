"""The objects of a streamed answer, from bytes cut anywhere.

streamGenerateContent answers in server-sent events when it is asked `alt=sse`, and in one JSON list otherwise; an error may come as a
bare object in either case. The first byte tells which it is.
"""

import re

from setpoint.wire.bodies import is_complete_json
from setpoint.wire.sse import BOM, EVENT_BYTES_MAX, SseDecoder

_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\]')
_SPACE = b" \t\r\n"


class JsonListFrames:
    """The objects of a JSON list while it comes; also those of a row of objects without a list around them."""

    __slots__ = ("_at", "_buffer", "_depth", "_frame_bytes_max", "_in_text", "_start", "overflowed")

    def __init__(self, frame_bytes_max: int) -> None:
        self._buffer = bytearray()
        self._frame_bytes_max = frame_bytes_max
        self._at = 0
        self._depth = 0
        self._start = -1
        self._in_text = False
        self.overflowed = False

    def feed(self, data: bytes) -> list[bytes]:
        if self.overflowed:
            return []
        self._buffer += data
        found: list[bytes] = []
        while (match := (_INSIDE if self._in_text else _OUTSIDE).search(self._buffer, self._at)) is not None:
            at = match.start()
            token = self._buffer[at]
            if token == 92:
                if at + 1 == len(self._buffer):
                    self._at = at
                    break
                self._at = at + 2
            else:
                self._at = at + 1
                self._token(token, at, found)
        else:
            self._at = len(self._buffer)
        self._forget()
        return found

    def _token(self, token: int, at: int, found: list[bytes]) -> None:
        if token == 34:
            self._in_text = not self._in_text
        elif token == 123:
            if self._depth == 0:
                self._start = at
            self._depth += 1
        elif token == 125 and self._depth:
            self._depth -= 1
            if self._depth == 0:
                found.append(bytes(self._buffer[self._start : at + 1]))
                self._start = -1

    def _forget(self) -> None:
        """Drop what is behind; keep the object that is open."""
        keep_from = self._at if self._start < 0 else self._start
        del self._buffer[:keep_from]
        self._at -= keep_from
        self._start -= keep_from if self._start >= 0 else 0
        if len(self._buffer) > self._frame_bytes_max:
            self.overflowed = True
            self._buffer.clear()


class AnswerFrames:
    """Objects out of either form. `overflowed` turns true at the first one over the limit; nothing after it counts."""

    __slots__ = ("_frame_bytes_max", "_head", "_list", "_sse")

    def __init__(self, frame_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._head: bytes | None = b""
        self._sse = SseDecoder(frame_bytes_max)
        self._list: JsonListFrames | None = None

    @property
    def overflowed(self) -> bool:
        return self._sse.overflowed if self._list is None else self._list.overflowed

    def feed(self, data: bytes) -> list[bytes]:
        if self._head is not None:
            data = self._head + data
            seen = data.removeprefix(BOM).lstrip(_SPACE)
            if not seen or BOM.startswith(data):
                self._head = data
                return []
            self._head = None
            if seen[:1] in {b"[", b"{"}:
                self._list = JsonListFrames(self._frame_bytes_max)
        if self._list is not None:
            return self._list.feed(data)
        return [event.data for event in self._sse.feed(data)]

    def finish(self) -> list[bytes]:
        """The stream ended: the last event, if only its empty line is missing."""
        if self._list is not None:
            return []
        return [event.data for event in self._sse.finish() if is_complete_json(event.data)]
