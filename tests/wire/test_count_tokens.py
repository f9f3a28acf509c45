"""Counting tokens as Anthropic's clients ask for it."""

import json
from typing import Any

import pytest
from anthropic.types import MessageTokensCount
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from pydantic import TypeAdapter

from setpoint.domain.chat import ChatRequest, Message, Reasoning, Text, Tool
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.anthropic.count_tokens import COUNTED, decode_count_request, encode_count, encode_count_request, read_count
from setpoint.wire.dialect import Encoded

ASKED: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "system": "Be brief.",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    "thinking": {"type": "enabled", "budget_tokens": 9_000},
}
PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCountTokensParams)


def asked(body: dict[str, Any]) -> ChatRequest:
    request = decode_count_request(json.dumps(body).encode())
    assert isinstance(request, ChatRequest), request
    return request


def test_a_question_needs_no_max_tokens_and_is_passed_on_as_it_was() -> None:
    request = asked(ASKED)
    assert request.max_tokens is None
    encoded = encode_count_request(request, "claude-sonnet-4-5")
    assert isinstance(encoded, Encoded)
    body = json.loads(encoded.body)
    PARAMS.validate_python({**body, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]})
    assert body == {**ASKED, "messages": [{"role": "user", "content": "Hello"}]}
    assert encoded.losses == ()


def test_what_is_about_the_answer_is_left_out() -> None:
    request = ChatRequest(
        "m", (Message("user", (Text("hi"),)),), tools=(Tool("f"),), max_tokens=5, stop=("x",), user="u", service_tier="auto", stream=True
    )
    encoded = encode_count_request(request, "m")
    assert isinstance(encoded, Encoded)
    assert set(json.loads(encoded.body)) == {"model", "messages", "tools"} < COUNTED


def test_a_word_for_an_effort_needs_no_max_tokens_either() -> None:
    request = ChatRequest("m", (Message("user", (Text("hi"),)),), reasoning=Reasoning("enabled", "low"))
    encoded = encode_count_request(request, "claude-sonnet-4-5")
    assert isinstance(encoded, Encoded)
    assert json.loads(encoded.body)["thinking"]["budget_tokens"] == 2_048


@pytest.mark.parametrize("body", [b"", b"{}", b'{"model":"m","messages":[]}', b'{"model":"m"}'])
def test_a_question_without_a_prompt_is_a_bad_request(body: bytes) -> None:
    fault = decode_count_request(body)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request


def test_an_answer_is_one_number() -> None:
    assert MessageTokensCount.model_validate_json(encode_count(7)).input_tokens == 7
    assert read_count(encode_count(7)) == 7
    assert read_count(b'{"input_tokens": 12, "context_management": {"original_input_tokens": 40}}') == 12


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"input_tokens":"x"}', b'{"input_tokens":-1}', b'{"input_tokens":null}'])
def test_an_answer_without_a_number_is_a_fault(body: bytes) -> None:
    fault = read_count(body)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.upstream_server


def test_an_error_with_a_good_status_is_that_error() -> None:
    fault = read_count(b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}')
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.upstream_overloaded
