"""A streamed answer from its call to its one end, on every surface, between any two dialects.

    call sent ──> gated ──first content──> committed, flowing ──┬─> whole            the dialect's terminal, or a finish reason
                    │                                           ├─> error event      cut, stall, bounds, the provider's own
                    └─> a fault, another attempt may follow     ├─> client gone      usage settled by what is known
                                                                └─> broken off       continued by another call, where the route says so

What bounds a stream: the times to its first content, between two signs of life, and in total; the size of one event, of one delta and of
one write; the number of events. A stream that ended early is never passed off as whole, and is billed as its provider bills it.
"""

from collections.abc import Callable

from setpoint.domain.chat import ChatAnswer
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.unfold import unfold
from setpoint.gateway.continuation import Continuation, continued_request, mode_for, obstacle_of, total
from setpoint.gateway.dialects import DIALECTS
from setpoint.gateway.drive import NEWS
from setpoint.gateway.estimates import said_tokens, unfinished_usage
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.fallback import early_refusal
from setpoint.gateway.payload import Payload, payload_for
from setpoint.gateway.published import Candidate
from setpoint.gateway.relay import Relay
from setpoint.gateway.respond import PassThrough, stream_type
from setpoint.gateway.settle import settle
from setpoint.gateway.surfaces import SSE
from setpoint.gateway.translate import ReframingTap, TranslatingTap, UnframingTap, error_shown
from setpoint.gateway.upstream import Call
from setpoint.gateway.whole_answer import answer_id, held, loss_lines, whole
from setpoint.wire.bedrock_invoke import BedrockFrames
from setpoint.wire.dialect import StreamRenderer, StreamTap
from setpoint.wire.gemini.array_frames import GeminiArrayFramer

LAST_BYTES_S = 2.0
"""How long the end of the framing may follow behind the end of the answer, before the upstream is hung up on."""
NO_CACHE = b"cache-control: no-cache\r\n"

Commit = Callable[[Exchange, Relay, bytes], None]
"""Records that a stream has begun, then lets the relay flow behind the given upstream headers."""


