"""The worker's switchboard: which request goes where, and how an exchange ends.

    inference path ──> the stack of stages ──> record ──> answer
    health, models, metrics, version ──> answered here, because they must work while everything else is down
    any other path ──> the engine's socket

The lane also is what every client connection knows of the worker: limits, deadlines, how many bytes of bodies are held.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import DialectName, Limits
from setpoint.domain.trace import Outcome
from setpoint.gateway.admission import WATCH_FROM, Admission, Probe
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.dialects import DIALECTS, SPOKEN
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.ids import RequestIds
from setpoint.gateway.leavers import Leavers
from setpoint.gateway.meter import Meter
from setpoint.gateway.payload import streams
from setpoint.gateway.published import Candidate, Published
from setpoint.gateway.records import Slower, attempt_record, begin_record, end_record
from setpoint.gateway.relay import Relay
from setpoint.gateway.respond import connection_line, fault_lines, status_line, stream_head, unary_response
from setpoint.gateway.server import ENDLESS, ClientConnection, Request
from setpoint.gateway.shedding import Shedding
from setpoint.gateway.small_writes import small_writes
from setpoint.gateway.surfaces import HOT_PATHS, HotSurface, Place, passing_of, place_of
from setpoint.gateway.turn import Turn
from setpoint.runtime.clock import Clock, rfc3339
from setpoint.runtime.log import Log
from setpoint.wire.http_path import BadPath, Target, split_target
from setpoint.wire.management_fault import render_management_fault
from setpoint.wire.own_faults import is_own_fault

PASSED_THROUGH = frozenset(
    {FaultKind.context_length, FaultKind.content_filter, FaultKind.upstream_refused, FaultKind.bad_request, FaultKind.upstream_rate}
)
"""Faults whose own body reaches a client of the same dialect: the provider's words about the client's request are the best there are."""

LEFT = Fault(FaultKind.client_gone, "The client closed the connection.")


class Elsewhere(Protocol):
    """Serves what is not inference: the local answers, and the engine behind its socket."""

    def serve(self, connection: ClientConnection, request: Request, path: bytes, query: bytes) -> None: ...


class GatewayLane:
    """See the module's text. `handle` is the stack with `record` outermost; it is given after the lane exists, because stages
    report to it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        deadlines: Deadlines,
        turn: Turn,
        ids: RequestIds,
        meter: Meter,
        published: Published,
        log: Log,
        uniform: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._turn = turn
        self._ids = ids
        self._log = log
        self.meter = meter
        self.deadlines = deadlines
        self._loop = loop
        self.published = published
        self._older: list[Published] = []
        self.limits: Limits = published.plan.limits
        self.draining = False
        self.body_bytes_held = 0
        self.in_flight = 0
        self.started = 0
        """Exchanges that ever began."""
        self.admission = Admission(uniform, published.plan.limits.delay_max_s)
        self._shedding = Shedding(self.admission, meter, self.refuse)
        self._probe = Probe(self.admission, loop, lambda: clock.mono_ns() / 1e9, lambda: self.in_flight, lambda: self.started)
        self.connections: set[ClientConnection] = set()
        self.leavers = Leavers()
        self.handle: Callable[[Exchange], Awaitable[None]] | None = None
        self.elsewhere: Elsewhere | None = None
        self._date_line = b""
        self._date_s = 0

    # ---- connections

    def opened(self, connection: ClientConnection) -> bool:
        """Whether one more connection fits."""
        if len(self.connections) >= self.limits.connections_max:
            return False
        self.connections.add(connection)
        self.meter.connected()
        return True

    def closed(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        if isinstance(connection.work, Exchange):
            self.leavers.keep(connection.work)

    def next_turn(self, callback: Callable[[], None]) -> None:
        """Call back when this turn of the loop is over."""
        self._loop.call_soon(callback)

    def take_over(self, published: Published) -> None:
        """New exchanges use `published`; those under way keep what they began with."""
        self._older.append(self.published)
        self.published = published
        self.limits = published.plan.limits
        self.admission.delay_max_s = self.limits.delay_max_s

    def oldest_in_use(self) -> tuple[int, int]:
        """(epoch, version) of the oldest plan that an exchange under way still uses."""
        self._older = [older for older in self._older if older.in_use]
        return min((each.plan.epoch, each.version) for each in (*self._older, self.published))

    def close_idle(self) -> None:
        """Close every connection with nothing under way."""
        for connection in list(self.connections):
            if connection.idle:
                connection.close()

    def end_all(self, fault: Fault) -> None:
        """End every exchange under way with an explicit fault."""
        for connection in list(self.connections):
            if isinstance(connection.work, Exchange):
                connection.work.give_up(fault)
        for exchange in self.leavers.all():
            exchange.give_up(fault)

    def abort_all(self) -> None:
        """Cut every connection that is left."""
        for connection in list(self.connections):
            connection.abort()

    def dispatch(self, connection: ClientConnection, request: Request) -> None:
        """Start what a complete request asks for."""
        surface = HOT_PATHS.get(request.target)
        if surface is not None and request.method == b"POST" and request.fault is None and connection.purpose == "main":
            self._start(connection, request, surface)
        else:
            self._dispatch_other(connection, request)

    def _dispatch_other(self, connection: ClientConnection, request: Request) -> None:
        target = _target_of(request.target)
        path = request.target if isinstance(target, BadPath) else target.path
        if request.fault is not None:
            self.refuse(connection, request, path, request.fault.fault, request.fault.status)
        elif isinstance(target, BadPath):
            self.refuse(connection, request, path, Fault(FaultKind.bad_request, f"The request's path is not accepted: {target.reason}."))
        elif connection.purpose == "main" and (place := place_of(path, target.query)) is not None:
            if request.method == b"POST":
                self._start(connection, request, place.surface, place)
            else:
                self.refuse(
                    connection,
                    request,
                    path,
                    Fault(FaultKind.method_not_allowed, f"{path.decode()} takes POST."),
                    headers=b"allow: POST\r\n",
                )
        elif connection.purpose == "main" and (place := passing_of(path, anthropic=b"anthropic-version" in request.headers)) is not None:
            self._start(connection, request, place.surface, place)
        elif self.elsewhere is not None:
            self.elsewhere.serve(connection, request, path, target.query)

    def at_head(self, connection: ClientConnection, request: Request) -> Fault | None:
        """Whether a request with a large body is turned away before that is read."""
        if not self.admission.busy or connection.purpose != "main":
            return None
        return self._shedding.at_head(self.published, connection, request)

    # ---- exchanges

    def _start(self, connection: ClientConnection, request: Request, surface: HotSurface, place: Place | None = None) -> None:
        if self.admission.busy and self._shedding.turns_away(self.published, connection, request, surface, place):
            return
        clock = self._clock
        wall_ns = clock.wall_ns()
        exchange = Exchange(connection, request, surface, self.published, self._ids.next(wall_ns), wall_ns, clock.mono_ns(), place)
        if b"traceparent" in request.headers:
            exchange.trace_id = trace_id_of(request.headers[b"traceparent"]) or exchange.request_id
        connection.work = exchange
        self.in_flight += 1
        self.started += 1
        if self.in_flight >= WATCH_FROM:
            self._probe.watch(exchange.started_ns / 1e9)
        exchange.published.in_use += 1
        self.meter.started()
        assert self.handle is not None
        exchange.drive.start(self.handle(exchange))  # type: ignore[arg-type]  # an async function's coroutine

    def finish(self, exchange: Exchange, result: Result | None) -> None:
        """The exchange is over: write its END record, then let the answer's last bytes go."""
        self.in_flight -= 1
        exchange.published.in_use -= 1
        duration_ns = self._clock.mono_ns() - exchange.started_ns
        connection, request, capture = exchange.connection, exchange.request, exchange.published.plan.capture
        keep_alive = request.keep_alive and not self.draining
        answer = self._fault_answer(exchange, result) if isinstance(result, Fault) else result
        if answer is None and exchange.whole:
            outcome, status, sent = Outcome.ok, 200, b""
        elif answer is None:
            outcome, status, sent = Outcome.client_gone, 499, b""
            exchange.fault = exchange.fault or LEFT
        else:
            outcome = Outcome.ok if exchange.fault is None else Outcome.fault
            status = answer.status
            sent = self._last_bytes(exchange, answer, duration_ns, keep_alive=keep_alive)
        if exchange.gone:
            self.leavers.over(exchange)
            outcome, status = Outcome.client_gone, 499
            exchange.fault = exchange.fault or LEFT
        if answer is not None and not answer.streamed:
            exchange.captured = answer.body
            exchange.answer_bytes = len(answer.body)
        prompt = request.body[: capture.bytes_max] if capture.prompts and not exchange.opaque else b""
        kept = exchange.captured[: capture.bytes_max] if capture.answers else b""
        head, tail = end_record(exchange, outcome, status, duration_ns, prompt, kept, exchange.answer_bytes)
        self.meter.finished(exchange, outcome, status, duration_ns)
        if answer is None:
            self._turn.add(head, tail, prompt, kept)
        elif exchange.cut:
            self._turn.add(head, tail, prompt, kept, connection.abort)
        else:
            close = exchange.streamed and (request.http10 or exchange.fault is not None)
            most = exchange.route.route.stream.write_bytes_max if exchange.route is not None and streams(exchange) else ENDLESS
            self._turn.add(head, tail, prompt, kept, partial(_send_last, connection, sent, keep_alive and not close, most))

    def _last_bytes(self, exchange: Exchange, answer: Answer, duration_ns: int, *, keep_alive: bool) -> bytes:
        if not answer.streamed:
            return unary_response(exchange, answer, self.date_line(), duration_ns - exchange.upstream_ns, keep_alive=keep_alive)
        if not exchange.connection.chunked:
            return answer.body
        return b"%x\r\n%b\r\n0\r\n\r\n" % (len(answer.body), answer.body) if answer.body else b"0\r\n\r\n"

    def _fault_answer(self, exchange: Exchange, fault: Fault) -> Answer:
        exchange.fault = fault
        if exchange.streamed:
            # Its head is on the wire already: what can be said now is the dialect's error event.
            last = DIALECTS[exchange.surface.dialect].render_stream_fault(fault, exchange.request_id.hex())
            if (framer := exchange.framer) is not None:
                last = framer.feed(last) + framer.finish()
            return Answer(200, last, streamed=True)
        candidate, dialect, said = exchange.candidate, exchange.surface.dialect, fault.upstream_body
        relays = candidate is not None and candidate.relays and said is not None and fault.kind in PASSED_THROUGH
        if not (relays and said is not None and is_own_fault(dialect, said)):
            said = SPOKEN[dialect].render_fault(fault, exchange.request_id.hex())
        return Answer(fault.http_status, said, headers=fault_lines(fault, dialect))

    def commit(self, exchange: Exchange, relay: Relay, headers: bytes) -> None:
        """A stream begins: its BEGIN record first, then its bytes."""
        relay.commit()
        if exchange.trial is not None:  # a half-open breaker need not wait for the end of a long stream
            breaker, admission = exchange.trial
            exchange.trial = None
            breaker.succeeded(admission)
        self.meter.stream_opened()
        request = exchange.request
        head_bytes = stream_head(
            exchange, headers, self.date_line(), keep_alive=request.keep_alive and not self.draining and not request.http10
        )
        head, tail = begin_record(exchange, self._clock.mono_ns() - exchange.started_ns)
        self._turn.add(head, tail, b"", b"", partial(relay.flow, head_bytes))

    def attempt_failed(
        self, exchange: Exchange, candidate: Candidate, fault: Fault | None, took_s: float, slower: Slower | None = None
    ) -> None:
        """A call failed and another follows, or it was slower than another (`slower`)."""
        took_ns = int(took_s * 1e9)
        began_ns = max(0, self._clock.mono_ns() - exchange.started_ns - took_ns)
        head, tail = attempt_record(exchange, candidate, fault, took_ns, began_ns, slower)
        self._turn.add(head, tail, b"", b"")

    def on_bug(self, exchange: Exchange, bug: Exception) -> None:
        """An exchange met a bug of ours: say where, without its data."""
        at = bug.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        where = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else ""
        self._log.error("exchange failed on a bug", request_id=exchange.request_id.hex(), error=repr(bug), where=where)

    # ---- answers without an exchange

    def refuse(
        self,
        connection: ClientConnection,
        request: Request,
        path: bytes,
        fault: Fault,
        status: int | None = None,
        headers: bytes = b"",
        dialect: DialectName | None = None,
    ) -> None:
        """Answer a request that never became an exchange, in the error shape its path suggests."""
        request_id = self._ids.next(self._clock.wall_ns()).hex()
        shape = dialect or shape_of(path)
        body = SPOKEN[shape].render_fault(fault, request_id)
        lines = headers + fault_lines(fault, shape) + b"x-setpoint-request-id: %b\r\n" % request_id.encode()
        self.meter.refused(fault)
        self.reply(connection, request, status or fault.http_status, b"application/json", body, lines)

    def refuse_management(self, connection: ClientConnection, request: Request, fault: Fault) -> None:
        """The same in the envelope of the management interface."""
        wall_ns = self._clock.wall_ns()
        request_id = self._ids.next(wall_ns).hex()
        self.meter.refused(fault)
        lines = fault_lines(fault) + b"x-setpoint-request-id: %b\r\n" % request_id.encode()
        self.reply(
            connection, request, fault.http_status, b"application/json", render_management_fault(fault, request_id, rfc3339(wall_ns)), lines
        )

    def reply(
        self, connection: ClientConnection, request: Request, status: int, content_type: bytes, body: bytes, headers: bytes = b""
    ) -> None:
        """A complete small answer."""
        keep_alive = request.keep_alive and not self.draining
        connection.write(
            b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b"
            % (
                status_line(status),
                self.date_line(),
                content_type,
                len(body),
                headers,
                connection_line(request, keep_alive=keep_alive),
                b"" if request.method == b"HEAD" else body,
            )
        )
        connection.answered(keep_alive=keep_alive)

    def date_line(self) -> bytes:
        """The Date header (RFC 9110 6.6.1), made once a second."""
        now_s = self._clock.wall_ns() // 1_000_000_000
        if now_s != self._date_s:
            self._date_s = now_s
            self._date_line = b"date: %b\r\n" % http_date(now_s).encode()
        return self._date_line


def _target_of(target: bytes) -> Target | BadPath:
    """The target in parts. An escaped slash is refused, because servers differ on what it means; only in a model's name it is plain
    what is meant (SDKs escape it there), and such a path is not passed on to anybody.
    """
    found = split_target(target) if target else BadPath("it is empty")
    if isinstance(found, BadPath) and b"%2f" in target.lower():
        path, mark, query = target.partition(b"?")
        plain = split_target(path.replace(b"%2F", b"/").replace(b"%2f", b"/") + mark + query)
        if isinstance(plain, Target) and (place := place_of(plain.path, plain.query)) is not None and place.model:
            return plain
    return found


def shape_of(path: bytes) -> DialectName:
    """Whose error shape a client that sent this path will understand."""
    place = place_of(path, b"") or passing_of(path, anthropic=False)
    return "openai_chat" if place is None else place.surface.dialect


def _send_last(connection: ClientConnection, data: bytes, keep_alive: bool, most: int) -> None:
    if not connection.lost:
        if len(data) <= most:
            connection.write(data)
        else:
            for piece in small_writes(data, most):
                connection.write(piece)
        connection.answered(keep_alive=keep_alive)


def trace_id_of(traceparent: bytes) -> bytes | None:
    """The trace id of a W3C traceparent header (Trace Context, section 3.2); None when it is not valid."""
    parts = traceparent.split(b"-")
    if len(parts) < 4 or len(parts[0]) != 2 or len(parts[1]) != 32 or len(parts[2]) != 16 or parts[0] == b"ff":
        return None
    try:
        trace_id = bytes.fromhex(parts[1].decode("ascii"))
    except ValueError:
        return None
    return trace_id if len(trace_id) == 16 and any(trace_id) else None


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(unix_s: int) -> str:
    """IMF-fixdate, without the locale (RFC 9110 5.6.7)."""
    at = datetime.fromtimestamp(unix_s, UTC)
    return f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year} {at:%H:%M:%S} GMT"
