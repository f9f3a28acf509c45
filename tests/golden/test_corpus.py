"""Real traffic: recorded answers of many providers are watched, read and translated without loss.

The recordings lie beside the repository, not in it. SETPOINT_SHARED names the folder; without it these tests skip and say so.
What a translation must say is worked out here from the recorded JSON, not by the code under test, and read back by the vendors' own
SDK types.
"""

import gzip
import itertools
import json
import os
import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming
from pydantic import TypeAdapter

from setpoint.app.presets import PRESETS
from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatAnswer, ChatRequest, Citation, Foreign, Part, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.stream import Failed, Finished, StreamEvent, fold
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS
from setpoint.wire.sse import SseDecoder

SHARED = Path(os.environ.get("SETPOINT_SHARED", Path(__file__).parents[3] / "shared")) / "corpus"
DIALECTS: dict[str, Dialect] = {"openai.chat": OPENAI_CHAT, "anthropic.messages": ANTHROPIC}
RECORDED = 2_968
Exchange = dict[str, Any]

CHUNK = TypeAdapter(ChatCompletionChunk)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"no recorded traffic at SETPOINT_SHARED: {RECORDED} exchanges not tried")


def _load() -> list[Exchange]:
    wanted = ('"surface": "openai.chat"', '"surface": "anthropic.messages"', '"surface": "openai.embeddings"')
    found = []
    for path in sorted(SHARED.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            found += [json.loads(line) for line in lines if any(w in line or w.replace(": ", ":") in line for w in wanted)]
    return found


@pytest.fixture(scope="module")
def traffic() -> list[Exchange]:
    return _load() if SHARED.is_dir() else []


def answers(traffic: list[Exchange], surface: str, streaming: bool) -> list[Exchange]:
    chosen = [e for e in traffic if e["surface"] == surface and e["status"] == 200 and bool(e["streaming"]) is streaming]
    assert chosen
    return chosen


def is_one_message(body: str) -> bool:
    """Some recordings are several answers run together; they are watched, not translated."""
    return body.count('"message_start"') <= 2 and body.count('"message_stop"') <= 2


# ------------------------------------------------------------------------------------------------------------------- taps


def cuts_of(stream: bytes, sample: bool) -> dict[str, list[bytes]]:
    rng = random.Random(len(stream))
    ways = {"whole": [stream]}
    events = [piece + b"\n\n" for piece in stream.split(b"\n\n")]
    ways["per event"] = [*events[:-1], events[-1][:-2]] if len(events) > 1 else [stream]
    wide = [i for i, byte in enumerate(stream) if byte & 0xC0 == 0x80][:200]
    for name, at in (("inside characters", wide), ("random", sorted(rng.sample(range(len(stream) + 1), min(20, len(stream)))))):
        ways[name] = [stream[a:b] for a, b in itertools.pairwise([0, *at, len(stream)])]
    if sample:
        ways["per byte"] = [stream[i : i + 1] for i in range(len(stream))]
    return ways


@pytest.mark.parametrize("surface", list(DIALECTS))
def test_taps_forward_every_byte_and_see_the_same_under_every_split(traffic: list[Exchange], surface: str) -> None:
    counted: Counter[str] = Counter()
    for no, exchange in enumerate(answers(traffic, surface, streaming=True)):
        stream = exchange["response_body"].encode()
        seen = set()
        for way, chunks in cuts_of(stream, sample=no % 10 == 0 and len(stream) < 60_000).items():
            tap = DIALECTS[surface].tap()
            assert b"".join([tap.feed(chunk) for chunk in chunks]) + tap.flush() == stream, (exchange["id"], way)
            seen.add((tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error is None))
            counted[way] += 1
        assert len(seen) == 1, exchange["id"]
        has_usage = '"completion_tokens":' in exchange["response_body"] or '"output_tokens":' in exchange["response_body"]
        assert (tap.usage is not None) is has_usage, exchange["id"]
        assert tap.model, exchange["id"]
        assert tap.done or tap.error is not None, exchange["id"]
        counted["with usage"] += has_usage
    print(f"\n{surface} taps: {dict(counted)}")


def test_hiding_usage_hides_nothing_else(traffic: list[Exchange]) -> None:
    hidden = 0
    for exchange in answers(traffic, "openai.chat", streaming=True):
        stream = exchange["response_body"].encode()
        kept = []
        for data in datas(stream):
            if data.startswith(b"{") and (chunk := json.loads(data)).get("usage") and chunk.get("choices") == []:
                hidden += 1
            else:
                kept.append(data if data == b"[DONE]" else _without_null_usage(data))
        tap = OPENAI_CHAT.tap(hide_usage=True)
        out = b"".join(tap.feed(chunk) for chunk in cuts_of(stream, sample=False)["random"]) + tap.flush()
        assert list(map(parsed, datas(out))) == list(map(parsed, kept)), exchange["id"]
    print(f"\nusage chunks hidden: {hidden}")
    assert hidden > 20


def datas(stream: bytes) -> list[bytes]:
    decoder = SseDecoder()
    return [event.data for event in decoder.feed(stream) + decoder.finish()]


def parsed(data: bytes) -> Any:
    return data if data == b"[DONE]" else json.loads(data)


def _without_null_usage(data: bytes) -> bytes:
    chunk = json.loads(data)
    if "usage" in chunk and chunk["usage"] is None:
        del chunk["usage"]
    return json.dumps(chunk).encode()


# ------------------------------------------------------------------------------------------------------------------ usage


def billed(usage: dict[str, Any] | None) -> tuple[int, int]:
    """Prompt and completion tokens as the provider's own totals say."""
    usage = usage or {}
    if "input_tokens" in usage:
        cached = (usage.get("cache_read_input_tokens") or 0) + (usage.get("cache_creation_input_tokens") or 0)
        return usage["input_tokens"] + cached, usage["output_tokens"]
    if "prompt_tokens" not in usage:  # Voyage's embeddings
        return usage.get("total_tokens") or 0, 0
    prompt, completion = usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0
    total = usage.get("total_tokens") or 0
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    return prompt, completion + (reasoning if total == prompt + completion + reasoning else 0)


@pytest.mark.parametrize("surface", [*DIALECTS, "openai.embeddings"])
def test_usage_classes_add_up_to_the_providers_totals(traffic: list[Exchange], surface: str) -> None:
    dialect = DIALECTS.get(surface, OPENAI_EMBEDDINGS)
    counted = 0
    for exchange in answers(traffic, surface, streaming=False):
        body = json.loads(exchange["response_body"])
        facts = dialect.read_usage(exchange["response_body"].encode())
        if not body.get("usage"):
            assert facts.usage is None
            continue
        assert facts.usage is not None, exchange["id"]
        assert (facts.usage.prompt_total, facts.usage.completion_total) == billed(body["usage"]), exchange["id"]
        assert facts.model == (body.get("model") or "")
        counted += 1
    print(f"\n{surface}: {counted} usages add up")


# ----------------------------------------------------------------------------------------------------------- translation


class Expected:
    """What an answer says, worked out from the provider's JSON."""

    def __init__(self) -> None:
        self.text = ""
        self.calls: list[tuple[str, str, Any]] = []
        self.stop: str | None = ""
        self.tokens = (0, 0)
        self.refusal = ""


def arguments(text: Any) -> Any:
    if isinstance(text, dict):
        return text
    try:
        parsed = json.loads(text or "{}")
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"INVALID_JSON": text}


