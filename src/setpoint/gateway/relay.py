"""A streamed answer on its way from an upstream to a client.

    gated ──first content──> committing ──records of the turn written──> flowing ──> over

While it is gated nothing has reached the client, so the attempt may still fail and another be made: pieces are held. The first
content opens the gate; the attempt stage then commits the exchange, which writes a BEGIN record, and only when that is in the
spool may bytes flow (see `turn`). From then on each piece goes through the tap straight to the client's socket, in writes of at
most 8 KiB; the stage's coroutine sleeps until the stream's own end, its error, or the end of the call.

A stream that is continued by another call goes on here, with another tap."""

from setpoint.domain.plan import StreamLimits
from setpoint.gateway.drive import Drive
from setpoint.gateway.server import ClientConnection
from setpoint.gateway.small_writes import small_writes
from setpoint.wire.dialect import StreamTap

HELD_BYTES_MAX = 4_194_304
"""What may come before the first content; a model that thinks in silence sends comments, not megabytes."""
FRAMING_BYTES = 12
"""What HTTP/1.1 puts around a chunk: its length in hex, and two line ends."""
WRITE_BYTES_MAX = StreamLimits().write_bytes_max
GATED, COMMITTING, FLOWING = range(3)


class Relay:
    """See the module's text. `open` is true when the gate is; `tap` tells what came by; `over` that its terminal or an error came."""

    __slots__ = (
        "_connection", "_drive", "_events_max", "_held", "_kept", "_kept_bytes", "_kept_max", "_piece_max", "_state", "bytes", "open",
        "over", "tap", "too_long",
    )  # fmt: skip

    def __init__(
        self,
        connection: ClientConnection,
        drive: Drive,
        tap: StreamTap,
        events_max: int,
        kept_bytes_max: int,
        write_bytes_max: int = WRITE_BYTES_MAX,
    ) -> None:
        self._connection = connection
        self._piece_max = write_bytes_max - FRAMING_BYTES
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
        self.over = False
        self.too_long = False

    def feed(self, data: bytes) -> None:
        """The upstream's next bytes, cut anywhere."""
        tap = self.tap
        out = tap.feed(data)
        if out:
            self._forward(out)
        if tap.events > self._events_max and not self.too_long and not tap.done:
            self.too_long = True
            self._drive.resume()
        elif tap.done or tap.error is not None:
            if not self.over:
                self.open = self.over = True
                self._drive.resume()
        elif not self.open and tap.content_started:
            self.open = True
            self._drive.resume()

    def _forward(self, out: bytes) -> None:
        self._keep(out)
        if self._state == FLOWING:
            self._write(out)
        else:
            self._held.append(out)
            if self.bytes > HELD_BYTES_MAX and not self.too_long:
                self.too_long = True
                self._drive.resume()

    def _write(self, out: bytes) -> None:
        if len(out) <= self._piece_max:
            self._connection.write_piece(out)
        else:
            for piece in small_writes(out, self._piece_max):
                self._connection.write_piece(piece)

    def put(self, out: bytes) -> None:
        """Send something that did not come through the tap."""
        if out:
            self._forward(out)

    def go_on(self, tap: StreamTap) -> None:
        """Another call continues the stream; it is gated anew, but its head is out."""
        self._events_max -= self.tap.events
        self.tap = tap
        self.open = self.over = False

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
        elif len(head) + len(held) > self._piece_max:
            connection.write(head)
            self._write(held)
        elif connection.chunked:
            connection.write(b"%b%x\r\n%b\r\n" % (head, len(held), held))
        else:
            connection.write(head + held)

    def end(self) -> bytes:
        """The upstream is done: what the tap still held, if that is small. The caller sends it behind everything else."""
        rest = self.tap.flush()
        if self._state != FLOWING or len(rest) > self._piece_max:
            self.put(rest)
            return b""
        self._keep(rest)
        return rest

    def _keep(self, out: bytes) -> None:
        self.bytes += len(out)
        if self._kept_bytes < self._kept_max:
            self._kept.append(out)
            self._kept_bytes += len(out)

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
