"""The client-facing APIs a worker serves by itself, and which path asks for which.

Most surfaces name the model in the body; Gemini's, Azure's and Bedrock's name it in the path, and Gemini's says there too whether the
answer is to be streamed. A `Place` is what a path says beyond the surface.
"""

import re
from typing import Literal, NamedTuple

import msgspec

from setpoint.domain.plan import DialectName
from setpoint.domain.trace import Surface
from setpoint.gateway.envelope import (
    ChatEnvelope,
    CompletionsEnvelope,
    ContentsEnvelope,
    EmbeddingsEnvelope,
    Envelope,
    LooseEnvelope,
    OllamaEnvelope,
    ResponsesEnvelope,
)

Kind = Literal["chat", "embeddings", "count", "passing"]
"""passing: relayed whatever it is; see `gateway.passing`."""
SSE = b"text/event-stream; charset=utf-8"
JSON = b"application/json"


class HotSurface:
    """One inference surface: which dialect its clients speak, what it asks of a model, and how its streams are labelled.

    `single` tells apart the two forms of Gemini's embeddings: one input, or a batch. `lasting`: what is asked for makes or changes
    something that the provider keeps, so nothing that may have been done is done twice.
    """

    __slots__ = ("decode", "dialect", "kind", "lasting", "name", "number", "single", "stream_type", "streams")

    def __init__(
        self,
        number: Surface,
        dialect: DialectName,
        envelope: type[Envelope],
        *,
        kind: Kind = "chat",
        streams: bool = False,
        stream_type: bytes = SSE,
        single: bool = False,
        lasting: bool = False,
    ) -> None:
        self.number = number
        self.name = number.name
        self.dialect = dialect
        self.kind: Kind = kind
        self.streams = streams
        self.stream_type = stream_type
        self.single = single
        self.lasting = lasting
        self.decode = msgspec.json.Decoder(envelope).decode


class Place(NamedTuple):
    """What a path says besides the surface.

    `stream` None: the body says it. `array`: a Gemini client that wants its stream as JSON. `path`: where an upstream of the family
    serves what is passed on to it.
    """

    surface: HotSurface
    model: str = ""
    stream: bool | None = None
    array: bool = False
    path: str = ""


CHAT = HotSurface(Surface.openai_chat, "openai_chat", ChatEnvelope, streams=True)
RESPONSES = HotSurface(Surface.openai_responses, "openai_responses", ResponsesEnvelope, streams=True)
COMPLETIONS = HotSurface(Surface.openai_completions, "openai_completions", CompletionsEnvelope, streams=True)
EMBEDDINGS = HotSurface(Surface.openai_embeddings, "openai_embeddings", EmbeddingsEnvelope, kind="embeddings")
MESSAGES = HotSurface(Surface.anthropic_messages, "anthropic", ChatEnvelope, streams=True)
MESSAGES_COUNT = HotSurface(Surface.anthropic_count_tokens, "anthropic", ChatEnvelope, kind="count")
GEMINI = HotSurface(Surface.gemini, "gemini", ContentsEnvelope, streams=True)
GEMINI_COUNT = HotSurface(Surface.gemini_count_tokens, "gemini", LooseEnvelope, kind="count")
GEMINI_EMBED = HotSurface(Surface.gemini_embeddings, "gemini_embeddings", LooseEnvelope, kind="embeddings", single=True)
GEMINI_EMBED_BATCH = HotSurface(Surface.gemini_embeddings, "gemini_embeddings", LooseEnvelope, kind="embeddings")
CONVERSE = HotSurface(
    Surface.bedrock_converse, "bedrock_converse", ChatEnvelope, streams=True, stream_type=b"application/vnd.amazon.eventstream"
)
COHERE = HotSurface(Surface.cohere_chat, "cohere", ChatEnvelope, streams=True)
COHERE_EMBED = HotSurface(Surface.cohere_embeddings, "cohere_embeddings", LooseEnvelope, kind="embeddings")
OLLAMA = HotSurface(Surface.ollama_chat, "ollama", OllamaEnvelope, streams=True, stream_type=b"application/x-ndjson")
OLLAMA_EMBED = HotSurface(Surface.ollama_embeddings, "ollama_embeddings", EmbeddingsEnvelope, kind="embeddings")


def _passing(number: Surface, dialect: DialectName = "openai_chat", *, lasting: bool = False) -> HotSurface:
    return HotSurface(number, dialect, LooseEnvelope, kind="passing", lasting=lasting)


IMAGES = _passing(Surface.openai_images)
AUDIO = _passing(Surface.openai_audio)
MODERATIONS = _passing(Surface.openai_moderations)
RERANK = _passing(Surface.rerank)
FILES = _passing(Surface.openai_files, lasting=True)
BATCHES = _passing(Surface.openai_batches, lasting=True)
STORED = _passing(Surface.openai_stored, lasting=True)
COHERE_RERANK = _passing(Surface.rerank, "cohere")
ANTHROPIC_BATCHES = _passing(Surface.openai_batches, "anthropic", lasting=True)
ANTHROPIC_FILES = _passing(Surface.openai_files, "anthropic", lasting=True)
ANTHROPIC_STORED = _passing(Surface.openai_stored, "anthropic", lasting=True)

