"""Bedrock's errors, read and written
(https://docs.aws.amazon.com/bedrock/latest/userguide/troubleshooting-api-error-codes.html).

{"message": "..."}, with the code in the header x-amzn-errortype or, in older forms, in `__type`. In a stream an error is a frame with the
header `:exception-type`.
"""

from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.aws_event_stream import Frame, encode_frame
from setpoint.wire.upstream_faults import blame_text, kind_of, plain_message, retry_after_s, upstream_fault


class _Body(msgspec.Struct):
    type: str | None = msgspec.field(name="__type", default=None)
    code: str | int | None = None
    message: str | None = None
    shouted: str | None = msgspec.field(name="Message", default=None)
    original: str | None = msgspec.field(name="originalMessage", default=None)


_decode = msgspec.json.Decoder(_Body, strict=False).decode
_encode = msgspec.json.Encoder().encode

_BY_CODE = {
    "accessdenied": FaultKind.upstream_auth,
    "accessdeniedexception": FaultKind.upstream_auth,
    "expiredtoken": FaultKind.upstream_auth,
    "expiredtokenexception": FaultKind.upstream_auth,
    "incompletesignature": FaultKind.upstream_auth,
    "incompletesignatureexception": FaultKind.upstream_auth,
    "invalidclienttokenid": FaultKind.upstream_auth,
    "invalidsignatureexception": FaultKind.upstream_auth,
    "missingauthenticationtoken": FaultKind.upstream_auth,
    "missingauthenticationtokenexception": FaultKind.upstream_auth,
    "notauthorized": FaultKind.upstream_auth,
    "optinrequired": FaultKind.upstream_auth,
    "requestexpired": FaultKind.upstream_auth,
    "signaturedoesnotmatch": FaultKind.upstream_auth,
    "unrecognizedclientexception": FaultKind.upstream_auth,
    "servicequotaexceededexception": FaultKind.upstream_quota,
    "throttlingexception": FaultKind.upstream_rate,
    "throttling": FaultKind.upstream_rate,
    "toomanyrequestsexception": FaultKind.upstream_rate,
    "modelnotreadyexception": FaultKind.upstream_overloaded,
    "serviceunavailable": FaultKind.upstream_overloaded,
    "serviceunavailableexception": FaultKind.upstream_overloaded,
    "modeltimeoutexception": FaultKind.upstream_timeout,
    "internalfailure": FaultKind.upstream_server,
    "internalserverexception": FaultKind.upstream_server,
    "modelerrorexception": FaultKind.upstream_server,
    "modelstreamerrorexception": FaultKind.upstream_server,
    "resourcenotfoundexception": FaultKind.unknown_model,
}
"""Codes in lower case: streams begin theirs with a small letter."""
_RETRYABLE = {FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.upstream_server, FaultKind.upstream_timeout}

_VALIDATION, _UNAVAILABLE, _THROTTLING = "ValidationException", "ServiceUnavailableException", "ThrottlingException"
_CODES: dict[FaultKind, str] = {
    FaultKind.bad_request: _VALIDATION,
    FaultKind.unsupported: _VALIDATION,
    FaultKind.unknown_model: "ResourceNotFoundException",
    FaultKind.not_found: "ResourceNotFoundException",
    FaultKind.method_not_allowed: _VALIDATION,
    FaultKind.too_large: _VALIDATION,
    FaultKind.context_length: _VALIDATION,
    FaultKind.content_filter: _VALIDATION,
    FaultKind.request_timeout: _VALIDATION,
    FaultKind.client_gone: _VALIDATION,
    FaultKind.unauthenticated: "UnrecognizedClientException",
    FaultKind.forbidden: "AccessDeniedException",
    FaultKind.rate_limited: _THROTTLING,
    FaultKind.upstream_rate: _THROTTLING,
    FaultKind.upstream_overloaded: _UNAVAILABLE,
    FaultKind.upstream_timeout: "ModelTimeoutException",
    FaultKind.upstream_server: "ModelErrorException",
    FaultKind.upstream_cut: "ModelErrorException",
    FaultKind.upstream_refused: _VALIDATION,
    FaultKind.no_target: _UNAVAILABLE,
    FaultKind.overloaded: _UNAVAILABLE,
    FaultKind.engine_down: _UNAVAILABLE,
    FaultKind.draining: _UNAVAILABLE,
}
"""Everything else is an InternalServerException."""
_IN_STREAMS = {
    _THROTTLING: "throttlingException",
    _UNAVAILABLE: "serviceUnavailableException",
    "ModelTimeoutException": "modelStreamErrorException",
    "ModelErrorException": "modelStreamErrorException",
    "InternalServerException": "internalServerException",
}
"""A stream knows five kinds of exceptions; everything else is a validationException."""


def classify_bedrock_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an error answer means. `status` below 400 stands for an error inside a stream."""
    return _classified(status, headers.get("x-amzn-errortype", ""), headers, body, now_unix_s)


def classify_exception(frame: Frame) -> Fault:
    """What a frame of a stream that is no event means. An `error` frame has code and message in its headers."""
    code = frame.text(":exception-type") or frame.text(":error-code")
    body = frame.payload or _encode({"message": frame.text(":error-message")})
    return _classified(0, code, {}, body, 0.0)


def is_exception(frame: Frame) -> bool:
    return frame.text(":message-type") in {"exception", "error"}


def _classified(status: int, code: str, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    try:
        shape = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        shape = _Body(message=plain_message(body))
    said = shape.message or shape.shouted or shape.original or ""
    code = (code or shape.type or str(shape.code or "")).partition(":")[0].rpartition("#")[2]
    kind = _kind(status, code.lower(), said)
    delay = retry_after_s(headers, now_unix_s) if kind in _RETRYABLE else None
    return upstream_fault(kind, status if status >= 400 else 0, said or code, body, delay)


def _kind(status: int, code: str, said: str) -> FaultKind:
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    if status == 404 or "model identifier is invalid" in said:
        return FaultKind.unknown_model
    if code == "validationexception" and status < 400:
        status = 400
    return kind_of(status, said)


_BY_STATUS = {401: "UnrecognizedClientException", 403: "AccessDeniedException", 404: "ResourceNotFoundException", 429: _THROTTLING}


def error_code(fault: Fault) -> str:
    """The name by which AWS's clients choose an exception. A refusal without a name of its own is known by its status."""
    if fault.kind is FaultKind.upstream_refused:
        return _BY_STATUS.get(fault.http_status, _VALIDATION)
    return _CODES.get(fault.kind, "InternalServerException")


def render_bedrock_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words."""
    return _encode({"__type": error_code(fault), "message": _words(fault, request_id)})


def render_bedrock_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The frame that ends a broken stream; no metadata follows."""
    name = _IN_STREAMS.get(error_code(fault), "validationException")
    return encode_frame(
        {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"},
        _encode({"message": _words(fault, request_id)}),
    )


def _words(fault: Fault, request_id: str) -> str:
    return f"{fault.message} {blame_text(fault, request_id)}"
