"""Answers that come in another form than was asked for: a whole one for a stream, or a stream for a whole one.

Some servers do not stream a model, a tool call or an error, and some stream whatever they are asked. The client gets the form that it asked
for in either case.
"""

from collections.abc import Callable

from msgspec.structs import replace

from setpoint.domain.chat import ChatAnswer
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Fold
from setpoint.gateway.dialects import DIALECTS, SPOKEN
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Candidate
from setpoint.gateway.settle import decoded
from setpoint.gateway.upstream import STREAM_TYPES, Call
from setpoint.wire.bedrock_invoke import BedrockFrames

_STARTS = (b"data:", b"event:", b": ", b"id:", b"retry:", b"[")
"""Of server-sent events, and of Gemini's other form of a stream."""


def is_stream(call: Call, body: bytes) -> bool:
    """Whether a held answer is a stream, by its label or by its looks."""
    return call.content_type.lower().startswith(STREAM_TYPES) or body[:64].lstrip().startswith(_STARTS)


def folded(candidate: Candidate, body: bytes) -> ChatAnswer | Fault:
    """The answer that a held stream tells; the fault it ends in when it is not whole."""
    if candidate.dialect == "anthropic" and candidate.line.upstream.hosting == "bedrock":
        frames = BedrockFrames()
        body = frames.feed(body) + frames.finish()
    decoder = DIALECTS[candidate.dialect].stream_decoder()
    told = Fold()
    for event in [*decoder.feed(body), *decoder.finish()]:
        told.add(event)
        if told.fault is not None:
            return told.fault
    return told.answer()


def held(candidate: Candidate, call: Call, wall_s: Callable[[], float]) -> bytes | Fault:
    """The body of a good answer that was held, or what went wrong."""
    if call.fault is not None:
        return call.fault
    body = decoded(call)
    if isinstance(body, Fault) or call.status == 200:
        return body
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in call.headers}
    return SPOKEN[candidate.dialect].classify_fault(call.status, named, body, wall_s())


def whole(exchange: Exchange, candidate: Candidate, call: Call, body: bytes) -> ChatAnswer | Fault:
    """A held answer in either form, to a request for one answer."""
    if b'"n"' in exchange.body:
        asked = DIALECTS[exchange.surface.dialect].decode_request(exchange.body)
        if not isinstance(asked, Fault) and asked.n > 1:
            return Fault(FaultKind.upstream_server, "The upstream gave several answers in another form than was asked for.")
    answer = folded(candidate, body) if is_stream(call, body) else DIALECTS[candidate.dialect].decode_answer(body)
    if isinstance(answer, Fault):
        return answer
    if not (answer.parts or answer.usage or answer.id or answer.model):
        return Fault(FaultKind.upstream_server, "The upstream's answer says nothing.", upstream_status=call.status)
    return answer if answer.id else replace(answer, id=answer_id(exchange))


def answer_id(exchange: Exchange) -> str:
    """Names an answer whose provider gave it no id (Bedrock, Ollama): clients and their logs want one."""
    return exchange.request_id.hex()


def loss_lines(losses: tuple[str, ...]) -> bytes:
    """What the upstream's dialect could not say, said to the client."""
    return b"x-setpoint-untranslated: %b\r\n" % ", ".join(losses).encode("ascii", "replace") if losses else b""
