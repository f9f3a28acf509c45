"""From a request and a reply to the answer a healthy upstream would give: status, headers, and the body in its natural pieces."""

from typing import Any, Literal

import msgspec

from setpoint.testing import anthropic_bytes, openai_bytes
from setpoint.testing.replies import Refusal, Reply

Framing = Literal["length", "chunked", "close"]
"""How the end of a body is told: Content-Length, chunked coding, or the end of the connection."""

MODELS = ("fake-1", "fake-2")


class Answer(msgspec.Struct, frozen=True):
    """`pieces` are the events of a stream, or one whole body. `error_event` is what this dialect sends when a stream fails."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[bytes, ...]
    framing: Framing
    streamed: bool = False
    error_event: bytes = b""


def answer(says: Reply | Refusal, path: str, body: bytes) -> Answer:
    """Paths end as the vendors' do, whatever comes before: /chat/completions, /messages, /embeddings, /models. Others get a 404."""
    asked = _asked(body)
    anthropic = path.endswith("/messages")
    dialect = anthropic_bytes if anthropic else openai_bytes
    if isinstance(says, Refusal):
        return _unary(dialect.refusal(says), says.status, says.headers)
    model = str(asked.get("model", "fake-1"))
    if asked.get("stream") and path.endswith(("/chat/completions", "/messages")):
        return _stream(says, model, asked, anthropic=anthropic)
    if anthropic:
        return _unary(anthropic_bytes.message(says, model))
    if path.endswith("/chat/completions"):
        return _unary(openai_bytes.completion(says, model))
    if path.endswith("/embeddings"):
        texts = asked.get("input")
        return _unary(openai_bytes.embeddings(len(texts) if isinstance(texts, list) else 1, model))
    if path.endswith("/models"):
        return _unary(openai_bytes.models(MODELS))
    return _unary(openai_bytes.refusal(Refusal(404, f"the fake upstream does not serve {path}")), 404)


def _asked(body: bytes) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {}
    return asked if isinstance(asked, dict) else {}


def _unary(body: bytes, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, (("content-type", "application/json"), *headers), (body,), "length")


def _stream(says: Reply, model: str, asked: dict[str, Any], *, anthropic: bool) -> Answer:
    headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
    if anthropic:
        return Answer(200, headers, anthropic_bytes.events(says, model), "chunked", True, anthropic_bytes.error_event())
    with_usage = bool((asked.get("stream_options") or {}).get("include_usage"))
    pieces = openai_bytes.events(says, model, with_usage=with_usage)
    return Answer(200, headers, pieces, "chunked", True, openai_bytes.error_event())
