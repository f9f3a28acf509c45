"""Google's error shape, google.rpc.Status, read and written (https://cloud.google.com/apis/design/errors).

    {"error": {"code": 429, "message": "…", "status": "RESOURCE_EXHAUSTED", "details": [{"@type": "…RetryInfo", "retryDelay": "39s"}]}}

A streamGenerateContent without `alt=sse` puts the object into a list.
"""

import re
from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.upstream_faults import RETRY_AFTER_S_MAX, blame_text, kind_of, plain_message, retry_after_s, upstream_fault


class _Violation(msgspec.Struct, rename="camel"):
    field: str | None = None
    quota_id: str | None = None


class _Detail(msgspec.Struct, rename="camel"):
    """One member of `details`: ErrorInfo, RetryInfo, QuotaFailure, BadRequest. Others have none of these."""

    reason: str | None = None
    retry_delay: str | None = None
    violations: list[_Violation] | None = None
    field_violations: list[_Violation] | None = None


class _Error(msgspec.Struct):
    code: int | str | None = None
    message: str | None = None
    status: str | None = None
    details: msgspec.Raw = msgspec.Raw()


class _Body(msgspec.Struct):
    error: _Error | str | None = None


_decode = msgspec.json.Decoder(_Body | list[_Body]).decode
_details = msgspec.json.Decoder(list[_Detail | None]).decode
_encode = msgspec.json.Encoder().encode

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_KEY_REASONS = re.compile(r"API_KEY|ACCESS_TOKEN|SERVICE_DISABLED|CONSUMER|CREDENTIALS|ACCOUNT_STATE|IAM_PERMISSION")
_CONTEXT = re.compile(r"(?i)input token count.{0,80}exceeds|exceeds the maximum number of (?:input )?tokens|context[ _](?:length|window)")
_TOO_LARGE = re.compile(r"(?i)payload size exceeds")
_NO_MODEL = re.compile(r"(?i)\bmodels?\b.{0,300}(?:not found|not supported|does not exist|no longer available)")
_NO_CREDIT = re.compile(
    r"(?i)credits? (?:are|is|have been) (?:depleted|exhausted)|prepay|spend(?:ing)? cap|billing (?:account|to be enabled)"
)
_RETRYABLE = {FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout}

_BY_STATUS = {
    "UNAUTHENTICATED": FaultKind.upstream_auth,
    "PERMISSION_DENIED": FaultKind.upstream_auth,
    "RESOURCE_EXHAUSTED": FaultKind.upstream_rate,
    "UNAVAILABLE": FaultKind.upstream_overloaded,
    "DEADLINE_EXCEEDED": FaultKind.upstream_timeout,
    "INTERNAL": FaultKind.upstream_server,
    "UNKNOWN": FaultKind.upstream_server,
    "ABORTED": FaultKind.upstream_server,
    "CANCELLED": FaultKind.upstream_server,
    "DATA_LOSS": FaultKind.upstream_server,
}
_HTTP_BY_STATUS = {"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "NOT_FOUND": 404, "UNIMPLEMENTED": 501}

_STATUS_BY_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    422: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def classify_gemini_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an error answer means. `status` below 400 stands for an error inside a stream; its own code counts then."""
    error = _error_of(body)
    details = _details_of(error)
    said = error.message or plain_message(body)
    if status < 400:
        status = _status_inside(error)
    kind = _kind(status, error.status or "", said, details)
    delay = None
    if kind in _RETRYABLE:
        delay = _told_delay_s(details)
        delay = retry_after_s(headers, now_unix_s) if delay is None else delay
    param = next((found.field for detail in details for found in detail.field_violations or () if found.field), None)
    return upstream_fault(kind, status, said, body, delay, param)


def _error_of(body: bytes) -> _Error:
    try:
        shape = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Error()
    if isinstance(shape, list):
        shape = shape[0] if shape else _Body()
    return _Error(message=shape.error) if isinstance(shape.error, str) else shape.error or _Error()


def _details_of(error: _Error) -> list[_Detail]:
    try:
        return [detail for detail in _details(error.details) if detail is not None] if bytes(error.details) not in {b"", b"null"} else []
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []


def _status_inside(error: _Error) -> int:
    if isinstance(error.code, int) and 400 <= error.code <= 599:
        return error.code
    return _HTTP_BY_STATUS.get(error.status or "", 0)


def _kind(status: int, name: str, said: str, details: list[_Detail]) -> FaultKind:
    if any(_KEY_REASONS.search(detail.reason or "") for detail in details):
        return FaultKind.upstream_auth
    if any(detail.reason == "BILLING_DISABLED" for detail in details) or _NO_CREDIT.search(said):
        return FaultKind.upstream_quota
    if name == "RESOURCE_EXHAUSTED" or status == 429:
        # Google says "you exceeded your current quota" of every limit; only the name of the limit tells a spent day from a busy minute.
        spent = any("PerDay" in (found.quota_id or "") for detail in details for found in detail.violations or ())
        return FaultKind.upstream_quota if spent else FaultKind.upstream_rate
    if (name == "NOT_FOUND" or status == 404) and _NO_MODEL.search(said[:2_000]):
        return FaultKind.unknown_model
    if status in {0, 400, 413, 422}:
        if _CONTEXT.search(said[:2_000]):
            return FaultKind.context_length
        if _TOO_LARGE.search(said[:2_000]):
            return FaultKind.too_large
        if name == "FAILED_PRECONDITION":
            return FaultKind.upstream_auth  # this place, or this project, may not use the API: another upstream may
    known = _BY_STATUS.get(name)
    return known if known is not None else kind_of(status, f"{name} {said}")


def _told_delay_s(details: list[_Detail]) -> float | None:
    for detail in details:
        match = _DURATION.fullmatch(detail.retry_delay or "")
        if match is not None:
            return min(float(match[1]), RETRY_AFTER_S_MAX)
    return None


def render_gemini_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words, and in `details` what a program can use."""
    error: dict[str, object] = {
        "code": fault.http_status,
        "message": f"{fault.message} {blame_text(fault, request_id)}",
        "status": _STATUS_BY_HTTP.get(fault.http_status, "INVALID_ARGUMENT" if fault.http_status < 500 else "INTERNAL"),
    }
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": fault.kind.name, "domain": "setpoint"}
    details: list[dict[str, object]] = [{**reason, "metadata": {"code": str(fault.code)}}]
    if fault.retry_after_s is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{fault.retry_after_s:g}s"})
    if fault.param is not None:
        violation = {"field": fault.param, "description": fault.message}
        details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
    return _encode({"error": {**error, "details": details}})


def render_gemini_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The frame that ends a broken stream; no finish reason came, so no client takes the answer for complete."""
    return b"data: " + render_gemini_fault(fault, request_id) + b"\r\n\r\n"
