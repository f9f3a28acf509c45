"""The upstream client: calls, connections and the pool of one upstream.

A `Call` is one attempt in progress. The pool gives it a connection (the one used last, so that the surplus goes idle and is closed),
opens a new one up to the cap, or lets it wait in a bounded queue. The connection parses the answer with llhttp and tells the call:

    call.send → connecting | queued → sent → head → (stream: relay.feed per read)* → complete | fault

A kept connection that the upstream closed at the very moment we sent is a race nobody can avoid; such a call, if not one byte of an
answer came, is sent once more on a fresh connection. That is the only repetition here: retries are the attempt stage's decision.

Every deadline of a call lives in its connection's one timer: moving it is one assignment (see `kit.timer_wheel`).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Generator
from math import inf
from typing import Protocol

import httptools

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Timeouts, Upstream
from setpoint.gateway.coding import PLAIN, Inflater, inflater
from setpoint.gateway.deadlines import Deadline, Deadlines
from setpoint.gateway.drive import Drive

QUEUE_MAX = 4_096
"""Calls of one upstream that wait for a connection; the next one is `overloaded`."""
RECONNECT_S = 0.05
IDLE_S = 55.0
"""A kept connection is closed after this; below the 60 s at which many servers close theirs."""
HEAD_BYTES_MAX = 65_536
JOIN_BYTES_MAX = 65_536
"""Head and body are joined into one write up to this size; above it the copy costs more than the second write."""

STREAM_TYPES = (b"text/event-stream", b"application/vnd.amazon.eventstream", b"application/x-ndjson", b"application/stream+json")
"""What streamed answers are labelled by the vendors: events, Amazon's binary frames, or JSON line by line."""

Header = tuple[bytes, bytes]


class Relay(Protocol):
    """Takes a streamed answer as it comes."""

    def feed(self, data: bytes) -> None: ...


