"""Cohere's error shape (https://docs.cohere.com/reference/errors), read and written.

{"id": "8bd5b608-...", "message": "model 'x' not found, make sure the correct model ID was used"}

There is no type and no code; status and words have to do. A stream that fails ends in a `message-end` that says so.
"""

import re
from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.upstream_faults import blame_text, kind_of, plain_message, retry_after_s, upstream_fault


class _Body(msgspec.Struct):
    message: str | None = None
    error: str | None = None


_decode = msgspec.json.Decoder(_Body).decode
_encode = msgspec.json.Encoder().encode
_RETRYABLE = {FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout}
_MONTHLY = re.compile(r"(?i)calls? ?/ ?month|per month")
"""A trial key has limits by the minute and by the month; waiting helps with the first only."""
_BY_STATUS = {498: FaultKind.upstream_auth, 499: FaultKind.upstream_timeout}
"""Statuses of Cohere's own: a token that is blocked, a request it gave up."""


def classify_cohere_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an error answer means. `status` below 400 stands for an error without a status of its own."""
    try:
        shape = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shape = _Body()
    said = shape.message or shape.error or plain_message(body)
    kind = _kind(status, said)
    delay = retry_after_s(headers, now_unix_s) if kind in _RETRYABLE else None
    return upstream_fault(kind, status if status >= 400 else 0, said, body, delay)


def _kind(status: int, said: str) -> FaultKind:
    if status == 404 and said.startswith("model "):
        return FaultKind.unknown_model
    if status == 429 and _MONTHLY.search(said[:1_000]):
        return FaultKind.upstream_quota
    return _BY_STATUS.get(status) or kind_of(status, said)


def failed_generation(word: str | None, error: str | None) -> Fault:
    """The fault of an answer that ended badly under a good status."""
    said = error or f"The generation ended with {word}."
    kind = FaultKind.upstream_timeout if word == "TIMEOUT" else kind_of(0, said)
    return upstream_fault(kind, 0, said, said.encode("utf-8", "replace"))


def render_cohere_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words."""
    return _encode({"id": request_id, "message": f"{fault.message} {blame_text(fault, request_id)}"})


def render_cohere_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The event that ends a broken stream; nothing follows it."""
    delta = {"error": f"{fault.message} {blame_text(fault, request_id)}", "finish_reason": "ERROR"}
    return b"event: message-end\ndata: " + _encode({"type": "message-end", "delta": delta}) + b"\n\n"
