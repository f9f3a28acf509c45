"""Recorded Ollama traffic: watched, read, translated; and what others asked, asked of Ollama."""

import json
from collections import Counter
from typing import Any

import ollama
import pytest
from ollama._types import ChatRequest as OllamaRequest
from tests.wire.openai_completions.recorded import (
    Exchange,
    Expected,
    check_stream_clients,
    check_unary_clients,
    events_checked,
    load,
    rendered,
    tap_checked,
)

from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Finished, fold
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.ollama.dialect import OLLAMA
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

DIALECT: Dialect = OLLAMA


@pytest.fixture(scope="module")
def traffic() -> list[Exchange]:
    return load("ollama.chat")


def expected_of(lines: list[Any]) -> Expected:
    expected = Expected(ids=[])
    for line in lines:
        message = line["message"]
        expected.text += message.get("content") or ""
        expected.thinking += message.get("thinking") or ""
        for call in message.get("tool_calls") or ():
            expected.calls.append((call["function"]["name"], call["function"]["arguments"]))
            assert expected.ids is not None
            expected.ids.append(call["id"])
    last = lines[-1]
    assert last["done"] is True
    expected.finish = "tool_calls" if expected.calls else last["done_reason"]
    expected.tokens = (last.get("prompt_eval_count") or 0, last.get("eval_count") or 0)
    return expected


def check_ollama(lines: list[bytes], expected: Expected, where: str) -> None:
    """Lines as Ollama's client reads them."""
    pieces = [ollama.ChatResponse.model_validate_json(line) for line in lines]
    assert "".join(piece.message.content or "" for piece in pieces) == expected.text, where
    assert "".join(piece.message.thinking or "" for piece in pieces) == expected.thinking, where
    calls = [(call.function.name, dict(call.function.arguments)) for piece in pieces for call in piece.message.tool_calls or ()]
    assert calls == expected.calls, where
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True], where
    assert (pieces[-1].prompt_eval_count, pieces[-1].eval_count) == expected.tokens, where


def test_unary_answers_reach_every_client_whole(traffic: list[Exchange]) -> None:
    passed = 0
    for exchange in traffic:
        if exchange["streaming"] or exchange["status"] != 200:
            continue
        raw = exchange["response_body"].encode()
        expected = expected_of([json.loads(raw)])
        check_unary_clients(DIALECT, raw, expected, exchange["id"])
        answer = DIALECT.decode_answer(raw)
        assert isinstance(answer, ChatAnswer)
        again = DIALECT.encode_answer(answer, answer.model, 1)
        assert DIALECT.decode_answer(again) == answer
        check_ollama([again], expected, exchange["id"])
        facts = DIALECT.read_usage(raw)
        assert (facts.usage, facts.model, facts.finish) == (answer.usage, answer.model, json.loads(raw)["done_reason"])
        passed += 1
    print(f"\nollama, unary: {passed}")
    assert passed >= 8


def test_streams_are_watched_and_reach_every_client_whole(traffic: list[Exchange]) -> None:
    passed = 0
    for exchange in traffic:
        if not exchange["streaming"]:
            continue
        stream = exchange["response_body"].encode()
        expected = expected_of([json.loads(line) for line in stream.splitlines()])
        tap = tap_checked(DIALECT, stream)
        assert (tap.done, tap.finish, tap.content_started, tap.error) == (True, expected.finish, True, None)
        assert tap.usage is not None
        assert (tap.usage.prompt_total, tap.usage.completion_total) == expected.tokens
        assert tap.events == len(stream.splitlines())
        events = events_checked(DIALECT, stream)
        assert isinstance(events[-1], Finished)
        check_stream_clients(events, expected, exchange["id"])
        out = rendered(DIALECT, events)
        check_ollama(out.splitlines(), expected, exchange["id"])
        told, again = fold(events), fold(events_checked(DIALECT, out))
        assert isinstance(told, ChatAnswer)
        assert isinstance(again, ChatAnswer)
        assert (again.id, again.parts, again.finish, again.usage, again.created_s) == (
            told.id,
            told.parts,
            told.finish,
            told.usage,
            told.created_s,
        )
        passed += 1
    print(f"\nollama, streamed: {passed}")
    assert passed >= 4


def test_errors_are_understood(traffic: list[Exchange]) -> None:
    (exchange,) = [exchange for exchange in traffic if exchange["status"] != 200]
    fault = DIALECT.classify_fault(404, {}, exchange["response_body"].encode(), 0.0)
    assert (fault.kind, fault.message) == (FaultKind.unknown_model, json.loads(exchange["response_body"])["error"])


def check_request(raw: bytes, where: str) -> None:
    """A request is what Ollama's own SDK would send."""
    body = json.loads(raw)
    OllamaRequest.model_validate(body)
    for message in body["messages"]:
        images = [{"value": image} for image in message.get("images", ())]
        sent = ollama.Message.model_validate(message | {"images": images}).model_dump()
        assert sent["images"] == message.get("images", []), where
        assert isinstance(message["content"], str), where
    if "options" in body:
        ollama.Options.model_validate(body["options"])
    assert body["stream"] in {True, False}, where


def test_requests_come_back_from_their_own_dialect(traffic: list[Exchange]) -> None:
    said = 0
    for exchange in traffic:
        request = DIALECT.decode_request(json.dumps(exchange["request_json"]).encode())
        assert isinstance(request, ChatRequest), exchange["id"]
        assert request.stream is bool(exchange["streaming"])
        encoded = DIALECT.encode_request(request, request.model, stream=request.stream)
        assert isinstance(encoded, Encoded)
        assert encoded.losses == (), exchange["id"]
        check_request(encoded.body, exchange["id"])
        assert DIALECT.decode_request(encoded.body) == request, exchange["id"]
        for other in (OPENAI_CHAT, ANTHROPIC):
            assert isinstance(other.encode_request(request, "m", stream=False), Encoded), exchange["id"]
        said += 1
    print(f"\nollama requests: {said}")
    assert said >= 15


@pytest.mark.parametrize(("surface", "source"), [("openai.chat", OPENAI_CHAT), ("anthropic.messages", ANTHROPIC)])
def test_requests_of_others_are_asked_of_ollama(surface: str, source: Dialect) -> None:
    counted: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    for exchange in load(surface):
        if not exchange["request_json"] or exchange["status"] != 200:
            continue
        request = source.decode_request(json.dumps(exchange["request_json"]).encode())
        if isinstance(request, Fault):
            counted["not read"] += 1
            continue
        encoded = DIALECT.encode_request(request, "llama3.2", stream=bool(exchange["streaming"]))
        if isinstance(encoded, Fault):
            assert encoded.kind is FaultKind.unsupported
            counted[f"refused: {encoded.param}"] += 1
            continue
        check_request(encoded.body, exchange["id"])
        assert isinstance(DIALECT.decode_request(encoded.body), ChatRequest), exchange["id"]
        said = "".join("".join(message["content"].split()) for message in json.loads(encoded.body)["messages"])
        assert all(text in said for text in spoken(exchange["request_json"])), exchange["id"]
        lost.update(encoded.losses)
        counted["said"] += 1
    print(f"\n{surface} → ollama: {dict(counted)}\n  losses: {dict(lost.most_common(30))}")
    assert counted["said"] > 250


def spoken(request: Any) -> list[str]:
    """Every text of user and assistant turns, without white space."""
    texts = []
    for message in request["messages"]:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
        texts += [p["text"] for p in parts if p.get("type") == "text" and p.get("text") and message["role"] in {"user", "assistant"}]
    return ["".join(text.split()) for text in texts]