class Call:
    """One attempt: what is sent, what came back, and whose drive waits for it.

    `held` collects the body of an answer that is not relayed. `relay` is set by the caller when a stream is wanted; it is used only if
    the upstream does answer with status 200 and an event stream, and `streaming` then is true. After the end either `complete` is true
    or `fault` is set.
    """

    __slots__ = (
        "answer_bytes_max", "complete", "connection", "content_encoding", "content_type", "drive", "fault", "gated", "head_seen",
        "headers", "held", "held_bytes", "limit_at_s", "payload", "pool", "queued", "raw", "relay", "relay_all", "reused", "sent_at_s",
        "status", "streaming", "timeouts", "total_at_s", "undo", "until_s",
    )  # fmt: skip

    def __init__(
        self,
        drive: Drive,
        payload: tuple[bytes, bytes],
        timeouts: Timeouts,
        answer_bytes_max: int,
        relay: Relay | None,
        *,
        raw: bool = False,
        gated: bool = False,
    ) -> None:
        self.drive = drive
        self.payload = payload
        self.timeouts = timeouts
        self.answer_bytes_max = answer_bytes_max
        self.relay = relay
        self.raw = raw
        """Relay every good answer that is not JSON, streamed or not."""
        self.gated = gated
        """The first content has a deadline of its own, until `opened` says that it came."""
        self.relay_all = False
        """Relay whatever comes, of any status and type; for the engine's answers."""
        self.status = 0
        self.headers: list[Header] = []
        self.content_type = b""
        self.content_encoding = b""
        self.held: list[bytes] = []
        self.held_bytes = 0
        self.undo: Inflater | None = None
        self.streaming = False
        self.head_seen = False
        self.complete = False
        self.fault: Fault | None = None
        self.reused = False
        self.sent_at_s = 0.0
        self.total_at_s = 0.0
        self.limit_at_s = 0.0
        """No sign of life moves the deadline past this: the total one, or before the first content that one's."""
        self.until_s = inf
        """It must be over by then, whatever its timeouts say."""
        self.connection: UpstreamConnection | None = None
        self.pool: Pool | None = None
        self.queued: Deadline | None = None

    @property
    def over(self) -> bool:
        return self.complete or self.fault is not None

    def __await__(self) -> Generator[None, None, None]:
        """`await call`: until the answer is complete or has failed."""
        while not self.complete and self.fault is None:
            yield

    def body(self) -> bytes:
        """The answer's body as far as it was held."""
        held = self.held
        return held[0] if len(held) == 1 else b"".join(held)

    def fail(self, fault: Fault) -> None:
        """End the call; later news of it is ignored."""
        if self.complete or self.fault is not None:
            return
        self.fault = fault
        self.drive.resume()

    def give_up(self, fault: Fault) -> None:
        """End the call with `fault` although the upstream still works on it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.call = None
            connection.hang_up()
        elif self.pool is not None:
            self.pool.forget(self)
        self.fail(fault)

    def opened(self) -> None:
        """The first content came: from here on only the inactivity and the total deadline count."""
        self.limit_at_s = self.total_at_s
        if self.connection is not None:
            self.connection.touch(self)

    def wrap_up(self, within_s: float) -> None:
        """All that was asked for came; what is left is the end of the framing, and nobody waits long for that."""
        if self.connection is not None:
            self.total_at_s = self.limit_at_s = min(self.total_at_s, self.connection.now_s() + within_s)
            self.connection.touch(self)

    def abort(self) -> None:
        """Nobody wants the answer any more: hang up on the upstream, at once."""
        if self.complete or self.fault is not None:
            return
        self.fault = Fault(FaultKind.client_gone, "The client closed the connection.")
        if self.connection is not None:
            self.connection.hang_up()
        elif self.pool is not None:
            self.pool.forget(self)


class UpstreamConnection(asyncio.Protocol):
    """One connection to an upstream; carries one call at a time."""

    __slots__ = (
        "_bare", "_body_until_eof", "_deadline", "_ended", "_head_bytes", "_headers", "_interim", "_keep", "_parser", "_paused", "_pieces",
        "_pool", "_transport", "call",
    )  # fmt: skip

    def __init__(self, pool: "Pool") -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[Header] = []
        self._pieces: list[bytes] = []
        self._head_bytes = 0
        self._interim = False
        self._ended = False
        self._keep = False
        self._paused = False
        self._body_until_eof = False
        self._bare = True
        self._deadline: Deadline = pool.deadlines.timer(self._on_deadline)
        self.call: Call | None = None

    # ---- what the pool and the call do

    def send(self, call: Call, now_s: float) -> None:
        """Send a call's request; the connection is the call's until its answer ends."""
        self.call = call
        call.connection = self
        if call.queued is not None:
            call.queued.clear()
            call.queued = None
        call.sent_at_s = now_s
        timeouts = call.timeouts
        total_s = timeouts.stream_total_s if call.relay is not None else timeouts.unary_total_s
        call.total_at_s = call.limit_at_s = min(now_s + total_s, call.until_s)
        if call.gated:
            token_s = timeouts.first_byte_s if timeouts.first_token_s is None else timeouts.first_token_s
            call.limit_at_s = min(call.total_at_s, now_s + token_s)
        self._deadline.set(min(now_s + timeouts.first_byte_s, call.limit_at_s))
        self._bare = True
        self._head_bytes = 0
        transport = self._transport
        if transport is None:  # pragma: no cover - the pool sends on open connections only
            raise RuntimeError("send before connection_made")
        head, body = call.payload
        if len(body) <= JOIN_BYTES_MAX:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def hang_up(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """The client reads slowly: read no more, and do not blame the upstream for the silence."""
        if self._transport is not None and self.call is not None:
            self._paused = True
            self._transport.pause_reading()
            self._deadline.set(self.call.limit_at_s)

    def resume(self) -> None:
        if self._transport is not None and self.call is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()
            self.touch(self.call)

    def now_s(self) -> float:
        return self._pool.deadlines.now_s()

    def rest(self, now_s: float) -> None:
        """Go idle; close when nobody needs it for a while."""
        self._deadline.set(now_s + IDLE_S)

    # ---- what the transport says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport by construction
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        call = self.call
        if call is None:
            self.hang_up()  # bytes nobody asked for: this connection cannot be trusted with the next request
            return
        self._bare = False
        if not call.head_seen:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._ended:
                self._break(FaultKind.upstream_server, _what_is_wrong(error))
                return
            self._keep = False  # bytes nobody asked for behind a whole answer: that one is good, the connection is not
        if not call.head_seen and self._head_bytes > HEAD_BYTES_MAX:
            self._break(FaultKind.upstream_server, "The head of the upstream's answer is too large.")
            return
        if self._pieces:
            pieces = self._pieces
            self._pieces = []
            if call.relay is not None and call.fault is None:
                came = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                plain = came if call.undo is None else call.undo.feed(came, call.answer_bytes_max)
                if isinstance(plain, Fault):
                    self._break(plain.kind, plain.message)
                    return
                call.relay.feed(plain)
        if self._ended:
            self._ended = False
            self._let_go()
            self._finish(call)
        elif call.head_seen and not call.streaming:
            self.touch(call)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._deadline.clear()
        self._pool.closed(self)
        call, self.call = self.call, None
        if call is None or call.over:
            return
        call.connection = None
        if call.head_seen and self._body_until_eof and exc is None:
            self._finish(call)
        elif self._bare and call.reused and not call.head_seen:
            self._pool.send_again(call)
        elif call.head_seen:
            call.fail(Fault(FaultKind.upstream_cut, "The upstream closed the connection before its answer was complete."))
        else:
            call.fail(Fault(FaultKind.upstream_cut, "The upstream closed the connection without an answer."))

    def _on_deadline(self, now_s: float) -> None:
        call = self.call
        if call is None:
            self.hang_up()
            return
        if call.head_seen and call.streaming:
            if now_s >= call.total_at_s:
                what = "took longer in total than the route allows"
            elif now_s >= call.limit_at_s:
                what = "sent no content in time"
            else:
                what = "stopped sending in mid-stream"
        else:
            what = "did not answer in time"
        self._break(FaultKind.upstream_timeout, f"The upstream {what} (after {now_s - call.sent_at_s:.1f} s).")

    def _break(self, kind: FaultKind, message: str) -> None:
        call, self.call = self.call, None
        self.hang_up()
        if call is not None:
            call.connection = None
            call.fail(Fault(kind, message, upstream_status=call.status or None))

    def _finish(self, call: Call) -> None:
        call.connection = None
        call.complete = True
        call.drive.resume()

    # ---- what the parser says

    def on_message_begin(self) -> None:
        if self._ended:
            raise ValueError("there is a second answer behind the first")
        self._headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        call = self.call
        status = self._parser.get_status_code()
        if status < 200:
            if status == 101:
                raise ValueError("the upstream changes to another protocol, which nobody asked for")
            self._interim = True
            return
        if call is None:
            return
        call.status = status
        call.headers = self._headers
        call.head_seen = True
        length = False
        for name, value in self._headers:
            if name == b"content-type":
                call.content_type = value
            elif name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower()):
                length = True
            elif name == b"content-encoding":
                call.content_encoding = value.lower()
        self._body_until_eof = not length
        kind = call.content_type.lower()
        streams = b"json" not in kind if call.raw else kind.startswith(STREAM_TYPES)
        call.streaming = call.relay is not None and (call.relay_all or (streams and status == 200))
        if call.streaming and call.content_encoding not in PLAIN and not call.relay_all:
            undo = inflater(call.content_encoding)
            call.streaming = not isinstance(undo, Fault)  # else the held answer is refused for its coding
            call.undo = undo if isinstance(undo, Inflater) else None

    def on_body(self, data: bytes) -> None:
        call = self.call
        if call is None:
            return
        if call.streaming:
            self._pieces.append(data)
            self.touch(call)
            return
        call.held_bytes += len(data)
        if call.held_bytes > call.answer_bytes_max:
            raise ValueError(f"it is larger than {call.answer_bytes_max} bytes")
        call.held.append(data)

    def touch(self, call: Call) -> None:
        """Something came: the idle deadline moves on, never past the total one."""
        self._deadline.set(min(self._pool.deadlines.now_s() + call.timeouts.idle_s, call.limit_at_s))

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif self.call is not None:
            # The call ends in data_received, outside the parser: a stream's last pieces are still to be relayed.
            self._keep = self._parser.should_keep_alive()
            self._ended = True

    def _let_go(self) -> None:
        self.call = None
        transport = self._transport
        if self._keep and transport is not None and not transport.is_closing():
            if self._paused:  # by a client that was slow to take the last bytes; the next call has nothing to do with it
                self._paused = False
                transport.resume_reading()
            self._pool.released(self)
        else:
            self.hang_up()


def _what_is_wrong(error: Exception) -> str:
    """In words; llhttp's own are the best for broken framing, ours for what a callback did not accept."""
    cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    return f"The upstream's answer cannot be used: {cause}."


