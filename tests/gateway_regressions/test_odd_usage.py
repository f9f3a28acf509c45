"""Figures of a provider that cannot be true reach the client as they are, and nothing of the gateway breaks on them."""

import msgspec
import pytest

from setpoint.domain.trace import Outcome
from setpoint.testing.conversation import chat
from setpoint.testing.raw_client import RawClient, request_bytes
from setpoint.testing.replies import RawBytes, raw, text
from setpoint.testing.stage import Stage, stage

ODD = (-5, 5_000_000_000, 2**63, 2**70)


def answered(body: bytes, content_type: bytes) -> RawBytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (content_type, len(body))
    return raw(head + body, keep_open=True)


def unary(prompt_tokens: int) -> RawBytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    body = b'{"model":"fake-1","choices":[%b],"usage":{"prompt_tokens":%d,"completion_tokens":1}}'
    return answered(body % (msgspec.json.encode(choice), prompt_tokens), b"application/json")


def streamed(prompt_tokens: int) -> RawBytes:
    said = b'data: {"model":"fake-1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":1}}\n\ndata: [DONE]\n\n'
    return answered(said + usage % prompt_tokens, b"text/event-stream")


def ask(on: Stage, *, stream: bool) -> bytes:
    asked = chat("hi", stream=stream)
    with RawClient(on.gateway.port) as client:
        received = client.send(request_bytes("POST", asked.path, asked.body(), authorization=f"Bearer {on.gateway.key}")).receive()
        assert (received.status, received.complete) == (200, True)
        return received.body


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_with_impossible_token_counts_arrives_and_is_recorded_without_them(stream: bool) -> None:
    with stage() as on:
        for tokens in ODD:
            on.openai.says(streamed(tokens) if stream else unary(tokens))
            assert b"hi" in ask(on, stream=stream)
        on.openai.says(text("hello"))
        ask(on, stream=stream)
        *odd, last = on.gateway.wait_for_ends(len(ODD) + 1)
        assert [(end.head.outcome, end.head.input, end.head.cost_nanousd) for end in odd] == [(Outcome.ok, 0, -1)] * len(ODD)
        assert (last.head.input, last.head.output) == (7, 5)
