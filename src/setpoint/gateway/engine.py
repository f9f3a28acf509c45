"""The way to the engine: every path that is not a worker's own goes to its Unix socket, over the same pool as any upstream.

The head is built anew from the parsed fields, never copied: hop-by-hop fields and everything that looks like our internal headers
are left out, the body is framed by its length, and one header says who the client is. An answer flows in pieces with
backpressure. While the engine restarts, its paths answer 503 and inference goes on.

A WebSocket upgrade is spliced: only after the engine's 101 are bytes passed both ways, and that connection never returns to the pool.
"""

import asyncio
import re
from collections.abc import Callable, Iterable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import BreakerLimits, Timeouts, Upstream
from setpoint.gateway.deadlines import Deadline
from setpoint.gateway.drive import NEWS, Drive
from setpoint.gateway.lane import GatewayLane
from setpoint.gateway.local import internal_peer
from setpoint.gateway.published import Caller
from setpoint.gateway.respond import STATUS_LINES
from setpoint.gateway.server import ClientConnection, Request
from setpoint.gateway.upstream import Call, Pool

CONNECTIONS_MAX = 64
"""Requests of one worker that may be at the engine at once, and as many splices."""
ENGINE = Upstream(
    "engine",
    "engine",
    "openai_chat",
    "localhost",
    0,
    tls=False,
    base_path="",
    auth="none",
    connections_max=CONNECTIONS_MAX,
    breaker=BreakerLimits(),
)
TIMEOUTS = Timeouts(connect_s=2.0, first_byte_s=35.0, idle_s=3_600.0, unary_total_s=86_400.0, stream_total_s=86_400.0)
"""The engine has its own deadline of 30 s for an answer to begin; live streams may last a day."""
DOWN = Fault(
    FaultKind.engine_down,
    "The management side is not there at the moment (it may be restarting); inference is not affected. Try again in a second.",
    retry_after_s=1.0,
)
LATE = Fault(FaultKind.management_timeout, f"The management side did not begin to answer within {TIMEOUTS.first_byte_s:g} s.")
_AS_MANAGEMENT = {FaultKind.upstream_unreachable: DOWN, FaultKind.upstream_cut: DOWN, FaultKind.upstream_timeout: LATE}
_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"expect",
        b"host",
    }
)
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"})
"""Read and checked here; the engine is told who it is, and needs no secret for that."""
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
_ANSWER_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"date", b"server"})
BODILESS = frozenset({204, 304})


def engine_upstream(path: str) -> Upstream:
    """The engine as an upstream, at the socket `path`."""
    import msgspec

    return msgspec.structs.replace(ENGINE, unix_path=path)


def request_head(request: Request, target: bytes, peer: bytes, extra: Iterable[bytes] = ()) -> bytes:
    """The head of a request to the engine, rebuilt from parsed fields."""
    method = b"GET" if request.method == b"HEAD" else request.method
    lines = [b"%b %b HTTP/1.1\r\nhost: %b\r\n" % (method, target, request.headers.get(b"host", b"localhost"))]
    fields = [*request.repeated, *request.headers.items()]
    named = {word.strip().lower() for name, value in fields if name == b"connection" for word in value.split(b",")}
    for name, value in fields:
        if name not in _HOP and name not in _CREDENTIALS and name not in named and not name.startswith(b"x-setpoint-internal-"):
            lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"x-setpoint-internal-peer: %b\r\n" % peer)
    lines.extend(extra)
    if request.body or request.method in (b"POST", b"PUT", b"PATCH"):
        lines.append(b"content-length: %d\r\n" % len(request.body))
    return b"".join(lines) + b"\r\n"


class PassedAnswer:
    """A management answer on its way through; also the client's `work`."""

    __slots__ = ("_bodiless", "_call", "_connection", "_drive", "_lane", "_request", "_sized", "_started")

    def __init__(self, lane: GatewayLane, connection: ClientConnection, request: Request) -> None:
        self._lane = lane
        self._connection = connection
        self._request = request
        self._drive = Drive()
        self._call: Call | None = None
        self._started = False
        self._sized = False
        self._bodiless = request.method == b"HEAD"

    def start(self, pool: Pool, head: bytes) -> None:
        self._drive.start(self._run(pool, head))

    async def _run(self, pool: Pool, head: bytes) -> None:
        call = self._call = Call(self._drive, (head, self._request.body), TIMEOUTS, 0, self)
        call.relay_all = True
        pool.send(call)
        try:
            while not call.over:
                await NEWS
        finally:
            if not call.over:
                call.abort()
        if self._connection.lost:
            return
        if call.fault is not None:
            self._fail(call.fault)
            return
        self._start(call)
        if not self._sized and not self._bodiless and self._connection.chunked:
            self._connection.write(b"0\r\n\r\n")
        self._connection.answered(keep_alive=self._keep_alive)

    def _fail(self, fault: Fault) -> None:
        if self._started:
            self._connection.abort()
            return
        fault = _AS_MANAGEMENT.get(fault.kind, fault)
        self._lane.refuse_management(self._connection, self._request, fault)

    @property
    def _keep_alive(self) -> bool:
        return self._request.keep_alive and not self._lane.draining and not (self._request.http10 and not self._sized)

    def feed(self, data: bytes) -> None:
        """A piece of the engine's answer."""
        if self._call is None:
            return
        self._start(self._call)
        if not self._bodiless:
            if self._sized:
                self._connection.write(data)
            else:
                self._connection.write_piece(data)

    def _start(self, call: Call) -> None:
        if self._started:
            return
        self._started = True
        names = {name for name, _ in call.headers}
        self._bodiless = self._bodiless or call.status in BODILESS
        self._sized = b"content-length" in names
        lines = [STATUS_LINES.get(call.status, b"HTTP/1.1 %d \r\n" % call.status), self._lane.date_line()]
        lines += [b"%b: %b\r\n" % (name, value) for name, value in call.headers if name not in _ANSWER_HOP]
        if not self._sized and not self._bodiless and self._connection.chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        if not self._keep_alive:
            lines.append(b"connection: close\r\n")
        self._connection.write(b"".join(lines) + b"\r\n")

    def client_gone(self) -> None:
        self._drive.cancel()

    def pause(self) -> None:
        if self._call is not None and self._call.connection is not None:
            self._call.connection.pause()

    def resume(self) -> None:
        if self._call is not None and self._call.connection is not None:
            self._call.connection.resume()


