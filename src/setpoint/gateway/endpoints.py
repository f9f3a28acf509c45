"""Where an upstream serves what: which of its dialects a client's request is said in, and at which path.

A vendor's dialect stands behind other doors at the clouds. Azure puts the deployment into the path unless its versionless address is used;
Bedrock and Vertex put the model there, and whether the answer is streamed. Both serve Anthropic's models beside others, which do not speak
Anthropic's dialect: there the model decides.

Sources: https://learn.microsoft.com/azure/ai-foundry/openai/reference, https://docs.aws.amazon.com/bedrock/latest/APIReference,
https://cloud.google.com/vertex-ai/docs/reference/rest, https://ai.google.dev/api, and each vendor's API reference.
"""

import re

import msgspec

from setpoint.domain.plan import DialectName, Hosting, Upstream
from setpoint.gateway.surfaces import HotSurface, Kind
from setpoint.wire.aws_sigv4 import encode_segment

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
MODEL_IN_PATH: frozenset[DialectName] = frozenset({"gemini", "gemini_embeddings", "vertex_embeddings", "bedrock_converse"})
"""Dialects whose bodies do not name the model."""


class Endpoint(msgspec.Struct, frozen=True):
    """Paths with query, behind the upstream's base path. They are equal where the body says what is to be streamed."""

    unary: str
    stream: str


def spoken(upstream: Upstream, surface: HotSurface, model: str = "") -> DialectName | None:
    """The dialect in which `upstream` is asked what came in by `surface`: the client's own if it can, else its preferred one.

    `model` is the name there. None when it cannot serve it at all. Counting tokens is never impossible: where nobody can be asked, the
    gateway estimates.
    """
    own = surface.dialect
    if surface.kind == "embeddings":
        comes_with = _EMBEDDINGS.get(upstream.dialect)
        if comes_with == "gemini_embeddings" and upstream.hosting == "vertex":
            return "gemini_embeddings" if _EMBEDS_CONTENT.search(model) else "vertex_embeddings"
        return own if own in (comes_with, *upstream.also) else comes_with
    if surface.kind == "passing":
        return own if passes_on(upstream, surface) else None
    preferred, also = _of_model(upstream, model)
    if own == preferred or own in also:
        return own
    return preferred if preferred in _CHAT else None


_EMBEDS_CONTENT = re.compile(r"gemini-embedding-(?!001)|maas")
"""Models of Vertex that are asked by embedContent; the older ones, and the others, by predict."""
_CLAUDE_AT = {"vertex": re.compile(r"(?:anthropic/)?claude"), "bedrock": re.compile(r"(?:.*[./:])?anthropic\.")}


def _of_model(upstream: Upstream, model: str) -> tuple[DialectName, tuple[DialectName, ...]]:
    """The preferred dialect and the further ones. Where a cloud serves Anthropic's dialect beside another, only Claude speaks it."""
    preferred, also = upstream.dialect, upstream.also
    claude = _CLAUDE_AT.get(upstream.hosting)
    if claude is None or preferred == "anthropic" or "anthropic" not in also:
        return preferred, also
    if not claude.match(model):
        return preferred, tuple(dialect for dialect in also if dialect != "anthropic")
    # Converse serves Claude too; generateContent does not.
    return ("anthropic", ()) if upstream.hosting == "vertex" else (preferred, also)


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
        return _vertex(upstream, dialect, kind, model, single=single)
    return _vendor(upstream, dialect, kind, model, single=single)


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
_COMPATIBLE: dict[DialectName, str] = {"gemini": "/openai", "cohere": "/compatibility/v1", "ollama": "/v1"}
"""Where vendors with a dialect of their own serve those of OpenAI (and Ollama that of Anthropic), behind their base path."""


def _vendor(upstream: Upstream, dialect: DialectName, kind: Kind, model: str, *, single: bool) -> Endpoint:
    if dialect in ("gemini", "gemini_embeddings", "vertex_embeddings"):
        return _google(_collected(model, "models", "tunedModels"), dialect, kind, single=single)
    if dialect == "bedrock_converse":
        return _bedrock(dialect, model)
    path = _PATHS[dialect]
    if dialect == "anthropic" or dialect.startswith("openai_"):
        path = _COMPATIBLE.get(upstream.dialect, "") + path
    if kind == "count":
        path += "/count_tokens"
    return Endpoint(path, path)


def _google(place: str, dialect: DialectName, kind: Kind, *, single: bool) -> Endpoint:
    if kind == "count":
        return Endpoint(f"{place}:countTokens", "")
    if dialect == "vertex_embeddings":
        return Endpoint(f"{place}:predict", "")
    if dialect == "gemini_embeddings":
        return Endpoint(f"{place}:{'embedContent' if single else 'batchEmbedContents'}", "")
    return Endpoint(f"{place}:generateContent", f"{place}:streamGenerateContent?alt=sse")


def _azure(upstream: Upstream, dialect: DialectName, model: str) -> Endpoint:
    path, version = _PATHS[dialect], upstream.api_version
    if not version[:1].isdigit():  # none, or a stage of the versionless address: preview, latest
        path = f"/openai/v1{path}" + (f"?api-version={version}" if version else "")
    elif dialect == "openai_responses":
        path = f"/openai{path}?api-version={version}"
    else:
        path = f"/openai/deployments/{segment(model)}{path}?api-version={version}"
    return Endpoint(path, path)


def _bedrock(dialect: DialectName, model: str) -> Endpoint:
    if dialect in _PATHS and dialect != "anthropic":
        return Endpoint(f"/openai/v1{_PATHS[dialect]}", f"/openai/v1{_PATHS[dialect]}")
    place = f"/model/{segment(model)}"
    if dialect == "anthropic":
        return Endpoint(f"{place}/invoke", f"{place}/invoke-with-response-stream")
    return Endpoint(f"{place}/converse", f"{place}/converse-stream")


def _vertex(upstream: Upstream, dialect: DialectName, kind: Kind, model: str, *, single: bool) -> Endpoint:
    place = "/v1"
    if upstream.project:  # a key of the express mode belongs to a project by itself
        place += f"/projects/{segment(upstream.project)}/locations/{segment(upstream.region)}"
    if dialect == "anthropic":
        place += f"/publishers/anthropic/models/{segment(model.removeprefix('anthropic/'))}"
        return Endpoint(f"{place}:rawPredict", f"{place}:streamRawPredict")
    if dialect in _PATHS:
        path = f"{place}/endpoints/openapi{_PATHS[dialect]}"
        return Endpoint(path, path)
    if model.startswith("endpoints/"):
        return _google(f"{place}{_collected(model, 'endpoints')}", dialect, kind, single=single)
    publisher, slash, name = model.rpartition("/")
    return _google(f"{place}/publishers/{segment(publisher) if slash else 'google'}/models/{segment(name)}", dialect, kind, single=single)


def _collected(model: str, *collections: str) -> str:
    """`/models/name`; the name may come with one of `collections` in front, else it is in the first."""
    collection, slash, name = model.partition("/")
    if slash and collection in collections:
        return f"/{collection}/{segment(name)}"
    return f"/{collections[0]}/{segment(model)}"


def segment(text: str) -> str:
    """`text` as one segment of a path, which no text from a client can leave."""
    return "_" if text in {".", ".."} else encode_segment(text)
