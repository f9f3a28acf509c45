"""The server side of a client's connection: HTTP/1.1 by llhttp, one exchange at a time.

    bytes ─feed→ parser ─→ complete requests wait in one FIFO ─→ active request ─answered→ next
              ↑
    held: what came while a request was active; reading is paused until it is answered

Hot and cold requests share the FIFO, so a fast answer can never overtake a slow one before it (RFC 9112 section 9.3.2). A client that
pipelines gets at most one read of its bytes held here; TCP holds the rest.

What is refused, and why: no or two Host (RFC 9112 3.2), a head above its limit (431), a body above its limit (413), a head or
body that trickles in too slowly (408), and whatever llhttp in strict mode rejects, among it Content-Length together with chunked.
An HTTP/2 preface gets 505 with a hint. `Upgrade` to anything but WebSocket is ignored as RFC 9110 7.8 allows, but llhttp would
stop parsing there and leave the body to be read as the next request (a smuggling gadget), so the head is replayed to a fresh
parser without the upgrade."""

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Protocol

import httptools

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Limits
from setpoint.gateway.deadlines import Deadline, Deadlines

PIPELINE_MAX = 128
"""Complete requests that may wait behind the active one; the connection is closed beyond."""
HEADERS_MAX = 200
PIECES_MAX = 64
"""Pieces of a body that are kept as they came; a body in chunks of two bytes would else hold 27 times its size in objects."""
_UPGRADE_HEADERS = frozenset({b"upgrade", b"connection", b"http2-settings", b"keep-alive"})
_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

LINGER_S = 2.0
"""How long a client that was refused in mid-request may go on sending."""
CLOSE_S = 30.0
"""A client that takes not one byte of a last answer for so long is cut off."""
_ACKED_AT = 120
_TCP_INFO_BYTES = 128
FRAMING_SHARE_MAX = 8
"""Bytes on the wire per byte of a chunked body, beyond which somebody sends chunk extensions or trailers instead of a body."""
ENDLESS = 1 << 62
EARLY_BYTES = 65_536
"""A request with a longer body is refused at its head, when the worker is overloaded: its body is not read at all."""
LOOK_S = 0.5
"""How often a connection that is not read, because its client sent ahead, is looked at: has the client left?"""
_GONE_STATES = frozenset({7, 8, 9, 11})
"""TCP_CLOSE, TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING of Linux' tcp_states.h: the other side has closed, or reset."""

NEW, HEAD, BODY, OVER = range(4)
"""How far the request being read has come; OVER: nothing more is read from this connection."""


class Refusal(Exception):
    """Raised inside a parser callback: this request is not read any further. `status` replaces the fault's own where HTTP has a
    better one.
    """

    def __init__(self, fault: Fault, status: int | None = None) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.status = status or fault.http_status


class Request:
    """One request as parsed. Header names are lower case; `headers` keeps the last of repeated ones, `repeated` the earlier.

    `fault` is set when the request was refused while it was read; such a request is never looked at further.
    """

    __slots__ = (
        "admitted",
        "body",
        "fault",
        "headers",
        "http10",
        "keep_alive",
        "method",
        "pieces",
        "repeated",
        "size",
        "target",
        "upgrade",
    )

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.fault: Refusal | None = None
        self.headers: dict[bytes, bytes] = {}
        self.repeated: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes | bytearray] = []
        self.body = b""
        self.size = 0
        self.keep_alive = True
        self.http10 = False
        self.upgrade = False
        self.admitted = False
        """Let in already, when only its head was here."""


class Splice(Protocol):
    """The other half of an upgraded connection."""

    def from_client(self, data: bytes) -> None: ...

    def client_lost(self) -> None: ...


