"""One upstream call from start to end: send, wait, understand the answer.

`call` returns an answer in the client's dialect or a fault, and never lets go of a call that is still under way: when the client
hangs up, the cancellation passes through here and the upstream connection is closed at once."""

from collections.abc import Callable

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.counting import counts, embeddings_answer, estimated_count
from setpoint.gateway.credentials import Credential
from setpoint.gateway.dialects import COUNTERS, DIALECTS, EMBEDDINGS_DIALECTS, SPOKEN
from setpoint.gateway.drive import Cancelled
from setpoint.gateway.estimates import unfinished_usage
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.long_models import timeouts_for
from setpoint.gateway.passing_call import PassingCall
from setpoint.gateway.payload import Payload, payload_for, streams
from setpoint.gateway.published import Candidate
from setpoint.gateway.relay import Relay
from setpoint.gateway.respond import PassThrough
from setpoint.gateway.settle import estimated_usage, settle
from setpoint.gateway.streaming import Commit, Streaming
from setpoint.gateway.upstream import Call
from setpoint.gateway.whole_answer import answer_id, held, is_stream, loss_lines, whole

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Calling:
    """What a call needs of the worker."""

    def __init__(self, commit: Commit, mono_ns: Callable[[], int], wall_s: Callable[[], float]) -> None:
        self._mono_ns = mono_ns
        self._wall_s = wall_s
        self._passing = PassThrough()
        self._streaming = Streaming(commit, mono_ns, wall_s, self._passing)
        self._passing_call = PassingCall(commit, mono_ns, wall_s)

    async def call(self, exchange: Exchange, candidate: Candidate) -> Result:
        """One attempt at one candidate. Sets what the exchange knows of its answer: usage, cost, model served, finish, times."""
        surface = exchange.surface
        if surface.kind == "passing":
            return await self._passing_call.call(exchange, candidate)
        if surface.kind == "count" and not counts(candidate):
            exchange.candidate = candidate
            return estimated_count(exchange)
        stream = streams(exchange)
        payload = self._streaming.payload(exchange, candidate) if stream else payload_for(exchange, candidate)
        if isinstance(payload, Fault):
            return payload
        exchange.candidate = candidate
        route, plan = exchange.route, exchange.published.plan
        assert route is not None
        timeouts = timeouts_for(route, candidate, exchange.envelope)
        relay = self._streaming.relay(exchange, candidate, payload, timeouts.stream_events_max) if stream else None
        head = payload.head
        credential = candidate.line.credential if exchange.key is None else exchange.key.credential
        if credential is not None:
            signed = await self._signed(exchange, candidate, payload, credential)
            if isinstance(signed, Fault):
                return signed
            head += signed
        head += b"\r\n"
        call = Call(exchange.drive, (head, payload.body), timeouts, plan.limits.answer_bytes_max, relay, gated=stream)
        call.until_s = exchange.until_s
        if exchange.continued is not None:
            call.until_s = min(call.until_s, exchange.continued.until_s)
        exchange.call = call
        exchange.attempts += 1
        sent_ns = self._mono_ns()
        candidate.line.pool.send(call)
        try:
            if relay is not None:
                result = await self._streaming.run(exchange, candidate, call, relay, payload)
            else:
                await call
                result = self._unary(exchange, candidate, call, payload)
            return self._last_word(exchange, result) if isinstance(result, Fault) else result
        finally:
            if not call.over:
                call.abort()
                self._settle_abandoned(exchange, candidate, call, relay)
            exchange.upstream_ns += self._mono_ns() - sent_ns

    @staticmethod
    async def _signed(exchange: Exchange, candidate: Candidate, payload: Payload, credential: Credential) -> bytes | Fault:
        """The header lines that prove who asks, where they depend on the request."""
        paths = candidate.paths
        path = candidate.line.upstream.base_path + (paths.stream if streams(exchange) else paths.unary)
        return await credential.lines(exchange.drive, "POST", path, payload.body)

    @staticmethod
    def _last_word(exchange: Exchange, fault: Fault) -> Fault:
        """What the stages are told of a call that failed. A rest that cannot be had is told as what broke off."""
        if exchange.gone:
            raise Cancelled  # nobody is there for another attempt
        continued = exchange.continued
        if exchange.streamed and continued is not None and continued.fault is not None and fault.retry == "never":
            return continued.fault
        return fault

    @staticmethod
    def _settle_abandoned(exchange: Exchange, candidate: Candidate, call: Call, relay: Relay | None) -> None:
        """The client is gone: what was asked is paid for all the same."""
        if relay is not None:
            Streaming.settle(exchange, candidate, call, relay)
        elif call.sent_at_s and exchange.surface.kind == "chat":
            settle(exchange, candidate, unfinished_usage(exchange, None, 0))

    # ---- unary

    def _unary(self, exchange: Exchange, candidate: Candidate, call: Call, payload: Payload) -> Result:
        body = held(candidate, call, self._wall_s)
        if isinstance(body, Fault):
            return body
        headers = self._passing.lines(call.headers) + loss_lines(payload.losses)
        dialect = SPOKEN[candidate.dialect]
        facts = dialect.read_usage(body)
        if facts.usage is None and not facts.model and not is_json_object(body):
            if exchange.surface.kind == "chat" and is_stream(call, body):
                return self._folded(exchange, candidate, call, body, headers)
            return Fault(FaultKind.upstream_server, "The upstream's answer is not whole, or not JSON.", upstream_status=call.status)
        settle(exchange, candidate, facts.usage or estimated_usage(exchange, body))
        exchange.model_served = facts.model
        exchange.finish = facts.finish
        if candidate.relays:
            return Answer(200, body, call.content_type or b"application/json", headers)
        translated = self._translated(exchange, candidate, body)
        return translated if isinstance(translated, Fault) else Answer(200, translated, headers=headers)

    def _folded(self, exchange: Exchange, candidate: Candidate, call: Call, body: bytes, headers: bytes) -> Result:
        """The answer that a stream tells which nobody asked for."""
        envelope = exchange.envelope
        assert envelope is not None
        answer = whole(exchange, candidate, call, body)
        if isinstance(answer, Fault):
            return answer
        said = DIALECTS[exchange.surface.dialect].encode_answer(answer, envelope.model, int(self._wall_s()), exchange.body)
        settle(exchange, candidate, answer.usage or estimated_usage(exchange, said))
        exchange.model_served, exchange.finish = answer.model, answer.finish
        return Answer(200, said, headers=headers)

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


def is_json_object(body: bytes) -> bool:
    """Whether `body` is one whole JSON object. Asked only of an answer without usage and model, so it costs nothing as a rule."""
    try:
        _decode_members(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True