def openai_text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text") or "" for part in content or () if part["type"] == "text")


def expected_of_openai(body: Exchange) -> Expected:
    expected = Expected()
    choice = body["choices"][0]
    message = choice["message"]
    expected.text = openai_text(message.get("content"))
    expected.refusal = message.get("refusal") or ""
    for call in message.get("tool_calls") or ():
        expected.calls.append((call["id"], call["function"]["name"], arguments(call["function"].get("arguments"))))
    if (legacy := message.get("function_call")) and legacy["name"]:
        expected.calls.append(("call_" + legacy["name"], legacy["name"], arguments(legacy["arguments"])))
    expected.stop = choice.get("finish_reason")
    expected.tokens = billed(body.get("usage"))
    return expected


def expected_of_anthropic(body: Exchange) -> Expected:
    expected = Expected()
    for block in body["content"]:
        if block["type"] == "text":
            expected.text += block["text"]
        elif block["type"] == "tool_use":
            expected.calls.append((block["id"], block["name"], block["input"]))
    expected.stop = body["stop_reason"]
    expected.tokens = billed(body.get("usage"))
    return expected


ANTHROPIC_STOP = {
    "stop": "end_turn",
    "eos": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
    "": "end_turn",
    None: "end_turn",
}
OPENAI_STOP = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "pause_turn": "stop",
    None: "stop",
}


