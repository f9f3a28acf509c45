"""What is sent upstream for an exchange: the client's own bytes where the dialects agree, a translation where they do not."""

import msgspec

from setpoint.domain.chat import ChatRequest
from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.dialects import COUNTERS, DIALECTS, EMBEDDINGS_DIALECTS
from setpoint.gateway.endpoints import MODEL_IN_PATH
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Candidate
from setpoint.wire.bedrock_invoke import bedrock_body, vertex_body
from setpoint.wire.dialect import Encoded
from setpoint.wire.gemini.count_tokens import encode_vertex_count_request
from setpoint.wire.gemini_embeddings.rename import with_model
from setpoint.wire.openai_chat.stream_usage import ask_for_stream_usage
from setpoint.wire.splice import remove_members, replace_model, set_members

ANTHROPIC_VERSION = b"anthropic-version: 2023-06-01\r\n"
# Not Idempotency-Key: many callers share the gateway's one credential, and a provider would answer one with another's result.
_TRACING = (b"traceparent", b"tracestate")
_FORWARDED: dict[str, tuple[bytes, ...]] = {
    "anthropic": (b"anthropic-version", b"anthropic-beta", *_TRACING),
    "openai_chat": (b"openai-beta", *_TRACING),
    "openai_responses": (b"openai-beta", *_TRACING),
}
_OURS = ("cache", "tags")
"""Body members that are for the gateway alone; vendors refuse members they do not know."""
_ASKS_FOR_USAGE = frozenset({"openai_chat", "openai_completions"})
_encode = msgspec.json.Encoder().encode


class Payload(msgspec.Struct):
    """Head and body to send. `hide_usage`: the stream's usage was asked for by us, so the client must not see it."""

    head: bytes
    body: bytes
    hide_usage: bool
    losses: tuple[str, ...] = ()


def streams(exchange: Exchange) -> bool:
    envelope = exchange.envelope
    return exchange.surface.streams and envelope is not None and bool(envelope.stream)


def payload_for(exchange: Exchange, candidate: Candidate, asked: ChatRequest | None = None) -> Payload | Fault:
    """The request to `candidate`. A fault when its dialect cannot express what was asked. `asked` stands for the client's own request."""
    envelope = exchange.envelope
    assert envelope is not None
    dialect = candidate.dialect
    stream = streams(exchange)
    losses: tuple[str, ...] = ()
    hide_usage = False
    wishes = exchange.wishes
    body = exchange.body
    if envelope.cache is not None or envelope.tags is not None or wishes is not None:
        body = remove_members(body, _OURS if wishes is None else _OURS + wishes.ours(candidate))
    if candidate.relays and asked is None:
        if dialect not in MODEL_IN_PATH:
            body = _named(body, exchange, candidate)
        elif dialect == "gemini_embeddings" and candidate.model != envelope.model:
            body = with_model(body, candidate.model)
        if stream and dialect in _ASKS_FOR_USAGE and candidate.line.upstream.can.stream_usage == "ask" and not _asked_for_usage(envelope):
            body = ask_for_stream_usage(body)
            hide_usage = True
    else:
        translated = _translate(exchange, candidate, body, asked, stream=stream)
        if isinstance(translated, Fault):
            return translated
        body, losses = translated.body, translated.losses
        if wishes is not None and (names := wishes.passed_on(candidate)):
            body = set_members(body, {name: _encode(said) for name in names if (said := getattr(envelope, name)) is not None})
    if dialect == "anthropic" and candidate.line.upstream.hosting != "vendor":
        body = _hosted(body, exchange, candidate)
    head = b"%b%bcontent-length: %d\r\n" % (
        head_of(exchange, candidate, stream=stream),
        _forwarded(exchange, candidate),
        len(body),
    )
    return Payload(head, body, hide_usage, losses)


def head_of(exchange: Exchange, candidate: Candidate, *, stream: bool) -> bytes:
    """The request's head up to the exchange's own headers."""
    if exchange.key is None:
        return candidate.stream_head if stream else candidate.head
    return candidate.line.head(candidate.paths.stream if stream else candidate.paths.unary, exchange.key)


def _named(body: bytes, exchange: Exchange, candidate: Candidate) -> bytes:
    """The body with the model's name at the upstream. A client that named it in the path may have left it out of the body."""
    envelope, place = exchange.envelope, exchange.place
    assert envelope is not None
    if place is not None and place.model:
        return set_members(body, {"model": _encode(candidate.model)})
    return replace_model(body, envelope.model, candidate.model)


def _hosted(body: bytes, exchange: Exchange, candidate: Candidate) -> bytes:
    """Anthropic's body as the clouds take it."""
    betas = tuple(
        beta.strip().decode("latin-1") for beta in exchange.request.headers.get(b"anthropic-beta", b"").split(b",") if beta.strip()
    )
    return bedrock_body(body, betas) if candidate.line.upstream.hosting == "bedrock" else vertex_body(body, betas)


def _asked_for_usage(envelope: Envelope) -> bool:
    options = envelope.stream_options
    return options is not None and bool(options.include_usage)


def _translate(exchange: Exchange, candidate: Candidate, body: bytes, asked: ChatRequest | None, *, stream: bool) -> Encoded | Fault:
    if asked is not None:
        return DIALECTS[candidate.dialect].encode_request(asked, candidate.model, stream, candidate.line.upstream.can)
    encoded = _encoded(exchange, candidate, body, stream=stream)
    if isinstance(encoded, Fault) or not encoded.losses:
        return encoded
    route = exchange.route
    assert route is not None
    if route.route.untranslated == "refuse":
        text = (
            f"{candidate.line.upstream.provider} cannot say all of this request ({', '.join(encoded.losses)}), and the route refuses that."
        )
        return Fault(FaultKind.unsupported, text)
    return encoded


def _encoded(exchange: Exchange, candidate: Candidate, body: bytes, *, stream: bool) -> Encoded | Fault:
    surface = exchange.surface
    source, target = surface.dialect, candidate.dialect
    if surface.kind == "embeddings":
        wanted = EMBEDDINGS_DIALECTS[source].decode_request(body)
        return wanted if isinstance(wanted, Fault) else EMBEDDINGS_DIALECTS[target].encode_request(wanted, candidate.model)
    if surface.kind == "count":
        counted = COUNTERS[source].decode_count_request(body)
        if isinstance(counted, Fault):
            return counted
        if candidate.line.upstream.hosting == "vertex":
            return encode_vertex_count_request(counted, candidate.model)
        return COUNTERS[target].encode_count_request(counted, candidate.model)
    request = DIALECTS[source].decode_request(body)
    if isinstance(request, Fault):
        return request
    return DIALECTS[target].encode_request(request, candidate.model, stream, candidate.line.upstream.can)


def _forwarded(exchange: Exchange, candidate: Candidate) -> bytes:
    headers = exchange.request.headers
    dialect = candidate.dialect
    vendor = candidate.line.upstream.hosting == "vendor"
    names = _FORWARDED.get(dialect, _TRACING) if vendor else _TRACING
    lines = [b"%b: %b\r\n" % (name, headers[name]) for name in names if name in headers]
    if dialect == "anthropic" and vendor and b"anthropic-version" not in headers:
        lines.append(ANTHROPIC_VERSION)
    return b"".join(lines)
