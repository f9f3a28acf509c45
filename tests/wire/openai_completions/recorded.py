"""Recorded traffic for the tests of dialects, and what the SDKs of OpenAI and Anthropic make of a translation.

The recordings lie beside the repository, not in it; see tests/golden/test_corpus.py. What an answer must say is worked out by each test
from the recorded JSON, never by the code under test.
"""

import gzip
import itertools
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from setpoint.domain.stream import StreamEvent
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, StreamTap
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.sse import SseDecoder

SHARED = Path(os.environ.get("SETPOINT_SHARED", Path(__file__).parents[4] / "shared")) / "corpus"
Exchange = dict[str, Any]

_CHUNK = TypeAdapter(ChatCompletionChunk)
_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_OPENAI_STOP = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool_calls": "tool_calls"}
_ANTHROPIC_STOP = {"stop": "end_turn", "stop_sequence": "stop_sequence", "length": "max_tokens", "tool_calls": "tool_use"}


def load(*surfaces: str) -> list[Exchange]:
    """The exchanges of these surfaces; skips when there is no recorded traffic."""
    if not SHARED.is_dir():
        pytest.skip(f"no recorded traffic at SETPOINT_SHARED: no exchange of {', '.join(surfaces)} tried")
    found = []
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if any(surface in line for surface in surfaces):
                    exchange = json.loads(line)
                    if exchange["surface"] in surfaces:
                        found.append(exchange)
    assert found
    return found


def cuts_of(stream: bytes) -> Iterator[list[bytes]]:
    """A stream in pieces: whole, at line ends, inside characters, at random, byte by byte (when short)."""
    rng = random.Random(len(stream))
    yield [stream]
    yield stream.splitlines(keepends=True)
    wide = [no for no, byte in enumerate(stream) if byte & 0xC0 == 0x80][:200]
    for at in (wide, sorted(rng.sample(range(len(stream) + 1), min(20, len(stream))))):
        yield [stream[a:b] for a, b in itertools.pairwise([0, *at, len(stream)])]
    if len(stream) < 60_000:
        yield [stream[no : no + 1] for no in range(len(stream))]


def seen_by(tap: StreamTap) -> tuple[Any, ...]:
    return tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error


def tap_checked(dialect: Dialect, stream: bytes) -> StreamTap:
    """A tap that forwarded every byte, and saw the same, under every cut."""
    seen = []
    for chunks in cuts_of(stream):
        tap = dialect.tap()
        assert b"".join([tap.feed(chunk) for chunk in chunks]) + tap.flush() == stream
        seen.append(seen_by(tap))
    assert all(other == seen[0] for other in seen)
    return tap


def events_of(dialect: Dialect, chunks: list[bytes]) -> list[StreamEvent]:
    decoder = dialect.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def events_checked(dialect: Dialect, stream: bytes) -> list[StreamEvent]:
    """The events of a stream, which are the same under every cut."""
    first, *others = [events_of(dialect, chunks) for chunks in cuts_of(stream)]
    assert all(other == first for other in others)
    return first


def rendered(dialect: Dialect, events: list[StreamEvent]) -> bytes:
    renderer = dialect.stream_renderer("shown", 1, include_usage=True)
    return b"".join([renderer.render(event) for event in events]) + renderer.finish()


def datas(stream: bytes) -> list[bytes]:
    decoder = SseDecoder()
    return [event.data for event in decoder.feed(stream) + decoder.finish()]


@dataclass
class Expected:
    """What an answer says, worked out from the provider's JSON. `finish` in neutral words; `calls` are names and argument objects."""

    text: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str = "stop"
    tokens: tuple[int, int] = (0, 0)
    thinking: str = ""
    ids: list[str] | None = None


def check_openai(completion: ChatCompletion, expected: Expected, where: str) -> None:
    choice = completion.choices[0]
    assert (choice.message.content or "") == expected.text, where
    calls = [call for call in choice.message.tool_calls or () if call.type == "function"]
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == expected.calls, where
    assert all(call.id for call in calls), where
    if expected.ids is not None:
        assert [call.id for call in calls] == expected.ids, where
    assert choice.finish_reason == _OPENAI_STOP[expected.finish], where
    usage = completion.usage
    assert ((usage.prompt_tokens, usage.completion_tokens) if usage is not None else (0, 0)) == expected.tokens, where
    extra = choice.message.model_extra or {}
    assert (extra.get("reasoning_content") or "") == expected.thinking, where


