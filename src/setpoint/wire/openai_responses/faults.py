"""Errors inside Responses answers and streams; those of other answers are OpenAI's own, see `wire.openai_faults`.

    {"type": "error", "code": …, "message": …, "param": …, "sequence_number": n}     as documented
    {"type": "error", "error": {"type": …, "code": …, "message": …, "param": …}, …}  as sent
    {"type": "response.failed", "response": {"error": {"code": …, "message": …}, …}}

OpenAI sends the second and then the third; official clients raise on the second. (https://platform.openai.com/docs/api-reference/responses-streaming)
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.dialect import FAULT_BODY_BYTES_MAX
from setpoint.wire.openai_faults import classify_openai_fault, render_openai_fault

_OWN_FAULT_CODES = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout", "insufficient_quota"})
"""Codes that do not blame the request; the other documented ones do."""

_CALLERS_FAULT_CODES = frozenset(
    {
        "invalid_prompt",
        "invalid_request_error",
        "data_residency_mismatch",
        "bio_policy",
        "empty_image_file",
        "failed_to_download_image",
        "unsupported_image_media_type",
        "image_content_policy_violation",
    }
)


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Failed(msgspec.Struct):
    error: _Error | None = None
    status: str | None = None


class _Event(msgspec.Struct):
    error: _Error | str | None = None
    response: _Failed | None = None
    message: str | None = None
    param: str | None = None
    code: str | int | None = None
    status: str | None = None


class _Shown(msgspec.Struct):
    error: msgspec.Raw


_decode = msgspec.json.Decoder(_Event, strict=False).decode
_shown = msgspec.json.Decoder(_Shown).decode
_encode = msgspec.json.Encoder().encode


def fault_inside(body: bytes) -> Fault:
    """What an error event, or an answer that failed, means."""
    try:
        event = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return classify_openai_fault(0, {}, body, 0.0)
    error = event.error
    if error is None and event.response is not None:
        error = event.response.error
    if isinstance(error, str):
        error = _Error(error)
    elif error is None:
        error = _Error(event.message, None, event.param, event.code)
    if error.message is None and error.code is None and error.type is None:
        status = event.status or (event.response and event.response.status) or "failed"
        text = f"The provider's answer ended as {status[:40]}, without a reason."
        return Fault(FaultKind.upstream_server, text, upstream_body=body[:FAULT_BODY_BYTES_MAX])
    return classify_openai_fault(0, {}, _encode({"error": _with_status(error)}), 0.0)


def _with_status(error: _Error) -> dict[str, object]:
    """The shape that the shared classifier reads; a status says who is to blame."""
    shape: dict[str, object] = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    code = str(error.code or "")
    blames_caller = code in _CALLERS_FAULT_CODES or code.startswith(("invalid_", "image_"))
    if blames_caller and code not in _OWN_FAULT_CODES and error.type in {None, "invalid_request_error"}:
        shape["status_code"] = 400
    return shape


def render_responses_stream_fault(fault: Fault, request_id: str, sequence_number: int = 0) -> bytes:
    """The event that ends a broken stream, in both of its forms at once: one is documented, on the other clients raise."""
    error = _shown(render_openai_fault(fault, request_id)).error
    said = msgspec.json.decode(error, type=_Error)
    event = {
        "type": "error",
        "code": said.code or said.type,
        "message": said.message,
        "param": said.param,
        "sequence_number": sequence_number,
        "error": error,
    }
    return b"event: error\ndata: " + _encode(event) + b"\n\n"


def failed_error(fault: Fault) -> dict[str, object]:
    """The `error` of a response object; its codes are few."""
    code = {FaultKind.upstream_rate: "rate_limit_exceeded", FaultKind.content_filter: "invalid_prompt"}.get(fault.kind, "server_error")
    return {"code": code, "message": fault.message}