def check_message(message: Message, expected: Expected, where: str) -> None:
    text = "".join(block.text for block in message.content if block.type == "text")
    assert text == expected.text + expected.refusal, where
    calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert all(call_id for call_id, *_ in calls)
    wanted = [(call_id or made_up, name, given) for (call_id, name, given), (made_up, *_) in zip(expected.calls, calls, strict=True)]
    assert calls == wanted, where
    stop = "tool_use" if expected.calls and expected.stop in {"stop", "", None} else ANTHROPIC_STOP[expected.stop]
    assert message.stop_reason == ("refusal" if expected.refusal else stop), where
    usage = message.usage
    assert (
        usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0),
        usage.output_tokens,
    ) == expected.tokens, where


def check_completion(completion: ChatCompletion, expected: Expected, where: str) -> None:
    choice = completion.choices[0]
    assert (choice.message.content or "") == expected.text, where
    calls = [(c.id, c.function.name, arguments(c.function.arguments)) for c in choice.message.tool_calls or () if c.type == "function"]
    assert calls == expected.calls, where
    assert choice.finish_reason == OPENAI_STOP[expected.stop], where
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == expected.tokens, where


TIERS = {"auto", "default", "flex", "scale", "priority"}


def without_oddities(completion: Exchange) -> Exchange:
    """Groq has words of its own for service tiers, OpenRouter annotations of its own kind, which their own dialect keeps."""
    message = completion["choices"][0]["message"]
    message["annotations"] = [item for item in message.get("annotations", ()) if item["type"] == "url_citation"]
    return {name: value for name, value in completion.items() if name != "service_tier" or value in TIERS}


def answer_of(dialect: Dialect, exchange: Exchange) -> ChatAnswer:
    answer = dialect.decode_answer(exchange["response_body"].encode())
    assert isinstance(answer, ChatAnswer), (exchange["id"], answer)
    return answer