_OPENAI = {
    "/chat/completions": CHAT,
    "/responses": RESPONSES,
    "/completions": COMPLETIONS,
    "/embeddings": EMBEDDINGS,
}
_ANTHROPIC = {"/messages": MESSAGES, "/messages/count_tokens": MESSAGES_COUNT}

HOT_PATHS: dict[bytes, HotSurface] = {
    **{(prefix + path).encode(): surface for path, surface in _OPENAI.items() for prefix in ("/v1", "", "/openai/v1", "/openai")},
    **{(prefix + path).encode(): surface for path, surface in _ANTHROPIC.items() for prefix in ("/v1", "", "/anthropic/v1", "/anthropic")},
    **{prefix + b"/v2/chat": COHERE for prefix in (b"", b"/cohere")},
    **{prefix + b"/v2/embed": COHERE_EMBED for prefix in (b"", b"/cohere")},
    **{prefix + b"/api/chat": OLLAMA for prefix in (b"", b"/ollama")},
    **{prefix + b"/api/embed": OLLAMA_EMBED for prefix in (b"", b"/ollama")},
}
"""Paths whose body names the model. With and without `/v1` and the vendor's name, as SDKs are configured all these ways."""

_AZURE = re.compile(rb"(?:/azure)?/openai/deployments/(?P<model>.+?)(?P<path>/(?:chat/completions|completions|responses|embeddings))")
_GOOGLE = re.compile(
    rb"(?:/genai|/gemini)?/v1(?:alpha|beta1?)?"
    rb"(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/(?P<publisher>[^/]+))?"
    rb"/models/(?P<model>.+):(?P<verb>[A-Za-z]+)"
)
_BEDROCK = re.compile(rb"(?:/bedrock)?/model/(?P<model>.+)/(?P<verb>converse|converse-stream)")
_GOOGLE_VERBS = {
    b"generateContent": GEMINI,
    b"streamGenerateContent": GEMINI,
    b"countTokens": GEMINI_COUNT,
    b"embedContent": GEMINI_EMBED,
    b"batchEmbedContents": GEMINI_EMBED_BATCH,
}


def place_of(path: bytes, query: bytes) -> Place | None:
    """The surface a canonical path asks for, with what else it says; None when it is none of ours."""
    if (surface := HOT_PATHS.get(path)) is not None:
        return Place(surface)
    if (match := _GOOGLE.fullmatch(path)) is not None and (surface := _GOOGLE_VERBS.get(match["verb"])) is not None:
        publisher, model = match["publisher"], _text(match["model"])
        if publisher not in (None, b"google"):
            model = f"{_text(publisher)}/{model}"
        stream = match["verb"] == b"streamGenerateContent"
        return Place(surface, model, stream, stream and b"alt=sse" not in query.split(b"&"))
    if (match := _BEDROCK.fullmatch(path)) is not None:
        return Place(CONVERSE, _text(match["model"]), match["verb"] == b"converse-stream")
    if (match := _AZURE.fullmatch(path)) is not None and (surface := _OPENAI.get(match["path"].decode("ascii"))) is not None:
        return Place(surface, _text(match["model"]))
    return None


_ESCAPE = re.compile(rb"%([0-9A-F]{2})")


def _text(segment: bytes) -> str:
    """A part of a canonical path in plain characters; what is no UTF-8 names no model."""
    return _ESCAPE.sub(lambda escape: bytes((int(escape[1], 16),)), segment).decode("utf-8", "replace")


_PASSED: dict[bytes, HotSurface] = {
    b"images": IMAGES,
    b"audio": AUDIO,
    b"moderations": MODERATIONS,
    b"rerank": RERANK,
    b"files": FILES,
    b"uploads": FILES,
    b"batches": BATCHES,
    b"responses": STORED,
    b"conversations": STORED,
    b"containers": STORED,
    b"vector_stores": STORED,
    b"fine_tuning": STORED,
    b"evals": STORED,
    b"videos": IMAGES,
}
"""By the first part of an OpenAI path behind the version."""
_PASSED_ANTHROPIC: dict[bytes, HotSurface] = {b"batches": ANTHROPIC_BATCHES, b"files": ANTHROPIC_FILES, b"skills": ANTHROPIC_STORED}
_PREFIX = re.compile(rb"(?P<vendor>/openai|/anthropic|/cohere)?(?P<version>/v[12])?(?P<rest>/[a-z_]+(?:/.*)?)")


def passing_of(path: bytes, *, anthropic: bool) -> Place | None:
    """What is passed on to a provider of a family. `anthropic`: the client sent that vendor's version header."""
    match = _PREFIX.fullmatch(path)
    if match is None:
        return None
    vendor, rest = match["vendor"], match["rest"]
    first = rest.split(b"/", 2)[1]
    if rest.startswith(b"/messages/batches"):
        return Place(ANTHROPIC_BATCHES, path=rest.decode("ascii"))
    if vendor == b"/cohere" or match["version"] == b"/v2":
        return Place(COHERE_RERANK, path="/v2/rerank") if rest == b"/rerank" else None
    if vendor == b"/anthropic" or (vendor is None and anthropic):
        surface = _PASSED_ANTHROPIC.get(first)
    else:
        surface = _PASSED.get(first)
    return None if surface is None else Place(surface, path=rest.decode("ascii"))
