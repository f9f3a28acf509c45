"""Errors as vendors really send them: what each means, and what is kept of it."""

import json
from typing import Any

import pytest

from setpoint.domain.faults import FaultKind
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.upstream_faults import RETRY_AFTER_S_MAX, told_in_words

NOW = 1_700_000_000.0
AUTH, QUOTA, RATE = FaultKind.upstream_auth, FaultKind.upstream_quota, FaultKind.upstream_rate
CONTEXT, FILTER, MODEL = FaultKind.context_length, FaultKind.content_filter, FaultKind.unknown_model
BUSY, SERVER, TIMEOUT, REFUSED, LARGE = (
    FaultKind.upstream_overloaded,
    FaultKind.upstream_server,
    FaultKind.upstream_timeout,
    FaultKind.upstream_refused,
    FaultKind.too_large,
)
Body = dict[str, Any] | list[Any] | str


def error(message: str, kind: str | None = None, code: Any = None, param: str | None = None, **more: Any) -> Body:
    return {"error": {"message": message, "type": kind, "param": param, "code": code, **more}}


def cloudflare(code: int, message: str) -> Body:
    return {"errors": [{"message": message, "code": code}], "success": False, "result": {}, "messages": []}


def top(message: Any, kind: str | None = None, code: Any = None, **more: Any) -> Body:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code, **more}