def test_openai_answers_reach_an_anthropic_client_whole(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in answers(traffic, "openai.chat", streaming=False):
        body = json.loads(exchange["response_body"])
        if not body.get("choices") or "message" not in body["choices"][0]:
            assert isinstance(OPENAI_CHAT.decode_answer(exchange["response_body"].encode()), Fault)
            counted["no chat answer inside"] += 1
            continue
        expected = expected_of_openai(body)
        message = Message.model_validate_json(ANTHROPIC.encode_answer(answer_of(OPENAI_CHAT, exchange), "shown", 0))
        check_message(message, expected, exchange["id"])
        again = answer_of(OPENAI_CHAT, exchange)
        completion = ChatCompletion.model_validate(without_oddities(json.loads(OPENAI_CHAT.encode_answer(again, "shown", 1))))
        assert (completion.choices[0].message.content or "") == expected.text
        counted[exchange["provider"]] += 1
    tried = counted.total() - counted["no chat answer inside"]
    print(f"\nopenai → anthropic, unary: {tried} of {len(answers(traffic, 'openai.chat', False))} {dict(counted)}")


def test_anthropic_answers_reach_an_openai_client_whole(traffic: list[Exchange]) -> None:
    counted = 0
    for exchange in answers(traffic, "anthropic.messages", streaming=False):
        expected = expected_of_anthropic(json.loads(exchange["response_body"]))
        completion = ChatCompletion.model_validate_json(OPENAI_CHAT.encode_answer(answer_of(ANTHROPIC, exchange), "shown", 1))
        check_completion(completion, expected, exchange["id"])
        counted += 1
    print(f"\nanthropic → openai, unary: {counted} of {len(answers(traffic, 'anthropic.messages', False))}")


def expected_of_openai_stream(stream: bytes) -> Expected:
    expected = Expected()
    calls: dict[int, list[Any]] = {}
    for data in datas(stream):
        if data == b"[DONE]":
            break
        chunk = json.loads(data)
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            if choice.get("index"):
                continue
            expected.text += openai_text(delta.get("content"))
            expected.refusal += delta.get("refusal") or ""
            expected.stop = choice.get("finish_reason") or expected.stop
            for call in delta.get("tool_calls") or ():
                known = calls.setdefault(call.get("index", 0), [call.get("id"), call["function"].get("name"), ""])
                known[2] += call["function"].get("arguments") or ""
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        expected.tokens = billed(usage) if usage else expected.tokens
    expected.calls = [(call_id, name, arguments(text)) for call_id, name, text in calls.values()]
    return expected


def expected_of_anthropic_stream(stream: bytes) -> Expected:
    expected = Expected()
    blocks: dict[tuple[int, int], dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    starts = 0
    for data in datas(stream):
        event = json.loads(data)
        if event["type"] == "message_start":
            starts += 1
            usage = dict(event["message"]["usage"])
        elif event["type"] == "content_block_start":
            blocks[starts, event["index"]] = {**event["content_block"], "json": ""}
        elif event["type"] == "content_block_delta":
            block, delta = blocks[starts, event["index"]], event["delta"]
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
            elif delta["type"] == "input_json_delta":
                block["json"] += delta["partial_json"]
        elif event["type"] == "message_delta":
            expected.stop = event["delta"]["stop_reason"]
            usage |= {name: n for name, n in event["usage"].items() if n is not None}
        elif event["type"] == "message_stop":
            break
    expected.text = "".join(block["text"] for block in blocks.values() if block["type"] == "text")
    expected.calls = [
        (b["id"], b["name"], arguments(b["json"]) if b["json"] else b["input"]) for b in blocks.values() if b["type"] == "tool_use"
    ]
    expected.tokens = billed(usage)
    return expected


def events_of(dialect: Dialect, chunks: list[bytes]) -> list[StreamEvent]:
    decoder = dialect.stream_decoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)] + decoder.finish()


def rendered(dialect: Dialect, events: list[StreamEvent]) -> bytes:
    renderer = dialect.stream_renderer("shown", 1, include_usage=True)
    return b"".join(renderer.render(event) for event in events) + renderer.finish()


def message_of(stream: bytes) -> Message:
    """What Anthropic's SDK would make of a stream: its event types, put together by index."""
    message: dict[str, Any] = {}
    jsons: dict[int, str] = {}
    for data in datas(stream):
        event = EVENT.validate_json(data)
        if event.type == "message_start":
            message = event.message.model_dump()
        elif event.type == "content_block_start":
            assert event.index == len(message["content"]), "blocks follow each other"
            message["content"].append(event.content_block.model_dump())
        elif event.type == "content_block_delta":
            block = message["content"][event.index]
            if event.delta.type == "text_delta":
                block["text"] += event.delta.text
            elif event.delta.type == "input_json_delta":
                jsons[event.index] = jsons.get(event.index, "") + event.delta.partial_json
        elif event.type == "content_block_stop" and event.index in jsons:
            message["content"][event.index]["input"] = arguments(jsons[event.index])
        elif event.type == "message_delta":
            message["stop_reason"] = event.delta.stop_reason
            message["usage"] |= event.usage.model_dump(exclude_none=True)
    return Message.model_validate(message)


