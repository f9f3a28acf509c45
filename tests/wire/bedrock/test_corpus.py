"""Recorded traffic of Bedrock: watched, read and translated without loss.

The recordings lie beside the repository, not in it. SETPOINT_SHARED names the folder; without it these tests skip and say so. What a
translation must say is worked out here from the recorded JSON, not by the code under test.
"""

import gzip
import json
import os
import random
from base64 import b64decode
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter
from tests.wire.bedrock.oracle import EventStreamBuffer, parsed_answer, parsed_stream, problems

from setpoint.domain.chat import ChatAnswer, ChatRequest, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Failed, Finished, StreamEvent, fold
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.bedrock_converse.dialect import BEDROCK_CONVERSE
from setpoint.wire.bedrock_invoke import BedrockFrames, bedrock_body
from setpoint.wire.bodies import as_object
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.sse import SseDecoder

SHARED = Path(os.environ.get("SETPOINT_SHARED", Path(__file__).parents[4] / "shared")) / "corpus"
CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM = "bedrock.converse", "bedrock.converse-stream", "bedrock.invoke", "bedrock.invoke-stream"
CHUNK = TypeAdapter(ChatCompletionChunk)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
Json = dict[str, Any]

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="no recorded traffic at SETPOINT_SHARED: 374 exchanges of Bedrock not tried")


@cache
def traffic(*surfaces: str) -> list[Json]:
    found = []
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            exchanges = (json.loads(line) for line in lines if any(f'"{surface}"' in line for surface in surfaces))
            found += [one for one in exchanges if one["surface"] in surfaces]
    assert found
    return found


def good(surface: str) -> list[Json]:
    return [one for one in traffic(surface) if one["status"] == 200]


def model_of(exchange: Json) -> str:
    return unquote(exchange["url_path"].split("/")[2])


def bytes_of(exchange: Json) -> bytes:
    body: str = exchange["response_body"]
    return b64decode(body) if exchange["body_encoding"] == "base64" else body.encode()


def frames_of(stream: bytes) -> list[tuple[str, Json]]:
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(frame.headers[":event-type"], json.loads(frame.payload)) for frame in buffer]


def random_cuts(stream: bytes, pieces: int = 20) -> list[bytes]:
    rng = random.Random(len(stream))
    at = sorted(rng.sample(range(len(stream) + 1), min(pieces, len(stream))))
    return [stream[a:b] for a, b in pairwise([0, *at, len(stream)])]


def decoded(dialect: Dialect, chunks: list[bytes]) -> list[StreamEvent]:
    decoder = dialect.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


class Said:
    """What an answer says, worked out from Bedrock's JSON."""

    def __init__(self, content: list[Json], stop: str, usage: Json) -> None:
        self.text = "".join(block.get("text", "") for block in content if "reasoningContent" not in block)
        uses = [block["toolUse"] for block in content if "toolUse" in block]
        self.calls = [(use["toolUseId"], use["name"], use["input"]) for use in uses if use.get("type") != "server_tool_use"]
        self.thought = "".join(
            block["reasoningContent"].get("reasoningText", {}).get("text", "") for block in content if "reasoningContent" in block
        )
        self.stop = stop
        read, wrote = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
        self.tokens = (usage["inputTokens"] + read + wrote, usage["outputTokens"])
        assert sum(self.tokens) == usage["totalTokens"]


OPENAI_STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "guardrail_intervened": "content_filter"}
ANTHROPIC_STOPS = {"end_turn": "end_turn", "tool_use": "tool_use", "max_tokens": "max_tokens", "guardrail_intervened": "refusal"}


def said_by(body: Json) -> Said:
    return Said(body["output"]["message"]["content"], body["stopReason"], body["usage"])


