"""Cohere's own client (API v2) reads an answer, unary and streamed."""

from typing import Any

import cohere
import httpx
from tests.pairs.said import Gathered, Said, arguments_of

STOPS = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop_sequence", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls", "ERROR": "content_filter"}
ASKED: Any = [{"role": "user", "content": "x"}]


def client(body: bytes, kind: str = "application/json") -> cohere.ClientV2:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body, headers={"content-type": kind})

    return cohere.ClientV2(api_key="k", httpx_client=httpx.Client(transport=httpx.MockTransport(answer)))


def read(body: bytes) -> Said:
    answer = client(body).chat(model="m", messages=ASKED)
    message = answer.message
    gathered = Gathered(thoughts=[message.tool_plan or ""])
    for item in message.content or ():
        if item.type == "text":
            gathered.texts.append(item.text)
        else:
            gathered.thoughts.append(item.thinking)
    for call in message.tool_calls or ():
        assert call.function is not None
        gathered.calls.append((call.id, call.function.name or "", arguments_of(call.function.arguments)))
    return _said(gathered, answer.finish_reason, answer.usage)


def read_stream(stream: bytes) -> Said:
    """The SDK gives typed events and leaves it to its users to put them together."""
    gathered = Gathered()
    calls: dict[int, list[Any]] = {}
    stop, usage, open_content = "", None, False
    for event in client(stream, "text/event-stream").chat_stream(model="m", messages=ASKED):
        said: Any = event
        assert not stop, "nothing follows the end"
        if said.type == "content-start":
            assert not open_content
            open_content = True
            content = said.delta.message.content
            gathered.texts.append(content.text or "")
            gathered.thoughts.append(content.thinking or "")
        elif said.type == "content-delta":
            assert open_content
            content = said.delta.message.content
            gathered.texts.append(content.text or "")
            gathered.thoughts.append(content.thinking or "")
        elif said.type == "content-end":
            open_content = False
        elif said.type == "tool-plan-delta":
            gathered.thoughts.append(said.delta.message.tool_plan)
        elif said.type == "tool-call-start":
            call = said.delta.message.tool_calls
            assert said.index not in calls
            calls[said.index] = [call.id, call.function.name, call.function.arguments or ""]
        elif said.type == "tool-call-delta":
            calls[said.index][2] += said.delta.message.tool_calls.function.arguments
        elif said.type == "message-end":
            stop, usage = said.delta.finish_reason, said.delta.usage
    gathered.calls = [(call_id, name, arguments_of(text)) for call_id, name, text in calls.values()]
    return _said(gathered, stop, usage)


def _said(gathered: Gathered, stop: str, usage: Any) -> Said:
    tokens = usage.tokens if usage is not None else None
    if tokens is None:
        return gathered.said(STOPS[stop], None, None)
    return gathered.said(STOPS[stop], int(tokens.input_tokens or 0), int(tokens.output_tokens or 0))
