"""The part that decoders of server-sent events share: reading until the end, which comes once."""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Failed, StreamEvent
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder, SseEvent

DONE = b"[DONE]"
_UNREAD = (msgspec.DecodeError, UnicodeDecodeError)


class SseStreamDecoder:
    """Base of the dialects' decoders: they say what an event means, and what it means that no more come.

    Whoever ends the stream, well or not, sets `_ended`; nothing is read after that.
    """

    __slots__ = ("_ended", "_sse")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._sse = SseDecoder(event_bytes_max)
        self._ended = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._sse.feed(data))

    def finish(self) -> list[StreamEvent]:
        """The last event counts if only its empty line is missing."""
        out = self._read([event for event in self._sse.finish() if self._is_whole(event.data)])
        if not self._ended:
            self._cut(out)
        return out

    def _read(self, events: list[SseEvent]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for event in events:
            if not self._ended:
                try:
                    self._event(event, out)
                except _UNREAD as error:
                    text = f"The provider sent an event that could not be read: {str(error)[:300]}."
                    self._fail(Fault(FaultKind.upstream_server, text), out)
        if self._sse.overflowed and not self._ended:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent an event that is too long."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _is_whole(self, data: bytes) -> bool:
        return data == DONE or is_complete_json(data)

    def _cut(self, out: list[StreamEvent]) -> None:
        """No event follows, and none was the end."""
        self._fail(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete."), out)

    def _event(self, event: SseEvent, out: list[StreamEvent]) -> None:
        """May raise what msgspec does for what is no event of the dialect."""
        raise NotImplementedError