def said_by_stream(stream: bytes) -> Said:
    blocks: dict[int, Json] = {}
    stop, usage = "", {}
    for kind, event in frames_of(stream):
        if kind == "contentBlockStart" and "toolUse" in event["start"]:
            blocks[event["contentBlockIndex"]] = {"toolUse": {**event["start"]["toolUse"], "input": ""}}
        elif kind == "contentBlockDelta":
            delta, index = event["delta"], event["contentBlockIndex"]
            if "text" in delta:
                block = blocks.setdefault(index, {"text": ""})
                block["text"] += delta["text"]
            elif "toolUse" in delta:
                blocks[index]["toolUse"]["input"] += delta["toolUse"]["input"]
            elif "text" in delta.get("reasoningContent", {}):
                thought = blocks.setdefault(index, {"reasoningContent": {"reasoningText": {"text": ""}}})
                thought["reasoningContent"]["reasoningText"]["text"] += delta["reasoningContent"]["text"]
        elif kind == "messageStop":
            stop = event["stopReason"]
        elif kind == "metadata":
            usage = event["usage"]
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    return Said(list(blocks.values()), stop, usage)


# ------------------------------------------------------------------------------------------------------------------- relay


def test_taps_forward_every_byte_and_see_the_same_under_every_cut() -> None:
    counted: Counter[str] = Counter()
    for exchange in good(CONVERSE_STREAM):
        stream = bytes_of(exchange)
        ways = {"whole": [stream], "random": random_cuts(stream), "many": random_cuts(stream, 400)}
        if len(stream) < 20_000:
            ways["per byte"] = [stream[i : i + 1] for i in range(len(stream))]
        seen = set()
        for way, chunks in ways.items():
            tap = BEDROCK_CONVERSE.tap()
            assert b"".join([tap.feed(chunk) for chunk in chunks]) + tap.flush() == stream, (exchange["id"], way)
            seen.add((tap.events, tap.content_started, tap.usage, tap.finish, tap.done, tap.error is None))
            counted[way] += 1
        said = said_by_stream(stream)
        assert len(seen) == 1
        assert tap.events == len(frames_of(stream))
        assert (tap.done, tap.finish, tap.error) == (True, said.stop, None)
        assert tap.usage is not None
        assert (tap.usage.prompt_total, tap.usage.completion_total) == said.tokens
    print(f"\ntaps: {dict(counted)}")


def test_usage_of_answers_adds_up_to_the_providers_totals() -> None:
    exchanges = good(CONVERSE)
    for exchange in exchanges:
        facts = BEDROCK_CONVERSE.read_usage(bytes_of(exchange))
        said = said_by(json.loads(exchange["response_body"]))
        assert facts.usage is not None
        assert (facts.usage.prompt_total, facts.usage.completion_total, facts.finish) == (*said.tokens, said.stop), exchange["id"]
    print(f"\nusage: {len(exchanges)} of {len(exchanges)} answers")


# ----------------------------------------------------------------------------------------------------------------- answers


def check_openai(body: bytes, said: Said) -> None:
    shown = ChatCompletion.model_validate_json(body, strict=True)
    choice = shown.choices[0]
    calls = [
        (call.id, call.function.name, json.loads(call.function.arguments))
        for call in choice.message.tool_calls or ()
        if call.type == "function"
    ]
    assert (choice.message.content or "") == said.text
    assert calls == said.calls
    assert choice.finish_reason == expected_stop(OPENAI_STOPS, said)
    assert shown.usage is not None
    assert (shown.usage.prompt_tokens, shown.usage.completion_tokens) == said.tokens
    assert json.loads(body)["choices"][0]["message"].get("reasoning_content", "") == said.thought


def check_anthropic(body: bytes, said: Said) -> None:
    shown = Message.model_validate_json(body)
    assert "".join(block.text for block in shown.content if block.type == "text") == said.text
    assert [(block.id, block.name, block.input) for block in shown.content if block.type == "tool_use"] == said.calls
    assert "".join(block.thinking for block in shown.content if block.type == "thinking") == said.thought
    assert shown.stop_reason == expected_stop(ANTHROPIC_STOPS, said)
    usage = shown.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert (usage.input_tokens + cached, usage.output_tokens) == said.tokens


