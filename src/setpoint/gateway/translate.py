"""A stream translated on the way: one dialect's decoder in front of another one's renderer, with the face of a tap."""

from collections.abc import Callable, Iterable
from typing import Protocol

from msgspec.structs import replace

from setpoint.domain.faults import Fault
from setpoint.domain.stream import Failed, Finished, Started, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta, UsageReported
from setpoint.domain.usage import Usage
from setpoint.gateway.exchange import Framer
from setpoint.wire.bodies import pieces
from setpoint.wire.dialect import DELTA_BYTES_MAX, StreamDecoder, StreamRenderer, StreamTap

Through = Callable[[StreamEvent], Iterable[StreamEvent]]
"""What becomes of an event on its way from the decoder to the renderer."""


class TranslatingTap:
    """Forwards what the renderer makes of the decoder's events. A fault of the upstream is not rendered here but kept in `error`: before
    content another attempt may follow, and after it the relay's owner says so in the client's dialect.

    `model`, `usage` and `finish` are those of this call; what the client is told of them may be changed by `through`.
    """

    __slots__ = (
        "_answer_id", "_decoder", "_delta_max", "_renderer", "_through", "content_started", "done", "error", "events", "finish", "model",
        "usage",
    )  # fmt: skip

    def __init__(
        self,
        decoder: StreamDecoder,
        renderer: StreamRenderer,
        answer_id: str,
        delta_bytes_max: int = DELTA_BYTES_MAX,
        through: Through | None = None,
    ) -> None:
        """`answer_id` is shown where the provider names its answer by none."""
        self._answer_id = answer_id
        self._decoder = decoder
        self._renderer = renderer
        self._delta_max = delta_bytes_max
        self._through = through
        self.events = 0
        self.content_started = False
        self.usage: Usage | None = None
        self.model = ""
        self.finish = ""
        self.done = False
        self.error: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        return self.tell(self._decoder.feed(data))

    def flush(self) -> bytes:
        out = self.tell(self._decoder.finish())
        return out + self._renderer.finish() if self.error is None else out

    def tell(self, events: Iterable[StreamEvent]) -> bytes:
        """What the client is shown of these events."""
        out: list[bytes] = []
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
            if self._through is None and self._delta_max == DELTA_BYTES_MAX:
                out.append(self._renderer.render(event))
            else:
                out += [self._renderer.render(part) for shown in self._shown(event) for part in parted(shown, self._delta_max)]
        return b"".join(out)

    def _shown(self, event: StreamEvent) -> Iterable[StreamEvent]:
        return (event,) if self._through is None else self._through(event)


def parted(event: StreamEvent, most: int) -> Iterable[StreamEvent]:
    """A delta as several whose texts have at most `most` bytes each; a signature stays with the last."""
    if isinstance(event, TextDelta | ThinkingDelta) and len(event.text) * 4 > most:
        parts = pieces(event.text, most)
        return [*(replace(event, text=part, signature="") for part in parts[:-1]), replace(event, text=parts[-1])]
    if isinstance(event, ToolCallDelta) and len(event.arguments) * 4 > most:
        return [replace(event, arguments=part) for part in pieces(event.arguments, most)]
    return (event,)


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

    @property
    def inner_error_shown(self) -> bool:
        return error_shown(self._inner)


def error_shown(tap: StreamTap) -> bool:
    """Whether the client has seen the stream's error: only one that the provider itself said, in the client's own dialect."""
    if isinstance(tap, TranslatingTap):
        return False
    if isinstance(tap, _Behind):
        return tap.inner_error_shown
    return tap.error is not None and tap.error.upstream_body is not None


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
