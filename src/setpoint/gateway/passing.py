"""Surfaces that are passed on: images, audio, moderations, rerank, files, batches and what else a provider keeps.

They are authenticated, limited, traced, retried and metered like any other, but nothing of them is translated. The provider is found in
this order: the header `x-setpoint-provider`; the route of the model that a JSON body or a form names; the provider that is named like
the family; the only one that speaks it.

What a provider keeps belongs to the credential it was made with, which all gateway keys share.
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl, urlencode

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import LONG_TIMEOUTS, Timeouts, Upstream
from setpoint.gateway.endpoints import passes_on
from setpoint.gateway.envelope import LooseEnvelope, malformed
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Candidate, Published, ResolvedRoute
from setpoint.wire.multipart import boundary_of, find_field, with_field
from setpoint.wire.splice import remove_members, replace_model

PROVIDER_HEADER = b"x-setpoint-provider"
_FORWARDED = (b"accept", b"openai-beta", b"anthropic-version", b"anthropic-beta", b"traceparent", b"tracestate")
_NAMED_LIKE = {"openai_chat": "openai", "anthropic": "anthropic", "cohere": "cohere"}
_OURS = ("cache", "tags")

NOT_A_PROVIDER = "No provider here is named {name!r}. Those that can serve this path: {known}."
NO_PROVIDER = "No provider here serves this path. Configure one that does, such as `{family}`."
WHICH_PROVIDER = "Several providers could serve this path: {known}. Say which with the header 'x-setpoint-provider: NAME'."


def read_passing(exchange: Exchange) -> Fault | None:
    """Sets the envelope: the model when the body names one, and what the gateway's own members say."""
    request = exchange.request
    content_type = request.headers.get(b"content-type", b"")
    boundary = boundary_of(content_type)
    if boundary is not None:
        field = find_field(exchange.body, boundary, b"model")
        name = b"" if field is None else exchange.body[field.start : field.end]
        exchange.envelope = LooseEnvelope(model=name.decode("utf-8", "replace"))
        exchange.opaque = True
        return None
    if not exchange.body or not content_type.lower().startswith(b"application/json"):
        exchange.envelope = LooseEnvelope()
        exchange.opaque = bool(exchange.body)
        return None
    try:
        exchange.envelope = exchange.surface.decode(exchange.body)
    except msgspec.MsgspecError as error:
        return malformed(error)
    except (UnicodeDecodeError, RecursionError):
        return Fault(FaultKind.bad_request, "The request body is not valid JSON.")
    return None


def route_passing(exchange: Exchange) -> ResolvedRoute | Fault:
    """Where to pass it on; see the module's text."""
    published, surface, envelope = exchange.published, exchange.surface, exchange.envelope
    assert envelope is not None
    able = [line.upstream for line in published.lines.values() if passes_on(line.upstream, surface)]
    named = exchange.request.headers.get(PROVIDER_HEADER)
    if named is not None:
        name = named.decode("latin-1").strip()
        if all(upstream.name != name for upstream in able):
            return Fault(FaultKind.bad_request, NOT_A_PROVIDER.format(name=name[:100], known=_names(able)), PROVIDER_HEADER.decode())
        return _to(published, name, exchange)
    if envelope.model:
        found = published.resolve(envelope.model, surface)
        if found is not None and found.candidates:
            return found
    if not able:
        return Fault(FaultKind.unsupported, NO_PROVIDER.format(family=_NAMED_LIKE[surface.dialect]))
    if any(upstream.name == _NAMED_LIKE[surface.dialect] for upstream in able):
        return _to(published, _NAMED_LIKE[surface.dialect], exchange)
    if len(able) == 1:
        return _to(published, able[0].name, exchange)
    return Fault(FaultKind.bad_request, WHICH_PROVIDER.format(known=_names(able)), PROVIDER_HEADER.decode())


def _names(upstreams: Iterable[Upstream]) -> str:
    return ", ".join(sorted(upstream.name for upstream in upstreams)) or "none"


def _to(published: Published, name: str, exchange: Exchange) -> ResolvedRoute:
    envelope = exchange.envelope
    assert envelope is not None
    return published.resolve_upstream(name, envelope.model, exchange.surface)


def timeouts_of(route: ResolvedRoute) -> Timeouts:
    """Pictures and transcripts take longer than the default allows a unary answer."""
    own = route.route.timeouts
    return LONG_TIMEOUTS if own == Timeouts() else own


def passed_body(exchange: Exchange, candidate: Candidate) -> bytes:
    """The body as it came, but for the model's name at the upstream and what is for the gateway alone."""
    envelope, body = exchange.envelope, exchange.body
    assert envelope is not None
    if not envelope.model or not body:
        return body
    boundary = boundary_of(exchange.request.headers.get(b"content-type", b""))
    if boundary is not None:
        field = find_field(body, boundary, b"model")
        renamed = candidate.model.encode()
        return body if field is None or body[field.start : field.end] == renamed else with_field(body, field, renamed)
    if envelope.cache is not None or envelope.tags is not None:
        body = remove_members(body, _OURS)
    return replace_model(body, envelope.model, candidate.model)


def passed_path(exchange: Exchange, upstream: Upstream) -> str:
    """The path and query at the upstream, behind its base path."""
    place = exchange.place
    assert place is not None
    path = place.path
    if upstream.hosting == "azure":
        path = f"/openai/v1{path}"
    _, _, query = exchange.request.target.partition(b"?")
    if not query:
        return path
    kept = urlencode([(name, value) for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if name != "key"])
    return f"{path}?{kept}" if kept else path


def passed_head(exchange: Exchange, candidate: Candidate, body: bytes) -> bytes:
    """The request's head up to its empty line."""
    request, line = exchange.request, candidate.line
    headers = request.headers
    own = []
    if body or request.method == b"POST":
        own.append(f"content-length: {len(body)}")
    if b"content-type" in headers and body:
        own.append(f"content-type: {headers[b'content-type'].decode('latin-1')}")
    own += [f"{name.decode()}: {headers[name].decode('latin-1')}" for name in _FORWARDED if name in headers]
    if candidate.dialect == "anthropic" and b"anthropic-version" not in headers:
        own.append("anthropic-version: 2023-06-01")
    return line.build_head(request.method.decode("ascii"), passed_path(exchange, line.upstream), *own, key=exchange.key)