def expected_stop(stops: dict[str, str], said: Said) -> str:
    """Calls that AWS answers itself are none of the client's."""
    return stops[said.stop if said.calls or said.stop != "tool_use" else "end_turn"]


def check_boto(body: Json, original: Json, said: Said) -> None:
    """A boto3 client behind another dialect reads what it would have read from Bedrock."""
    shown = said_by(body)
    assert (shown.text, shown.calls, shown.thought, shown.stop, shown.tokens) == (
        said.text,
        said.calls,
        said.thought,
        said.stop,
        said.tokens,
    )
    assert body["output"] == original["output"]


def on_one_line(answer: ChatAnswer) -> ChatAnswer:
    """Arguments lose the line ends between their members, if any, when they are written."""
    parts = [
        msgspec.structs.replace(part, arguments=bytes(as_object(part.arguments)).decode()) if isinstance(part, ToolCall) else part
        for part in answer.parts
    ]
    return msgspec.structs.replace(answer, parts=tuple(parts))


def test_answers_reach_openai_anthropic_and_boto_clients_whole() -> None:
    counted: Counter[str] = Counter()
    for exchange in good(CONVERSE):
        body = bytes_of(exchange)
        said = said_by(json.loads(body))
        answer = BEDROCK_CONVERSE.decode_answer(body)
        assert isinstance(answer, ChatAnswer), exchange["id"]
        check_openai(OPENAI_CHAT.encode_answer(answer, "m", 1), said)
        check_anthropic(ANTHROPIC.encode_answer(answer, "m", 1), said)
        again = BEDROCK_CONVERSE.encode_answer(answer, "m", 1)
        assert parsed_answer(again)["stopReason"] == json.loads(again)["stopReason"]
        assert BEDROCK_CONVERSE.decode_answer(again) == on_one_line(answer), exchange["id"]
        counted["answers"] += 1
        counted["calls"] += len(said.calls)
        counted["thinking"] += bool(said.thought)
    print(f"\nanswers: {dict(counted)}")


# ----------------------------------------------------------------------------------------------------------------- streams


def rendered(dialect: Dialect, events: list[StreamEvent]) -> bytes:
    renderer = dialect.stream_renderer("m", 1, include_usage=True)
    return b"".join([renderer.render(event) for event in events]) + renderer.finish()


def openai_said(stream: bytes) -> tuple[Any, ...]:
    decoder = SseDecoder()
    datas = [event.data for event in decoder.feed(stream) + decoder.finish()]
    assert datas.pop() == b"[DONE]"
    text, stop, tokens, calls = "", "", (0, 0), dict[int, list[str]]()
    for data in datas:
        chunk = CHUNK.validate_json(data, strict=True)
        if chunk.usage is not None:
            tokens = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            stop = choice.finish_reason or stop
            for call in choice.delta.tool_calls or ():
                function = call.function
                assert function is not None
                found = calls.setdefault(call.index, [call.id or "", function.name or "", ""])
                found[2] += function.arguments or ""
    return text, [(one[0], one[1], json.loads(one[2] or "{}")) for one in calls.values()], stop, tokens


def anthropic_said(stream: bytes) -> tuple[Any, ...]:
    decoder = SseDecoder()
    text, stop, tokens, calls, output = "", "", (0, 0), list[list[str]](), 0
    for event in decoder.feed(stream) + decoder.finish():
        shown = EVENT.validate_json(event.data)
        if shown.type == "content_block_start" and shown.content_block.type == "tool_use":
            calls.append([shown.content_block.id, shown.content_block.name, ""])
        elif shown.type == "content_block_delta" and shown.delta.type == "text_delta":
            text += shown.delta.text
        elif shown.type == "content_block_delta" and shown.delta.type == "input_json_delta":
            calls[-1][2] += shown.delta.partial_json
        elif shown.type == "message_delta":
            stop, output, usage = shown.delta.stop_reason, shown.usage.output_tokens, shown.usage
            cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
            tokens = (usage.input_tokens + cached, output)
    return text, [(one[0], one[1], json.loads(one[2] or "{}")) for one in calls], stop, tokens