def check_anthropic(message: Message, expected: Expected, where: str) -> None:
    assert "".join(block.text for block in message.content if block.type == "text") == expected.text, where
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == expected.calls, where
    if expected.ids is not None:
        assert [call.id for call in calls] == expected.ids, where
    assert message.stop_reason == _ANTHROPIC_STOP[expected.finish], where
    usage = message.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (usage.input_tokens + cached, usage.output_tokens) == expected.tokens, where
    assert "".join(block.thinking for block in message.content if block.type == "thinking") == expected.thinking, where


def check_unary_clients(dialect: Dialect, body: bytes, expected: Expected, where: str) -> None:
    """The answer `body` of `dialect` as clients of OpenAI and of Anthropic read it."""
    answer = dialect.decode_answer(body)
    assert not hasattr(answer, "blame"), (where, answer)
    check_openai(ChatCompletion.model_validate_json(OPENAI_CHAT.encode_answer(answer, "shown", 1)), expected, where)
    check_anthropic(Message.model_validate_json(ANTHROPIC.encode_answer(answer, "shown", 1)), expected, where)


def check_stream_clients(events: list[StreamEvent], expected: Expected, where: str) -> None:
    """A stream's events as clients of OpenAI and of Anthropic read them."""
    check_openai(completion_of(rendered(OPENAI_CHAT, events)), expected, where)
    check_anthropic(message_of(rendered(ANTHROPIC, events)), expected, where)


def legacy_chunk(data: bytes) -> Completion:
    """A chunk of a legacy stream; the SDK's type knows no null as finish reason, which the API sends in all chunks but the last."""
    chunk = json.loads(data)
    for choice in chunk["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    return Completion.model_validate(chunk, strict=True)


def completion_of(stream: bytes) -> ChatCompletion:
    """What an OpenAI client would make of a stream of chunks."""
    *chunks, done = datas(stream)
    assert done == b"[DONE]"
    message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None, "tool_calls": [], "reasoning_content": ""}
    body: dict[str, Any] = {"object": "chat.completion"}
    finish = None
    for data in chunks:
        chunk = _CHUNK.validate_json(data)
        body |= {"id": chunk.id, "model": chunk.model, "created": chunk.created}
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
            message["reasoning_content"] += (choice.delta.model_extra or {}).get("reasoning_content") or ""
            for call in choice.delta.tool_calls or ():
                assert call.function is not None
                if call.index == len(message["tool_calls"]):
                    function = {"name": call.function.name, "arguments": ""}
                    message["tool_calls"].append({"id": call.id, "type": "function", "function": function})
                message["tool_calls"][call.index]["function"]["arguments"] += call.function.arguments or ""
            finish = choice.finish_reason or finish
        if chunk.usage is not None:
            body["usage"] = chunk.usage.model_dump()
    return ChatCompletion.model_validate({**body, "choices": [{"index": 0, "message": message, "finish_reason": finish}]})


def message_of(stream: bytes) -> Message:
    """What Anthropic's SDK would make of a stream: its event types, put together by index."""
    message: dict[str, Any] = {}
    jsons: dict[int, str] = {}
    for data in datas(stream):
        event = _EVENT.validate_json(data)
        if event.type == "message_start":
            message = event.message.model_dump()
        elif event.type == "content_block_start":
            assert event.index == len(message["content"]), "blocks follow each other"
            message["content"].append(event.content_block.model_dump())
        elif event.type == "content_block_delta":
            block = message["content"][event.index]
            if event.delta.type == "text_delta":
                block["text"] += event.delta.text
            elif event.delta.type == "thinking_delta":
                block["thinking"] += event.delta.thinking
            elif event.delta.type == "input_json_delta":
                jsons[event.index] = jsons.get(event.index, "") + event.delta.partial_json
        elif event.type == "content_block_stop" and event.index in jsons:
            message["content"][event.index]["input"] = json.loads(jsons[event.index])
        elif event.type == "message_delta":
            message["stop_reason"] = event.delta.stop_reason
            message["usage"] |= event.usage.model_dump(exclude_none=True)
    return Message.model_validate(message)