class Pool:
    """The connections of one upstream in one worker."""

    def __init__(
        self,
        upstream: Upstream,
        tls: ssl.SSLContext | None,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        *,
        patient: bool = False,
    ) -> None:
        """`patient`: a Unix socket that nobody listens on yet is tried again until the connect deadline."""
        self._patient = patient
        self.upstream = upstream
        self.deadlines = deadlines
        self._tls = tls
        self._loop = loop
        self._idle: list[UpstreamConnection] = []
        self._all: set[UpstreamConnection] = set()
        self._waiting: deque[Call] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def connections(self) -> int:
        return len(self._all)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Calls under way, those that wait for a connection included."""
        return len(self._all) - len(self._idle) + len(self._waiting)

    def send(self, call: Call) -> None:
        """Give the call a connection, now or as soon as there is one; it fails as `overloaded` when too many wait already."""
        call.pool = self
        if self._idle:
            call.reused = True
            self._idle.pop().send(call, self.deadlines.now_s())
        else:
            self._send_fresh(call)

    def send_again(self, call: Call) -> None:
        """The safe retry: on a connection that is certainly alive."""
        call.reused = False
        self._send_fresh(call)

    def _send_fresh(self, call: Call) -> None:
        if len(self._waiting) >= QUEUE_MAX:
            call.fail(Fault(FaultKind.overloaded, "Too many requests wait for a connection to the upstream.", retry_after_s=1.0))
            return
        self._waiting.append(call)
        waits_s = call.timeouts.connect_s + call.timeouts.first_byte_s
        call.queued = self.deadlines.timer(lambda _: self._waited_too_long(call, waits_s))
        call.queued.set(min(self.deadlines.now_s() + waits_s, call.until_s))
        self._open_for_waiting()

    def _waited_too_long(self, call: Call, waited_s: float) -> None:
        if call.connection is None:
            self.forget(call)
            text = f"No connection to the upstream became free within {waited_s:g} s (at most {self.upstream.connections_max} are opened)."
            call.fail(Fault(FaultKind.overloaded, text, retry_after_s=1.0))

    def _open_for_waiting(self) -> None:
        """As many connections as there are calls without one, up to the cap. Each that fails takes one call with it."""
        while len(self._opening) < len(self._waiting) and len(self._all) + len(self._opening) < self.upstream.connections_max:
            task = self._loop.create_task(self._open(self._waiting[0].timeouts.connect_s))
            self._opening.add(task)
            task.add_done_callback(self._opening_ended)

    def _opening_ended(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        if not task.cancelled():
            self._open_for_waiting()

    async def _open(self, connect_s: float) -> None:
        upstream = self.upstream
        try:
            async with asyncio.timeout(connect_s):
                if upstream.unix_path is not None:
                    await self._open_unix(upstream.unix_path)
                else:
                    host = upstream.host
                    await self._loop.create_connection(
                        lambda: UpstreamConnection(self), host, upstream.port, ssl=self._tls, server_hostname=host if self._tls else None
                    )
        except TimeoutError:
            self._refuse_one(FaultKind.upstream_timeout, f"Connecting to the upstream took longer than {connect_s:g} s.")
        except ssl.SSLError as error:
            self._refuse_one(FaultKind.upstream_unreachable, f"TLS with the upstream failed: {error}.")
        except OSError as error:
            self._refuse_one(FaultKind.upstream_unreachable, f"The upstream cannot be reached: {error.strerror or error}.")
        except ValueError as error:
            self._refuse_one(FaultKind.upstream_unreachable, f"The upstream's address cannot be used: {error}.")

    async def _open_unix(self, path: str) -> None:
        """A server behind a Unix socket is of this machine and often of this tree: while it restarts, wait instead of failing."""
        while True:
            try:
                await self._loop.create_unix_connection(lambda: UpstreamConnection(self), path)
            except (FileNotFoundError, ConnectionRefusedError):
                if not self._patient:
                    raise
                await asyncio.sleep(RECONNECT_S)
            else:
                return

    def _refuse_one(self, kind: FaultKind, message: str) -> None:
        if self._waiting:
            call = self._waiting.popleft()
            if call.queued is not None:
                call.queued.clear()
            call.fail(Fault(kind, message))

    def opened(self, connection: UpstreamConnection) -> None:
        self._all.add(connection)
        self.released(connection)

    def released(self, connection: UpstreamConnection) -> None:
        """A connection is free: the next waiting call gets it, else it rests on top of the idle stack."""
        now_s = self.deadlines.now_s()
        while self._waiting:
            call = self._waiting.popleft()
            if not call.over:
                connection.send(call, now_s)
                return
        if self._closed:
            connection.hang_up()
            return
        connection.rest(now_s)
        self._idle.append(connection)

    def closed(self, connection: UpstreamConnection) -> None:
        self._all.discard(connection)
        if connection.call is None and connection in self._idle:
            self._idle.remove(connection)
        self._open_for_waiting()

    def forget(self, call: Call) -> None:
        """A waiting call was given up."""
        if call.queued is not None:
            call.queued.clear()
        try:
            self._waiting.remove(call)
        except ValueError:
            return

    def close(self) -> None:
        """Close idle connections now and busy ones when their call ends; used when a plan no longer names this upstream."""
        self._closed = True
        for connection in self._idle:
            connection.hang_up()
        self._idle.clear()

    def abort(self) -> None:
        """Hang up on everything; for the end of the worker."""
        self.close()
        for task in self._opening:
            task.cancel()
        for connection in list(self._all):
            connection.hang_up()


TlsFor = Callable[[Upstream], ssl.SSLContext | None]