def completion_of(stream: bytes) -> ChatCompletion:
    """What an OpenAI client would make of a stream of chunks."""
    *chunks, done = datas(stream)
    assert done == b"[DONE]"
    message: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None, "tool_calls": []}
    body: dict[str, Any] = {"object": "chat.completion"}
    finish = None
    for data in chunks:
        chunk = CHUNK.validate_json(data)
        body |= {"id": chunk.id, "model": chunk.model, "created": chunk.created}
        for choice in chunk.choices:
            message["content"] += choice.delta.content or ""
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


@pytest.mark.parametrize(("surface", "other"), [("openai.chat", ANTHROPIC), ("anthropic.messages", OPENAI_CHAT)])
def test_streams_reach_the_other_client_whole(traffic: list[Exchange], surface: str, other: Dialect) -> None:
    counted: Counter[str] = Counter()
    for exchange in answers(traffic, surface, streaming=True):
        stream = exchange["response_body"].encode()
        ways = cuts_of(stream, sample=False)
        events = events_of(DIALECTS[surface], [stream])
        assert events == events_of(DIALECTS[surface], ways["random"]), exchange["id"]
        if isinstance(events[-1], Failed):
            assert '"error"' in exchange["response_body"], (exchange["id"], events[-1])
            counted["failed, as recorded"] += 1
            continue
        assert isinstance(events[-1], Finished)
        if exchange["id"] in NOT_CHAT or not is_one_message(exchange["response_body"]):
            counted["not one answer"] += 1
            continue
        out = rendered(other, events)
        assert fold(events_of(other, [out])) is not None
        if other is ANTHROPIC:
            check_message(message_of(out), expected_of_openai_stream(stream), exchange["id"])
        else:
            check_completion(completion_of(out), expected_of_anthropic_stream(stream), exchange["id"])
        counted["whole"] += 1
    print(f"\n{surface} → {other.name}, streamed: {dict(counted)} of {len(answers(traffic, surface, True))}")


NOT_CHAT = {"2b5acfe23d4877d4"}
"""Legacy completions, filed under chat."""


# -------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("surface", "other", "model"), [("openai.chat", ANTHROPIC, "claude-sonnet-4-5"), ("anthropic.messages", OPENAI_CHAT, "gpt-4o")]
)
def test_recorded_requests_are_read_and_said_in_the_other_dialect(
    traffic: list[Exchange], surface: str, other: Dialect, model: str
) -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for exchange in traffic:
        if exchange["surface"] != surface or not exchange["request_json"] or exchange["status"] != 200:
            continue
        request = DIALECTS[surface].decode_request(json.dumps(exchange["request_json"]).encode())
        if isinstance(request, Fault):
            counted[f"not read: {request.message[:80]}"] += 1
            continue
        encoded = other.encode_request(request, model, stream=bool(exchange["streaming"]))
        if isinstance(encoded, Fault):
            counted[f"cannot be said: {encoded.param}"] += 1
            continue
        assert isinstance(encoded, Encoded)
        lost.update(encoded.losses)
        again = other.decode_request(encoded.body)
        assert not isinstance(again, Fault), (exchange["id"], again)
        consume(PARAMS[other.name].validate_python(in_parts(json.loads(encoded.body))))
        said = "".join(spoken(json.loads(encoded.body)))
        assert all(text in said for text in spoken(exchange["request_json"])), exchange["id"]
        counted["said"] += 1
    print(f"\n{surface} requests → {other.name}: {dict(counted)}\n  losses: {dict(lost.most_common(40))}")
    assert counted["said"] > 300


