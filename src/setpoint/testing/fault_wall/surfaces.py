"""How clients ask: for each surface its path, headers and body, as the vendor's own client would send them."""

from collections.abc import Callable
from typing import Any, Literal, get_args

import msgspec

from setpoint.domain.plan import DialectName

SurfaceName = Literal["chat", "responses", "messages", "gemini", "completions", "converse", "cohere", "ollama", "embeddings"]
SURFACE_NAMES: tuple[SurfaceName, ...] = get_args(SurfaceName)
UNARY_ONLY: frozenset[SurfaceName] = frozenset({"embeddings"})

UpstreamDialect = Literal["openai_chat", "openai_responses", "anthropic", "gemini", "bedrock_converse", "cohere", "ollama"]
UPSTREAM_DIALECTS: tuple[UpstreamDialect, ...] = get_args(UpstreamDialect)

BASE_PATHS: dict[UpstreamDialect, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "/v1", "gemini": "/v1beta"}
"""What stands before a dialect's own path, where anything does."""
WITH_EMBEDDINGS: frozenset[DialectName] = frozenset({"openai_chat", "openai_responses", "gemini", "cohere", "ollama"})

OWN_DIALECT: dict[SurfaceName, UpstreamDialect] = {
    "chat": "openai_chat", "responses": "openai_responses", "messages": "anthropic", "gemini": "gemini", "completions": "openai_chat",
    "converse": "bedrock_converse", "cohere": "cohere", "ollama": "ollama", "embeddings": "openai_chat",
}  # fmt: skip
"""The provider's dialect that is nearest to a surface."""

TOKENS_MAX = 100
Document = dict[str, Any]


class Surface(msgspec.Struct, frozen=True):
    """`path` and `body` are told the model, the prompt and whether to stream. `key_header` carries the key behind `key_prefix`."""

    name: SurfaceName
    path: Callable[[str, bool], str]
    body: Callable[[str, str, bool], Document]
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    headers: tuple[tuple[str, str], ...] = ()


def pairs(surface: SurfaceName, dialect: UpstreamDialect) -> bool:
    """Whether a provider of `dialect` can serve `surface` at all."""
    return surface != "embeddings" or dialect in WITH_EMBEDDINGS


def request(
    surface: Surface, host: str, model: str, prompt: str, key: str, *, streamed: bool, extra: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """A whole request; the connection is to be closed behind its answer."""
    body = msgspec.json.encode(surface.body(model, prompt, streamed))
    headers = (
        ("host", host), ("content-type", "application/json"), (surface.key_header, surface.key_prefix + key), *surface.headers, *extra,
        ("content-length", str(len(body))), ("connection", "close"),
    )  # fmt: skip
    lines = [f"POST {surface.path(model, streamed)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _messages(model: str, prompt: str, streamed: bool) -> Document:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], "max_tokens": TOKENS_MAX, "stream": streamed}


def _chat(model: str, prompt: str, streamed: bool) -> Document:
    return _messages(model, prompt, streamed) | ({"stream_options": {"include_usage": True}} if streamed else {})


def _gemini_path(model: str, streamed: bool) -> str:
    return f"/v1beta/models/{model}:" + ("streamGenerateContent?alt=sse" if streamed else "generateContent")


SURFACES: dict[SurfaceName, Surface] = {
    surface.name: surface
    for surface in (
        Surface("chat", lambda _, __: "/v1/chat/completions", _chat),
        Surface(
            "responses",
            lambda _, __: "/v1/responses",
            lambda m, p, s: {"model": m, "input": p, "max_output_tokens": TOKENS_MAX, "stream": s},
        ),
        Surface("messages", lambda _, __: "/v1/messages", _messages, "x-api-key", "", (("anthropic-version", "2023-06-01"),)),
        Surface(
            "gemini",
            _gemini_path,
            lambda _, p, __: {"contents": [{"role": "user", "parts": [{"text": p}]}], "generationConfig": {"maxOutputTokens": TOKENS_MAX}},
            "x-goog-api-key",
            "",
        ),
        Surface(
            "completions",
            lambda _, __: "/v1/completions",
            lambda m, p, s: {"model": m, "prompt": p, "max_tokens": TOKENS_MAX, "stream": s},
        ),
        Surface(
            "converse",
            lambda m, s: f"/model/{m}/converse" + ("-stream" if s else ""),
            lambda _, p, __: {"messages": [{"role": "user", "content": [{"text": p}]}], "inferenceConfig": {"maxTokens": TOKENS_MAX}},
        ),
        Surface("cohere", lambda _, __: "/v2/chat", _messages),
        Surface(
            "ollama",
            lambda _, __: "/api/chat",
            lambda m, p, s: {"model": m, "messages": [{"role": "user", "content": p}], "stream": s, "options": {"num_predict": TOKENS_MAX}},
        ),
        Surface("embeddings", lambda _, __: "/v1/embeddings", lambda m, p, _: {"model": m, "input": p}),
    )
}
