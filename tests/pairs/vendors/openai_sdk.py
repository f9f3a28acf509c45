"""OpenAI's own client reads an answer: Chat Completions, Responses and legacy Completions, unary and streamed."""

from typing import Any

import httpx2
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion
from openai.types.responses import Response
from tests.pairs.said import Gathered, Said, arguments_of

CHAT_STOPS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter", None: "unknown"}


def client(body: bytes, kind: str = "application/json") -> openai.OpenAI:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=body, headers={"content-type": kind})

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://x.test/v1", max_retries=0, http_client=transport)


# ------------------------------------------------------------------------------------------------------ chat completions


def read_chat(body: bytes) -> Said:
    return _completion(client(body).chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}]))


def read_chat_stream(stream: bytes) -> Said:
    """By the SDK's accumulator, which fails where chunks do not fit together. Its stream helper is not used: it raises on `length`."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    thoughts = []
    chunks = client(stream, "text/event-stream").chat.completions.create(
        model="m", messages=[{"role": "user", "content": "x"}], stream=True
    )
    for chunk in chunks:
        state.handle_chunk(chunk)
        thoughts += [_reasoning(choice.delta) for choice in chunk.choices]
    assert stream.endswith(b"data: [DONE]\n\n")
    completion = ChatCompletion.model_validate(state.current_completion_snapshot.model_dump())
    return _completion(completion, thoughts)


def _reasoning(message: Any) -> str:
    return (message.model_extra or {}).get("reasoning_content") or ""


def _completion(completion: ChatCompletion, thoughts: list[str] | None = None) -> Said:
    assert completion.object == "chat.completion"
    assert completion.model == "shown"
    (choice,) = completion.choices
    message = choice.message
    assert message.role == "assistant"
    gathered = Gathered([message.content or ""])
    gathered.refusals.append(message.refusal or "")
    gathered.thoughts += thoughts if thoughts is not None else [_reasoning(message)]
    for call in message.tool_calls or ():
        assert call.type == "function"
        gathered.calls.append((call.id, call.function.name, arguments_of(call.function.arguments)))
    usage = completion.usage
    return gathered.said(
        CHAT_STOPS[choice.finish_reason], usage.prompt_tokens if usage else None, usage.completion_tokens if usage else None
    )


# ------------------------------------------------------------------------------------------------------------- responses


def read_response(body: bytes) -> Said:
    return _response(client(body).responses.create(model="m", input="x"))


def read_response_stream(stream: bytes) -> Said:
    """By the SDK's accumulator; what the deltas say must be what the last event's whole response says.

    The SDK takes a response for whole on `response.completed` only, so an incomplete one is taken from its own event.
    """
    deltas: list[str] = []
    last: Response | None = None
    with client(stream, "text/event-stream").responses.stream(model="m", input="x") as events:
        for no, event in enumerate(events):
            assert event.sequence_number == no
            if event.type in {"response.output_text.delta", "response.refusal.delta"}:
                deltas.append(event.delta)
            elif event.type in {"response.completed", "response.incomplete"}:
                last = event.response
    assert last is not None, "the stream has no end"
    said = _response(last)
    assert "".join(deltas) == said.text + said.refusal
    return said


def _response(response: Response) -> Said:
    assert response.object == "response"
    assert response.model == "shown"
    gathered = Gathered()
    for item in response.output:
        if item.type == "message":
            for part in item.content:
                if part.type == "output_text":
                    gathered.texts.append(part.text)
                else:
                    gathered.refusals.append(part.refusal)
        elif item.type == "function_call":
            gathered.calls.append((item.call_id, item.name, arguments_of(item.arguments)))
        elif item.type == "reasoning":
            gathered.thoughts += [summary.text for summary in item.summary]
            if not item.summary:
                gathered.thoughts += [content.text for content in item.content or ()]
    assert response.output_text == "".join(gathered.texts)
    usage = response.usage
    if usage is not None:
        assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    return gathered.said(_response_stop(response), usage.input_tokens if usage else None, usage.output_tokens if usage else None)


def _response_stop(response: Response) -> str:
    if response.status == "completed":
        return "stop"
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    return {"max_output_tokens": "length", "content_filter": "content_filter"}[response.incomplete_details.reason or ""]


# ---------------------------------------------------------------------------------------------------- legacy completions


def read_completions(body: bytes) -> Said:
    completion = client(body).completions.create(model="m", prompt="x")
    assert completion.object == "text_completion"
    assert completion.model == "shown"
    (choice,) = completion.choices
    usage = completion.usage
    assert choice.finish_reason in {"stop", "length", "content_filter"}
    return Said(choice.text, (), choice.finish_reason, usage.prompt_tokens if usage else None, usage.completion_tokens if usage else None)


def read_completions_stream(stream: bytes) -> Said:
    texts: list[str] = []
    stop = "unknown"
    usage: CompletionUsage | None = None
    for chunk in client(stream, "text/event-stream").completions.create(model="m", prompt="x", stream=True):
        assert chunk.object == "text_completion"
        for choice in chunk.choices:
            texts.append(choice.text)
            given: str | None = choice.finish_reason  # the SDK's type does not know that all but the last have none
            stop = given or stop
        if chunk.usage is not None:
            usage = chunk.usage
    assert stream.endswith(b"data: [DONE]\n\n")
    assert stop in {"stop", "length", "content_filter"}
    return Said("".join(texts), (), stop, usage.prompt_tokens if usage else None, usage.completion_tokens if usage else None)
