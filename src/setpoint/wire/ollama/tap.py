"""The hot observer of Ollama streams: lines of JSON instead of server-sent events, else like `wire.tap`.

A line is plain when it says it is not the last and no error. Both names are searched for with their quotes, which cannot occur inside a
JSON string; in arguments of a call they can, and such a region is taken apart like any other that is not plain.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.ollama.answer import decode_piece, usage_of
from setpoint.wire.ollama.faults import classify_ollama_fault
from setpoint.wire.ollama.ndjson import lines_of
from setpoint.wire.sse import EVENT_BYTES_MAX


class OllamaTap:
    __slots__ = ("_carry", "content_started", "done", "error", "event_bytes_max", "events", "finish", "model", "usage")

    def __init__(self) -> None:
        self._carry = bytearray()
        self.event_bytes_max = EVENT_BYTES_MAX
        """Lowered by a route that wants it; -1 behind a line that was too long."""
        self.events = 0
        self.content_started = False
        self.usage: Usage | None = None
        self.model = ""
        self.finish = ""
        self.done = False
        self.error: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        most = self.event_bytes_max
        if not self._carry and data.endswith(b"\n") and len(data) <= most:
            self._observe(data)
            return data
        if most < 0:
            return b""
        end = data.rfind(b"\n") + 1
        region = b""
        if end:
            region = bytes(self._carry) + data[:end]
            self._carry.clear()
            if len(region) > most:
                region = self._up_to_the_first_over(region, most)
            self._observe(region)
        self._carry += data[end:]
        if len(self._carry) > most:
            self._carry.clear()
            self.event_bytes_max = -1
            self.error = self.error or Fault(FaultKind.upstream_server, f"The provider sent a line of more than {most} bytes.")
        return region

    def flush(self) -> bytes:
        """The stream ended: the last line, if only its end is missing. Half a line is no answer and is not passed on."""
        rest = bytes(self._carry)
        self._carry.clear()
        if not rest.strip() or not is_complete_json(rest):
            return b""
        self._observe(rest)
        return rest if self.done else rest + b"\n"

    def _up_to_the_first_over(self, region: bytes, most: int) -> bytes:
        good = 0
        for line in region.split(b"\n"):
            if len(line) >= most:
                self._carry += line + b"\n"
                break
            good += len(line) + 1
        return region[:good]

    def _observe(self, region: bytes) -> None:
        if self.content_started and b'"error"' not in region and b'"done":true' not in region:
            lines = region.count(b"\n")
            if lines == region.count(b'"done":false'):
                self.events += lines
                return
        for line in lines_of(region):
            self.events += 1
            self._line(line)

    def _line(self, line: bytes) -> None:
        try:
            piece = decode_piece(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:  # another attempt can still be made; later the bytes are the client's to judge
                self.error = self.error or Fault(FaultKind.upstream_server, "The stream has a line that is not the JSON of an answer.")
            return
        if bytes(piece.error) not in (b"", b"null"):
            self.error = classify_ollama_fault(0, {}, line, 0.0)
            return
        self.model = piece.model or self.model
        said = piece.message
        if said is not None and (said.content or said.thinking or said.tool_calls):
            self.content_started = True
        if piece.done:
            self.done = True
            self.finish = piece.done_reason or "stop"
            self.usage = usage_of(piece) or self.usage
