"""Replies as Gemini's wire format, written by hand so that they share no code with the dialect under test.

Source: https://ai.google.dev/api/generate-content, /api/embeddings, /api/tokens
"""

from typing import Any

import msgspec

from setpoint.testing.openai_bytes import vector
from setpoint.testing.replies import SIGNATURE, Call, Ending, Refusal, Reply

_json = msgspec.json.Encoder().encode
_STATUSES = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 402: "FAILED_PRECONDITION", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    413: "INVALID_ARGUMENT", 422: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_FINISHES: dict[Ending, str] = {"done": "STOP", "length": "MAX_TOKENS", "filtered": "SAFETY"}
_ARRAY_BEGINS, _ARRAY_BETWEEN, _ARRAY_ENDS = b"[", b",\r\n", b"]"


def response(reply: Reply, model: str) -> bytes:
    return _json(_response(reply, model, [*_thoughts(reply), *_texts(reply, reply.text), *_calls(reply)], _FINISHES[reply.ending]))


def events(reply: Reply, model: str) -> tuple[bytes, ...]:
    """A stream with alt=sse, one event each."""
    return tuple(b"data: " + _json(document) + b"\r\n\r\n" for document in _documents(reply, model))


def array(reply: Reply, model: str) -> tuple[bytes, ...]:
    """A stream without alt=sse: one JSON array, piece by piece."""
    first, *rest = (_json(document) for document in _documents(reply, model))
    return (_ARRAY_BEGINS + first, *(_ARRAY_BETWEEN + document for document in rest), _ARRAY_ENDS)


def embedding() -> bytes:
    """The answer of :embedContent."""
    return _json({"embedding": {"values": vector(0)}})


def embeddings(texts: int) -> bytes:
    """The answer of :batchEmbedContents."""
    return _json({"embeddings": [{"values": vector(no)} for no in range(texts)]})


def count(reply: Reply) -> bytes:
    """The answer of :countTokens."""
    return _json({"totalTokens": reply.input_tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}]})


def refusal(says: Refusal) -> bytes:
    return _json({"error": {"code": says.status, "message": says.message, "status": says.code or _STATUSES.get(says.status, "UNKNOWN")}})


def error_event() -> bytes:
    """What Google sends when a stream fails after its head."""
    return b"data: " + refusal(Refusal(503, "the fake upstream failed in mid-stream")) + b"\r\n\r\n"


def _documents(reply: Reply, model: str) -> list[dict[str, Any]]:
    """Google closes the stream with its last content; calls come whole."""
    contents = [[part] for part in _thoughts(reply)] + [_texts(reply, piece) for piece in reply.pieces]
    contents += [_calls(reply)] if reply.calls else []
    contents = contents or [[{"text": ""}]]
    last = len(contents) - 1
    return [_response(reply, model, parts, _FINISHES[reply.ending] if i == last else None) for i, parts in enumerate(contents)]


def _response(reply: Reply, model: str, parts: list[dict[str, Any]], finish: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(reply, complete=finish is not None),
        "modelVersion": reply.model or model,
        "responseId": "fake",
    }


def _usage(reply: Reply, *, complete: bool) -> dict[str, Any]:
    """Thoughts are counted beside the candidates', cached tokens inside the prompt's; until the end only the prompt is counted."""
    usage: dict[str, Any] = {"promptTokenCount": reply.input_tokens, "totalTokenCount": reply.input_tokens}
    if complete:
        usage |= {"candidatesTokenCount": reply.output_tokens - reply.thinking_tokens}
        usage |= {"totalTokenCount": reply.input_tokens + reply.output_tokens}
        usage |= {"thoughtsTokenCount": reply.thinking_tokens} if reply.thinking_tokens else {}
    usage |= {"cachedContentTokenCount": reply.cached_tokens} if reply.cached_tokens else {}
    return {**usage, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": reply.input_tokens}]}


def _thoughts(reply: Reply) -> list[dict[str, Any]]:
    return [{"text": reply.thinking, "thought": True}] if reply.thinking else []


def _texts(reply: Reply, text: str) -> list[dict[str, Any]]:
    """The signature of the thinking stands with the first part that follows it, here with every text."""
    if not reply.pieces:
        return []
    return [{"text": text, "thoughtSignature": SIGNATURE} if reply.thinking and not reply.calls else {"text": text}]


def _calls(reply: Reply) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"functionCall": _call(call)} for call in reply.calls]
    if parts and reply.thinking:
        parts[0]["thoughtSignature"] = SIGNATURE
    return parts


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "name": call.name, "args": msgspec.json.decode(call.arguments)}
