"""What providers' errors mean, and how faults look to clients."""

import json
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.faults import FAULT_CLASSES, Fault, FaultKind
from setpoint.wire.anthropic.faults import classify_anthropic_fault, render_anthropic_fault, render_anthropic_stream_fault
from setpoint.wire.dialect import FAULT_BODY_BYTES_MAX
from setpoint.wire.openai_faults import classify_openai_fault, render_openai_fault, render_openai_stream_fault
from setpoint.wire.upstream_faults import RETRY_AFTER_S_MAX, retry_after_s

NOW = 1_700_000_000.0
Classify = Callable[[int, Mapping[str, str], bytes, float], Fault]
BOTH: list[Classify] = [classify_openai_fault, classify_anthropic_fault]


def openai(message: str = "m", kind: str | None = None, code: object = None, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def anthropic(kind: str, message: str = "m") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, openai("Incorrect API key provided", "invalid_request_error", "invalid_api_key"), FaultKind.upstream_auth),
        (403, openai("Country not supported"), FaultKind.upstream_auth),
        (402, openai("Payment Required"), FaultKind.upstream_quota),
        (429, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), FaultKind.upstream_quota),
        (429, openai("Rate limit reached", "requests", "rate_limit_exceeded"), FaultKind.upstream_rate),
        (429, b"", FaultKind.upstream_rate),
        (400, openai("This model's maximum context length is 8192 tokens", None, "context_length_exceeded"), FaultKind.context_length),
        (400, openai("This model's maximum context length is 8192 tokens"), FaultKind.context_length),
        (400, openai("The response was filtered", None, "content_filter"), FaultKind.content_filter),
        (400, openai("Invalid value", "invalid_request_error", "invalid_value", "messages[3]"), FaultKind.upstream_refused),
        (404, openai("The model `x` does not exist", "invalid_request_error", "model_not_found"), FaultKind.unknown_model),
        (404, b"<html><h1>404</h1></html>", FaultKind.upstream_refused),
        (413, b"too big", FaultKind.too_large),
        (422, b'{"detail":[{"msg":"field required"}]}', FaultKind.upstream_refused),
        (500, openai("The server had an error", "server_error"), FaultKind.upstream_server),
        (502, b"<html>Bad Gateway</html>", FaultKind.upstream_server),
        (503, b"", FaultKind.upstream_overloaded),
        (529, b"", FaultKind.upstream_overloaded),
        (504, b"", FaultKind.upstream_timeout),
        (0, openai("Provider returned error", None, 429), FaultKind.upstream_rate),
        (0, openai("boom", "server_error"), FaultKind.upstream_server),
        (418, b"[]", FaultKind.upstream_refused),
    ],
)
def test_openai_errors(status: int, body: bytes, kind: FaultKind) -> None:
    assert classify_openai_fault(status, {}, body, NOW).kind is kind


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, anthropic("authentication_error", "invalid x-api-key"), FaultKind.upstream_auth),
        (403, anthropic("permission_error"), FaultKind.upstream_auth),
        (402, anthropic("billing_error"), FaultKind.upstream_quota),
        (400, anthropic("invalid_request_error", "Your credit balance is too low"), FaultKind.upstream_quota),
        (400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), FaultKind.context_length),
        (400, anthropic("invalid_request_error", "max_tokens: required"), FaultKind.upstream_refused),
        (404, anthropic("not_found_error", "model: claude-x"), FaultKind.unknown_model),
        (404, anthropic("not_found_error", "Not found"), FaultKind.upstream_refused),
        (413, anthropic("request_too_large"), FaultKind.too_large),
        (429, anthropic("rate_limit_error"), FaultKind.upstream_rate),
        (500, anthropic("api_error"), FaultKind.upstream_server),
        (504, anthropic("timeout_error"), FaultKind.upstream_timeout),
        (529, anthropic("overloaded_error", "Overloaded"), FaultKind.upstream_overloaded),
        (0, anthropic("overloaded_error", "Overloaded"), FaultKind.upstream_overloaded),
        (0, anthropic("api_error"), FaultKind.upstream_server),
        (502, b"<html>", FaultKind.upstream_server),
    ],
)
def test_anthropic_errors(status: int, body: bytes, kind: FaultKind) -> None:
    assert classify_anthropic_fault(status, {}, body, NOW).kind is kind


@pytest.mark.parametrize(
    ("headers", "delay"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"retry-after": "Tue, 99 Nov 2023 22:00:00 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "999999999"}, RETRY_AFTER_S_MAX),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0.5s"}, 360.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "12", "x-ratelimit-reset-tokens": "20s"}, None),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000012000"}, 12.0),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2023-11-14T22:13:25Z"}, 5.0),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "tomorrow"}, None),
    ],
)
def test_when_to_come_back_is_what_the_provider_said(headers: dict[str, str], delay: float | None) -> None:
    said = retry_after_s(headers, NOW)
    assert said == (None if delay is None else pytest.approx(delay))


@pytest.mark.parametrize("classify", BOTH)
def test_a_wait_is_kept_only_where_another_try_can_help(classify: Classify) -> None:
    assert classify(429, {"retry-after": "7"}, b"", NOW).retry_after_s == 7.0
    assert classify(401, {"retry-after": "7"}, b"", NOW).retry_after_s is None