OPENAI_LIKE: list[tuple[str, int, Body, FaultKind]] = [
    ("openai", 401, error("Incorrect API key provided: sk-x***y.", "invalid_request_error", "invalid_api_key"), AUTH),
    ("openai", 401, error("You must be a member of an organization to use the API.", "invalid_request_error"), AUTH),
    (
        "openai",
        403,
        error("Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"),
        AUTH,
    ),
    ("openai", 429, error("You exceeded your current quota, please check your plan.", "insufficient_quota", "insufficient_quota"), QUOTA),
    (
        "openai",
        429,
        error("Your account is not active, please check your billing details.", "billing_not_active", "billing_not_active"),
        QUOTA,
    ),
    ("openai", 429, error("Rate limit reached for gpt-4o. Please try again in 1.5s.", "tokens", "rate_limit_exceeded"), RATE),
    (
        "openai",
        400,
        error("This model's maximum context length is 8192 tokens.", "invalid_request_error", "context_length_exceeded"),
        CONTEXT,
    ),
    (
        "openai",
        400,
        error("Your input exceeds the context window of this model.", "invalid_request_error", "context_length_exceeded"),
        CONTEXT,
    ),
    (
        "openai",
        400,
        error("Invalid prompt: flagged as potentially violating our usage policy.", "invalid_request_error", "invalid_prompt"),
        FILTER,
    ),
    ("openai", 400, error("Unknown parameter: 'moderation'.", "invalid_request_error", "unknown_parameter", "moderation"), REFUSED),
    (
        "openai",
        404,
        error("The model `gpt-9` does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
        MODEL,
    ),
    ("openai", 500, error("The server had an error while processing your request.", "server_error"), SERVER),
    ("openai", 503, error("Our servers are currently overloaded.", "service_unavailable_error", "server_is_overloaded"), BUSY),
    ("openai", 503, error("Slow down.", "service_unavailable_error", "slow_down"), BUSY),
    (
        "azure",
        400,
        error(
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            None,
            "content_filter",
            "prompt",
            status=400,
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True, "severity": "high"}}},
        ),
        FILTER,
    ),
    ("azure", 400, error("Blocked.", None, None, innererror={"code": "ResponsibleAIPolicyViolation"}), FILTER),
    ("azure", 401, error("Access denied due to invalid subscription key or wrong API endpoint.", None, "401"), AUTH),
    ("azure", 401, {"statusCode": 401, "message": "Unauthorized. Access token is missing, invalid, or expired."}, AUTH),
    ("azure", 404, error("The API deployment for this resource does not exist.", None, "DeploymentNotFound"), MODEL),
    ("azure", 404, error("Resource not found", None, "404"), REFUSED),
    ("azure", 429, error("Requests have exceeded token rate limit. Please retry after 7 seconds.", None, "429"), RATE),
    ("azure", 503, error("The service is temporarily unable to process your request.", None, "NoCapacity"), BUSY),
    ("mistral", 401, {"message": "Unauthorized", "request_id": "r1"}, AUTH),
    ("mistral", 401, {"detail": "Unauthorized"}, AUTH),
    ("mistral", 429, top("Requests rate limit exceeded", "rate_limited", "1300", raw_status_code=429), RATE),
    ("mistral", 400, top("Invalid model: mistral-x", "invalid_model", "1500"), MODEL),
    (
        "mistral",
        400,
        top("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", "invalid_request"),
        CONTEXT,
    ),
    ("mistral", 422, top({"detail": [{"loc": ["body", "n"], "msg": "Extra inputs are not permitted"}]}, "invalid_request_error"), REFUSED),
    ("mistral", 503, top("Service unavailable.", "internal_server_error", "3000"), BUSY),
    ("groq", 401, error("Invalid API Key", "invalid_request_error", "invalid_api_key"), AUTH),
    ("groq", 400, error("Organization has been restricted.", "invalid_request_error", "organization_restricted"), AUTH),
    ("groq", 413, error("Request too large on tokens per minute (TPM): Limit 6000.", "tokens", "rate_limit_exceeded"), LARGE),
    ("groq", 429, error("Rate limit reached. Please try again in 2m59.5s.", "requests", "rate_limit_exceeded"), RATE),
    ("groq", 400, error("Please reduce the length of the messages or completion.", "invalid_request_error", None, "messages"), CONTEXT),
    ("groq", 400, error("The model `x` has been decommissioned.", "invalid_request_error", "model_decommissioned"), MODEL),
    ("groq", 400, error("Failed to call a function.", "invalid_request_error", "tool_use_failed", failed_generation="<f>"), REFUSED),
    ("groq", 498, error("Flex tier capacity exceeded, try again later", "internal_server_error", "capacity_exceeded"), BUSY),
    ("together", 401, error("Invalid API key provided.", "invalid_request_error", "invalid_api_key"), AUTH),
    ("together", 404, error("Unable to access model x.", "invalid_request_error", "model_not_available"), REFUSED),
    ("together", 422, error("`inputs` tokens + `max_new_tokens` must be <= 8193.", "invalid_request_error"), CONTEXT),
    ("together", 429, error("Request was rejected due to rate limiting.", "rate_limit", "rate_limit"), RATE),
    ("together", 503, error("The engine is currently overloaded.", "service_unavailable"), BUSY),
    ("fireworks", 401, {"error": "unauthorized"}, AUTH),
    ("fireworks", 404, error("Model not found, inaccessible, and/or not deployed", None, "NOT_FOUND", object="error"), MODEL),
    ("fireworks", 412, error("Account x is suspended, possibly due to reaching the monthly spending limit", "PRECONDITION_FAILED"), QUOTA),
    ("fireworks", 400, error("The prompt is too long: 9000, model maximum context length: 8191", "invalid_request_error"), CONTEXT),
    ("deepseek", 402, error("Insufficient Balance", "unknown_error", "invalid_request_error"), QUOTA),
    (
        "deepseek",
        401,
        error("Authentication Fails, Your api key: ****abcd is invalid", "authentication_error", "invalid_request_error"),
        AUTH,
    ),
    ("deepseek", 400, error("Model Not Exist", "invalid_request_error", "invalid_request_error"), REFUSED),
    ("deepseek", 400, error("This model's maximum context length is 131072 tokens. However, you requested 140000.", "x"), CONTEXT),
    ("deepseek", 503, error("Service is too busy.", "service_unavailable_error"), BUSY),
    ("xai", 400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***y."}, AUTH),
    ("xai", 403, {"code": "The caller does not have permission", "error": "Your team has used all available credits."}, QUOTA),
    ("xai", 404, {"code": "Some requested entity was not found", "error": "The model grok-9 does not exist."}, MODEL),
    ("xai", 400, {"code": "x", "error": "This model's maximum prompt length is 131072 but the request contains 140000 tokens."}, CONTEXT),
    ("xai", 403, {"code": "x", "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO"}, FILTER),
    ("openrouter", 401, error("No auth credentials found", None, 401), AUTH),
    ("openrouter", 402, error("Insufficient credits. Add more at the settings page.", None, 402), QUOTA),
    ("openrouter", 403, error("x requires moderation. Your input was flagged.", None, 403, metadata={"reasons": ["violence"]}), FILTER),
    ("openrouter", 400, error("gpt-9 is not a valid model ID", None, 400), MODEL),
    ("openrouter", 404, error("No endpoints found for x/y.", None, 404), MODEL),
    ("openrouter", 408, error("Request timed out", None, 408), TIMEOUT),
    ("openrouter", 429, error("Provider returned error", None, 429, metadata={"raw": "x is temporarily rate-limited upstream."}), RATE),
    (
        "openrouter",
        400,
        error("Provider returned error", None, 400, metadata={"raw": '{"error":{"message":"prompt is too long: 210000 tokens"}}'}),
        CONTEXT,
    ),
    ("openrouter", 502, error("Provider returned error", None, 502, metadata={"raw": "boom", "provider_name": "x"}), SERVER),
    ("openrouter", 0, error("Provider disconnected", None, 502), SERVER),
    ("perplexity", 400, error("Invalid model 'x'. Permitted models can be found in the documentation.", "invalid_model", 400), MODEL),
    ("perplexity", 401, error("You exceeded your current quota", "insufficient_quota", 401), QUOTA),
    ("perplexity", 401, "<html><head><title>401 Authorization Required</title></head><body></body></html>", AUTH),
    (
        "cerebras",
        429,
        {"message": "Tokens per minute limit exceeded.", "type": "too_many_tokens_error", "code": "token_quota_exceeded"},
        RATE,
    ),
    ("cerebras", 429, {"message": "We're experiencing high traffic!", "type": "too_many_requests_error", "code": "queue_exceeded"}, BUSY),
    (
        "cerebras",
        400,
        {"message": "Please reduce the length. Limit is 8192", "param": "messages", "code": "context_length_exceeded"},
        CONTEXT,
    ),
    ("cerebras", 401, {"message": "Wrong API Key", "type": "invalid_request_error", "code": "wrong_api_key"}, AUTH),
    ("cerebras", 404, {"message": "Model x does not exist.", "type": "not_found_error", "code": "model_not_found"}, MODEL),
    ("cloudflare", 400, cloudflare(5007, "No such model @cf/x or task"), MODEL),
    ("cloudflare", 401, cloudflare(10000, "Authentication error"), AUTH),
    ("cloudflare", 429, cloudflare(3036, "You have used up your daily free allocation of 10,000 neurons."), QUOTA),
    ("cloudflare", 429, cloudflare(3040, "Capacity temporarily exceeded, please try again."), BUSY),
    ("cloudflare", 413, cloudflare(5021, "The estimated number of tokens exceeded this model context window limit (8192)."), CONTEXT),
    ("cloudflare", 524, "<html>524: A timeout occurred</html>", TIMEOUT),
    ("vllm", 400, top("This model's maximum context length is 4096 tokens.", "BadRequestError", 400), CONTEXT),
    ("vllm", 404, top("The model `x` does not exist.", "NotFoundError", 404), MODEL),
    ("vllm", 400, error("max_tokens must be at least 1, got 0.", "BadRequestError", 400), REFUSED),
    ("vllm", 401, {"error": "Unauthorized"}, AUTH),
    (
        "llamacpp",
        400,
        error("the request exceeds the available size", "exceed_context_size_error", 400, n_prompt_tokens=9, n_ctx=8),
        CONTEXT,
    ),
    ("llamacpp", 503, error("Loading model", "unavailable_error", 503), BUSY),
    ("llamacpp", 401, error("Invalid API Key", "authentication_error", 401), AUTH),
    ("lmstudio", 400, {"error": "The number of tokens to keep is greater than the context length"}, CONTEXT),
    ("lmstudio", 400, {"error": 'Invalid model identifier "x". Please specify a valid downloaded model.'}, MODEL),
    ("huggingface", 503, {"error": "Model x is currently loading", "estimated_time": 20.0}, BUSY),
    ("huggingface", 402, {"error": "You have exceeded your monthly included credits for Inference Providers."}, QUOTA),
    (
        "huggingface",
        422,
        {"error": "Input validation error: `inputs` must have less than 4096 tokens", "error_type": "validation"},
        REFUSED,
    ),
    ("huggingface", 400, {"error": ["Error in `parameters.x`: field required"]}, REFUSED),
    ("moonshot", 429, error("The engine is currently overloaded, please try again later", "engine_overloaded_error"), BUSY),
    ("moonshot", 429, error("Your account is suspended, please check your plan.", "exceeded_current_quota_error"), QUOTA),
    ("moonshot", 400, error("The request was rejected because it was considered high risk", "content_filter"), FILTER),
    ("zai", 429, error("Insufficient balance or no resource package. Please recharge.", None, "1113"), QUOTA),
    ("zai", 400, error("System detected potentially unsafe or sensitive content in input or generation.", None, "1301"), FILTER),
    ("zai", 400, error("Prompt exceeds max length", None, "1261"), CONTEXT),
    ("alibaba", 400, error("Access denied, please make sure your account is in good standing.", "Arrearage", "Arrearage"), QUOTA),
    ("alibaba", 400, error("Input data may contain inappropriate content.", "data_inspection_failed", "data_inspection_failed"), FILTER),
    ("nvidia", 404, {"status": 404, "title": "Not Found", "detail": "Function 'f': Not found for account 'a'"}, REFUSED),
    ("nvidia", 401, {"type": "urn:x", "title": "Unauthorized", "status": 401, "detail": "Bearer token is malformed"}, AUTH),
]