class Streaming:
    """What a stream needs of the worker."""

    def __init__(self, commit: Commit, mono_ns: Callable[[], int], wall_s: Callable[[], float], passing: PassThrough) -> None:
        self._commit = commit
        self._mono_ns = mono_ns
        self._wall_s = wall_s
        self._passing = passing

    # ---- before the call

    def payload(self, exchange: Exchange, candidate: Candidate) -> Payload | Fault:
        """What is sent for a stream: the client's request, or one for the rest of what broke off."""
        continued = exchange.continued
        if continued is None or not exchange.streamed:
            return payload_for(exchange, candidate)
        asked = DIALECTS[exchange.surface.dialect].decode_request(exchange.body)
        if isinstance(asked, Fault):
            return continued.fault or asked
        text, upstream = continued.text, candidate.line.upstream
        mode = mode_for(asked, text, candidate.dialect, candidate.model, upstream.can)
        payload = payload_for(exchange, candidate, continued_request(asked, text, mode, candidate.dialect))
        if isinstance(payload, Fault):
            return continued.fault or payload
        continued.goes_on(mode)
        return payload

    def relay(self, exchange: Exchange, candidate: Candidate, payload: Payload, events_max: int) -> Relay:
        """The way of a stream to the client. A stream that is continued goes on in the one it has."""
        route = exchange.route
        assert route is not None  # an outer stage's
        continued = exchange.continued
        if exchange.streamed and continued is not None and continued.relay is not None:
            continued.relay.go_on(self._tap(exchange, candidate, payload, continued))
            self._mark(exchange, candidate, continued.relay, continued)
            return continued.relay
        exchange.continued = Continuation(self._renderer(exchange)) if route.route.continuation == "auto" else None
        tap = self._tap(exchange, candidate, payload, exchange.continued)
        plan = exchange.published.plan
        kept_max = plan.capture.bytes_max if plan.capture.answers else 0
        if exchange.to_be_cached:
            kept_max = max(kept_max, plan.limits.cache_entry_bytes_max)
        return Relay(exchange.connection, exchange.drive, tap, events_max, kept_max, route.route.stream.write_bytes_max)

    def _renderer(self, exchange: Exchange) -> StreamRenderer:
        envelope = exchange.envelope
        assert envelope is not None  # an outer stage's
        options = envelope.stream_options
        include_usage = options is not None and bool(options.include_usage)
        return DIALECTS[exchange.surface.dialect].stream_renderer(envelope.model, int(self._wall_s()), include_usage, exchange.body)

    def _tap(self, exchange: Exchange, candidate: Candidate, payload: Payload, continued: Continuation | None) -> StreamTap:
        route = exchange.route
        assert route is not None  # an outer stage's
        limits = route.route.stream
        dialect = DIALECTS[candidate.dialect]
        tap: StreamTap
        if candidate.relays and continued is None:
            tap = dialect.tap(hide_usage=payload.hide_usage)
            tap.event_bytes_max = limits.event_bytes_max  # type: ignore[attr-defined]  # every dialect's own tap has it
        else:
            renderer = self._renderer(exchange) if continued is None else continued.renderer
            through = None if continued is None else continued.hear
            decoder = dialect.stream_decoder(limits.event_bytes_max)
            tap = TranslatingTap(decoder, renderer, answer_id(exchange), limits.delta_bytes_max, through)
        if candidate.dialect == "anthropic" and candidate.line.upstream.hosting == "bedrock":
            tap = UnframingTap(BedrockFrames(limits.event_bytes_max), tap)
        if exchange.place is not None and exchange.place.array:
            if exchange.framer is None or not exchange.streamed:
                exchange.framer = GeminiArrayFramer()
            tap = ReframingTap(tap, exchange.framer)
        return tap

    def _mark(self, exchange: Exchange, candidate: Candidate, relay: Relay, continued: Continuation) -> None:
        """A comment that tells who looks what happened here; the headers have left long ago."""
        if stream_type(exchange) == SSE and continued.fault is not None:
            where = f"{candidate.line.upstream.name}/{candidate.model}"
            text = f": setpoint continued after {continued.fault.kind.name} at {where} ({continued.mode})\n\n"
            relay.put(text.encode("ascii", "replace"))

    # ---- while it comes

    async def run(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay, payload: Payload) -> Result:
        """Until the one end of the stream, or of this call of it."""
        while not relay.open and not relay.too_long and not call.over:
            await NEWS
        if not call.streaming:
            await call
            return self._whole(exchange, candidate, call, relay, payload)
        tap = relay.tap
        if tap.error is not None and not tap.content_started:
            call.abort()
            return tap.error
        if not relay.open and (relay.too_long or call.fault is not None or not tap.finish):
            return self._before_content(call, relay)
        call.opened()
        if exchange.streamed:
            if exchange.connection.choked:
                exchange.pause()  # the client was slow before, and the new call does not know
        else:
            refusal = early_refusal(exchange, candidate, tap)
            if refusal is not None:
                call.abort()
                settle(exchange, candidate, tap.usage)
                exchange.model_served, exchange.finish = tap.model, tap.finish
                return refusal
            exchange.ttft_ns = self._mono_ns() - exchange.started_ns
            exchange.streamed = True
            self._commit(exchange, relay, self._passing.lines(call.headers) + loss_lines(payload.losses))
        while not call.over and not relay.too_long and tap.error is None:
            if tap.done:
                call.wrap_up(LAST_BYTES_S)
            await NEWS
        return self._finish(exchange, candidate, call, relay)

    @staticmethod
    def _before_content(call: Call, relay: Relay) -> Fault:
        """Why a stream is over before the client saw any of it: another attempt may follow."""
        if relay.too_long:
            call.abort()
            return Fault(FaultKind.upstream_server, "The stream has too much before its first content.")
        return call.fault or Fault(FaultKind.upstream_cut, "The upstream ended the stream before it said anything.")

    def _finish(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay) -> Result:
        """How the stream ended: whole, or with the client's dialect's own error event, or to be continued."""
        said = relay.tap.error
        rest = relay.end()
        tap = relay.tap
        if relay.too_long:
            fault: Fault | None = Fault(
                FaultKind.upstream_server, "The stream has more events than the route allows (timeouts.stream_events_max)."
            )
        elif said is not None:
            fault = said
        elif tap.done or tap.finish:
            fault = None
        else:
            fault = call.fault or tap.error or Fault(FaultKind.upstream_cut, "The upstream ended the stream before it was complete.")
        call.abort()
        self.settle(exchange, candidate, call, relay)
        continued = exchange.continued
        if fault is not None and continued is not None and not relay.too_long and self._may_continue(exchange, continued, call, fault):
            continued.broke_off(fault, exchange.usage, exchange.cost_nanousd, call.total_at_s, relay)
            return fault
        return self._ended(exchange, relay, fault, rest)

    def _may_continue(self, exchange: Exchange, continued: Continuation, call: Call, fault: Fault) -> bool:
        """Whether another call can bring the rest."""
        if fault.retry == "never" or continued.obstacle or exchange.gone or self._mono_ns() / 1e9 >= call.total_at_s:
            return False
        asked = DIALECTS[exchange.surface.dialect].decode_request(exchange.body)
        return not isinstance(asked, Fault) and not obstacle_of(asked)

    @staticmethod
    def _ended(exchange: Exchange, relay: Relay, fault: Fault | None, rest: bytes) -> Answer:
        exchange.fault = fault
        if fault is not None and not (fault is relay.tap.error and error_shown(relay.tap)):
            rest += framed(exchange, DIALECTS[exchange.surface.dialect].render_stream_fault(fault, exchange.request_id.hex()))
        if exchange.framer is not None:
            rest += exchange.framer.finish()
        return Answer(200, rest, streamed=True)

    # ---- a whole answer, where a stream was asked for

    def _whole(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay, payload: Payload) -> Result:
        body = held(candidate, call, self._wall_s)
        if isinstance(body, Fault):
            return body
        answer = whole(exchange, candidate, call, body)
        if isinstance(answer, Fault):
            return answer
        return self._told(exchange, candidate, call, relay, answer, self._passing.lines(call.headers) + loss_lines(payload.losses))

    def _told(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay, answer: ChatAnswer, headers: bytes) -> Result:
        """The answer as the stream that the client asked for."""
        route, continued = exchange.route, exchange.continued
        assert route is not None  # an outer stage's
        renderer = self._renderer(exchange) if continued is None else continued.renderer
        through = None if continued is None else continued.hear
        nothing = DIALECTS[candidate.dialect].stream_decoder()
        tap = TranslatingTap(nothing, renderer, answer_id(exchange), route.route.stream.delta_bytes_max, through)
        out = framed(exchange, tap.tell(unfold(answer)))
        relay.go_on(tap)
        if exchange.streamed:
            relay.put(out)
            self.settle(exchange, candidate, call, relay)
            return self._ended(exchange, relay, None, b"")
        if exchange.framer is not None:
            out += exchange.framer.finish()
        exchange.ttft_ns = self._mono_ns() - exchange.started_ns
        self.settle(exchange, candidate, call, relay)
        return Answer(200, out, stream_type(exchange), NO_CACHE + headers)

    # ---- what it used

    @staticmethod
    def settle(exchange: Exchange, candidate: Candidate, call: Call, relay: Relay) -> None:
        """What this call of the stream used, together with those before it. A call that ended early is billed for what it was."""
        tap, continued = relay.tap, exchange.continued
        usage = tap.usage
        ended = (tap.done or bool(tap.finish)) and tap.error is None
        if call.sent_at_s and (usage is None or not ended):
            usage = unfinished_usage(exchange, usage, said_tokens(exchange, relay))
        if continued is not None and continued.calls:
            before_nanousd, exchange.cost_nanousd = continued.cost_nanousd, -1
            settle(exchange, candidate, usage)
            if exchange.usage is not None and continued.usage is not None:
                exchange.usage = total(continued.usage, exchange.usage)
            exchange.cost_nanousd = -1 if min(before_nanousd, exchange.cost_nanousd) < 0 else before_nanousd + exchange.cost_nanousd
        else:
            settle(exchange, candidate, usage)
        exchange.model_served = tap.model or exchange.model_served
        exchange.finish = tap.finish
        exchange.answer_bytes = relay.bytes
        exchange.captured = relay.kept()
        # A client that hangs up on the last event has had its whole answer.
        exchange.whole = tap.done and tap.error is None


def framed(exchange: Exchange, data: bytes) -> bytes:
    """A piece of a stream as this client takes it."""
    return data if exchange.framer is None else exchange.framer.feed(data)
