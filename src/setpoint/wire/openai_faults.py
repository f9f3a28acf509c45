"""OpenAI's error shape, read and written, for every OpenAI-like dialect.

    {"error": {"message": "...", "type": "invalid_request_error", "param": null, "code": "model_not_found"}}

Sources: https://platform.openai.com/docs/guides/error-codes and what OpenAI-compatible vendors really send: `error` as a plain
string (Hugging Face, xAI, LM Studio), its members at the top (Mistral, Cerebras, vLLM), a numeric `code` (OpenRouter), the real error
inside `metadata.raw` (OpenRouter) or `innererror` (Azure), `detail` (FastAPI servers, NVIDIA), a list of `errors` (Cloudflare).
"""

import re
from collections.abc import Mapping

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.upstream_faults import (
    MESSAGE_CHARS_MAX,
    blame_text,
    kind_of,
    plain_message,
    retry_after_s,
    told_in_words,
    upstream_fault,
)

Members = dict[str, msgspec.Raw]

_members = msgspec.json.Decoder(Members).decode
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode
_string = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_BY_WORD = {
    # OpenAI and Azure
    "insufficient_quota": FaultKind.upstream_quota,
    "billing_hard_limit_reached": FaultKind.upstream_quota,
    "billing_not_active": FaultKind.upstream_quota,
    "rate_limit_exceeded": FaultKind.upstream_rate,
    "rate_limit_error": FaultKind.upstream_rate,
    "context_length_exceeded": FaultKind.context_length,
    "string_above_max_length": FaultKind.context_length,
    "content_filter": FaultKind.content_filter,
    "content_policy_violation": FaultKind.content_filter,
    "ResponsibleAIPolicyViolation": FaultKind.content_filter,
    "model_not_found": FaultKind.unknown_model,
    "DeploymentNotFound": FaultKind.unknown_model,
    "invalid_api_key": FaultKind.upstream_auth,
    "authentication_error": FaultKind.upstream_auth,
    "account_deactivated": FaultKind.upstream_auth,
    "overloaded_error": FaultKind.upstream_overloaded,
    "engine_overloaded": FaultKind.upstream_overloaded,
    "server_is_overloaded": FaultKind.upstream_overloaded,
    "slow_down": FaultKind.upstream_overloaded,
    "NoCapacity": FaultKind.upstream_overloaded,
    "server_error": FaultKind.upstream_server,
    # Groq, Cerebras, Together
    "organization_restricted": FaultKind.upstream_auth,
    "wrong_api_key": FaultKind.upstream_auth,
    "model_decommissioned": FaultKind.unknown_model,
    "capacity_exceeded": FaultKind.upstream_overloaded,
    "queue_exceeded": FaultKind.upstream_overloaded,
    "token_quota_exceeded": FaultKind.upstream_rate,
    "request_quota_exceeded": FaultKind.upstream_rate,
    # Moonshot, Alibaba, Perplexity
    "exceeded_current_quota_error": FaultKind.upstream_quota,
    "engine_overloaded_error": FaultKind.upstream_overloaded,
    "rate_limit_reached_error": FaultKind.upstream_rate,
    "invalid_authentication_error": FaultKind.upstream_auth,
    "data_inspection_failed": FaultKind.content_filter,
    "Arrearage": FaultKind.upstream_quota,
    "invalid_model": FaultKind.unknown_model,
    # Servers for open models
    "exceed_context_size_error": FaultKind.context_length,
    "unavailable_error": FaultKind.upstream_overloaded,
    # Cloudflare Workers AI (https://developers.cloudflare.com/workers-ai/platform/errors/)
    "cloudflare 3036": FaultKind.upstream_quota,
    "cloudflare 3040": FaultKind.upstream_overloaded,
    "cloudflare 3007": FaultKind.upstream_timeout,
    "cloudflare 3008": FaultKind.upstream_timeout,
    "cloudflare 5007": FaultKind.unknown_model,
    "cloudflare 10000": FaultKind.upstream_auth,
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


_GENERIC = re.compile(r"(?i)provider returned error|upstream error|internal server error")
_NO_SUCH_MODEL = re.compile(
    r"(?i)model\b.{0,200}?(?:does not exist|not found|not deployed|is not supported|not available)"
    r"|not a valid model|no such model|no endpoints found|unknown model|invalid model|no model named"
)
_BAD_KEY = re.compile(
    r"(?i)(?:incorrect|invalid|wrong|missing|no) api[ _-]?key|invalid (?:subscription key|token)|api[ _-]?key (?:is )?(?:invalid|not valid)"
)


class _Said:
    """The parts of a vendor's error, wherever it has them."""

    __slots__ = ("code", "headers", "inner", "message", "param", "status_code", "type")

    def __init__(self) -> None:
        self.message = ""
        self.type = ""
        self.code = ""
        self.param = ""
        self.status_code = ""
        self.inner = ""
        self.headers: dict[str, str] = {}


def classify_openai_fault(status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
    """What an OpenAI-like error answer means. `status` below 400 stands for an error inside a stream."""
    said = _said(body)
    if status < 400:
        status = _status_inside(said.status_code or said.code)
    message = said.message or plain_message(body)
    kind = _kind(status, said, message)
    delay = None
    if kind in _RETRYABLE:
        delay = retry_after_s({**said.headers, **headers}, now_unix_s)
        delay = told_in_words(message) if delay is None else delay
    return upstream_fault(kind, status, message, body, delay, said.param or None)


def _kind(status: int, said: _Said, message: str) -> FaultKind:
    for word in (said.code, said.inner, said.type):
        # "server_error" says less than a status of its own: OpenAI sends it with 503 when it is overloaded.
        if (kind := _BY_WORD.get(word)) is not None and not (kind is FaultKind.upstream_server and status > 500):
            # A request that is larger than all a minute allows does not get smaller by waiting.
            return FaultKind.too_large if kind is FaultKind.upstream_rate and status == 413 else kind
    words = message[:MESSAGE_CHARS_MAX]
    if status in {400, 401, 403} and _BAD_KEY.search(words):
        return FaultKind.upstream_auth
    if status in {400, 404} and _NO_SUCH_MODEL.search(words):
        return FaultKind.unknown_model
    return kind_of(status, f"{said.type} {said.code} {words}")


def _said(body: bytes) -> _Said:
    said = _Said()
    whole = _object(body)
    error = whole.get("error", msgspec.Raw())
    inside = _object(error)
    if inside:
        _fill(said, inside)
    elif listed := _list(whole.get("errors")):
        _fill(said, listed)
        said.code = f"cloudflare {said.code}" if "success" in whole else said.code
    else:
        _fill(said, whole)
        if text := _text(error):
            said.message = text
    return said


def _fill(said: _Said, members: Members) -> None:
    said.type = _text(members.get("type"))
    said.code = _text(members.get("code"))
    said.param = _text(members.get("param"))
    said.status_code = next((text for name in ("status_code", "raw_status_code", "statusCode") if (text := _text(members.get(name)))), "")
    said.message = next((text for name in ("message", "detail", "error_message", "title") if (text := _text(members.get(name)))), "")
    said.inner = _text(_object(members.get("innererror")).get("code"))
    metadata = _object(members.get("metadata"))
    said.headers = {name.lower(): _text(raw) for name, raw in _object(metadata.get("headers")).items()}
    if raw := _inner_message(_text(metadata.get("raw"))):
        said.message = f"{said.message}: {raw}" if said.message and _GENERIC.search(said.message) else said.message or raw


def _inner_message(raw: str) -> str:
    """What the provider behind a provider said: its message if that is JSON, its text otherwise."""
    return _said_text(raw) or raw


def _said_text(raw: str) -> str:
    members = _object(raw.encode("utf-8", "replace"))
    inside = _object(members.get("error")) or members
    return _text(inside.get("message")) or _text(members.get("error"))


def _object(raw: bytes | msgspec.Raw | None) -> Members:
    """The members of a JSON object; none when it is something else."""
    if raw is None or not bytes(raw).lstrip().startswith(b"{"):
        return {}
    try:
        return _members(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _list(raw: msgspec.Raw | None) -> Members:
    """The first object of a list."""
    if raw is None or not bytes(raw).startswith(b"["):
        return {}
    try:
        elements = _elements(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return _object(elements[0]) if elements else {}


def _text(raw: msgspec.Raw | None) -> str:
    """A string as it is, null as nothing, everything else as its JSON."""
    given = b"" if raw is None else bytes(raw)
    if given.startswith(b'"'):
        try:
            return _string(given)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return "" if given in {b"", b"null"} else given.decode("utf-8", "replace")


def render_openai_fault(fault: Fault, request_id: str) -> bytes:
    """The body of an error answer, with who is at fault in words."""
    kind, code = _TYPE_AND_CODE.get(fault.kind, ("server_error", fault.kind.name))
    error = {"message": f"{fault.message} {blame_text(fault, request_id)}", "type": kind, "param": fault.param, "code": code}
    return _encode({"error": error})


def render_openai_stream_fault(fault: Fault, request_id: str) -> bytes:
    """The event that ends a broken stream; no [DONE] follows, so no client takes the answer for complete."""
    return b"data: " + render_openai_fault(fault, request_id) + b"\n\n"


def _status_inside(code: str) -> int:
    """Vendors put the status their stream broke with into the event; 0 when they do not."""
    status = int(code) if code.isascii() and code.isdigit() and len(code) == 3 else 0
    return status if 400 <= status <= 599 else 0