class EngineDoor:
    """Passes requests, and splices upgrades."""

    def __init__(self, lane: GatewayLane, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._lane = lane
        self._pool = pool
        self._loop = loop
        self._splices: set[EngineSplice] = set()
        self._opening: set[asyncio.Task[None]] = set()

    def pass_on(self, connection: ClientConnection, request: Request, target: bytes, caller: Caller | None) -> None:
        """Have the engine answer `request`."""
        peer = internal_peer(connection.peer, caller, tls=connection.tls)
        if request.upgrade:
            self._splice(connection, request, target, peer)
            return
        passed = PassedAnswer(self._lane, connection, request)
        connection.work = passed
        passed.start(self._pool, request_head(request, target, peer))

    def _splice(self, connection: ClientConnection, request: Request, target: bytes, peer: bytes) -> None:
        if len(self._splices) >= CONNECTIONS_MAX:
            self._lane.refuse_management(
                connection,
                request,
                Fault(FaultKind.overloaded, f"This worker has {CONNECTIONS_MAX} live connections already.", retry_after_s=5.0),
            )
            return
        splice = EngineSplice(
            self, connection, request, request_head(request, target, peer, (b"upgrade: websocket\r\nconnection: Upgrade\r\n",))
        )
        self._splices.add(splice)
        connection.work = splice
        task = self._loop.create_task(self._open(splice))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, splice: "EngineSplice") -> None:
        path = self._pool.upstream.unix_path
        assert path is not None
        try:
            async with asyncio.timeout(TIMEOUTS.connect_s):
                await self._loop.create_unix_connection(lambda: splice, path)
        except OSError:
            splice.refused(DOWN)

    def now_s(self) -> float:
        return self._lane.deadlines.now_s()

    def deadline(self, callback: Callable[[float], None]) -> Deadline:
        """Not set yet; fires in the worker's loop."""
        return self._lane.deadlines.timer(callback)

    def ended(self, splice: "EngineSplice", fault: Fault | None) -> None:
        """A splice is over; `fault` when it never began."""
        self._splices.discard(splice)
        if fault is not None:
            self._lane.refuse_management(splice.connection, splice.request, fault)


class EngineSplice(asyncio.Protocol):
    """Both directions of an upgraded connection. Until the engine's 101 the client's bytes wait in its connection.

    An engine that refuses the upgrade answers with a body, which is passed on until it is whole by its length or the engine closes.
    """

    def __init__(self, door: EngineDoor, connection: ClientConnection, request: Request, head: bytes) -> None:
        self.connection = connection
        self.request = request
        self._door = door
        self._head = head
        self._answer = b""
        self._begun = False
        self._left: int | None = None
        self._deadline = door.deadline(self._late)
        self._transport: asyncio.Transport | None = None

    # ---- engine side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream transport by construction
        if self.connection.lost:
            transport.close()
        else:
            self._deadline.set(self._door.now_s() + TIMEOUTS.first_byte_s)
            transport.write(self._head)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._begun:
            self._pass_on(data)
            return
        self._answer += data
        head, end, rest = self._answer.partition(b"\r\n\r\n")
        if not end:
            return
        self._begun = True
        self._answer = b""
        self.connection.write(head + end)
        if head.startswith(b"HTTP/1.1 101"):
            self._deadline.clear()
            self.connection.write(rest)
            self.connection.spliced = self
            held = self.connection.take_held()
            self.connection.resume_reading()
            if held:
                self.from_client(held)
        else:
            found = _LENGTH.search(head)
            self._left = int(found[1]) if found else None
            self._pass_on(rest)

    def _pass_on(self, data: bytes) -> None:
        self.connection.write(data)
        if self._left is not None:
            self._left -= len(data)
            if self._left <= 0 and self._transport is not None:
                self._transport.close()

    def _late(self, now_s: float) -> None:  # noqa: ARG002
        if self._transport is not None:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._deadline.clear()
        if self._begun or self.connection.lost:
            self._door.ended(self, None)
            self.connection.close()
        else:
            self._door.ended(self, DOWN)

    def pause_writing(self) -> None:
        self.connection.pause_reading()

    def resume_writing(self) -> None:
        self.connection.resume_reading()

    def refused(self, fault: Fault) -> None:
        self._door.ended(self, fault)

    # ---- client side

    def from_client(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def client_lost(self) -> None:
        self.client_gone()

    def client_gone(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
