"""Errors of Google, told apart; and errors of the gateway, raised by Google's own client as its classes."""

import json
from typing import Any

import pytest
from google.genai import errors, types
from tests.wire.gemini.oracle import MODEL, client

from setpoint.domain.faults import FAULT_CLASSES, Fault, FaultKind
from setpoint.wire.gemini.dialect import GEMINI


def info(reason: str) -> Any:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(quota_id: str) -> Any:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": quota_id, "quotaValue": "5"}]}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39.5s"}
OVER = "You exceeded your current quota, please check your plan and billing details."
LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
CASES: list[tuple[int, str, str, list[Any], FaultKind]] = [
    (400, "INVALID_ARGUMENT", "API key not valid.", [info("API_KEY_INVALID")], FaultKind.upstream_auth),
    (403, "PERMISSION_DENIED", "no", [], FaultKind.upstream_auth),
    (403, "PERMISSION_DENIED", "This API method requires billing to be enabled.", [info("BILLING_DISABLED")], FaultKind.upstream_quota),
    (401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", [], FaultKind.upstream_auth),
    (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", [], FaultKind.upstream_auth),
    (400, "INVALID_ARGUMENT", LONG, [], FaultKind.context_length),
    (400, "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes.", [], FaultKind.too_large),
    (400, "INVALID_ARGUMENT", "Unknown name", [], FaultKind.upstream_refused),
    (404, "NOT_FOUND", "models/x is not found for API version v1beta", [], FaultKind.unknown_model),
    (404, "NOT_FOUND", "CachedContent not there", [], FaultKind.upstream_refused),
    (429, "RESOURCE_EXHAUSTED", OVER, [quota("GenerateRequestsPerMinutePerProjectPerModel"), RETRY], FaultKind.upstream_rate),
    (429, "RESOURCE_EXHAUSTED", OVER, [quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), RETRY], FaultKind.upstream_quota),
    (429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", [], FaultKind.upstream_quota),
    (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", [], FaultKind.upstream_rate),
    (500, "INTERNAL", "An internal error has occurred.", [], FaultKind.upstream_server),
    (503, "UNAVAILABLE", "The model is overloaded.", [RETRY], FaultKind.upstream_overloaded),
    (504, "DEADLINE_EXCEEDED", "late", [], FaultKind.upstream_timeout),
]


@pytest.mark.parametrize(("status", "name", "message", "details", "kind"), CASES)
@pytest.mark.parametrize("form", ["body", "list", "inside a stream"])
def test_errors_are_told_apart(status: int, name: str, message: str, details: list[Any], kind: FaultKind, form: str) -> None:
    shape: Any = {"error": {"code": status, "message": message, "status": name, "details": details}}
    body = json.dumps([shape] if form == "list" else shape).encode()
    fault = GEMINI.classify_fault(0 if form == "inside a stream" else status, {}, body, 0.0)
    assert (fault.kind, fault.message, fault.upstream_status) == (kind, message, status)
    assert fault.retry_after_s == (39.5 if RETRY in details and kind is not FaultKind.upstream_quota else None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (502, b"<html>Bad gateway</html>", FaultKind.upstream_server),
        (429, b"", FaultKind.upstream_rate),
        (400, b'{"error": "plain"}', FaultKind.upstream_refused),
        (400, b'{"error": null}', FaultKind.upstream_refused),
        (400, b'{"error": {"code": "400", "details": {"odd": 1}}}', FaultKind.upstream_refused),
        (400, b"[]", FaultKind.upstream_refused),
        (400, b"[" * 100_000, FaultKind.upstream_refused),
        (400, b'{"error": {"message": "m", "details": [null]}}', FaultKind.upstream_refused),
    ],
)
def test_odd_bodies_are_errors_all_the_same(status: int, body: bytes, kind: FaultKind) -> None:
    assert GEMINI.classify_fault(status, {}, body, 0.0).kind is kind


def test_the_member_at_fault_and_the_header_to_wait_are_kept() -> None:
    violation = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{"field": "contents[0]"}]}
    body = json.dumps({"error": {"code": 400, "message": "m", "status": "INVALID_ARGUMENT", "details": [violation]}}).encode()
    assert GEMINI.classify_fault(400, {}, body, 0.0).param == "contents[0]"
    assert GEMINI.classify_fault(429, {"retry-after": "7"}, b"", 0.0).retry_after_s == 7


@pytest.mark.parametrize("kind", list(FaultKind))
def test_googles_client_raises_its_classes(kind: FaultKind) -> None:
    fault = Fault(kind, "what went wrong", "contents", 1.5)
    status = FAULT_CLASSES[kind].http_status
    with pytest.raises(errors.APIError) as raised:
        client(status, GEMINI.render_fault(fault, "req1")).models.generate_content(model=MODEL, contents="x")
    error = raised.value
    assert isinstance(error, errors.ClientError if status < 500 else errors.ServerError)
    assert error.code == status
    assert error.status
    assert "what went wrong" in (error.message or "")
    assert "req1" in (error.message or "")


def test_googles_client_raises_what_ends_a_stream() -> None:
    stream = b'data: {"candidates": [{"content": {"parts": [{"text": "x"}]}}]}\r\n\r\n'
    stream += GEMINI.render_stream_fault(Fault(FaultKind.upstream_overloaded, "busy"), "")
    seen: list[types.GenerateContentResponse] = []
    with pytest.raises(errors.ServerError) as raised:
        seen.extend(client(200, stream, "text/event-stream").models.generate_content_stream(model=MODEL, contents="x"))
    assert raised.value.code == 503


def test_a_gateway_behind_a_gateway_keeps_its_meaning() -> None:
    for kind in (FaultKind.upstream_rate, FaultKind.upstream_overloaded, FaultKind.context_length):
        message = "context window" if kind is FaultKind.context_length else "m"
        body = GEMINI.render_fault(Fault(kind, message, None, 2.0), "")
        again = GEMINI.classify_fault(FAULT_CLASSES[kind].http_status, {}, body, 0.0)
        assert again.kind is kind
