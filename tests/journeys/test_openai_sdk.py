"""The real OpenAI SDK through the gateway, against an upstream of its own dialect and one of Anthropic's, on a plain and a TLS listener."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import openai
import pytest

from setpoint.testing.conversation import prompt_of
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.replies import calls, status, text
from setpoint.testing.stage import ANTHROPIC_CREDENTIAL, OPENAI_CREDENTIAL, Stage
from setpoint.testing.wire_faults import WireFault

Client = Callable[..., openai.OpenAI]
MODELS = ["fake-1", "claude-1"]
HI: Any = [{"role": "user", "content": "hi"}]
WEATHER: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "the weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]


def behind(on: Stage, model: str) -> FakeUpstream:
    return on.anthropic if model == "claude-1" else on.openai


@pytest.mark.parametrize("model", MODELS)
def test_a_chat_is_answered_with_its_usage(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(text("good ", "day, Zoë 🙂", input_tokens=11, output_tokens=4))
    answer = openai_client().chat.completions.create(model=model, messages=HI)
    assert answer.choices[0].message.content == "good day, Zoë 🙂"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 4)
    assert prompt_of(behind(on, model).seen[0]) == "hi"


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_arrives_in_pieces_and_ends(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(text("good ", "day, ", "Zoë 🙂"))
    chunks = list(openai_client().chat.completions.create(model=model, messages=HI, stream=True))
    said = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert said == ["good ", "day, ", "Zoë 🙂"]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


@pytest.mark.parametrize("model", MODELS)
def test_usage_is_hidden_from_a_client_that_did_not_ask_and_recorded_all_the_same(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(text("a", input_tokens=11, output_tokens=4))
    before = len(on.gateway.ends())
    chunks = list(openai_client().chat.completions.create(model=model, messages=HI, stream=True))
    assert all(c.usage is None for c in chunks)
    assert all(c.choices for c in chunks), "an event without a choice is the usage that nobody asked for"
    head = on.gateway.wait_for_ends(before + 1)[-1].head
    assert (head.input, head.output, head.streamed) == (11, 4, True)


@pytest.mark.parametrize("model", MODELS)
def test_usage_is_shown_to_a_client_that_asked(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(text("a", input_tokens=11, output_tokens=4))
    stream = openai_client().chat.completions.create(model=model, messages=HI, stream=True, stream_options={"include_usage": True})
    used = [c.usage for c in stream if c.usage is not None]
    assert [(u.prompt_tokens, u.completion_tokens) for u in used] == [(11, 4)]


@pytest.mark.parametrize("model", MODELS)
def test_a_tool_is_called(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(calls("get_weather", "call_9", city="Oslo"))
    answer = openai_client().chat.completions.create(model=model, messages=HI, tools=WEATHER)
    assert answer.choices[0].finish_reason == "tool_calls"
    tool_calls: Any = answer.choices[0].message.tool_calls
    (call,) = tool_calls
    assert (call.id, call.function.name) == ("call_9", "get_weather")
    assert call.function.arguments.replace(" ", "") == '{"city":"Oslo"}'


@pytest.mark.parametrize("model", MODELS)
def test_a_streamed_tool_call_is_put_together_by_the_sdk(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(calls("get_weather", "call_9", city="Oslo"))
    with openai_client().chat.completions.stream(model=model, messages=HI, tools=WEATHER) as stream:
        final = stream.get_final_completion()
    tool_calls: Any = final.choices[0].message.tool_calls
    (call,) = tool_calls
    assert (call.id, call.function.name, call.function.arguments.replace(" ", "")) == ("call_9", "get_weather", '{"city":"Oslo"}')


def test_system_prompt_tools_and_their_results_reach_an_anthropic_upstream_in_its_own_shape(on: Stage, openai_client: Client) -> None:
    asked: Any = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "weather?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "call_9", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}],
        },
        {"role": "tool", "tool_call_id": "call_9", "content": "12 degrees"},
    ]
    openai_client().chat.completions.create(model="claude-1", messages=asked, tools=WEATHER, max_completion_tokens=50, stop=["END"])
    sent = on.anthropic.seen[0].json
    assert sent["max_tokens"] == 50
    assert sent["stop_sequences"] == ["END"]
    assert "be brief" in str(sent["system"])
    assert [m["role"] for m in sent["messages"]] == ["user", "assistant", "user"]
    assert sent["messages"][1]["content"][-1] | {} == {"type": "tool_use", "id": "call_9", "name": "get_weather", "input": {"city": "Oslo"}}
    result = sent["messages"][2]["content"][0]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "call_9")
    assert "12 degrees" in str(result["content"])
    assert sent["tools"][0]["input_schema"]["required"] == ["city"]


def test_images_reach_an_anthropic_upstream(on: Stage, openai_client: Client) -> None:
    parts: Any = [
        {"type": "text", "text": "what is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    openai_client().chat.completions.create(model="claude-1", messages=[{"role": "user", "content": parts}])
    source = on.anthropic.seen[0].json["messages"][0]["content"][1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}


def test_embeddings_are_relayed(on: Stage, openai_client: Client) -> None:
    answer = openai_client().embeddings.create(model="fake-1", input=["a", "b"], encoding_format="float")
    assert [e.embedding for e in answer.data] == [[0.6, 0.8, 0.0], [0.6, 0.8, 1.0]]
    assert answer.usage.prompt_tokens == 6


def test_the_list_of_models_names_the_routes(openai_client: Client) -> None:
    names = [m.id for m in openai_client().models.list()]
    assert {"fake-1", "claude-1", "spare"} <= set(names)
    assert openai_client().models.retrieve("claude-1").id == "claude-1"


def test_an_own_dialect_body_is_passed_byte_for_byte(on: Stage, openai_client: Client) -> None:
    openai_client().chat.completions.create(model="fake-1", messages=HI, extra_body={"x_unknown": {"deep": [1, 2.50, "ü"]}}, seed=7)
    assert on.openai.seen[0].json["x_unknown"] == {"deep": [1, 2.5, "ü"]}
    assert on.openai.seen[0].json["seed"] == 7


def test_a_wildcard_route_sends_the_rest_of_the_name(on: Stage, openai_client: Client) -> None:
    openai_client().chat.completions.create(model="fake/other-model", messages=HI)
    assert on.openai.seen[0].json["model"] == "other-model"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.InternalServerError),  # the gateway's own credential was refused: not the caller's fault
        (404, openai.NotFoundError),
        (422, openai.UnprocessableEntityError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_an_upstreams_error_becomes_the_sdks_class(
    on: Stage, openai_client: Client, model: str, code: int, error: type[openai.APIStatusError]
) -> None:
    behind(on, model).says(status(code, "the fake provider said no"))
    with pytest.raises(error) as caught:
        openai_client().chat.completions.create(model=model, messages=HI)
    assert caught.value.response.headers["x-setpoint-error-code"]
    assert isinstance(caught.value.body, dict)
    assert OPENAI_CREDENTIAL not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        ("sk-sp-000000000000-" + "0" * 43, openai.AuthenticationError),
        ("nonsense", openai.AuthenticationError),
        ("expired", openai.AuthenticationError),
        ("viewer", openai.PermissionDeniedError),
    ],
)
def test_a_key_that_may_not_is_told_so(on: Stage, openai_client: Client, key: str, error: type[openai.APIStatusError]) -> None:
    with pytest.raises(error, match="key"):
        openai_client(key).chat.completions.create(model="fake-1", messages=HI)
    assert not on.openai.seen


def test_an_unknown_model_is_not_found_and_named(openai_client: Client) -> None:
    with pytest.raises(openai.NotFoundError, match="nobody-serves-this") as caught:
        openai_client().chat.completions.create(model="nobody-serves-this", messages=HI)
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


def test_embeddings_of_an_upstream_that_has_none_are_refused(openai_client: Client) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        openai_client().embeddings.create(model="claude-1", input="a")
    assert 400 <= caught.value.status_code < 500


@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_upstream_is_replaced_by_the_next(on: Stage, openai_client: Client, stream: bool) -> None:
    on.openai.says(status(500))
    on.openai_2.says(text("from the spare"))
    raw = openai_client().chat.completions.with_raw_response.create(model="spare", messages=HI, stream=stream)
    assert raw.headers["x-setpoint-attempts"] == "2"
    assert raw.headers["x-setpoint-fallback"] == "1"
    parsed: Any = raw.parse()
    said = "".join(c.choices[0].delta.content or "" for c in parsed if c.choices) if stream else parsed.choices[0].message.content
    assert said == "from the spare"


def test_a_route_crosses_dialects_when_it_falls_over(on: Stage, openai_client: Client) -> None:
    on.anthropic.says(status(529, "overloaded"))
    on.openai_2.says(text("from the spare"))
    answer = openai_client().chat.completions.create(model="claude-spare", messages=HI)
    assert answer.choices[0].message.content == "from the spare"


def test_an_upstream_behind_tls_is_verified_with_the_plans_authority(on: Stage, openai_client: Client) -> None:
    on.openai_tls.says(text("secured"))
    assert openai_client().chat.completions.create(model="secure", messages=HI).choices[0].message.content == "secured"


def test_the_second_of_two_equal_requests_is_a_cache_hit(on: Stage, openai_client: Client) -> None:
    on.openai.says(text("first"), text("second"))
    client, body = openai_client(), {"model": "cached", "messages": [{"role": "user", "content": f"cache {id(on)}"}]}
    first = client.chat.completions.with_raw_response.create(**body)  # type: ignore[call-overload]
    again = client.chat.completions.with_raw_response.create(**body)  # type: ignore[call-overload]
    assert (first.headers["x-setpoint-cache"], again.headers["x-setpoint-cache"]) == ("miss", "hit-l1")
    assert first.parse().choices[0].message.content == again.parse().choices[0].message.content == "first"
    assert len(on.openai.seen) == 1


def test_a_cached_stream_is_replayed_as_a_stream(on: Stage, openai_client: Client) -> None:
    on.openai.says(text("a", "b"))
    asked: Any = [{"role": "user", "content": f"streamed cache {id(on)}"}]
    client = openai_client()
    for _ in range(2):
        chunks = list(client.chat.completions.create(model="cached", messages=asked, stream=True))
        assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "ab"
    assert len(on.openai.seen) == 1


def test_a_client_may_say_no_to_the_cache(on: Stage, openai_client: Client) -> None:
    asked: Any = [{"role": "user", "content": f"uncached {id(on)}"}]
    client = openai_client()
    for _ in range(2):
        client.chat.completions.create(model="cached", messages=asked, extra_headers={"x-setpoint-cache": "no-store"})
    assert len(on.openai.seen) == 2


def test_cost_and_ids_are_in_the_headers(on: Stage, openai_client: Client) -> None:
    on.openai.says(text("a", input_tokens=1_000, output_tokens=100))
    headers = openai_client().chat.completions.with_raw_response.create(model="fake-1", messages=HI).headers
    assert Decimal(headers["x-setpoint-cost-usd"]) == Decimal("0.0012")
    assert len(headers["x-setpoint-request-id"]) == 32
    assert headers["x-setpoint-provider"] == "fake"
    assert headers["x-setpoint-route"] == "fake-1"
    assert float(headers["x-setpoint-overhead-ms"]) >= 0


def test_a_key_over_its_limit_gets_a_true_retry_after(on: Stage, openai_client: Client) -> None:
    client = openai_client("small")
    served: list[Any] = []
    with pytest.raises(openai.RateLimitError) as caught:
        served.extend(client.chat.completions.with_raw_response.create(model="fake-1", messages=HI).headers for _ in range(10))
    for headers in served:
        assert headers["x-ratelimit-limit-requests"] == "60"
        assert int(headers["x-ratelimit-remaining-requests"]) >= 0
    told = caught.value.response.headers
    assert 0 < int(told["retry-after-ms"]) <= 1_000 * 60 / 60
    assert int(told["retry-after"]) == 1
    assert caught.value.code == "rate_limit_exceeded"


def test_neither_gateway_key_nor_internal_headers_reach_the_upstream(on: Stage, openai_client: Client) -> None:
    openai_client().chat.completions.create(
        model="fake-1", messages=HI, extra_headers={"x-setpoint-internal-peer": "{}", "cookie": "a=b", "x-api-key": "abc"}
    )
    seen = on.openai.seen[0].headers
    assert seen["authorization"] == f"Bearer {OPENAI_CREDENTIAL}"
    assert on.keys["developer"] not in str(on.openai.seen[0].request.header_list)
    assert not [name for name in seen if name.startswith("x-setpoint") or name in ("cookie", "x-api-key")]


def test_an_anthropic_upstream_gets_its_credential_and_version(on: Stage, openai_client: Client) -> None:
    openai_client().chat.completions.create(model="claude-1", messages=HI)
    seen = on.anthropic.seen[0].headers
    assert seen["x-api-key"] == ANTHROPIC_CREDENTIAL
    assert seen["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen


@pytest.mark.parametrize("model", MODELS)
def test_an_error_event_in_mid_stream_is_an_error_to_the_sdk(on: Stage, openai_client: Client, model: str) -> None:
    behind(on, model).says(text("a", "b", "c"))
    behind(on, model).breaks(WireFault("cut", after_pieces=5 if model == "claude-1" else 3))
    got: list[str | None] = []
    stream = openai_client().chat.completions.create(model=model, messages=HI, stream=True)
    with pytest.raises(openai.APIError):
        got.extend(chunk.choices[0].delta.content for chunk in stream)
    assert "a" in got