def test_streams_reach_openai_anthropic_and_boto_clients_whole() -> None:
    counted: Counter[str] = Counter()
    for exchange in good(CONVERSE_STREAM):
        stream = bytes_of(exchange)
        said = said_by_stream(stream)
        events = decoded(BEDROCK_CONVERSE, random_cuts(stream))
        assert events == decoded(BEDROCK_CONVERSE, [stream])
        answer = fold(events)
        assert isinstance(answer, ChatAnswer)
        assert openai_said(rendered(OPENAI_CHAT, events)) == (said.text, said.calls, expected_stop(OPENAI_STOPS, said), said.tokens)
        assert anthropic_said(rendered(ANTHROPIC, events)) == (said.text, said.calls, expected_stop(ANTHROPIC_STOPS, said), said.tokens)
        again = rendered(BEDROCK_CONVERSE, events)
        assert fold(decoded(BEDROCK_CONVERSE, [again])) == answer
        assert len(parsed_stream(again)) == len(frames_of(again))
        counted["streams"] += 1
        counted["calls"] += len(said.calls)
        counted["thinking"] += bool(said.thought)
    print(f"\nstreams: {dict(counted)}")


def test_a_stream_cut_anywhere_fails_and_never_ends_well() -> None:
    tried = 0
    for exchange in good(CONVERSE_STREAM):
        stream = bytes_of(exchange)
        stop = stream.index(b"messageStop") - 20
        for at in random.Random(1).sample(range(stop), 30):
            events = decoded(BEDROCK_CONVERSE, [stream[:at]])
            assert isinstance(events[-1], Failed)
            assert events[-1].fault.kind is FaultKind.upstream_cut
            tried += 1
        assert isinstance(decoded(BEDROCK_CONVERSE, [stream[:-1]])[-1], Finished)
    print(f"\ncut streams: {tried}")


# ---------------------------------------------------------------------------------------------------------------- requests


def test_recorded_requests_are_read_and_written_again_as_botocore_takes_them() -> None:
    counted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for exchange in traffic(CONVERSE, CONVERSE_STREAM):
        if exchange["response_only"]:
            counted["no request recorded"] += 1
            continue
        body = json.dumps(exchange["request_json"]).encode()
        model = model_of(exchange)
        request = BEDROCK_CONVERSE.decode_request(body)
        assert isinstance(request, ChatRequest), (exchange["id"], request)
        encoded = BEDROCK_CONVERSE.encode_request(request, model, stream=False)
        if isinstance(encoded, Fault):
            refused[encoded.message] += 1
            continue
        assert problems(encoded.body, model) == problems_allowed(body, model), exchange["id"]
        lost.update(encoded.losses)
        again = BEDROCK_CONVERSE.decode_request(encoded.body)
        assert isinstance(again, ChatRequest)
        counted["the same again"] += again == request
        once_more = BEDROCK_CONVERSE.encode_request(again, model, stream=False)
        assert isinstance(once_more, Encoded)
        assert BEDROCK_CONVERSE.decode_request(once_more.body) == again, exchange["id"]
        counted["valid"] += 1
    print(f"\nrequests: {dict(counted)}; refused {dict(refused)}; losses {dict(lost)}")
    # The others have two turns of the user in a row, a blank text, marks for a guardrail or a schema that was changed.
    assert counted["the same again"] > counted["valid"] - 10


def problems_allowed(body: bytes, model: str) -> list[str]:
    """Foreign parts are sent as they came; one recording has a wrong format in one."""
    return [problem for problem in problems(body, model) if "video" in problem]


