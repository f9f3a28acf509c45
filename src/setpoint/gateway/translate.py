"""A stream translated on the way: one dialect's decoder in front of another one's renderer, with the face of a tap."""

from typing import Protocol

from msgspec.structs import replace

from setpoint.domain.faults import Fault
from setpoint.domain.stream import Failed, Finished, Started, StreamEvent, UsageReported
from setpoint.domain.usage import Usage
from setpoint.gateway.exchange import Framer
from setpoint.wire.dialect import StreamDecoder, StreamRenderer, StreamTap


class TranslatingTap:
    """Forwards what the renderer makes of the decoder's events. A fault of the upstream is not rendered here but kept in `error`: before
    content another attempt may follow, and after it the relay's owner says so in the client's dialect.
    """

    __slots__ = ("_answer_id", "_decoder", "_renderer", "content_started", "done", "error", "events", "finish", "model", "usage")

    def __init__(self, decoder: StreamDecoder, renderer: StreamRenderer, answer_id: str) -> None:
        """`answer_id` is shown where the provider names its answer by none."""
        self._answer_id = answer_id
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
                if not event.id:
                    event = replace(event, id=self._answer_id)  # noqa: PLW2901  the same event, named
            else:
                self.content_started = True
            out.append(self._renderer.render(event))
        return b"".join(out)


class Unframer(Protocol):
    """Takes one framing of a stream off. `error` is set when it met what the framing reports as one."""

    error: Fault | None

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Behind:
    """A tap whose facts are those of another one behind it."""

    __slots__ = ("_inner",)

    def __init__(self, inner: StreamTap) -> None:
        self._inner = inner

    @property
    def events(self) -> int:
        return self._inner.events

    @property
    def content_started(self) -> bool:
        return self._inner.content_started

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def finish(self) -> str:
        return self._inner.finish

    @property
    def done(self) -> bool:
        return self._inner.done

    @property
    def error(self) -> Fault | None:
        return self._inner.error


class UnframingTap(_Behind):
    """A dialect inside a cloud's own framing: the framing is taken off first."""

    __slots__ = ("_unframer",)

    def __init__(self, unframer: Unframer, inner: StreamTap) -> None:
        super().__init__(inner)
        self._unframer = unframer

    @property
    def error(self) -> Fault | None:
        return self._inner.error or self._unframer.error

    def feed(self, data: bytes) -> bytes:
        return self._inner.feed(self._unframer.feed(data))

    def flush(self) -> bytes:
        return self._inner.feed(self._unframer.finish()) + self._inner.flush()


class ReframingTap(_Behind):
    """A dialect for a client that wants another framing than usual: it is put on last. Whoever ends the stream finishes the framer."""

    __slots__ = ("_framer",)

    def __init__(self, inner: StreamTap, framer: Framer) -> None:
        super().__init__(inner)
        self._framer = framer

    def feed(self, data: bytes) -> bytes:
        return self._framer.feed(self._inner.feed(data))

    def flush(self) -> bytes:
        return self._framer.feed(self._inner.flush())