PARAMS: dict[str, TypeAdapter[Any]] = {
    "anthropic": TypeAdapter(MessageCreateParamsNonStreaming | MessageCreateParamsStreaming),
    "openai_chat": TypeAdapter(CompletionCreateParamsNonStreaming | CompletionCreateParamsStreaming),
}


def in_parts(value: Any) -> Any:
    """A text is an iterable too, and pydantic cannot tell; so texts become lists of parts, which both vendors take."""
    if isinstance(value, list):
        return [in_parts(item) for item in value]
    if not isinstance(value, dict):
        return value
    texts = {
        name: [{"type": "text", "text": text}] for name, text in value.items() if name in {"content", "system"} and isinstance(text, str)
    }
    return {name: item if name in {"input", "schema", "input_schema"} else in_parts(item) for name, item in value.items()} | texts


def consume(value: Any) -> None:
    """The SDKs declare lists as iterables, which pydantic checks only when they are walked."""
    if isinstance(value, dict):
        value = value.values()
    if not isinstance(value, str | bytes) and isinstance(value, Iterable):
        for item in value:
            consume(item)


def spoken(request: Any) -> list[str]:
    """Every text of user and assistant turns, without white space."""
    texts = []
    for message in request["messages"]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        texts += [
            part["text"] for part in parts if part.get("type") == "text" and part.get("text") and message["role"] in {"user", "assistant"}
        ]
    return ["".join(text.split()) for text in texts]


# ------------------------------------------------------------------------------------------------------ the own dialect again

PRESET_OF = {"openai": "openai", "zai": "zai", "moonshotai": "moonshot", "alibaba": "alibaba"}


def preset_of(exchange: Exchange) -> Capabilities:
    return PRESETS[name].can if (name := PRESET_OF.get(exchange["provider"], exchange["provider"])) in PRESETS else STANDARD


@pytest.mark.parametrize("surface", list(DIALECTS))
def test_an_answer_said_again_in_its_own_dialect_is_the_same(traffic: list[Exchange], surface: str) -> None:
    counted: Counter[str] = Counter()
    dialect = DIALECTS[surface]
    for exchange in answers(traffic, surface, streaming=False):
        answer = dialect.decode_answer(exchange["response_body"].encode())
        if isinstance(answer, Fault):
            counted["no answer inside"] += 1
            continue
        again = dialect.decode_answer(dialect.encode_answer(answer, answer.model, answer.created_s))
        assert isinstance(again, ChatAnswer)
        assert_same(comparable_answer(again), comparable_answer(answer), exchange["id"])
        counted["the same"] += 1
        counted["with citations"] += any(isinstance(part, Text) and part.citations for part in answer.parts)
        counted["with parts only this dialect has"] += any(isinstance(part, Foreign) for part in answer.parts)
        counted["with signatures"] += any(isinstance(part, Thinking) and part.signature for part in answer.parts)
    print(f"\n{surface} answers said again: {dict(counted)}")
    assert counted["no answer inside"] <= 3


def assert_same(got: dict[str, Any], wanted: dict[str, Any], where: str) -> None:
    assert {name: value for name, value in got.items() if value != wanted[name]} == {
        name: value for name, value in wanted.items() if value != got[name]
    }, where


def comparable_answer(answer: ChatAnswer) -> dict[str, Any]:
    """Ids get the vendor's prefix, no arguments are an empty object, and a finish that this dialect has no word for is a stop."""
    return {
        "id": answer.id.removeprefix("chatcmpl-").removeprefix("msg_"),
        "parts": [comparable_part(part) for part in answer.parts],
        "finish": "stop" if answer.finish in {"stop", "unknown"} else answer.finish,
        "usage": answer.usage or Usage(),
        "logprobs": answer.logprobs,
        "service_tier": answer.service_tier,
    }


