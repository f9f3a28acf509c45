"""One upstream call from start to end: send, wait, understand the answer.

`call` returns an answer in the client's dialect or a fault, and never lets go of a call that is still under way: when the client
hangs up, the cancellation passes through here and the upstream connection is closed at once."""

from collections.abc import Callable

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.gateway.counting import counts, embeddings_answer, estimated_count
from setpoint.gateway.credentials import Credential
from setpoint.gateway.dialects import COUNTERS, DIALECTS, EMBEDDINGS_DIALECTS, SPOKEN
from setpoint.gateway.drive import NEWS
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.fallback import early_refusal
from setpoint.gateway.passing_call import PassingCall
from setpoint.gateway.payload import Payload, payload_for, streams
from setpoint.gateway.published import Candidate
from setpoint.gateway.relay import Relay
from setpoint.gateway.respond import PassThrough
from setpoint.gateway.settle import decoded, estimated_usage, settle
from setpoint.gateway.translate import ReframingTap, TranslatingTap, UnframingTap
from setpoint.gateway.upstream import Call
from setpoint.wire.bedrock_invoke import BedrockFrames
from setpoint.wire.dialect import StreamTap
from setpoint.wire.gemini.array_frames import GeminiArrayFramer

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

Commit = Callable[[Exchange, Relay, bytes], None]
"""Records that a stream has begun, then lets the relay flow behind the given upstream headers."""


