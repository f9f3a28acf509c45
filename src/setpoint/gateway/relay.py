"""A streamed answer on its way from an upstream to a client.

    gated ──first content──> committing ──records of the turn written──> flowing ──> over

While it is gated nothing has reached the client, so the attempt may still fail and another be made: pieces are held. The first
content opens the gate; the attempt stage then commits the exchange, which writes a BEGIN record, and only when that is in the
spool may bytes flow (see `turn`). From then on each piece goes through the tap straight to the client's socket; the stage's
coroutine sleeps until the end."""

from setpoint.gateway.drive import Drive
from setpoint.gateway.server import ClientConnection
from setpoint.wire.dialect import StreamTap

HELD_BYTES_MAX = 4_194_304
"""What may come before the first content; a model that thinks in silence sends comments, not megabytes."""
GATED, COMMITTING, FLOWING = range(3)


class Relay:
    """See the module's text. `open` is true when the gate is; `tap` tells what came by."""

    __slots__ = (
        "_connection", "_drive", "_events_max", "_held", "_kept", "_kept_bytes", "_kept_max", "_state", "bytes", "open", "tap",
        "too_long", "translated",
    )  # fmt: skip

    def __init__(self, connection: ClientConnection, drive: Drive, tap: StreamTap, events_max: int, kept_bytes_max: int) -> None:
        self._connection = connection
        self._drive = drive
        self._events_max = events_max
        self._state = GATED
        self._held: list[bytes] = []
        self._kept: list[bytes] = []
        self._kept_bytes = 0
        self._kept_max = kept_bytes_max
        self.tap = tap
        self.bytes = 0
        self.open = False
        self.too_long = False
        self.translated = False
        """A translated stream's own error events are not passed on as they are; somebody has to say them in the client's dialect."""

    def feed(self, data: bytes) -> None:
        """The upstream's next bytes, cut anywhere."""
        tap = self.tap
        out = tap.feed(data)
        if out:
            self._forward(out)
        if tap.events > self._events_max and not self.too_long:
            self.too_long = True
            self._drive.resume()
        elif not self.open and (tap.content_started or tap.done or tap.error is not None):
            self.open = True
            self._drive.resume()

    def _forward(self, out: bytes) -> None:
        self.bytes += len(out)
        if self._kept_bytes < self._kept_max:
            self._kept.append(out)
            self._kept_bytes += len(out)
        if self._state == FLOWING:
            self._connection.write_piece(out)
        else:
            self._held.append(out)
            if self.bytes > HELD_BYTES_MAX and not self.too_long:
                self.too_long = True
                self._drive.resume()

    def commit(self) -> None:
        """The exchange is this stream's; bytes wait for the BEGIN record only."""
        self._state = COMMITTING

    def flow(self, head: bytes) -> None:
        """The record is written: send the head and what was held, and from now on what comes."""
        self._state = FLOWING
        held = b"".join(self._held)
        self._held.clear()
        connection = self._connection
        if not held:
            connection.write(head)
        elif connection.chunked:
            connection.write(b"%b%x\r\n%b\r\n" % (head, len(held), held))
        else:
            connection.write(head + held)

    def end(self) -> bytes:
        """The upstream is done: what the tap still held, and what never flowed. The caller sends it."""
        rest = self.tap.flush()
        if rest:
            self.bytes += len(rest)
            if self._kept_bytes < self._kept_max:
                self._kept.append(rest)
                self._kept_bytes += len(rest)
        if self._state == FLOWING:
            return rest
        held = b"".join(self._held) + rest
        self._held.clear()
        return held

    def kept(self) -> bytes:
        """The stream as the client got it, up to the limit."""
        return b"".join(self._kept)[: self._kept_max]

    @property
    def held_bytes(self) -> int:
        """What this keeps in memory."""
        return self._kept_bytes + (0 if self._state == FLOWING else self.bytes)

    @property
    def kept_whole(self) -> bool:
        return self._kept_bytes == self.bytes and self._kept_bytes <= self._kept_max
