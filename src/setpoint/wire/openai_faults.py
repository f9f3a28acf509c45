"""OpenAI's error shape, read and written, for every OpenAI-like dialect.

    {"error": {"message": "...", "type": "invalid_request_error", "param": null, "code": "model_not_found"}}

Sources: https://platform.openai.com/docs/guides/error-codes and what OpenAI-compatible vendors really send: `error` as a plain
string (Ollama), a numeric `code` (OpenRouter), `detail` (FastAPI servers), `message` at the top (Mistral, Cloudflare).
"""

from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.upstream_faults import blame_text, kind_of, plain_message, retry_after_s, upstream_fault


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None
    status_code: int | None = None


class _Body(msgspec.Struct):
    error: _Error | str | None = None
    message: str | msgspec.Raw | None = None
    detail: msgspec.Raw | None = None


_decode = msgspec.json.Decoder(_Body, strict=False).decode
_encode = msgspec.json.Encoder().encode

_BY_WORD = {
    "insufficient_quota": FaultKind.upstream_quota,
    "billing_hard_limit_reached": FaultKind.upstream_quota,
    "rate_limit_exceeded": FaultKind.upstream_rate,
    "rate_limit_error": FaultKind.upstream_rate,
    "context_length_exceeded": FaultKind.context_length,
    "string_above_max_length": FaultKind.context_length,
    "content_filter": FaultKind.content_filter,
    "content_policy_violation": FaultKind.content_filter,
    "model_not_found": FaultKind.unknown_model,
    "DeploymentNotFound": FaultKind.unknown_model,
    "invalid_api_key": FaultKind.upstream_auth,
    "authentication_error": FaultKind.upstream_auth,
    "overloaded_error": FaultKind.upstream_overloaded,
    "engine_overloaded": FaultKind.upstream_overloaded,
    "server_error": FaultKind.upstream_server,
}
_RETRYABLE = {FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout}

_TYPE_AND_CODE: dict[FaultKind, tuple[str, str | None]] = {
    FaultKind.bad_request: ("invalid_request_error", None),
    FaultKind.unsupported: ("invalid_request_error", "unsupported_parameter"),
    FaultKind.unknown_model: ("invalid_request_error", "model_not_found"),
    FaultKind.not_found: ("invalid_request_error", "unknown_url"),
    FaultKind.method_not_allowed: ("invalid_request_error", "method_not_supported"),
    FaultKind.too_large: ("invalid_request_error", "request_too_large"),
    FaultKind.context_length: ("invalid_request_error", "context_length_exceeded"),
    FaultKind.content_filter: ("invalid_request_error", "content_filter"),
    FaultKind.request_timeout: ("invalid_request_error", "request_timeout"),
    FaultKind.client_gone: ("invalid_request_error", "client_gone"),
    FaultKind.unauthenticated: ("authentication_error", "invalid_api_key"),
    FaultKind.forbidden: ("permission_error", "insufficient_permissions"),
    FaultKind.rate_limited: ("rate_limit_error", "rate_limit_exceeded"),
    FaultKind.upstream_auth: ("server_error", "upstream_authentication"),
    FaultKind.upstream_quota: ("insufficient_quota", "insufficient_quota"),
    FaultKind.upstream_rate: ("rate_limit_error", "rate_limit_exceeded"),
    FaultKind.upstream_overloaded: ("server_error", "overloaded"),
    FaultKind.upstream_refused: ("invalid_request_error", None),
    FaultKind.upstream_timeout: ("server_error", "upstream_timeout"),
}


def classify_openai_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an OpenAI-like error answer means. `status` below 400 stands for an error inside a stream."""
    try:
        shape = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shape = _Body()
    error = shape.error
    if isinstance(error, str):
        error = _Error(message=error)
    elif error is None:
        error = _Error(message=_elsewhere(shape))
    code = "" if error.code is None else str(error.code)
    if status < 400:
        status = _status_inside(error.status_code, code)
    said = error.message or plain_message(body)
    kind = _BY_WORD.get(code) or _BY_WORD.get(error.type or "") or kind_of(status, f"{error.type} {code} {said}")
    delay = retry_after_s(headers, now_unix_s) if kind in _RETRYABLE else None
    return upstream_fault(kind, status, said, body, delay, error.param)


def render_openai_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words."""
    kind, code = _TYPE_AND_CODE.get(fault.kind, ("server_error", fault.kind.name))
    error = {"message": f"{fault.message} {blame_text(fault, request_id)}", "type": kind, "param": fault.param, "code": code}
    return _encode({"error": error})


def render_openai_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The event that ends a broken stream; no [DONE] follows, so no client takes the answer for complete."""
    return b"data: " + render_openai_fault(fault, request_id) + b"\n\n"


def _elsewhere(shape: _Body) -> str | None:
    for value in (shape.message, shape.detail):
        if value is not None:
            return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")
    return None


def _status_inside(status_code: int | None, code: str) -> int:
    """Vendors put the status their stream broke with into the event; 0 when they do not."""
    if status_code is None and code.isascii() and code.isdigit() and len(code) == 3:
        status_code = int(code)
    return status_code if status_code is not None and 400 <= status_code <= 599 else 0