@pytest.mark.parametrize("classify", BOTH)
@pytest.mark.parametrize(
    "secret",
    ["sk-proj-abc*****wxyz1234", "sk-ant-api03-AbCdEf", "Bearer abcdef123456", "AIzaSyA1234567", "gsk_abcdef123", "abcd********wxyz"],
)
def test_a_credential_never_gets_out(classify: Classify, secret: str) -> None:
    body = openai(f"Incorrect API key provided: {secret}. Find yours.")
    fault = classify(401, {}, body, NOW)
    for out in (fault.message.encode(), fault.upstream_body or b"", render_openai_fault(fault, "r"), render_anthropic_fault(fault, "r")):
        assert secret.encode() not in out
    assert "Incorrect API key provided" in fault.message


def test_words_about_keys_are_no_credentials() -> None:
    body = anthropic("api_error", "invalid x-api-key: see api_key, key_id and sk-")
    fault = classify_anthropic_fault(500, {}, body, NOW)
    assert fault.upstream_body == body
    assert fault.message == "invalid x-api-key: see api_key, key_id and sk-"


@pytest.mark.parametrize("classify", BOTH)
def test_the_body_is_kept_up_to_its_limit(classify: Classify) -> None:
    fault = classify(500, {}, b"x" * (FAULT_BODY_BYTES_MAX + 1), NOW)
    assert fault.upstream_body == b"x" * FAULT_BODY_BYTES_MAX


@pytest.mark.parametrize("word", [b"x", b"<script", b"eyJ-", b"sk-", b"a*", b"*", b"Bearer "])
def test_a_body_built_to_be_slow_is_not(word: bytes) -> None:
    """A search that is quadratic in 64 KiB would hold this test up for minutes."""
    body = word * (FAULT_BODY_BYTES_MAX // len(word))
    for classify in BOTH:
        for _ in range(5):
            classify(500, {}, body, NOW)


def test_html_is_read_as_text() -> None:
    fault = classify_openai_fault(502, {}, b"<html><style>p{}</style><h1>Bad\n Gateway</h1></html>", NOW)
    assert fault.message == "Bad Gateway"


def test_the_member_that_is_wrong_is_kept() -> None:
    assert classify_openai_fault(400, {}, openai("no", param="messages[3]"), NOW).param == "messages[3]"


@given(st.integers(0, 599), st.binary(max_size=100))
def test_any_body_is_some_fault(status: int, body: bytes) -> None:
    for classify in BOTH:
        fault = classify(status, {}, body, NOW)
        assert fault.message
        json.loads(render_openai_fault(fault, "r"))
        json.loads(render_anthropic_fault(fault, "r"))


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_fault_is_rendered_with_its_blame_and_request(kind: FaultKind) -> None:
    fault = Fault(kind, "It broke.", param="model")
    who = {"caller": "the request", "upstream": "the upstream provider", "gateway": "the gateway"}[FAULT_CLASSES[kind].blame]
    error = json.loads(render_openai_fault(fault, "req-1"))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == "model"
    other = json.loads(render_anthropic_fault(fault, "req-1"))
    assert (other["type"], other["request_id"]) == ("error", "req-1")
    for message in (error["message"], other["error"]["message"]):
        assert message.startswith("It broke.")
        assert who in message
        assert str(int(kind)) in message
        assert "req-1" in message


@pytest.mark.parametrize(
    ("kind", "openai_type", "openai_code", "anthropic_type"),
    [
        (FaultKind.bad_request, "invalid_request_error", None, "invalid_request_error"),
        (FaultKind.unknown_model, "invalid_request_error", "model_not_found", "not_found_error"),
        (FaultKind.too_large, "invalid_request_error", "request_too_large", "request_too_large"),
        (FaultKind.context_length, "invalid_request_error", "context_length_exceeded", "invalid_request_error"),
        (FaultKind.unauthenticated, "authentication_error", "invalid_api_key", "authentication_error"),
        (FaultKind.forbidden, "permission_error", "insufficient_permissions", "permission_error"),
        (FaultKind.rate_limited, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
        (FaultKind.upstream_quota, "insufficient_quota", "insufficient_quota", "api_error"),
        (FaultKind.upstream_rate, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
        (FaultKind.upstream_overloaded, "server_error", "overloaded", "overloaded_error"),
        (FaultKind.internal, "server_error", "internal", "api_error"),
    ],
)
def test_types_are_the_vendors_own(kind: FaultKind, openai_type: str, openai_code: str | None, anthropic_type: str) -> None:
    fault = Fault(kind, "m")
    error = json.loads(render_openai_fault(fault, ""))["error"]
    assert (error["type"], error["code"]) == (openai_type, openai_code)
    assert json.loads(render_anthropic_fault(fault, ""))["error"]["type"] == anthropic_type


def test_stream_faults_are_one_event_and_no_end() -> None:
    fault = Fault(FaultKind.upstream_cut, "The answer ended early.")
    event = render_openai_stream_fault(fault, "r")
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"}\n\n")
    assert b"DONE" not in event
    other = render_anthropic_stream_fault(fault, "r")
    assert other.startswith(b'event: error\ndata: {"type":"error",')
    assert b"message_stop" not in other


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (500, FaultKind.upstream_server),
        (502, FaultKind.upstream_server),
        (503, FaultKind.upstream_overloaded),
        (504, FaultKind.upstream_timeout),
        (529, FaultKind.upstream_overloaded),
        (200, FaultKind.upstream_server),
    ],
)
def test_a_status_says_more_than_the_word_server_error(status: int, kind: FaultKind) -> None:
    body = b'{"error":{"message":"The server had an error.","type":"server_error","param":null,"code":null}}'
    assert classify_openai_fault(status, {}, body, 0.0).kind is kind
