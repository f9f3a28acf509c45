"""One call of what is passed on: the answer is relayed whatever it is.

JSON and everything small that is not a plain 200 is held and answered whole, so that faults are understood and usage is read. All other
answers (sounds, files, events) flow through as they come. There is no error event that fits them all: one that breaks off in the middle is
cut off for the client too, so that it cannot be taken for whole.
"""

from collections.abc import Callable

from setpoint.domain.faults import Fault
from setpoint.gateway.dialects import SPOKEN
from setpoint.gateway.drive import NEWS
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.passing import passed_body, passed_head, passed_path, timeouts_of
from setpoint.gateway.published import Candidate
from setpoint.gateway.relay import WRITE_BYTES_MAX, Relay
from setpoint.gateway.respond import PassThrough
from setpoint.gateway.settle import decoded, settle
from setpoint.gateway.upstream import Call
from setpoint.wire.dialect import StreamTap
from setpoint.wire.metering import BlindTap, MeterTap, read_usage

METERED = frozenset({"openai_images", "openai_audio", "openai_moderations", "rerank"})
"""Surfaces whose answers state what they cost now; those about stored things repeat what was paid before."""

EVENTS_MAX = 1 << 62
"""Pieces of a file are no events to be counted; the deadlines bound it."""

Commit = Callable[[Exchange, Relay, bytes], None]


class PassingCall:
    """What such a call needs of the worker."""

    def __init__(self, commit: Commit, mono_ns: Callable[[], int], wall_s: Callable[[], float]) -> None:
        self._commit = commit
        self._mono_ns = mono_ns
        self._wall_s = wall_s
        self._passing = PassThrough()

    async def call(self, exchange: Exchange, candidate: Candidate) -> Result:
        """One attempt at one candidate."""
        exchange.candidate = candidate
        body = passed_body(exchange, candidate)
        head = passed_head(exchange, candidate, body)
        credential = candidate.line.credential if exchange.key is None else exchange.key.credential
        if credential is not None:
            upstream = candidate.line.upstream
            path = upstream.base_path + passed_path(exchange, upstream)
            lines = await credential.lines(exchange.drive, exchange.request.method.decode("ascii"), path, body)
            if isinstance(lines, Fault):
                return lines
            head += lines
        route = exchange.route
        assert route is not None
        relay = self._relay(exchange)
        call = Call(
            exchange.drive, (head + b"\r\n", body), timeouts_of(route), exchange.published.plan.limits.answer_bytes_max, relay, raw=True
        )
        call.until_s = exchange.until_s
        exchange.call = call
        exchange.attempts += 1
        sent_ns = self._mono_ns()
        candidate.line.pool.send(call)
        try:
            return await self._answer(exchange, candidate, call, relay)
        finally:
            if not call.over:
                call.abort()
                if exchange.streamed:
                    self._settle_stream(exchange, candidate, relay)
            exchange.upstream_ns += self._mono_ns() - sent_ns

    @staticmethod
    def _relay(exchange: Exchange) -> Relay:
        accept = exchange.request.headers.get(b"accept", b"")
        wants_events = b"text/event-stream" in accept or bool(exchange.envelope and exchange.envelope.stream)
        tap: StreamTap = MeterTap() if wants_events else BlindTap()
        capture = exchange.published.plan.capture
        kept_max = capture.bytes_max if wants_events and capture.answers else 0
        write_bytes_max = WRITE_BYTES_MAX if wants_events else EVENTS_MAX
        return Relay(exchange.connection, exchange.drive, tap, EVENTS_MAX, kept_max, write_bytes_max)

    async def _answer(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay) -> Result:
        while not relay.open and not call.over:
            await NEWS
        if not relay.open:
            return self._held(exchange, candidate, call)
        exchange.ttft_ns = self._mono_ns() - exchange.started_ns
        exchange.streamed = True
        exchange.content_type = call.content_type
        self._commit(exchange, relay, self._passing.lines(call.headers))
        while not call.over:
            await NEWS
        rest = relay.end()
        self._settle_stream(exchange, candidate, relay)
        exchange.fault = call.fault
        exchange.cut = call.fault is not None
        exchange.whole = call.complete
        return Answer(200, rest, streamed=True)

    def _held(self, exchange: Exchange, candidate: Candidate, call: Call) -> Result:
        if call.fault is not None:
            return call.fault
        body = decoded(call)
        if isinstance(body, Fault):
            return body
        if not 200 <= call.status < 300:
            named = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers}
            return SPOKEN[candidate.dialect].classify_fault(call.status, named, body, self._wall_s())
        if exchange.surface.name in METERED:
            facts = read_usage(body)
            settle(exchange, candidate, facts.usage)
            exchange.model_served = facts.model
        elif exchange.request.method != b"POST":
            exchange.cost_nanousd = 0  # looking at what is stored costs nothing
        return Answer(call.status, body, call.content_type or b"application/json", self._passing.lines(call.headers))

    @staticmethod
    def _settle_stream(exchange: Exchange, candidate: Candidate, relay: Relay) -> None:
        if exchange.surface.name in METERED:
            settle(exchange, candidate, relay.tap.usage)
        exchange.answer_bytes = relay.bytes
        exchange.captured = relay.kept()
