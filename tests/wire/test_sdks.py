"""The vendors' own clients read what the dialects write: streams put together, errors raised as their classes."""

from collections.abc import Callable

import anthropic
import httpx2
import openai
import pytest

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Finished, Started, StreamEvent, TextDelta, ThinkingDelta, ToolCallDelta, ToolCallStarted, UsageReported
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

EVENTS: list[StreamEvent] = [
    Started("x", "up"),
    ThinkingDelta("hm"),
    ThinkingDelta(signature="sig"),
    TextDelta("It is "),
    TextDelta("ü€😀."),
    ToolCallStarted(0, "c0", "look"),
    ToolCallDelta(0, '{"x":'),
    ToolCallStarted(1, "c1", "look"),
    ToolCallDelta(1, '{"x":2}'),
    ToolCallDelta(0, "1}"),
    UsageReported(Usage(input=3, cached_read=2, output=4, reasoning=1)),
    Finished("tool_calls"),
]


def rendered(dialect: Dialect) -> bytes:
    renderer = dialect.stream_renderer("m", 1, include_usage=True)
    return b"".join(map(renderer.render, EVENTS)) + renderer.finish()


def answering(status: int, body: bytes, kind: str) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": kind})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(status: int, body: bytes, kind: str = "application/json") -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://x.test/v1", max_retries=0, http_client=answering(status, body, kind))


def anthropic_client(status: int, body: bytes, kind: str = "application/json") -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url="http://x.test", max_retries=0, http_client=answering(status, body, kind))


def ask_openai(client: openai.OpenAI) -> object:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


def ask_anthropic(client: anthropic.Anthropic) -> object:
    return client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])


def test_the_openai_client_puts_a_stream_together() -> None:
    client = openai_client(200, rendered(OPENAI_CHAT), "text/event-stream")
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}]) as stream:
        completion = stream.get_final_completion()
    message = completion.choices[0].message
    assert message.content == "It is ü€😀."
    assert [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or ()] == [
        ("c0", "look", '{"x":1}'),
        ("c1", "look", '{"x":2}'),
    ]
    assert completion.choices[0].finish_reason == "tool_calls"
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (5, 5)


def test_the_anthropic_client_puts_a_stream_together() -> None:
    client = anthropic_client(200, rendered(ANTHROPIC), "text/event-stream")
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        message = stream.get_final_message()
    thinking, text, *calls = message.content
    assert thinking.type == "thinking"
    assert (thinking.thinking, thinking.signature) == ("hm", "sig")
    assert text.type == "text"
    assert text.text == "It is ü€😀."
    assert [(c.id, c.name, c.input) for c in calls if c.type == "tool_use"] == [("c0", "look", {"x": 1}), ("c1", "look", {"x": 2})]
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens, message.usage.output_tokens) == (3, 2, 5)


@pytest.mark.parametrize(
    ("kind", "openai_class", "anthropic_class"),
    [
        (FaultKind.bad_request, openai.BadRequestError, anthropic.BadRequestError),
        (FaultKind.unauthenticated, openai.AuthenticationError, anthropic.AuthenticationError),
        (FaultKind.forbidden, openai.PermissionDeniedError, anthropic.PermissionDeniedError),
        (FaultKind.unknown_model, openai.NotFoundError, anthropic.NotFoundError),
        (FaultKind.rate_limited, openai.RateLimitError, anthropic.RateLimitError),
        (FaultKind.upstream_server, openai.InternalServerError, anthropic.InternalServerError),
    ],
)
def test_faults_are_the_clients_own_exceptions(kind: FaultKind, openai_class: type[Exception], anthropic_class: type[Exception]) -> None:
    fault = Fault(kind, "It broke.")
    with pytest.raises(openai_class, match=r"It broke"):
        ask_openai(openai_client(fault.http_status, OPENAI_CHAT.render_fault(fault, "r")))
    with pytest.raises(anthropic_class, match=r"It broke"):
        ask_anthropic(anthropic_client(fault.http_status, ANTHROPIC.render_fault(fault, "r")))


def broken(dialect: Dialect) -> bytes:
    renderer = dialect.stream_renderer("m", 1, include_usage=True)
    return (
        renderer.render(Started())
        + renderer.render(TextDelta("a"))
        + dialect.render_stream_fault(Fault(FaultKind.upstream_cut, "It ended."), "r")
    )


def read_openai() -> None:
    for _ in openai_client(200, broken(OPENAI_CHAT), "text/event-stream").chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True
    ):
        pass


def read_anthropic() -> None:
    for _ in anthropic_client(200, broken(ANTHROPIC), "text/event-stream").messages.create(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}], stream=True
    ):
        pass


@pytest.mark.parametrize(("read", "kind"), [(read_openai, openai.APIError), (read_anthropic, anthropic.APIError)])
def test_a_broken_stream_raises_in_the_client(read: Callable[[], None], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"It ended"):
        read()
