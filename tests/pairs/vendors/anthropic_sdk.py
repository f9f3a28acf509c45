"""Anthropic's own client reads an answer, unary and streamed."""

import anthropic
import httpx2
from anthropic.types import Message
from tests.pairs.said import Gathered, Said, arguments_of

STOPS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}


def client(body: bytes, kind: str = "application/json") -> anthropic.Anthropic:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": kind})

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return anthropic.Anthropic(api_key="k", base_url="http://x.test", max_retries=0, http_client=transport)


def read(body: bytes) -> Said:
    return _message(client(body).messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]))


def read_stream(stream: bytes) -> Said:
    """By the SDK's accumulator."""
    asked = client(stream, "text/event-stream").messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    stopped = 0
    with asked as events:
        for event in events:
            assert not stopped, "nothing follows the end"
            stopped += event.type == "message_stop"
        message = events.get_final_message()
    assert stopped
    return _message(message)


def _message(message: Message) -> Said:
    assert (message.type, message.role, message.model) == ("message", "assistant", "shown")
    gathered = Gathered()
    for block in message.content:
        if block.type == "text":
            gathered.texts.append(block.text)
        elif block.type == "tool_use":
            gathered.calls.append((block.id, block.name, arguments_of(block.input)))
        elif block.type == "thinking":
            gathered.thoughts.append(block.thinking)
    usage = message.usage
    prompt = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return gathered.said(STOPS[message.stop_reason or ""], prompt, usage.output_tokens)