class Calling:
    """What a call needs of the worker."""

    def __init__(self, commit: Commit, mono_ns: Callable[[], int], wall_s: Callable[[], float]) -> None:
        self._commit = commit
        self._mono_ns = mono_ns
        self._wall_s = wall_s
        self._passing = PassThrough()
        self._passing_call = PassingCall(commit, mono_ns, wall_s)

    async def call(self, exchange: Exchange, candidate: Candidate) -> Result:
        """One attempt at one candidate. Sets what the exchange knows of its answer: usage, cost, model served, finish, times."""
        surface = exchange.surface
        if surface.kind == "passing":
            return await self._passing_call.call(exchange, candidate)
        if surface.kind == "count" and not counts(candidate):
            exchange.candidate = candidate
            return estimated_count(exchange)
        payload = payload_for(exchange, candidate)
        if isinstance(payload, Fault):
            return payload
        exchange.candidate = candidate
        relay = self._relay(exchange, candidate, payload) if streams(exchange) else None
        route = exchange.route
        assert route is not None
        plan = exchange.published.plan
        head = payload.head
        credential = candidate.line.credential if exchange.key is None else exchange.key.credential
        if credential is not None:
            signed = await self._signed(exchange, candidate, payload, credential)
            if isinstance(signed, Fault):
                return signed
            head += signed
        head += b"\r\n"
        call = Call(exchange.drive, (head, payload.body), route.route.timeouts, plan.limits.answer_bytes_max, relay)
        call.until_s = exchange.until_s
        exchange.call = call
        exchange.attempts += 1
        sent_ns = self._mono_ns()
        candidate.line.pool.send(call)
        try:
            if relay is not None:
                return await self._stream(exchange, candidate, call, relay, payload)
            await call
            return self._unary(exchange, candidate, call, payload)
        finally:
            if not call.over:
                call.abort()
                if relay is not None:
                    self._settle_stream(exchange, candidate, relay)
            exchange.upstream_ns += self._mono_ns() - sent_ns

    @staticmethod
    async def _signed(exchange: Exchange, candidate: Candidate, payload: Payload, credential: Credential) -> bytes | Fault:
        """The header lines that prove who asks, where they depend on the request."""
        paths = candidate.paths
        path = candidate.line.upstream.base_path + (paths.stream if streams(exchange) else paths.unary)
        return await credential.lines(exchange.drive, "POST", path, payload.body)

    # ---- unary

    def _unary(self, exchange: Exchange, candidate: Candidate, call: Call, payload: Payload) -> Result:
        if call.fault is not None:
            return call.fault
        body = decoded(call)
        if isinstance(body, Fault):
            return body
        dialect = SPOKEN[candidate.dialect]
        if call.status != 200:
            named = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers}
            return dialect.classify_fault(call.status, named, body, self._wall_s())
        facts = dialect.read_usage(body)
        if facts.usage is None and not facts.model and not is_json_object(body):
            return Fault(FaultKind.upstream_server, "The upstream's answer is not whole, or not JSON.", upstream_status=call.status)
        settle(exchange, candidate, facts.usage or estimated_usage(exchange, body))
        exchange.model_served = facts.model
        exchange.finish = facts.finish
        headers = self._passing.lines(call.headers) + _loss_lines(payload.losses)
        if candidate.relays:
            return Answer(200, body, call.content_type or b"application/json", headers)
        translated = self._translated(exchange, candidate, body)
        return translated if isinstance(translated, Fault) else Answer(200, translated, headers=headers)

    def _translated(self, exchange: Exchange, candidate: Candidate, body: bytes) -> bytes | Fault:
        """The answer in the client's dialect."""
        surface, envelope = exchange.surface, exchange.envelope
        assert envelope is not None
        source, target = candidate.dialect, surface.dialect
        if surface.kind == "embeddings":
            return embeddings_answer(exchange, EMBEDDINGS_DIALECTS[source].decode_answer(body))
        if surface.kind == "count":
            total = COUNTERS[source].read_count(body)
            return total if isinstance(total, Fault) else COUNTERS[target].encode_count(total)
        answer = DIALECTS[source].decode_answer(body)
        if isinstance(answer, Fault):
            return answer
        if not answer.id:
            answer = msgspec.structs.replace(answer, id=answer_id(exchange))
        return DIALECTS[target].encode_answer(answer, envelope.model, int(self._wall_s()), exchange.body)

    # ---- streams

    def _relay(self, exchange: Exchange, candidate: Candidate, payload: Payload) -> Relay:
        plan, route, envelope = exchange.published.plan, exchange.route, exchange.envelope
        assert route is not None and envelope is not None  # noqa: PT018  outer stages
        source, target = exchange.surface.dialect, candidate.dialect
        tap: StreamTap
        if candidate.relays:
            tap = DIALECTS[target].tap(hide_usage=payload.hide_usage)
        else:
            options = envelope.stream_options
            include_usage = options is not None and bool(options.include_usage)
            renderer = DIALECTS[source].stream_renderer(envelope.model, int(self._wall_s()), include_usage, exchange.body)
            tap = TranslatingTap(DIALECTS[target].stream_decoder(), renderer, answer_id(exchange))
        if target == "anthropic" and candidate.line.upstream.hosting == "bedrock":
            tap = UnframingTap(BedrockFrames(), tap)
        if exchange.place is not None and exchange.place.array:
            exchange.framer = framer = GeminiArrayFramer()
            tap = ReframingTap(tap, framer)
        kept_max = plan.capture.bytes_max if plan.capture.answers else 0
        if exchange.to_be_cached:
            kept_max = max(kept_max, plan.limits.cache_entry_bytes_max)
        relay = Relay(exchange.connection, exchange.drive, tap, route.route.timeouts.stream_events_max, kept_max)
        relay.translated = not candidate.relays
        return relay

    async def _stream(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay, payload: Payload) -> Result:
        while not relay.open and not relay.too_long and not call.over:
            await NEWS
        if not call.streaming:
            await call
            return self._unary(exchange, candidate, call, payload)
        tap = relay.tap
        if tap.error is not None and not tap.content_started:
            call.abort()
            return tap.error
        if not relay.open and (relay.too_long or call.fault is not None or not tap.finish):
            return self._before_content(call, relay)
        if (refusal := early_refusal(exchange, candidate, tap)) is not None:
            call.abort()
            settle(exchange, candidate, tap.usage)
            exchange.model_served, exchange.finish = tap.model, tap.finish
            return refusal
        exchange.ttft_ns = self._mono_ns() - exchange.started_ns
        exchange.streamed = True
        headers = self._passing.lines(call.headers) + _loss_lines(payload.losses)
        self._commit(exchange, relay, headers)
        while not call.over and not relay.too_long:
            await NEWS
        return self._finish_stream(exchange, candidate, call, relay)

    @staticmethod
    def _before_content(call: Call, relay: Relay) -> Fault:
        """Why a stream is over before the client saw any of it: another attempt may follow."""
        if relay.too_long:
            call.abort()
            return Fault(FaultKind.upstream_server, "The stream has too much before its first content.")
        return call.fault or Fault(FaultKind.upstream_cut, "The upstream ended the stream before it said anything.")

    def _finish_stream(self, exchange: Exchange, candidate: Candidate, call: Call, relay: Relay) -> Answer:
        """Say how the stream ended: whole, or with the client's dialect's own error event."""
        rest = relay.end()
        tap = relay.tap
        if relay.too_long:
            call.abort()
            fault: Fault | None = Fault(
                FaultKind.upstream_server, "The stream has more events than the route allows (timeouts.stream_events_max)."
            )
        elif tap.error is not None:
            fault = tap.error
        elif tap.done or tap.finish:
            fault = None
        else:
            fault = call.fault or Fault(FaultKind.upstream_cut, "The upstream ended the stream before it was complete.")
        self._settle_stream(exchange, candidate, relay)
        exchange.fault = fault
        # The provider's own error event is on its way to a client of the same dialect; what we found ourselves is still to be said.
        if fault is not None and (relay.translated or fault is not tap.error or fault.upstream_body is None):
            rest += framed(exchange, DIALECTS[exchange.surface.dialect].render_stream_fault(fault, exchange.request_id.hex()))
        if exchange.framer is not None:
            rest += exchange.framer.finish()
        return Answer(200, rest, streamed=True)

    def _settle_stream(self, exchange: Exchange, candidate: Candidate, relay: Relay) -> None:
        tap = relay.tap
        usage = tap.usage
        if usage is None and tap.content_started:
            usage = Usage(input=len(exchange.body) // 4, output=max(0, tap.events - 1), estimated=True)
        settle(exchange, candidate, usage)
        exchange.model_served = tap.model
        exchange.finish = tap.finish
        exchange.answer_bytes = relay.bytes
        exchange.captured = relay.kept()
        # A client that hangs up on the last event has had its whole answer.
        exchange.whole = tap.done and tap.error is None


def answer_id(exchange: Exchange) -> str:
    """Names an answer whose provider gave it no id (Bedrock, Ollama): clients and their logs want one."""
    return exchange.request_id.hex()


def framed(exchange: Exchange, data: bytes) -> bytes:
    """A piece of a stream as this client takes it."""
    return data if exchange.framer is None else exchange.framer.feed(data)


def is_json_object(body: bytes) -> bool:
    """Whether `body` is one whole JSON object. Asked only of an answer without usage and model, so it costs nothing as a rule."""
    try:
        _decode_members(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _loss_lines(losses: tuple[str, ...]) -> bytes:
    """What the upstream's dialect could not say, said to the client."""
    return b"x-setpoint-untranslated: %b\r\n" % ", ".join(losses).encode("ascii", "replace") if losses else b""
