"""A body that is said anew is UTF-8, or refused: what is carried raw in it would reach an upstream as it is."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from setpoint.domain.chat import ChatAnswer
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.anthropic.count_tokens import decode_count_request as count_for_anthropic
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.bedrock_converse.dialect import BEDROCK_CONVERSE
from setpoint.wire.cohere.dialect import COHERE
from setpoint.wire.cohere_embeddings.dialect import COHERE_EMBEDDINGS
from setpoint.wire.dialect import Dialect
from setpoint.wire.gemini.count_tokens import decode_count_request as count_for_gemini
from setpoint.wire.gemini.dialect import GEMINI
from setpoint.wire.gemini_embeddings.dialect import GEMINI_EMBEDDINGS, VERTEX_EMBEDDINGS
from setpoint.wire.ollama.dialect import OLLAMA
from setpoint.wire.ollama_embeddings.dialect import OLLAMA_EMBEDDINGS
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_completions.dialect import OPENAI_COMPLETIONS
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES

Json = dict[str, Any]
SCHEMA: Json = {"type": "object", "properties": {"a": {"type": "string", "description": "HERE"}}}
ASK: Json = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
CONTENTS: Json = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
DECLARED: Json = {**CONTENTS, "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}]}
CONVERSE: Json = {
    "messages": [{"role": "user", "content": [{"text": "x"}]}],
    "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}]},
}
UNKNOWN = {"a_new_member": "HERE"}

REQUESTS: dict[str, tuple[Callable[[bytes], object], Json]] = {
    "openai_chat": (OPENAI_CHAT.decode_request, {**ASK, "tools": [FUNCTION]}),
    "openai_responses": (
        OPENAI_RESPONSES.decode_request,
        {"model": "m", "input": "x", "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]},
    ),
    "openai_completions": (OPENAI_COMPLETIONS.decode_request, {"model": "m", "prompt": "x", **UNKNOWN}),
    "anthropic": (ANTHROPIC.decode_request, {**ASK, "max_tokens": 9, "tools": [{"name": "f", "input_schema": SCHEMA}]}),
    "anthropic count": (count_for_anthropic, {**ASK, "tools": [{"name": "f", "input_schema": SCHEMA}]}),
    "gemini": (GEMINI.decode_request, DECLARED),
    "gemini count": (count_for_gemini, {"generateContentRequest": DECLARED}),
    "bedrock_converse": (BEDROCK_CONVERSE.decode_request, CONVERSE),
    "cohere": (COHERE.decode_request, {**ASK, "tools": [FUNCTION]}),
    "ollama": (OLLAMA.decode_request, {**ASK, "tools": [FUNCTION]}),
    "openai_embeddings": (OPENAI_EMBEDDINGS.decode_request, {"model": "m", "input": "x", **UNKNOWN}),
    "cohere_embeddings": (COHERE_EMBEDDINGS.decode_request, {"model": "m", "texts": ["x"], "input_type": "search_query", **UNKNOWN}),
    "ollama_embeddings": (OLLAMA_EMBEDDINGS.decode_request, {"model": "m", "input": "x", **UNKNOWN}),
    "gemini_embeddings": (GEMINI_EMBEDDINGS.decode_request, {"content": {"parts": [{"text": "x"}]}, **UNKNOWN}),
    "vertex_embeddings": (VERTEX_EMBEDDINGS.decode_request, {"instances": [{"content": "x"}], "aNewMember": "HERE"}),
}


@pytest.mark.parametrize("bad", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"])
@pytest.mark.parametrize("name", list(REQUESTS))
def test_bytes_that_are_no_utf_8_are_refused_wherever_they_stand(name: str, bad: bytes) -> None:
    decode, body = REQUESTS[name]
    good = json.dumps(body).encode()
    assert not isinstance(decode(good.replace(b"HERE", "ü€😀".encode())), Fault)
    fault = decode(good.replace(b"HERE", bad))
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request
    assert "not valid UTF-8" in fault.message
    assert f"byte {good.index(b'HERE')}" in fault.message


ANSWERS: dict[str, tuple[Dialect, Json]] = {
    "openai_chat": (
        OPENAI_CHAT,
        {"choices": [{"message": {"content": "x", "executed_tools": [{"a": "HERE"}]}, "finish_reason": "stop"}]},
    ),
    "openai_responses": (OPENAI_RESPONSES, {"status": "completed", "output": [{"type": "new", "a": "HERE"}]}),
    "openai_completions": (OPENAI_COMPLETIONS, {"choices": [{"text": "x", "finish_reason": "stop"}], **UNKNOWN}),
    "anthropic": (ANTHROPIC, {"type": "message", "content": [{"type": "new", "a": "HERE"}]}),
    "gemini": (GEMINI, {"candidates": [{"content": {"parts": [{"new": "HERE"}]}, "finishReason": "STOP"}]}),
    "bedrock_converse": (BEDROCK_CONVERSE, {"output": {"message": {"content": [{"new": {"a": "HERE"}}]}}, "stopReason": "end_turn"}),
    "cohere": (COHERE, {"message": {"content": [{"type": "new", "a": "HERE"}]}, "finish_reason": "COMPLETE"}),
    "ollama": (OLLAMA, {"message": {"content": "x"}, "done": True, **UNKNOWN}),
}


STREAMS: dict[str, tuple[Dialect, Json]] = {
    "openai_chat": (OPENAI_CHAT, {"choices": [{"delta": {"executed_tools": [{"a": "HERE"}]}}]}),
    "openai_responses": (
        OPENAI_RESPONSES,
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "new", "a": "HERE"}},
    ),
    "anthropic": (
        ANTHROPIC,
        {"type": "content_block_start", "index": 0, "content_block": {"type": "new", "a": "HERE"}},
    ),
    "gemini": (GEMINI, {"candidates": [{"content": {"parts": [{"new": "HERE"}]}}]}),
    "cohere": (COHERE, {"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "new", "a": "HERE"}}}}),
}


@pytest.mark.parametrize("name", list(ANSWERS))
def test_what_is_carried_out_of_an_answer_is_said_as_utf_8(name: str) -> None:
    """No client could read it otherwise; every provider writes UTF-8, so a byte that is none is damage."""
    dialect, body = ANSWERS[name]
    answer = dialect.decode_answer(json.dumps(body).encode().replace(b"HERE", b"\xff"))
    assert isinstance(answer, ChatAnswer)
    said = dialect.encode_answer(answer, "m", 1).decode()
    assert ("HERE" in json.dumps(body) and "\ufffd" in said) or UNKNOWN.items() <= body.items()


@pytest.mark.parametrize("name", list(STREAMS))
def test_what_is_carried_out_of_a_stream_is_said_as_utf_8(name: str) -> None:
    dialect, data = STREAMS[name]
    decoder = dialect.stream_decoder()
    events = decoder.feed(b"data: " + json.dumps(data).encode().replace(b"HERE", b"\xff") + b"\n\n")
    if name == "anthropic":
        events += decoder.feed(b'data: {"type":"content_block_stop","index":0}\n\n')
    renderer = dialect.stream_renderer("m", 1, include_usage=True)
    assert "\ufffd" in b"".join(map(renderer.render, events)).decode()
