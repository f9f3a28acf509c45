"""Where an upstream serves what: which of its dialects a client's request is said in, and at which path.

A vendor's dialect stands behind other doors at the clouds. Azure puts the deployment into the path unless its versionless address is used;
Bedrock and Vertex put the model there, and whether the answer is streamed. Sources: each vendor's API reference.
"""

import msgspec

from setpoint.domain.plan import DialectName, Hosting, Upstream
from setpoint.gateway.surfaces import HotSurface, Kind

_EMBEDDINGS: dict[DialectName, DialectName] = {
    "openai_chat": "openai_embeddings",
    "openai_responses": "openai_embeddings",
    "openai_embeddings": "openai_embeddings",
    "gemini": "gemini_embeddings",
    "gemini_embeddings": "gemini_embeddings",
    "cohere": "cohere_embeddings",
    "cohere_embeddings": "cohere_embeddings",
    "ollama": "ollama_embeddings",
    "ollama_embeddings": "ollama_embeddings",
}
"""The dialect of embeddings that comes with a chat dialect; Anthropic and Converse have none."""
_FAMILIES: dict[DialectName, frozenset[DialectName]] = {
    "openai_chat": frozenset({"openai_chat", "openai_responses", "openai_embeddings"}),
    "anthropic": frozenset({"anthropic"}),
    "cohere": frozenset({"cohere"}),
}
_HOSTED: frozenset[Hosting] = frozenset({"vendor", "azure"})
COUNTING: frozenset[DialectName] = frozenset({"anthropic", "gemini"})
"""Dialects with a way to ask how many tokens a prompt has."""
MODEL_IN_PATH: frozenset[DialectName] = frozenset({"gemini", "gemini_embeddings", "bedrock_converse"})
"""Dialects whose bodies do not name the model."""


class Endpoint(msgspec.Struct, frozen=True):
    """Paths with query, behind the upstream's base path. They are equal where the body says what is to be streamed."""

    unary: str
    stream: str


def spoken(upstream: Upstream, surface: HotSurface) -> DialectName | None:
    """The dialect in which `upstream` is asked what came in by `surface`: the client's own if it can, else its preferred one.

    None when it cannot serve it at all. Counting tokens is never impossible: where nobody can be asked, the gateway estimates.
    """
    own = surface.dialect
    if surface.kind == "embeddings":
        comes_with = _EMBEDDINGS.get(upstream.dialect)
        return own if own in (comes_with, *upstream.also) else comes_with
    if surface.kind == "passing":
        return own if passes_on(upstream, surface) else None
    if own == upstream.dialect or own in upstream.also:
        return own
    return upstream.dialect if upstream.dialect in _CHAT else None


def passes_on(upstream: Upstream, surface: HotSurface) -> bool:
    """Whether `upstream` is of the family that `surface` is passed on to, and reached at its vendor's own paths."""
    family = _FAMILIES.get(surface.dialect, ())
    speaks = upstream.dialect in family or any(dialect in family for dialect in upstream.also)
    return speaks and upstream.hosting in _HOSTED and upstream.name != "sim"


def endpoint(upstream: Upstream, dialect: DialectName, kind: Kind, model: str, *, single: bool = False) -> Endpoint:
    """Where `upstream` takes a request in `dialect`. `model` goes into the path where the dialect or the cloud wants it there."""
    if kind == "passing":
        return Endpoint("", "")  # the client's own path
    if upstream.hosting == "azure":
        return _azure(upstream, dialect, model)
    if upstream.hosting == "bedrock":
        return _bedrock(dialect, model)
    if upstream.hosting == "vertex":
        return _vertex(upstream, dialect, kind, model)
    return _vendor(dialect, kind, model, single=single)


_PATHS: dict[DialectName, str] = {
    "openai_chat": "/chat/completions",
    "openai_responses": "/responses",
    "openai_completions": "/completions",
    "openai_embeddings": "/embeddings",
    "anthropic": "/messages",
    "cohere": "/v2/chat",
    "cohere_embeddings": "/v2/embed",
    "ollama": "/api/chat",
    "ollama_embeddings": "/api/embed",
}
_CHAT = frozenset({"openai_chat", "openai_responses", "openai_completions", "anthropic", "gemini", "bedrock_converse", "cohere", "ollama"})


def _vendor(dialect: DialectName, kind: Kind, model: str, *, single: bool) -> Endpoint:
    if dialect in ("gemini", "gemini_embeddings"):
        return _google(f"/models/{escaped(model)}", dialect, kind, single=single)
    if dialect == "bedrock_converse":
        return _bedrock(dialect, model)
    path = _PATHS[dialect]
    if kind == "count":
        path += "/count_tokens"
    return Endpoint(path, path)


def _google(place: str, dialect: DialectName, kind: Kind, *, single: bool) -> Endpoint:
    if kind == "count":
        return Endpoint(f"{place}:countTokens", "")
    if dialect == "gemini_embeddings":
        return Endpoint(f"{place}:{'embedContent' if single else 'batchEmbedContents'}", "")
    return Endpoint(f"{place}:generateContent", f"{place}:streamGenerateContent?alt=sse")


def _azure(upstream: Upstream, dialect: DialectName, model: str) -> Endpoint:
    path = _PATHS[dialect]
    if not upstream.api_version:
        path = f"/openai/v1{path}"
    elif dialect == "openai_responses":
        path = f"/openai{path}?api-version={upstream.api_version}"
    else:
        path = f"/openai/deployments/{escaped(model)}{path}?api-version={upstream.api_version}"
    return Endpoint(path, path)


def _bedrock(dialect: DialectName, model: str) -> Endpoint:
    place = f"/model/{escaped(model)}"
    if dialect == "anthropic":
        return Endpoint(f"{place}/invoke", f"{place}/invoke-with-response-stream")
    return Endpoint(f"{place}/converse", f"{place}/converse-stream")


def _vertex(upstream: Upstream, dialect: DialectName, kind: Kind, model: str) -> Endpoint:
    publisher = "anthropic" if dialect == "anthropic" else "google"
    place = f"/v1/projects/{escaped(upstream.project)}/locations/{escaped(upstream.region)}/publishers/{publisher}/models/{escaped(model)}"
    if dialect == "anthropic":
        return Endpoint(f"{place}:rawPredict", f"{place}:streamRawPredict")
    return _google(place, dialect, kind, single=True)


_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


def escaped(text: str) -> str:
    """`text` as one segment of a path (RFC 3986 section 3.3): all but unreserved characters escaped, so that it can hold no `/` or `?`."""
    return "".join(c if c in _PLAIN else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "replace")) for c in text)
