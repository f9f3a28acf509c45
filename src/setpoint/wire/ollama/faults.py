"""Ollama's error shape (https://docs.ollama.com/api/errors), read and written: {"error": "model 'x' not found"}, in a stream as a line."""

import re
from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.ollama.ndjson import as_line
from setpoint.wire.upstream_faults import blame_text, kind_of, plain_message, retry_after_s, upstream_fault


class _Error(msgspec.Struct):
    message: str | None = None


class _Body(msgspec.Struct):
    error: str | _Error | None = None
    status_code: int | None = None


_decode = msgspec.json.Decoder(_Body).decode
_encode = msgspec.json.Encoder().encode
_RETRYABLE = {FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout}
_UNABLE = re.compile(r"does not support (?:tools|thinking|chat|embeddings|images|vision|insert|completion|generate|logprobs)")
"""What a model lacks another one may have."""


def classify_ollama_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an error answer means. `status` below 400 stands for an error line inside a stream."""
    try:
        shape = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shape = _Body()
    error = shape.error.message if isinstance(shape.error, _Error) else shape.error
    said = error or plain_message(body)
    if status < 400:
        told = shape.status_code
        status = told if told is not None and 400 <= told <= 599 else 0
    kind = _kind(status, said[:1_000])
    delay = retry_after_s(headers, now_unix_s) if kind in _RETRYABLE else None
    return upstream_fault(kind, status, said, body, delay)


def _kind(status: int, said: str) -> FaultKind:
    if status in {400, 404} and said.startswith("model ") and "not found" in said:
        return FaultKind.unknown_model
    if status == 400 and _UNABLE.search(said):
        return FaultKind.unsupported
    return kind_of(status, said)


def render_ollama_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words."""
    return _encode({"error": f"{fault.message} {blame_text(fault, request_id)}"})


def render_ollama_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The line that ends a broken stream; none with `done` follows."""
    return as_line(render_ollama_fault(fault, request_id))
