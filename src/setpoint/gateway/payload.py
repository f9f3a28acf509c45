"""What is sent upstream for an exchange: the client's own bytes where the dialects agree, a translation where they do not."""

import msgspec

from setpoint.domain.faults import Fault
from setpoint.gateway.dialects import DIALECTS
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Candidate
from setpoint.wire.openai_chat.stream_usage import ask_for_stream_usage
from setpoint.wire.splice import remove_members, replace_model

ANTHROPIC_VERSION = b"anthropic-version: 2023-06-01\r\n"
# Not Idempotency-Key: many callers share the gateway's one credential, and a provider would answer one with another's result.
_FORWARDED = {
    "anthropic": (b"anthropic-version", b"anthropic-beta", b"traceparent", b"tracestate"),
    "openai_chat": (b"openai-beta", b"traceparent", b"tracestate"),
}
_OURS = ("cache", "tags")
"""Body members that are for the gateway alone; vendors refuse members they do not know."""


class Payload(msgspec.Struct):
    """Head and body to send. `hide_usage`: the stream's usage was asked for by us, so the client must not see it."""

    head: bytes
    body: bytes
    hide_usage: bool
    losses: tuple[str, ...] = ()


def streams(exchange: Exchange) -> bool:
    envelope = exchange.envelope
    return exchange.surface.streams and envelope is not None and bool(envelope.stream)


def payload_for(exchange: Exchange, candidate: Candidate) -> Payload | Fault:
    """The request to `candidate`. A fault when its dialect cannot express what was asked."""
    envelope = exchange.envelope
    assert envelope is not None
    surface, dialect = exchange.surface, candidate.line.upstream.dialect
    losses: tuple[str, ...] = ()
    hide_usage = False
    if surface.dialect == dialect:
        body = replace_model(_for_others(exchange.body, envelope), envelope.model, candidate.model)
        if dialect == "openai_chat" and surface.streams and envelope.stream and not _asked_for_usage(envelope):
            body = ask_for_stream_usage(body)
            hide_usage = True
    else:
        translated = _translate(exchange, candidate, _for_others(exchange.body, envelope))
        if isinstance(translated, Fault):
            return translated
        body, losses = translated
    head = b"%b%bcontent-length: %d\r\n\r\n" % (candidate.head, _forwarded(exchange, dialect), len(body))
    return Payload(head, body, hide_usage, losses)


def _for_others(body: bytes, envelope: Envelope) -> bytes:
    """The body without what is for the gateway alone."""
    return body if envelope.cache is None and envelope.tags is None else remove_members(body, _OURS)


def _asked_for_usage(envelope: Envelope) -> bool:
    options = envelope.stream_options
    return options is not None and bool(options.include_usage)


def _translate(exchange: Exchange, candidate: Candidate, body: bytes) -> tuple[bytes, tuple[str, ...]] | Fault:
    source, target = DIALECTS[exchange.surface.dialect], DIALECTS[candidate.line.upstream.dialect]
    request = source.decode_request(body)
    if isinstance(request, Fault):
        return request
    encoded = target.encode_request(request, candidate.model, streams(exchange))
    if isinstance(encoded, Fault):
        return encoded
    return encoded.body, encoded.losses


def _forwarded(exchange: Exchange, dialect: str) -> bytes:
    headers = exchange.request.headers
    lines = [b"%b: %b\r\n" % (name, headers[name]) for name in _FORWARDED[dialect] if name in headers]
    if dialect == "anthropic" and b"anthropic-version" not in headers:
        lines.append(ANTHROPIC_VERSION)
    return b"".join(lines)
