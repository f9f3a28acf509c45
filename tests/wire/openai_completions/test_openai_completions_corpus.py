"""Recorded completions: watched, read, translated."""

import json
from collections import Counter
from typing import Any

import jsonschema
import pytest
from openai.types import Completion
from tests.wire.openai_completions.recorded import (
    SHARED,
    Exchange,
    Expected,
    check_stream_clients,
    check_unary_clients,
    datas,
    events_checked,
    legacy_chunk,
    load,
    rendered,
    tap_checked,
)

from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault
from setpoint.domain.stream import Failed
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_completions.dialect import OPENAI_COMPLETIONS

DIALECT: Dialect = OPENAI_COMPLETIONS
NOT_THE_DIALECT = {"58450da82abe6694"}
"""A vendor's own stream of {"value": text} behind the same path."""


@pytest.fixture(scope="module")
def traffic() -> list[Exchange]:
    return load("openai.completions")


def expected_of(chunks: list[dict[str, Any]]) -> Expected:
    expected = Expected()
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            expected.text += choice.get("text") or (choice.get("message") or {}).get("content") or ""
            expected.finish = choice.get("finish_reason") or expected.finish
        if usage := chunk.get("usage"):
            expected.tokens = (usage["prompt_tokens"], usage["completion_tokens"])
    return expected


def test_unary_answers_reach_every_client_whole(traffic: list[Exchange]) -> None:
    passed = 0
    for exchange in traffic:
        if exchange["streaming"]:
            continue
        body = exchange["response_body"].encode()
        expected = expected_of([json.loads(body)])
        check_unary_clients(DIALECT, body, expected, exchange["id"])
        answer = DIALECT.decode_answer(body)
        assert isinstance(answer, ChatAnswer)
        raw = DIALECT.encode_answer(answer, answer.model, answer.created_s)
        shown = Completion.model_validate_json(raw, strict=True)
        assert (shown.choices[0].text, shown.choices[0].finish_reason) == (expected.text, expected.finish)
        again = DIALECT.decode_answer(raw)
        assert isinstance(again, ChatAnswer)
        assert (again.parts, again.usage, again.model) == (answer.parts, answer.usage, answer.model)
        if answer.id.startswith("cmpl-") and answer.finish != "unknown":
            assert again == answer
        facts = DIALECT.read_usage(body)
        assert facts.usage == answer.usage
        assert facts.model == answer.model
        passed += 1
    print(f"\ncompletions, unary: {passed}")
    assert passed > 20


def test_streams_are_watched_and_reach_every_client_whole(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in traffic:
        if not exchange["streaming"]:
            continue
        stream = exchange["response_body"].encode()
        tap = tap_checked(DIALECT, stream)
        events = events_checked(DIALECT, stream)
        if exchange["id"] in NOT_THE_DIALECT:
            assert isinstance(events[-1], Failed)
            counted["not the dialect"] += 1
            continue
        expected = expected_of([json.loads(data) for data in datas(stream) if data != b"[DONE]"])
        assert (tap.done, tap.finish, tap.content_started, tap.error) == (True, expected.finish, True, None)
        check_stream_clients(events, expected, exchange["id"])
        chunks = [legacy_chunk(data) for data in datas(rendered(DIALECT, events))[:-1]]
        assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == expected.text
        counted["whole"] += 1
    print(f"\ncompletions, streamed: {dict(counted)}")
    assert counted["whole"] > 5


def test_requests_are_asked_of_chat_models_and_come_back(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    schema = openai_schema("CreateCompletionRequest")
    for exchange in traffic:
        asked = exchange["request_json"]
        request = DIALECT.decode_request(json.dumps(asked).encode())
        if "prompt" not in asked:
            assert isinstance(request, Fault)
            counted["no completion request"] += 1
            continue
        assert isinstance(request, ChatRequest), exchange["id"]
        for target in (OPENAI_CHAT, ANTHROPIC):
            encoded = target.encode_request(request, "m", stream=False)
            assert isinstance(encoded, Encoded)
            prompt = asked["prompt"] if isinstance(asked["prompt"], str) else asked["prompt"][0]
            assert json.dumps(prompt) in json.dumps(json.loads(encoded.body))
        own = DIALECT.encode_request(request, request.model, stream=request.stream)
        assert isinstance(own, Encoded)
        if schema is not None:
            schema.validate(json.loads(own.body))
        again = DIALECT.decode_request(own.body)
        assert isinstance(again, ChatRequest)
        assert (again.messages, again.sampling, again.max_tokens, again.stop, again.n) == (
            request.messages,
            request.sampling,
            request.max_tokens,
            request.stop,
            request.n,
        )
        counted["said"] += 1
    print(f"\ncompletion requests: {dict(counted)}; document checked: {schema is not None}")
    assert counted["said"] > 20


def test_single_questions_of_chat_clients_are_asked_as_prompts() -> None:
    counted: Counter[str] = Counter()
    schema = openai_schema("CreateCompletionRequest")
    for exchange in load("openai.chat"):
        if not exchange["request_json"] or exchange["status"] != 200:
            continue
        request = OPENAI_CHAT.decode_request(json.dumps(exchange["request_json"]).encode())
        if isinstance(request, Fault):
            counted["not read"] += 1
            continue
        encoded = DIALECT.encode_request(request, "gpt-3.5-turbo-instruct", stream=bool(exchange["streaming"]))
        if isinstance(encoded, Fault):
            counted[f"refused: {encoded.param}"] += 1
            continue
        if schema is not None:
            schema.validate(json.loads(encoded.body))
        counted["asked"] += 1
    print(f"\nopenai.chat → completions: {dict(counted)}")
    assert counted["asked"] > 50


def openai_schema(name: str) -> Any:
    """A validator for one shape of OpenAI's own document, None when the document is not there."""
    path = SHARED.parent / "specs" / "openai-openapi.json"
    if not path.is_file():
        return None
    document = json.loads(path.read_text())
    return jsonschema.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})
