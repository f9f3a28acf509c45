"""The hot observer of Converse streams.

It goes from frame to frame by their lengths and looks into the last ones only: once content has begun, a contentBlockDelta or
contentBlockStop changes nothing. Sums are checked in passing, because a client cannot read on after a damaged frame either: it gets an
exception in its place.
"""

import msgspec

from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.aws_event_stream import Damaged, bounded_frame_bytes, check_frame, damage, parse_frame
from setpoint.wire.bedrock_converse.facts import Trace, UsageShape, model_of, usage_of
from setpoint.wire.bedrock_converse.faults import classify_exception, is_exception
from setpoint.wire.sse import EVENT_BYTES_MAX

_HEADERS_BYTES = 256
"""Where a frame's headers are looked for; Bedrock's are some 90 bytes."""
_DELTA = b"\x07\x00\x11contentBlockDelta"
_STOP = b"\x07\x00\x10contentBlockStop"


class _Event(msgspec.Struct, gc=False, rename="camel"):
    stop_reason: str | None = None
    usage: UsageShape | None = None
    trace: Trace | None = None


_decode = msgspec.json.Decoder(_Event).decode


class ConverseTap:
    __slots__ = ("_carry", "content_started", "done", "error", "event_bytes_max", "events", "finish", "model", "usage")

    def __init__(self) -> None:
        self._carry = bytearray()
        self.event_bytes_max = EVENT_BYTES_MAX
        self.events = 0
        self.content_started = False
        self.usage: Usage | None = None
        self.model = ""
        self.finish = ""
        self.done = False
        self.error: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        """Whole frames, `data` itself as a rule. Nothing follows an exception, or a frame that cannot be read."""
        if self.error is not None:
            return b""
        if self._carry:
            data = bytes(self._carry) + data
            self._carry.clear()
        end = self._observe(data)
        if end == len(data):
            return data
        if self.error is None:
            self._carry += data[end:]
        return data[:end]

    def flush(self) -> bytes:
        """Half a frame is no event and is not passed on. A stop reason is as good an end as the metadata after it."""
        self._carry.clear()
        if self.finish and self.error is None:
            self.done = True
        return b""

    def _observe(self, data: bytes) -> int:
        """Look at the whole frames of `data`; where they end. Stops behind an exception, and ahead of a damaged frame."""
        at = 0
        try:
            while (length := bounded_frame_bytes(data, at, self.event_bytes_max)) and len(data) - at >= length:
                self._frame(data[at : at + length])
                at += length
                if self.error is not None:
                    break
        except Damaged as error:
            self.error = damage(error)
        return at

    def _frame(self, raw: bytes) -> None:
        head = raw[:_HEADERS_BYTES]
        if self.content_started and (_DELTA in head or _STOP in head):
            check_frame(raw)
            self.events += 1
            return
        frame = parse_frame(raw)
        self.events += 1
        if is_exception(frame):
            self.error = classify_exception(frame)
            return
        kind = frame.text(":event-type")
        if kind == "contentBlockDelta" or (kind == "contentBlockStart" and b'"start"' in frame.payload):
            self.content_started = True
        elif kind in {"messageStop", "metadata"}:
            self._end(frame.payload)

    def _end(self, payload: bytes) -> None:
        try:
            event = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        self.finish = event.stop_reason or self.finish
        if event.usage is not None:
            self.usage = usage_of(event.usage)
            self.model = model_of(event.trace) or self.model
            self.done = bool(self.finish)
