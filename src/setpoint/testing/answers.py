"""From a request and a reply to the answer a healthy upstream would give: status, headers, and the body in its natural pieces."""

import re
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from setpoint.testing import anthropic_bytes, bedrock_bytes, cohere_bytes, gemini_bytes, ollama_bytes, openai_bytes, responses_bytes
from setpoint.testing.asked import document
from setpoint.testing.replies import Refusal, Reply

Framing = Literal["length", "chunked", "close"]
"""How the end of a body is told: Content-Length, chunked coding, or the end of the connection."""

MODELS = ("fake-1", "fake-2")
SSE = "text/event-stream; charset=utf-8"
JSON = "application/json"


class Answer(msgspec.Struct, frozen=True):
    """`pieces` are the events of a stream, or one whole body. `error_event` is what this dialect sends when a stream fails."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[bytes, ...]
    framing: Framing
    streamed: bool = False
    error_event: bytes = b""

    @property
    def has_events(self) -> bool:
        """Whether it is a stream of server-sent events; other streams are binary frames or lines of JSON."""
        return self.streamed and dict(self.headers)["content-type"] == SSE


class _Ask(msgspec.Struct, frozen=True):
    """What a voice needs to know of a request. `array`: a Gemini client did not ask for server-sent events."""

    body: dict[str, Any]
    model: str
    array: bool

    @property
    def with_usage(self) -> bool:
        return bool((self.body.get("stream_options") or {}).get("include_usage"))

    def texts(self, member: str) -> list[Any]:
        given = self.body.get(member)
        return given if isinstance(given, list) else [given]


class _Voice(msgspec.Struct, frozen=True):
    """How one kind of path is answered. `stream` None: the body says whether to; `unsaid` is what holds when it does not say."""

    whole: Callable[[Reply, _Ask], bytes]
    refusal: Callable[[Refusal], bytes]
    events: Callable[[Reply, _Ask], tuple[bytes, ...]] | None = None
    error_event: bytes = b""
    stream: bool | None = None
    unsaid: bool = False
    stream_type: str = SSE
    refusal_headers: Callable[[Refusal], tuple[tuple[str, str], ...]] = lambda _: ()

    def streams(self, ask: _Ask) -> bool:
        return self.events is not None and (bool(ask.body.get("stream", self.unsaid)) if self.stream is None else self.stream)


_EVENT_STREAM = "application/vnd.amazon.eventstream"
_CHAT = _Voice(
    lambda r, a: openai_bytes.completion(r, a.model),
    openai_bytes.refusal,
    lambda r, a: openai_bytes.events(r, a.model, with_usage=a.with_usage),
    openai_bytes.error_event(),
)
_COMPLETIONS = _Voice(
    lambda r, a: openai_bytes.text_completion(r, a.model),
    openai_bytes.refusal,
    lambda r, a: openai_bytes.text_events(r, a.model, with_usage=a.with_usage),
    openai_bytes.error_event(),
)
_RESPONSES = _Voice(
    lambda r, a: responses_bytes.response(r, a.model, a.body),
    openai_bytes.refusal,
    lambda r, a: responses_bytes.events(r, a.model, a.body),
    responses_bytes.error_event(),
)
_EMBEDDINGS = _Voice(
    lambda _, a: openai_bytes.embeddings(len(a.texts("input")), a.model, as_base64=a.body.get("encoding_format") == "base64"),
    openai_bytes.refusal,
)
_MESSAGES = _Voice(
    lambda r, a: anthropic_bytes.message(r, a.model),
    anthropic_bytes.refusal,
    lambda r, a: anthropic_bytes.events(r, a.model),
    anthropic_bytes.error_event(),
)
_MESSAGES_COUNT = _Voice(lambda r, _: anthropic_bytes.count(r), anthropic_bytes.refusal)
_GEMINI = _Voice(
    lambda r, a: gemini_bytes.response(r, a.model),
    gemini_bytes.refusal,
    lambda r, a: gemini_bytes.events(r, a.model),
    gemini_bytes.error_event(),
    stream=False,
)
_CONVERSE = _Voice(
    lambda r, _: bedrock_bytes.message(r),
    bedrock_bytes.refusal,
    lambda r, _: bedrock_bytes.events(r),
    bedrock_bytes.error_event(),
    stream=False,
    stream_type=_EVENT_STREAM,
    refusal_headers=bedrock_bytes.refusal_headers,
)
_INVOKE = msgspec.structs.replace(
    _CONVERSE,
    whole=_MESSAGES.whole,
    events=lambda r, a: bedrock_bytes.chunks(anthropic_bytes.documents(r, a.model)),
)
_OLLAMA = _Voice(
    lambda r, a: ollama_bytes.message(r, a.model),
    ollama_bytes.refusal,
    lambda r, a: ollama_bytes.events(r, a.model),
    ollama_bytes.error_event(),
    unsaid=True,
    stream_type="application/x-ndjson",
)


def _streaming(voice: _Voice, **members: Any) -> _Voice:
    return msgspec.structs.replace(voice, stream=True, **members)


_VOICES: tuple[tuple[str, _Voice], ...] = (
    (r"/chat/completions", _CHAT),
    (r"/completions", _COMPLETIONS),
    (r"/responses", _RESPONSES),
    (r"/embeddings", _EMBEDDINGS),
    (r"/messages", _MESSAGES),
    (r"/messages/count_tokens", _MESSAGES_COUNT),
    (r"/models", _Voice(lambda _, __: openai_bytes.models(MODELS), openai_bytes.refusal)),
    (r"/models/(?P<model>[^/]+):generateContent", _GEMINI),
    (r"/models/(?P<model>[^/]+):streamGenerateContent", _streaming(_GEMINI)),
    (r"/models/[^/]+:countTokens", _Voice(lambda r, _: gemini_bytes.count(r), gemini_bytes.refusal)),
    (r"/models/[^/]+:embedContent", _Voice(lambda _, __: gemini_bytes.embedding(), gemini_bytes.refusal)),
    (r"/models/[^/]+:batchEmbedContents", _Voice(lambda _, a: gemini_bytes.embeddings(len(a.texts("requests"))), gemini_bytes.refusal)),
    (r"/models/(?P<model>[^/]+):(?:rawP|streamRawP)redict", _MESSAGES),
    (r"/model/[^/]+/converse", _CONVERSE),
    (r"/model/[^/]+/converse-stream", _streaming(_CONVERSE)),
    (r"/model/(?P<model>[^/]+)/invoke", _INVOKE),
    (r"/model/(?P<model>[^/]+)/invoke-with-response-stream", _streaming(_INVOKE)),
    (
        r"/v2/chat",
        _Voice(lambda r, _: cohere_bytes.message(r), cohere_bytes.refusal, lambda r, _: cohere_bytes.events(r), cohere_bytes.error_event()),
    ),
    (r"/v2/embed", _Voice(lambda _, a: cohere_bytes.embeddings(a.texts("texts")), cohere_bytes.refusal)),
    (r"/api/chat", _OLLAMA),
    (r"/api/embed", _Voice(lambda _, a: ollama_bytes.embeddings(len(a.texts("input")), a.model), ollama_bytes.refusal)),
)
_VOICE_OF = [(re.compile(f".*{pattern}"), voice) for pattern, voice in _VOICES]


def answer(says: Reply | Refusal, target: str, body: bytes) -> Answer:
    """Targets end as the vendors' do, whatever comes before: /chat/completions, /messages, :generateContent. Others get a 404."""
    path, _, query = target.partition("?")
    said = document(body)
    for pattern, voice in _VOICE_OF:
        if found := pattern.fullmatch(path):
            named = found.groupdict().get("model") or said.get("model") or MODELS[0]
            array = voice.events is _GEMINI.events and "alt=sse" not in query
            return _answer(says, voice, _Ask(said, str(named), array))
    return _unary(openai_bytes.refusal(Refusal(404, f"the fake upstream does not serve {path}")), 404)


def _answer(says: Reply | Refusal, voice: _Voice, ask: _Ask) -> Answer:
    if isinstance(says, Refusal):
        return _unary(voice.refusal(says), says.status, (*voice.refusal_headers(says), *says.headers))
    if voice.events is None or not voice.streams(ask):
        return _unary(voice.whole(says, ask))
    if ask.array:
        return _stream(JSON, gemini_bytes.array(says, ask.model), b"," + gemini_bytes.refusal(Refusal(503, "failed in mid-stream")) + b"]")
    return _stream(voice.stream_type, voice.events(says, ask), voice.error_event)


def _unary(body: bytes, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, (("content-type", JSON), *headers), (body,), "length")


def _stream(content_type: str, pieces: tuple[bytes, ...], error_event: bytes) -> Answer:
    return Answer(200, (("content-type", content_type), ("cache-control", "no-cache")), pieces, "chunked", True, error_event)