ANTHROPIC: list[tuple[int, str, str, FaultKind]] = [
    (400, "invalid_request_error", "messages.0.content: Field required", REFUSED),
    (400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", CONTEXT),
    (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 195000 + 8192 > 200000", CONTEXT),
    (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", QUOTA),
    (400, "invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01.", QUOTA),
    (400, "invalid_request_error", "Output blocked by content filtering policy", FILTER),
    (401, "authentication_error", "invalid x-api-key", AUTH),
    (402, "billing_error", "Your account needs a payment method.", QUOTA),
    (403, "permission_error", "Your API key does not have permission to use the specified resource.", AUTH),
    (404, "not_found_error", "model: claude-9", MODEL),
    (404, "not_found_error", "Not found", REFUSED),
    (408, "timeout_error", "Request timed out", TIMEOUT),
    (413, "request_too_large", "Request exceeds the maximum allowed number of bytes.", LARGE),
    (429, "rate_limit_error", "This request would exceed your organization's rate limit of 40,000 input tokens per minute.", RATE),
    (500, "api_error", "Internal server error", SERVER),
    (504, "timeout_error", "The request timed out while processing.", TIMEOUT),
    (529, "overloaded_error", "Overloaded", BUSY),
]


def bytes_of(body: Body) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


@pytest.mark.parametrize(("vendor", "status", "body", "kind"), OPENAI_LIKE)
def test_what_openai_like_vendors_mean(vendor: str, status: int, body: Body, kind: FaultKind) -> None:
    fault = classify_openai_fault(status, {}, bytes_of(body), NOW)
    assert fault.kind is kind, (vendor, fault)
    assert fault.message not in {"", "no message"}


@pytest.mark.parametrize(("status", "kind_word", "message", "kind"), ANTHROPIC)
def test_what_anthropic_means(status: int, kind_word: str, message: str, kind: FaultKind) -> None:
    body = bytes_of({"type": "error", "error": {"type": kind_word, "message": message}, "request_id": "req_1"})
    for heard in (status, 0):
        fault = classify_anthropic_fault(heard, {}, body, NOW)
        assert heard == 0 or fault.kind is kind
        assert fault.message == message
        assert (fault.retry_after_s is None) is True
    assert classify_anthropic_fault(status, {"retry-after": "3"}, body, NOW).retry_after_s == (
        3.0 if kind in {RATE, BUSY, SERVER, TIMEOUT} else None
    )


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        (error("No.", param="messages[0]"), "No.", "messages[0]"),
        (top("Odd"), "Odd", None),
        ({"error": "Plain"}, "Plain", None),
        ({"detail": "Not Found"}, "Not Found", None),
        ({"error": {"message": {"detail": "deep"}}}, '{"detail": "deep"}', None),
        ({"code": "Client specified an invalid argument", "error": "xAI's words"}, "xAI's words", None),
        (cloudflare(1, "First"), "First", None),
        (error("Provider returned error", metadata={"raw": '{"message":"too hot"}'}), "Provider returned error: too hot", None),
        (error("Provider returned error", metadata={"raw": "cold"}), "Provider returned error: cold", None),
        (error("Specific", metadata={"raw": "cold"}), "Specific", None),
        ("<html><h1>502</h1></html>", "502", None),
    ],
)
def test_the_vendors_own_words_are_kept(body: Body, message: str, param: str | None) -> None:
    fault = classify_openai_fault(400, {}, bytes_of(body), NOW)
    assert (fault.message, fault.param) == (message, param)


@pytest.mark.parametrize(
    ("headers", "body", "delay"),
    [
        ({"retry-after": "7"}, error("x"), 7.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, error("x"), 10.0),
        ({"x-ms-retry-after-ms": "1500"}, error("x"), 1.5),
        ({"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "12.5"}, error("x"), 12.5),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, error("x"), 30.0),
        ({}, error("x", metadata={"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000005000"}}), 5.0),
        ({}, error("Rate limit reached. Please try again in 1m7.5s. Visit us."), 67.5),
        ({}, error("Please try again in 250ms."), 0.25),
        ({}, error("Please retry after 7 seconds."), 7.0),
        ({"retry-after": "2"}, error("Please retry after 7 seconds."), 2.0),
        ({}, error("Please try again later."), None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], body: Body, delay: float | None) -> None:
    told = classify_openai_fault(429, headers, bytes_of(body), NOW).retry_after_s
    assert told == (None if delay is None else pytest.approx(delay))


def test_a_wait_in_words_has_a_limit() -> None:
    assert told_in_words("try again in 99999m1s") == RETRY_AFTER_S_MAX
    assert told_in_words("try again in 999999s") == RETRY_AFTER_S_MAX


def test_there_are_enough_bodies() -> None:
    assert len(OPENAI_LIKE) + len(ANTHROPIC) >= 100
    assert len({vendor for vendor, *_ in OPENAI_LIKE}) >= 18