class Work(Protocol):
    """What is under way for the active request."""

    def client_gone(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class Lane(Protocol):
    """What a connection needs of the worker."""

    limits: Limits
    deadlines: Deadlines
    draining: bool
    body_bytes_held: int

    def opened(self, connection: "ClientConnection") -> bool: ...

    def closed(self, connection: "ClientConnection") -> None: ...

    def dispatch(self, connection: "ClientConnection", request: Request) -> None: ...

    def at_head(self, connection: "ClientConnection", request: Request) -> Fault | None: ...

    def next_turn(self, callback: Callable[[], None]) -> None: ...


class _Nowhere(dict[bytes, bytes]):
    """Takes the trailer fields of a chunked body, and keeps none: what comes behind a body must not change what the head said
    (RFC 9110 section 6.5.1).
    """

    def __contains__(self, name: object) -> bool:
        return False

    def __setitem__(self, name: bytes, value: bytes) -> None:
        return


NOWHERE = _Nowhere()


def head_too_large(limits: Limits) -> Fault:
    return Fault(FaultKind.too_large, f"The request's head is larger than {limits.head_bytes_max} bytes or {HEADERS_MAX} fields.")


def acknowledged_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the other side's kernel has taken on this connection (Linux, `tcpi_bytes_acked` of tcp(7)'s TCP_INFO)."""
    info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    return int.from_bytes(info[_ACKED_AT : _ACKED_AT + 8], sys.byteorder)


def has_left(transport: asyncio.Transport) -> bool:
    """Whether the other side has closed or reset this connection, without reading what lies before that (`tcpi_state` of TCP_INFO)."""
    try:
        info = transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    except (OSError, AttributeError):
        return False  # not TCP: nothing is known, so it is there
    return info[0] in _GONE_STATES


class ClientConnection(asyncio.Protocol):
    """See the module's text. One instance per accepted connection."""

    __slots__ = (
        "_active", "_awaited", "_choked", "_deadline", "_fields", "_head_bytes", "_held", "_lane", "_parser", "_queue", "_request",
        "_resting", "_stage", "_transport", "_unsent", "chunked", "lost", "peer", "purpose", "spliced", "stale", "tls", "work",
    )  # fmt: skip

    def __init__(self, lane: Lane, purpose: str, *, tls: bool) -> None:
        self._lane = lane
        self.purpose = purpose
        self.tls = tls
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._stage = NEW
        self._awaited = NEW
        self._choked = False
        self._fields = self._request.headers
        self._unsent = ENDLESS
        self._head_bytes = 0
        self._queue: deque[Request] = deque()
        self._active: Request | None = None
        self._held = b""
        self._resting = False
        self.stale = False
        """What is read now lay there while this rested."""
        self._deadline: Deadline = lane.deadlines.timer(self._on_deadline)
        self.work: Work | None = None
        self.chunked = True
        self.lost = False
        self.peer = ""
        self.spliced: Splice | None = None

    # ---- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport by construction
        address = transport.get_extra_info("peername")
        self.peer = address[0] if isinstance(address, tuple) else "unix"
        if not self._lane.opened(self):
            self.abort()
            return
        self._deadline.set(self._lane.deadlines.now_s() + self._lane.limits.head_s)

    def data_received(self, data: bytes) -> None:
        if self.spliced is not None:
            self.spliced.from_client(data)
        elif self._active is not None or self._held or self._choked or self._resting:
            self._held += data
            self._transport.pause_reading()  # type: ignore[union-attr]  # open, or nothing would be received
            if self._active is not None:
                self._deadline.set(self._lane.deadlines.now_s() + LOOK_S)
        elif self._stage != OVER:
            self._feed(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.lost = True
        self._deadline.clear()
        if self.spliced is not None:
            self.spliced.client_lost()
        self._drop_bodies()
        self._lane.closed(self)
        if self.work is not None:
            self.work.client_gone()

    def pause_writing(self) -> None:
        self._choked = True
        if self.work is not None:
            self.work.pause()

    def resume_writing(self) -> None:
        self._choked = False
        if self.work is not None:
            self.work.resume()
        elif self._active is None and not self.lost:
            self._lane.next_turn(self._go_on)

    # ---- parsing

    def _feed(self, data: bytes) -> None:
        self._head_bytes += len(data)
        error: httptools.HttpParserError | None = None
        upgrade_at = -1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            upgrade_at = upgrade.args[0]
        except httptools.HttpParserError as raised:
            error = raised
        if upgrade_at >= 0:
            self._upgraded(data, upgrade_at)
        elif error is not None and self._stage != OVER:
            self._malformed(data, error)
        elif self._stage == HEAD and self._head_bytes > self._lane.limits.head_bytes_max:
            self._refuse(Refusal(head_too_large(self._lane.limits), 431))
        elif self._queue and self._active is None:
            self._next()
        elif self._stage != NEW and self._active is None:
            if self._fields is NOWHERE and self._head_bytes > self._lane.limits.head_bytes_max + FRAMING_SHARE_MAX * self._request.size:
                text = "The body's chunks bring little but chunk extensions, trailers or framing."
                self._refuse(Refusal(Fault(FaultKind.bad_request, text)))
            else:
                self._wait_for_rest()

    def on_message_begin(self) -> None:
        self._request = request = Request()
        self._fields = request.headers
        self._stage = HEAD

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        headers = self._fields
        if name in headers:
            self._request.repeated.append((name, headers[name]))
        headers[name] = value

    def _check_head(self, request: Request) -> None:
        """The exact size is summed up only when the reads that brought the head were larger than its limit."""
        fields = [*request.headers.items(), *request.repeated]
        size = len(request.target) + sum(len(name) + len(value) + 4 for name, value in fields)
        if size > self._lane.limits.head_bytes_max or len(fields) > HEADERS_MAX:
            raise Refusal(head_too_large(self._lane.limits), 431)

    def on_headers_complete(self) -> None:
        request, parser = self._request, self._parser
        fields = len(request.headers) + len(request.repeated)
        if self._head_bytes > self._lane.limits.head_bytes_max or fields > HEADERS_MAX or self._queue:
            self._check_head(request)
        request.method = parser.get_method()
        if request.method == b"CONNECT":
            raise Refusal(Fault(FaultKind.method_not_allowed, "This is a gateway for models, not a tunnel: CONNECT is not served."))
        version = parser.get_http_version()
        request.http10 = version == "1.0"
        request.keep_alive = parser.should_keep_alive()
        headers = request.headers
        request.upgrade = b"upgrade" in headers and parser.should_upgrade()
        if b"host" not in headers:
            if not request.http10:
                raise Refusal(Fault(FaultKind.bad_request, "The request has no Host header (RFC 9112 section 3.2)."))
        elif request.repeated and any(name == b"host" for name, _ in request.repeated):
            raise Refusal(Fault(FaultKind.bad_request, "The request has more than one Host header (RFC 9112 section 3.2)."))
        if (length := headers.get(b"content-length")) is not None and length.isdigit():
            self._check_length(int(length), request)
        self._stage = BODY
        self._head_bytes = 0
        if b"transfer-encoding" in headers:
            self._fields = NOWHERE
        if b"expect" in headers:
            if headers[b"expect"].lower() != b"100-continue":
                raise Refusal(Fault(FaultKind.bad_request, "Only 'Expect: 100-continue' can be met."), 417)
            if self._active is None and not self._queue and not request.http10:
                self.write(CONTINUE)

    def _check_length(self, length: int, request: Request) -> None:
        """A body is announced: it may be too large, or come at a bad time."""
        if length > self._lane.limits.body_bytes_max:
            raise Refusal(self._body_too_large())
        if length > EARLY_BYTES and (fault := self._lane.at_head(self, request)) is not None:
            raise Refusal(fault)

    def on_body(self, data: bytes) -> None:
        request = self._request
        pieces = request.pieces
        if len(pieces) > PIECES_MAX:
            pieces[-1] += data
        else:
            pieces.append(data if len(pieces) < PIECES_MAX else bytearray(data))
        request.size += len(data)
        self._lane.body_bytes_held += len(data)
        if request.size > self._lane.limits.body_bytes_max:
            raise Refusal(self._body_too_large())
        if self._lane.body_bytes_held > self._lane.limits.bodies_bytes_max:
            raise Refusal(Fault(FaultKind.overloaded, "The gateway holds too many large request bodies now.", retry_after_s=1.0))

    def _body_too_large(self) -> Fault:
        return Fault(FaultKind.too_large, f"The request's body is larger than {self._lane.limits.body_bytes_max} bytes.")

    def on_message_complete(self) -> None:
        request = self._request
        if request.upgrade:
            return  # queued by _upgraded, once it is known what the bytes behind the head are
        pieces = request.pieces
        if pieces:
            request.body = b"".join(pieces)
            request.pieces = []
        if len(self._queue) >= PIPELINE_MAX:
            raise Refusal(Fault(FaultKind.overloaded, f"More than {PIPELINE_MAX} requests were pipelined on one connection."))
        self._queue.append(request)
        self._head_bytes = 0
        # What follows a request that asked to close is nobody's (RFC 9112 9.6); llhttp calls it an error, and rightly so.
        self._stage = NEW if request.keep_alive else OVER

    def _upgraded(self, data: bytes, offset: int) -> None:
        request = self._request
        if request.headers.get(b"upgrade", b"").lower() == b"websocket" and request.method == b"GET":
            self._held = data[offset:]
            self._stage = OVER
            request.keep_alive = False  # spliced or refused, no request can follow
            self._queue.append(request)
            if self._active is None:
                self._next()
            return
        request.upgrade = False
        head = [b"%b %b HTTP/1.%d\r\n" % (request.method, request.target, 0 if request.http10 else 1)]
        for name, value in [*request.repeated, *request.headers.items()]:
            if name not in _UPGRADE_HEADERS:
                head.append(b"%b: %b\r\n" % (name, value))
        if b"close" in request.headers.get(b"connection", b"").lower():
            head.append(b"connection: close\r\n")
        self._parser = httptools.HttpRequestParser(self)
        self._feed(b"".join(head) + b"\r\n" + data[offset:])

    def _malformed(self, data: bytes, error: httptools.HttpParserError) -> None:
        """Answer what can be answered and close: after a parse error nobody knows where the next request begins."""
        if isinstance(error, httptools.HttpParserCallbackError):
            cause = error.__context__
            if not isinstance(cause, Refusal):
                raise cause or error  # a bug of ours, not the client's
            refusal = cause
        elif data.startswith(_H2_PREFACE):
            text = "This port speaks HTTP/1.1; HTTP/2 is not offered here. Send requests as HTTP/1.1."
            refusal = Refusal(Fault(FaultKind.bad_request, text), 505)
        else:
            refusal = Refusal(Fault(FaultKind.bad_request, f"The request is not valid HTTP/1.1: {error}."))
        self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        """Queue the half-read request as a refused one, the last of this connection."""
        request = self._request
        request.fault = refusal
        request.keep_alive = False
        self._stage = OVER
        self._queue.append(request)
        if self._active is None:
            self._next()

    def _wait_for_rest(self) -> None:
        """Half a request is here: one deadline for the rest of its head, then one for its body. More bytes do not push it on."""
        if self._awaited == self._stage:
            return
        self._awaited = self._stage
        limits = self._lane.limits
        self._deadline.set(self._lane.deadlines.now_s() + (limits.head_s if self._stage == HEAD else limits.body_s))

    def _on_deadline(self, now_s: float) -> None:
        transport = self._transport
        if transport is not None and transport.is_closing():
            self._hurry(transport, now_s)
            return
        if self._active is not None:
            self._look(now_s)
        elif self._resting:
            self._wake()
        elif self._stage in (HEAD, BODY):
            part = "head" if self._stage == HEAD else "body"
            self._refuse(Refusal(Fault(FaultKind.request_timeout, f"The request's {part} did not arrive in time.")))
        else:
            self.close()

    def _look(self, now_s: float) -> None:
        """A client that sent ahead is not read, so its leaving would not be noticed either."""
        if not self._held or self._transport is None:
            return
        if has_left(self._transport):
            self._transport.abort()
        else:
            self._deadline.set(now_s + LOOK_S)

    def rest(self, seconds: float) -> None:
        """Read nothing for a while: the client was refused, and what it sends at once would be refused again."""
        if self._transport is None or self.lost or self._transport.is_closing() or self._active is not None:
            return
        self._resting = True
        self._transport.pause_reading()
        self._deadline.set(self._lane.deadlines.now_s() + seconds)

    def _wake(self) -> None:
        self._resting = False
        if self._transport is not None:
            self.stale = True
            self._lane.next_turn(self._freshen)
            self._transport.resume_reading()
            self._deadline.set(self._lane.deadlines.now_s() + self._lane.limits.idle_s)
            self._go_on()

    def _freshen(self) -> None:
        """What comes from now on was not there while this rested."""
        self.stale = False

    def _hurry(self, transport: asyncio.Transport, now_s: float) -> None:
        """We closed, and the client is slow to take the rest: it has time as long as it takes something."""
        # Behind TLS the transport does not know what waits below it, so the kernel is asked what has arrived.
        unsent = -acknowledged_bytes(transport) if self.tls else transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._unsent = unsent
            self._deadline.set(now_s + CLOSE_S)
        else:
            transport.abort()

    # ---- the FIFO

    def _next(self) -> None:
        """Start the oldest waiting request."""
        request = self._queue.popleft()
        self._active = request
        self._awaited = NEW
        if self._held:
            self._deadline.set(self._lane.deadlines.now_s() + LOOK_S)
        else:
            self._deadline.rest()
        self.chunked = not request.http10
        self._lane.dispatch(self, request)

    def answered(self, *, keep_alive: bool) -> None:
        """The active request's answer is written whole; go on with the next, or close."""
        request, self._active, self.work = self._active, None, None
        if request is not None:
            self._lane.body_bytes_held -= request.size
        if self.lost:
            return
        if not keep_alive or (self._stage == OVER and not self._queue):
            if request is not None and request.fault is not None:
                self._linger()
            else:
                self.close()
        elif self._queue and not self._choked:
            self._lane.next_turn(self._go_on)
        else:
            self._deadline.set(self._lane.deadlines.now_s() + self._lane.limits.idle_s)
            # Answers that a client does not read must not pile up here: the next request waits until this one's answer has left.
            if (self._held or self._stage != NEW) and not self._choked:
                self._read_on()

    def _go_on(self) -> None:
        """What waited may begin; but not on a connection that is closing, whose client will ask again elsewhere."""
        if self._active is not None or self.lost or self._choked or self._resting:
            return
        if self._transport is None or self._transport.is_closing():
            return
        if self._queue:
            self._next()
        else:
            self._read_on()

    def _read_on(self) -> None:
        """Nothing complete waits: take what was held, or the rest of what is half read."""
        request = self._request
        if self._held:
            held, self._held = self._held, b""
            self._transport.resume_reading()  # type: ignore[union-attr]  # not lost, so open
            self._feed(held)
        elif self._stage in (HEAD, BODY):
            if self._stage == BODY and b"expect" in request.headers and not request.size and not request.http10:
                self.write(CONTINUE)  # its head came behind another request, when it was not its turn
            self._wait_for_rest()

    @property
    def idle(self) -> bool:
        """Nothing under way and nothing half read."""
        return self._active is None and not self._queue and self._stage == NEW

    @property
    def choked(self) -> bool:
        """The client reads slowly, and takes no more for now."""
        return self._choked

    @property
    def ahead_bytes(self) -> int:
        """What came behind the active request and is not read on."""
        return len(self._held)

    @property
    def unsent_bytes(self) -> int:
        """What waits here because the client reads slowly; 0 as long as it is little."""
        return self._transport.get_write_buffer_size() if self._choked and self._transport is not None else 0

    # ---- writing

    def write(self, data: bytes) -> None:
        if self._transport is not None and not self.lost:
            self._transport.write(data)

    def write_piece(self, data: bytes) -> None:
        """A piece of a streamed body, as one HTTP chunk; plain for an HTTP/1.0 client."""
        self.write(b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data)

    def close(self) -> None:
        """Close once everything written is sent."""
        self._resting = False
        if self._transport is not None:
            self._transport.close()
            self._deadline.set(self._lane.deadlines.now_s() + CLOSE_S)

    def _linger(self) -> None:
        """Close, but read on for a moment: a socket closed on unread bytes is reset, and takes the refusal with it (RFC 9112 9.6)."""
        transport = self._transport
        self._held = b""
        if transport is not None and not transport.is_closing():
            transport.resume_reading()
            if transport.can_write_eof():
                transport.write_eof()
            self._deadline.set(self._lane.deadlines.now_s() + LINGER_S)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._transport is not None and not self.lost:
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._transport is not None and not self.lost and not self._transport.is_closing():
            self._transport.resume_reading()

    def take_held(self) -> bytes:
        """Bytes that came behind a request that upgrades the connection."""
        held, self._held = self._held, b""
        return held

    def _drop_bodies(self) -> None:
        for request in self._queue:
            self._lane.body_bytes_held -= request.size
        self._queue.clear()
        if self._active is not None:
            self._lane.body_bytes_held -= self._active.size
            self._active = None
        if self._stage in (HEAD, BODY):
            self._lane.body_bytes_held -= self._request.size
