"""Anthropic's error shape (https://docs.anthropic.com/en/api/errors), read and written.

{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_..."}
"""

from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.upstream_faults import blame_text, kind_of, plain_message, retry_after_s, upstream_fault


class _Error(msgspec.Struct):
    type: str = ""
    message: str = ""


class _Body(msgspec.Struct):
    error: _Error | str = ""
    message: str = ""


_decode = msgspec.json.Decoder(_Body, strict=False).decode
_encode = msgspec.json.Encoder().encode

_BY_TYPE = {
    "authentication_error": FaultKind.upstream_auth,
    "permission_error": FaultKind.upstream_auth,
    "billing_error": FaultKind.upstream_quota,
    "rate_limit_error": FaultKind.upstream_rate,
    "request_too_large": FaultKind.too_large,
    "timeout_error": FaultKind.upstream_timeout,
    "overloaded_error": FaultKind.upstream_overloaded,
}
_RETRYABLE = {FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout}

_TYPES: dict[FaultKind, str] = {
    FaultKind.bad_request: "invalid_request_error",
    FaultKind.unsupported: "invalid_request_error",
    FaultKind.unknown_model: "not_found_error",
    FaultKind.not_found: "not_found_error",
    FaultKind.method_not_allowed: "invalid_request_error",
    FaultKind.too_large: "request_too_large",
    FaultKind.context_length: "invalid_request_error",
    FaultKind.content_filter: "invalid_request_error",
    FaultKind.request_timeout: "invalid_request_error",
    FaultKind.client_gone: "invalid_request_error",
    FaultKind.unauthenticated: "authentication_error",
    FaultKind.forbidden: "permission_error",
    FaultKind.rate_limited: "rate_limit_error",
    FaultKind.upstream_rate: "rate_limit_error",
    FaultKind.upstream_overloaded: "overloaded_error",
    FaultKind.upstream_refused: "invalid_request_error",
    FaultKind.no_target: "overloaded_error",
    FaultKind.overloaded: "overloaded_error",
    FaultKind.draining: "overloaded_error",
}
"""Everything else is an `api_error`."""


def classify_anthropic_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an error answer means. `status` below 400 stands for an error event inside a stream."""
    try:
        shape = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shape = _Body()
    error = _Error(message=shape.error) if isinstance(shape.error, str) else shape.error
    said = error.message or shape.message or plain_message(body)
    kind = _kind(status, error.type, said)
    delay = retry_after_s(headers, now_unix_s) if kind in _RETRYABLE else None
    return upstream_fault(kind, status if status >= 400 else 0, said, body, delay)


def _kind(status: int, vendor_type: str, said: str) -> FaultKind:
    if vendor_type == "not_found_error" and said.startswith("model:"):
        return FaultKind.unknown_model
    if vendor_type == "not_found_error" or (vendor_type == "invalid_request_error" and status < 400):
        status = status if status >= 400 else 404 if vendor_type == "not_found_error" else 400
    return _BY_TYPE.get(vendor_type) or kind_of(status, f"{vendor_type} {said}")


def render_anthropic_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words."""
    error = {"type": _TYPES.get(fault.kind, "api_error"), "message": f"{fault.message} {blame_text(fault, request_id)}"}
    return _encode({"type": "error", "error": error, "request_id": request_id or None})


def render_anthropic_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The event that ends a broken stream; no message_stop follows."""
    return b"event: error\ndata: " + render_anthropic_fault(fault, request_id) + b"\n\n"