@pytest.mark.parametrize(("surface", "dialect"), [("openai.chat", OPENAI_CHAT), ("anthropic.messages", ANTHROPIC)])
@pytest.mark.parametrize(
    "model", ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-2-lite-v1:0", "meta.llama3-1-70b-instruct-v1:0"]
)
def test_requests_of_other_dialects_are_written_as_botocore_takes_them(surface: str, dialect: Dialect, model: str) -> None:
    counted: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for exchange in traffic(surface):
        if exchange["response_only"] or not isinstance(exchange["request_json"], dict):
            continue
        request = dialect.decode_request(json.dumps(exchange["request_json"]).encode())
        if isinstance(request, Fault):
            counted["unreadable"] += 1
            continue
        encoded = BEDROCK_CONVERSE.encode_request(request, model, stream=False)
        if isinstance(encoded, Fault):
            refused[encoded.message[:70]] += 1
            continue
        assert isinstance(encoded, Encoded)
        assert problems(encoded.body, model) == [], (exchange["id"], encoded.body[:300])
        assert isinstance(BEDROCK_CONVERSE.decode_request(encoded.body), ChatRequest)
        counted["valid"] += 1
    print(f"\n{surface} → {model}: {dict(counted)}; refused {dict(refused)}")
    assert counted["valid"] > 300


def test_recorded_errors_are_told_apart() -> None:
    counted: Counter[str] = Counter()
    for exchange in traffic(CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM):
        if exchange["status"] == 200:
            continue
        fault = BEDROCK_CONVERSE.classify_fault(exchange["status"], exchange["response_headers"], bytes_of(exchange), 0.0)
        assert fault.message == json.loads(exchange["response_body"])["message"]
        assert (fault.kind is FaultKind.unknown_model) is ("identifier" in fault.message)
        counted[fault.kind.name] += 1
    print(f"\nerrors: {dict(counted)}")


# ------------------------------------------------------------------------------------------------------------------ invoke


def is_messages(exchange: Json) -> bool:
    return "anthropic_version" in (exchange["request_json"] or {})


def test_claude_behind_invoke_is_read_as_anthropic() -> None:
    counted: Counter[str] = Counter()
    for exchange in good(INVOKE):
        if not is_messages(exchange):
            counted["another vendor's shape"] += 1
            continue
        body = json.loads(exchange["response_body"])
        answer = ANTHROPIC.decode_answer(bytes_of(exchange))
        assert isinstance(answer, ChatAnswer), exchange["id"]
        assert answer.usage is not None
        assert answer.usage.completion_total == body["usage"]["output_tokens"]
        counted["answers"] += 1
    print(f"\ninvoke: {dict(counted)}")
    assert counted["answers"] > 15


def test_claude_behind_invoke_stream_is_watched_and_read_as_anthropic() -> None:
    counted: Counter[str] = Counter()
    for exchange in good(INVOKE_STREAM):
        if not is_messages(exchange):
            counted["another vendor's shape"] += 1
            continue
        stream = bytes_of(exchange)
        said = [json.loads(b64decode(event["bytes"])) for _, event in frames_of(stream)]
        outs = []
        for chunks in ([stream], random_cuts(stream), random_cuts(stream, 400)):
            frames, tap = BedrockFrames(), ANTHROPIC.tap()
            outs.append(b"".join([tap.feed(frames.feed(chunk)) for chunk in chunks]) + tap.flush())
            assert (tap.done, tap.error, frames.error) == (True, None, None)
        assert outs[0] == outs[1] == outs[2]
        shown = SseDecoder().feed(outs[0])
        for event, original in zip(shown, said, strict=True):
            original.pop("amazon-bedrock-invocationMetrics", None)
            assert (json.loads(event.data), event.name.decode()) == (original, original["type"])
            EVENT.validate_json(event.data)
        events = decoded(ANTHROPIC, [outs[0]])
        assert isinstance(events[-1], Finished)
        counted["streams"] += 1
    print(f"\ninvoke streams: {dict(counted)}")
    assert counted["streams"] > 8


def test_recorded_invoke_bodies_come_out_of_messages_bodies() -> None:
    tried = 0
    for exchange in traffic(INVOKE, INVOKE_STREAM):
        if is_messages(exchange):
            body = {"model": "claude", "stream": True, **exchange["request_json"]}
            del body["anthropic_version"]
            assert json.loads(bedrock_body(json.dumps(body).encode())) == exchange["request_json"]
            tried += 1
    print(f"\ninvoke bodies: {tried}")
    assert tried > 25
