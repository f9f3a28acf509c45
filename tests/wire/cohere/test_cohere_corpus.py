"""Recorded Cohere traffic: watched, read, translated; and what others asked, asked of Cohere."""

import json
from collections import Counter
from typing import Any

import pytest
from cohere.core.unchecked_base_model import construct_type
from cohere.types import ChatMessageV2, ResponseFormatV2, Thinking, ToolV2
from cohere.v2.types.v2chat_response import V2ChatResponse
from cohere.v2.types.v2chat_stream_response import V2ChatStreamResponse
from tests.wire.openai_completions.recorded import (
    Exchange,
    Expected,
    check_stream_clients,
    check_unary_clients,
    datas,
    events_checked,
    load,
    rendered,
    tap_checked,
)

from setpoint.domain.chat import ChatAnswer, ChatRequest, Text
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Finished, fold
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.cohere.dialect import COHERE
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

DIALECT: Dialect = COHERE
FINISHES = {"COMPLETE": "stop", "STOP_SEQUENCE": "stop_sequence", "MAX_TOKENS": "length", "TOOL_CALL": "tool_calls"}


@pytest.fixture(scope="module")
def traffic() -> list[Exchange]:
    return load("cohere.chat.v2")


def is_chat(exchange: Exchange) -> bool:
    """A few answers of other endpoints are filed under chat."""
    return exchange["status"] == 200 and ('"message"' in exchange["response_body"])


def arguments(text: str) -> Any:
    """A call without arguments says null, or nothing."""
    return json.loads(text or "null") or {}


def expected_of(body: Any) -> Expected:
    expected = Expected(ids=[])
    message = body["message"]
    for content in message.get("content") or ():
        expected.text += content.get("text") or ""
        expected.thinking += content.get("thinking") or ""
    expected.thinking += message.get("tool_plan") or ""
    for call in message.get("tool_calls") or ():
        expected.calls.append((call["function"]["name"], arguments(call["function"]["arguments"])))
        assert expected.ids is not None
        expected.ids.append(call["id"])
    expected.finish = FINISHES[body["finish_reason"]]
    tokens = body["usage"]["tokens"]
    expected.tokens = (tokens["input_tokens"], tokens["output_tokens"])
    return expected


def expected_of_stream(stream: bytes) -> Expected:
    body: dict[str, Any] = {"message": {"content": [], "tool_plan": "", "tool_calls": []}}
    said = body["message"]
    for data in datas(stream):
        if data == b"[DONE]":
            continue
        event = json.loads(data)
        message = event.get("delta", {}).get("message", {})
        if event["type"] == "content-start":
            said["content"].append({"text": "", "thinking": ""})
        if event["type"] in {"content-start", "content-delta"}:
            for name in ("text", "thinking"):
                said["content"][event["index"]][name] += message["content"].get(name) or ""
        elif event["type"] == "tool-plan-delta":
            said["tool_plan"] += message["tool_plan"]
        elif event["type"] == "tool-call-start":
            said["tool_calls"].append(message["tool_calls"])
        elif event["type"] == "tool-call-delta":
            said["tool_calls"][event["index"]]["function"]["arguments"] += message["tool_calls"]["function"]["arguments"]
        elif event["type"] == "message-end":
            body |= event["delta"]
    return expected_of(body)


def built(shape: Any, value: Any) -> Any:
    """`value` as the SDK reads it."""
    return construct_type(type_=shape, object_=value)


def check_cohere(body: Any, expected: Expected, where: str) -> None:
    """An answer as Cohere's client reads it."""
    answer: Any = built(V2ChatResponse, body)
    content = answer.message.content or []
    assert "".join(block.text for block in content if block.type == "text") == expected.text, where
    assert "".join(block.thinking for block in content if block.type == "thinking") == expected.thinking, where
    calls = answer.message.tool_calls or []
    assert [(call.function.name, json.loads(call.function.arguments or "")) for call in calls if call.function] == expected.calls, where
    assert FINISHES[answer.finish_reason] == expected.finish, where
    assert (answer.usage.tokens.input_tokens, answer.usage.tokens.output_tokens) == expected.tokens, where


