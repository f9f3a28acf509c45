"""The real Anthropic SDK through the gateway, against an upstream of its own dialect and one of OpenAI's, on a plain and a TLS listener."""

import collections
from collections.abc import Callable
from typing import Any

import anthropic
import pytest

from setpoint.testing.conversation import prompt_of
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.replies import calls, status, text
from setpoint.testing.stage import Stage
from setpoint.testing.wire_faults import WireFault

Client = Callable[..., anthropic.Anthropic]
MODELS = ["claude-1", "fake-1"]
HI: Any = [{"role": "user", "content": "hi"}]
WEATHER: Any = [
    {
        "name": "get_weather",
        "description": "the weather",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
]


def behind(on: Stage, model: str) -> FakeUpstream:
    return on.anthropic if model == "claude-1" else on.openai


def ask(client: anthropic.Anthropic, model: str, **members: Any) -> anthropic.types.Message:
    message = client.messages.create(model=model, messages=HI, max_tokens=100, **members)
    assert isinstance(message, anthropic.types.Message)
    return message


@pytest.mark.parametrize("model", MODELS)
def test_a_message_is_answered_with_its_usage(on: Stage, anthropic_client: Client, model: str) -> None:
    behind(on, model).says(text("good ", "day, Zoë 🙂", input_tokens=11, output_tokens=4))
    answer = ask(anthropic_client(), model)
    assert answer.content[0].type == "text"
    assert answer.content[0].text == "good day, Zoë 🙂"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 4)
    assert prompt_of(behind(on, model).seen[0]) == "hi"


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_arrives_in_pieces_and_ends(on: Stage, anthropic_client: Client, model: str) -> None:
    behind(on, model).says(text("good ", "day, ", "Zoë 🙂", input_tokens=11, output_tokens=4))
    with anthropic_client().messages.stream(model=model, messages=HI, max_tokens=100) as stream:
        assert list(stream.text_stream) == ["good ", "day, ", "Zoë 🙂"]
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == 4


@pytest.mark.parametrize("model", MODELS)
def test_events_come_in_the_order_the_sdk_is_promised(on: Stage, anthropic_client: Client, model: str) -> None:
    behind(on, model).says(text("a", "b"))
    events: list[str] = [e.type for e in anthropic_client().messages.create(model=model, messages=HI, max_tokens=100, stream=True)]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert [e for e in events if e != "ping"] == ["message_start", *block, "message_delta", "message_stop"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called(on: Stage, anthropic_client: Client, model: str, stream: bool) -> None:
    behind(on, model).says(calls("get_weather", "toolu_9", city="Oslo"))
    client = anthropic_client()
    if stream:
        with client.messages.stream(model=model, messages=HI, max_tokens=100, tools=WEATHER) as streamed:
            answer: anthropic.types.Message = streamed.get_final_message()
    else:
        answer = ask(client, model, tools=WEATHER)
    block = answer.content[-1]
    assert block.type == "tool_use"
    assert (block.id, block.name, block.input) == ("toolu_9", "get_weather", {"city": "Oslo"})
    assert answer.stop_reason == "tool_use"


def test_system_prompt_tools_and_their_results_reach_an_openai_upstream_in_its_own_shape(on: Stage, anthropic_client: Client) -> None:
    asked: Any = [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_9", "name": "get_weather", "input": {"city": "Oslo"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9", "content": "12 degrees"}]},
    ]
    anthropic_client().messages.create(
        model="fake-1", messages=asked, max_tokens=50, system="be brief", tools=WEATHER, stop_sequences=["END"], tool_choice={"type": "any"}
    )
    sent = on.openai.seen[0].json
    assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert sent["stop"] == ["END"]
    assert sent["tool_choice"] == "required"
    assert [m["role"] for m in sent["messages"]] in (["system", "user", "assistant", "tool"], ["developer", "user", "assistant", "tool"])
    assert sent["messages"][2]["tool_calls"][0]["function"]["name"] == "get_weather"
    assert sent["messages"][3]["tool_call_id"] == "toolu_9"
    assert sent["tools"][0]["function"]["parameters"]["required"] == ["city"]


def test_images_reach_an_openai_upstream(on: Stage, anthropic_client: Client) -> None:
    image: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "what is this?"}, image]}]
    anthropic_client().messages.create(model="fake-1", messages=asked, max_tokens=9)
    assert "data:image/png;base64,iVBORw0KGgo=" in str(on.openai.seen[0].json["messages"][0]["content"])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.InternalServerError),  # the gateway's own credential was refused: not the caller's fault
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (503, anthropic.InternalServerError),
    ],
)
def test_an_upstreams_error_becomes_the_sdks_class(
    on: Stage, anthropic_client: Client, model: str, code: int, error: type[anthropic.APIStatusError]
) -> None:
    behind(on, model).says(status(code, "the fake provider said no"))
    with pytest.raises(error) as caught:
        ask(anthropic_client(), model)
    assert caught.value.response.headers["x-setpoint-error-code"]
    body: Any = caught.value.body
    assert body["type"] == "error"
    assert body["error"]["message"]


@pytest.mark.parametrize(
    ("key", "error"),
    [("nonsense", anthropic.AuthenticationError), ("expired", anthropic.AuthenticationError), ("viewer", anthropic.PermissionDeniedError)],
)
def test_a_key_that_may_not_is_told_so(on: Stage, anthropic_client: Client, key: str, error: type[anthropic.APIStatusError]) -> None:
    with pytest.raises(error, match="key"):
        ask(anthropic_client(key), "claude-1")
    assert not on.anthropic.seen


def test_an_unknown_model_is_not_found(anthropic_client: Client) -> None:
    with pytest.raises(anthropic.NotFoundError, match="nobody-serves-this"):
        ask(anthropic_client(), "nobody-serves-this")


def test_the_list_of_models_has_anthropics_shape(anthropic_client: Client) -> None:
    names = [m.id for m in anthropic_client().models.list()]
    assert {"fake-1", "claude-1"} <= set(names)


def test_a_key_over_its_limit_is_a_rate_limit_error(anthropic_client: Client) -> None:
    client = anthropic_client("small")
    with pytest.raises(anthropic.RateLimitError) as caught:
        collections.deque((ask(client, "claude-1") for _ in range(10)), maxlen=0)
    assert int(caught.value.response.headers["retry-after"]) == 1


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_cut_after_its_first_words_is_an_error_to_the_sdk(on: Stage, anthropic_client: Client, model: str) -> None:
    behind(on, model).says(text("a", "b", "c"))
    behind(on, model).breaks(WireFault("cut", after_pieces=5 if model == "claude-1" else 3))
    got: list[str] = []
    with anthropic_client().messages.stream(model=model, messages=HI, max_tokens=9) as stream, pytest.raises(anthropic.APIError):
        got.extend(stream.text_stream)
    assert "a" in got


def test_a_bearer_token_is_accepted_too(on: Stage, anthropic_client: Client) -> None:
    bearer = {"Authorization": f"Bearer {on.keys['developer']}", "x-api-key": anthropic.Omit()}
    client = anthropic_client("nonsense", default_headers=bearer)
    assert ask(client, "claude-1").stop_reason == "end_turn"
