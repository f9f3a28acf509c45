"""The one place where a fault becomes an answer of the management interface.

    {"error": {"code": 1003, "error_code": "UNKNOWN_MODEL", "category": "caller", "message": "...", "details": {}, "field": null,
               "retriable": false},
     "meta": {"timestamp": "...", "request_id": "...", "documentation_url": "/docs/errors/1003"}}

or `application/problem+json` (RFC 9457) when the request accepts that. Nothing that was not meant for the caller gets out: an unforeseen
exception is logged here and answered as 1900 without detail.
"""

import secrets
import traceback
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from setpoint.domain.faults import Fault, FaultKind
from setpoint.runtime.clock import Clock, rfc3339
from setpoint.runtime.log import Log

REQUEST_ID_HEADER = "x-setpoint-request-id"
PROBLEM = "application/problem+json"
_KIND_OF_STATUS = {
    400: FaultKind.bad_request,
    401: FaultKind.unauthenticated,
    403: FaultKind.forbidden,
    404: FaultKind.not_found,
    405: FaultKind.method_not_allowed,
    408: FaultKind.request_timeout,
    413: FaultKind.too_large,
    429: FaultKind.rate_limited,
    503: FaultKind.overloaded,
}


class ApiFault(Exception):
    """Raise it anywhere under a management path; the fault is rendered once, here."""

    def __init__(self, fault: Fault, details: Mapping[str, Any] | None = None, status: int | None = None) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.details = dict(details or {})
        self.status = status or fault.http_status


class Rescue:
    """Renders faults. One per application, because it needs a clock and a log."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock = log, clock

    def install(self, app: FastAPI) -> None:
        """Makes `app` answer every fault in the envelope."""
        app.add_exception_handler(ApiFault, self._api_fault)
        app.add_exception_handler(RequestValidationError, self._invalid)
        app.add_exception_handler(HTTPException, self._http)
        app.add_exception_handler(Exception, self._unforeseen)

    def answer(
        self,
        request: HTTPConnection,
        fault: Fault,
        status: int | None = None,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JSONResponse:
        """The rendered fault, in the form that the request accepts."""
        request_id = request.headers.get(REQUEST_ID_HEADER) or secrets.token_hex(16)
        status = status or fault.http_status
        extra = {**(headers or {}), REQUEST_ID_HEADER: request_id, "x-setpoint-error-code": str(fault.code)}
        if fault.retry_after_s is not None:
            extra["retry-after"] = str(max(1, round(fault.retry_after_s)))
        if PROBLEM in request.headers.get("accept", ""):
            return JSONResponse(_problem(fault, status, request_id, details), status, extra, media_type=PROBLEM)
        return JSONResponse(_envelope(fault, rfc3339(self._clock.wall_ns()), request_id, details), status, extra)

    async def _api_fault(self, request: HTTPConnection, error: Exception) -> Response:
        assert isinstance(error, ApiFault)  # it is registered for this class only; so are the next ones
        answer = self.answer(request, error.fault, error.status, error.details)
        if isinstance(request, WebSocket):
            await request.send_denial_response(answer)
        return answer

    async def _invalid(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        fault, problems = _explained(error)
        return self.answer(request, fault, details={"problems": problems})

    async def _http(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self.answer(request, _of_status(request, error), error.status_code, headers=error.headers)

    async def _unforeseen(self, request: Request, error: Exception) -> Response:
        trace = "".join(traceback.format_exception(error))
        fault = Fault(FaultKind.internal, "Setpoint has a bug here; the engine's log has the detail under this request id.")
        answer = self.answer(request, fault)
        self._log.error("unforeseen", path=request.url.path, request_id=answer.headers[REQUEST_ID_HEADER], error=repr(error), trace=trace)
        return answer


def _envelope(fault: Fault, timestamp: str, request_id: str, details: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "error": {
            "code": fault.code,
            "error_code": fault.kind.name.upper(),
            "category": fault.blame,
            "message": fault.message,
            "details": dict(details or {}),
            "field": fault.param,
            "retriable": is_retriable(fault),
        },
        "meta": {"timestamp": timestamp, "request_id": request_id, "documentation_url": f"/docs/errors/{fault.code}"},
    }


def _problem(fault: Fault, status: int, request_id: str, details: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "type": f"/docs/errors/{fault.code}",
        "title": fault.kind.name.replace("_", " "),
        "status": status,
        "detail": fault.message,
        "instance": f"urn:setpoint:request:{request_id}",
        "code": fault.code,
        "field": fault.param,
        "retriable": is_retriable(fault),
        "details": dict(details or {}),
    }


def is_retriable(fault: Fault) -> bool:
    """Whether the same request may succeed later."""
    return fault.http_status in (408, 429, 502, 503, 504)


def _explained(error: RequestValidationError) -> tuple[Fault, list[dict[str, str]]]:
    """The first problem in words, all of them in details; never the values, which may be secrets."""
    problems = [{"field": ".".join(map(str, p["loc"][1:])) or str(p["loc"][0]), "problem": p["msg"]} for p in error.errors()]
    first = problems[0] if problems else {"field": "body", "problem": "not valid"}
    return Fault(FaultKind.bad_request, f"{first['field']}: {first['problem']}", param=first["field"]), problems


def _of_status(request: Request, error: HTTPException) -> Fault:
    kind = _KIND_OF_STATUS.get(error.status_code, FaultKind.internal if error.status_code >= 500 else FaultKind.bad_request)
    if kind is FaultKind.not_found:
        return Fault(kind, f"There is nothing at {request.url.path}. /openapi.json lists every path.")
    if kind is FaultKind.method_not_allowed:
        allowed = (error.headers or {}).get("Allow", "another method")
        return Fault(kind, f"{request.url.path} does not take {request.method}; it takes {allowed}.")
    return Fault(kind, str(error.detail))