def test_unary_answers_reach_every_client_whole(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in traffic:
        if exchange["streaming"]:
            continue
        raw = exchange["response_body"].encode()
        if not is_chat(exchange):
            assert isinstance(DIALECT.decode_answer(raw), Fault)
            counted["no chat answer inside"] += 1
            continue
        body = json.loads(raw)
        expected = expected_of(body)
        check_unary_clients(DIALECT, raw, expected, exchange["id"])
        answer = DIALECT.decode_answer(raw)
        assert isinstance(answer, ChatAnswer)
        again = DIALECT.encode_answer(answer, "m", 1)
        assert DIALECT.decode_answer(again) == answer
        check_cohere(json.loads(again), expected, exchange["id"])
        facts = DIALECT.read_usage(raw)
        assert facts.usage == answer.usage
        assert facts.usage is not None
        assert facts.usage.cached_read == body["usage"].get("cached_tokens", 0)
        if given := body["message"].get("citations"):
            counted["with citations"] += 1
            found = [citation for part in answer.parts if isinstance(part, Text) for citation in part.citations]
            assert [(c.start, c.end) for c in found] == [(g["start"], g["end"]) for g in given for _ in g["sources"]]
            shown = json.loads(again)["message"]["citations"]
            assert [{**one, "content_index": 0} for one in shown] == [{**one, "content_index": 0} for one in given]
        counted["whole"] += 1
    print(f"\ncohere, unary: {dict(counted)}")
    assert counted["whole"] > 20
    assert counted["with citations"] >= 3


def test_streams_are_watched_and_reach_every_client_whole(traffic: list[Exchange]) -> None:
    passed = 0
    for exchange in traffic:
        if not exchange["streaming"]:
            continue
        stream = exchange["response_body"].encode()
        expected = expected_of_stream(stream)
        tap = tap_checked(DIALECT, stream)
        assert (tap.done, FINISHES[tap.finish], tap.content_started, tap.error) == (True, expected.finish, True, None)
        assert tap.usage is not None
        assert (tap.usage.prompt_total, tap.usage.completion_total) == expected.tokens
        events = events_checked(DIALECT, stream)
        assert isinstance(events[-1], Finished)
        check_stream_clients(events, expected, exchange["id"])
        out = rendered(DIALECT, events)
        for data in datas(out)[:-1]:
            assert built(V2ChatStreamResponse, json.loads(data)).type == json.loads(data)["type"]
        again = events_checked(DIALECT, out) if passed < 3 else fold_of(out)
        assert (fold(again) if isinstance(again, list) else again) == fold(events), exchange["id"]
        assert expected_of_stream(out) == expected, exchange["id"]
        passed += 1
    print(f"\ncohere, streamed: {passed}")
    assert passed > 8


def fold_of(stream: bytes) -> ChatAnswer | Fault:
    decoder = DIALECT.stream_decoder()
    return fold(decoder.feed(stream) + decoder.finish())


def check_request(body: Any, where: str) -> None:
    """A request is made of the shapes of Cohere's own SDK, which checks them when its types are strict about required members."""
    assert {"model", "messages", "stream"} <= set(body), where
    for message in body["messages"]:
        shape = built(ChatMessageV2, message)
        assert shape.role == message["role"], where
        type(shape).model_validate(message)
        if message["role"] == "assistant":
            assert message.get("content") is not None or message.get("tool_calls"), where
    for tool in body.get("tools", ()):
        ToolV2.model_validate(tool)
        assert isinstance(tool["function"]["parameters"], dict), where
    if "response_format" in body:
        assert built(ResponseFormatV2, body["response_format"]).type == "json_object", where
        assert "tools" not in body, where
    if "thinking" in body:
        Thinking.model_validate(body["thinking"])
    assert body.get("tool_choice") in {None, "REQUIRED", "NONE"}, where


def test_requests_come_back_from_their_own_dialect(traffic: list[Exchange]) -> None:
    said = 0
    for exchange in traffic:
        if not exchange["request_json"]:
            continue
        request = DIALECT.decode_request(json.dumps(exchange["request_json"]).encode())
        assert isinstance(request, ChatRequest), exchange["id"]
        encoded = DIALECT.encode_request(request, request.model, stream=request.stream)
        assert isinstance(encoded, Encoded)
        assert encoded.losses == (), exchange["id"]
        check_request(json.loads(encoded.body), exchange["id"])
        assert DIALECT.decode_request(encoded.body) == request, exchange["id"]
        for other in (OPENAI_CHAT, ANTHROPIC):
            assert isinstance(other.encode_request(request, "m", stream=False), Encoded), exchange["id"]
        said += 1
    print(f"\ncohere requests: {said}")
    assert said > 20


@pytest.mark.parametrize(("surface", "source"), [("openai.chat", OPENAI_CHAT), ("anthropic.messages", ANTHROPIC)])
def test_requests_of_others_are_asked_of_cohere(surface: str, source: Dialect) -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for exchange in load(surface):
        if not exchange["request_json"] or exchange["status"] != 200:
            continue
        request = source.decode_request(json.dumps(exchange["request_json"]).encode())
        if isinstance(request, Fault):
            counted["not read"] += 1
            continue
        encoded = DIALECT.encode_request(request, "command-a-03-2025", stream=bool(exchange["streaming"]))
        if isinstance(encoded, Fault):
            assert encoded.kind is FaultKind.unsupported
            counted[f"refused: {encoded.param}"] += 1
            continue
        check_request(json.loads(encoded.body), exchange["id"])
        assert isinstance(DIALECT.decode_request(encoded.body), ChatRequest), exchange["id"]
        said = "".join(spoken(json.loads(encoded.body)))
        assert all(text in said for text in spoken(exchange["request_json"])), exchange["id"]
        lost.update(encoded.losses)
        counted["said"] += 1
    print(f"\n{surface} → cohere: {dict(counted)}\n  losses: {dict(lost.most_common(30))}")
    assert counted["said"] > 250


def spoken(request: Any) -> list[str]:
    """Every text of user and assistant turns, without white space."""
    texts = []
    for message in request["messages"]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        texts += [p["text"] for p in parts if p.get("type") == "text" and p.get("text") and message["role"] in {"user", "assistant"}]
    return ["".join(text.split()) for text in texts]
