"""A stream translated on the way: one dialect's decoder in front of another one's renderer, with the face of a tap."""

from setpoint.domain.faults import Fault
from setpoint.domain.stream import Failed, Finished, Started, StreamEvent, UsageReported
from setpoint.domain.usage import Usage
from setpoint.wire.dialect import StreamDecoder, StreamRenderer


class TranslatingTap:
    """Forwards what the renderer makes of the decoder's events. A fault of the upstream is not rendered here but kept in `error`: before
    content another attempt may follow, and after it the relay's owner says so in the client's dialect.
    """

    __slots__ = ("_decoder", "_renderer", "content_started", "done", "error", "events", "finish", "model", "usage")

    def __init__(self, decoder: StreamDecoder, renderer: StreamRenderer) -> None:
        self._decoder = decoder
        self._renderer = renderer
        self.events = 0
        self.content_started = False
        self.usage: Usage | None = None
        self.model = ""
        self.finish = ""
        self.done = False
        self.error: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        return self._pass(self._decoder.feed(data))

    def flush(self) -> bytes:
        out = self._pass(self._decoder.finish())
        return out + self._renderer.finish() if self.error is None else out

    def _pass(self, events: list[StreamEvent]) -> bytes:
        out = []
        for event in events:
            self.events += 1
            if isinstance(event, Failed):
                self.error = event.fault
                break
            if isinstance(event, UsageReported):
                self.usage = event.usage
            elif isinstance(event, Finished):
                self.finish = event.finish
                self.done = True
            elif isinstance(event, Started):
                self.model = event.model
            else:
                self.content_started = True
            out.append(self._renderer.render(event))
        return b"".join(out)