def comparable_part(part: Part) -> Part:
    """Sources that Perplexity lists beside the answer are said as annotations, which OpenAI's clients know."""
    if isinstance(part, ToolCall):
        return msgspec.structs.replace(part, arguments=json.dumps(arguments(part.arguments)))
    if isinstance(part, Text) and any(citation.dialect != "anthropic" for citation in part.citations):
        return msgspec.structs.replace(part, citations=tuple(comparable_citation(c, len(part.text)) for c in part.citations))
    return part


def comparable_citation(citation: Citation, text_chars: int) -> Citation:
    """All of the text is no narrower place than none."""
    start, end = (-1, -1) if (citation.start, citation.end) == (0, text_chars) else (citation.start, citation.end)
    return msgspec.structs.replace(citation, dialect="", raw=b"", start=start, end=end)


@pytest.mark.parametrize("surface", list(DIALECTS))
def test_a_stream_said_again_in_its_own_dialect_tells_the_same(traffic: list[Exchange], surface: str) -> None:
    counted: Counter[str] = Counter()
    dialect = DIALECTS[surface]
    for exchange in answers(traffic, surface, streaming=True):
        told = fold(events_of(dialect, [exchange["response_body"].encode()]))
        if isinstance(told, Fault) or exchange["id"] in NOT_CHAT:
            counted["failed, as recorded"] += 1
            continue
        again = fold(events_of(dialect, [rendered(dialect, events_of(dialect, [exchange["response_body"].encode()]))]))
        assert isinstance(again, ChatAnswer), exchange["id"]
        assert_same(comparable_answer(again), comparable_answer(told), exchange["id"])
        counted["the same"] += 1
        counted["with citations"] += any(isinstance(part, Text) and part.citations for part in told.parts)
        counted["with parts only this dialect has"] += any(isinstance(part, Foreign) for part in told.parts)
    print(f"\n{surface} streams said again: {dict(counted)}")


@pytest.mark.parametrize("surface", list(DIALECTS))
def test_a_request_said_again_in_its_own_dialect_is_the_same_or_names_what_is_not(traffic: list[Exchange], surface: str) -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    dialect = DIALECTS[surface]
    for exchange in traffic:
        if exchange["surface"] != surface or not exchange["request_json"] or exchange["status"] != 200:
            continue
        request = dialect.decode_request(json.dumps(exchange["request_json"]).encode())
        assert not isinstance(request, Fault), (exchange["id"], request)
        encoded = dialect.encode_request(request, request.model, request.stream, preset_of(exchange))
        assert isinstance(encoded, Encoded), (exchange["id"], encoded)
        again = dialect.decode_request(encoded.body)
        assert not isinstance(again, Fault), exchange["id"]
        if encoded.losses:
            counted["with losses named"] += 1
            lost.update(encoded.losses)
        else:
            assert_same(comparable_request(again), comparable_request(request), exchange["id"])
            counted["the same"] += 1
    print(f"\n{surface} requests said again: {dict(counted)}\n  losses: {dict(lost.most_common(30))}")
    assert counted["with losses named"] < counted["the same"] / 10


def comparable_request(request: ChatRequest) -> dict[str, Any]:
    """Turns of one speaker in a row are one turn, empty texts say nothing, a choice among no tools is none, and whether usage is asked
    for is the gateway's own affair."""
    turns: list[tuple[str, list[Part]]] = []
    for message in request.messages:
        parts = [comparable_part(part) for part in message.parts if not (isinstance(part, Text) and not part.text.strip())]
        if turns and turns[-1][0] == message.role:
            turns[-1][1].extend(parts)
        elif parts:
            turns.append((message.role, parts))
    if turns and turns[-1][0] == "assistant" and isinstance(last := turns[-1][1][-1], Text):
        turns[-1][1][-1] = msgspec.structs.replace(last, text=last.text.rstrip())
    whole = {name: getattr(request, name) for name in request.__struct_fields__}
    return whole | {"messages": turns, "include_usage": False, "tool_choice": request.tool_choice if request.tools else None}
