"""The oracles can fail: each vendor's schema refuses requests that are wrong in one thing, each SDK notices answers that are."""

import json
from typing import Any

import pytest
from tests.pairs.judges.openai_schema import DOCUMENT
from tests.pairs.judges.walking import RefusedError
from tests.pairs.registry import SURFACES, differences
from tests.pairs.said import Said

Json = dict[str, Any]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
DATA = "aGVsbG8="

GOOD: dict[str, Json] = {
    "openai_chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "http://x.test/a.png"}}],
            },
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        "tool_choice": "auto",
        "max_tokens": 5,
    },
    "openai_responses": {
        "model": "m",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "r"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": SCHEMA, "strict": False}],
        "max_output_tokens": 16,
    },
    "openai_completions": {"model": "m", "prompt": "x", "max_tokens": 5, "stop": ["a"]},
    "anthropic": {
        "model": "m",
        "max_tokens": 5,
        "messages": [
            {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": DATA}}]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"city": "x"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
        ],
        "tools": [{"name": "f", "input_schema": SCHEMA}],
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "x"}, {"inlineData": {"mimeType": "image/png", "data": DATA}}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"city": "x"}}, "thoughtSignature": DATA}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "r"}}}]},
        ],
        "systemInstruction": {"role": "user", "parts": [{"text": "s"}]},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 1}},
    },
    "bedrock_converse": {
        "messages": [
            {"role": "user", "content": [{"text": "x"}, {"image": {"format": "png", "source": {"bytes": DATA}}}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c", "name": "f", "input": {"city": "x"}}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c", "content": [{"text": "r"}]}}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": SCHEMA}}}]},
        "inferenceConfig": {"maxTokens": 5},
    },
    "cohere": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "x"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        "tool_choice": "REQUIRED",
    },
    "ollama": {
        "model": "m",
        "stream": False,
        "messages": [
            {"role": "user", "content": "x", "images": [DATA]},
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"city": "x"}}}]},
            {"role": "tool", "content": "r", "tool_name": "f"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
        "options": {"num_predict": 5, "temperature": 0.5},
    },
}

BROKEN: list[tuple[str, tuple[Any, ...], Any]] = [
    ("openai_chat", ("messages", 0, "role"), "sistem"),
    ("openai_chat", ("messages", 1, "content", 0, "type"), "txt"),
    ("openai_chat", ("messages", 1, "content", 1, "image_url"), "http://x.test"),
    ("openai_chat", ("messages", 2, "tool_calls", 0, "function", "arguments"), {}),
    ("openai_chat", ("messages", 3, "tool_call_id"), None),
    ("openai_chat", ("max_tokens",), "5"),
    ("openai_chat", ("top_k",), 3),
    ("openai_chat", ("messages", 1, "content", 0, "cache_control"), {}),
    ("openai_responses", ("input", 0, "content", 0, "type"), "text"),
    ("openai_responses", ("input", 1, "call_id"), 7),
    ("openai_responses", ("input", 1, "type"), "tool_call"),
    ("openai_responses", ("tools", 0, "name"), None),
    ("openai_responses", ("max_output_tokens",), "many"),
    ("openai_completions", ("prompt",), {"text": "x"}),
    ("openai_completions", ("max_tokens",), "5"),
    ("anthropic", ("max_tokens",), None),
    ("anthropic", ("messages", 0, "role"), "tool"),
    ("anthropic", ("messages", 0, "content", 0, "source", "type"), "b64"),
    ("anthropic", ("messages", 1, "content", 0, "input"), "{}"),
    ("anthropic", ("messages", 2, "content", 0, "tool_use_id"), None),
    ("anthropic", ("messages", 2, "content", 0, "name"), "f"),
    ("anthropic", ("seed",), 1),
    ("anthropic", ("temperature",), 1.5),
    ("anthropic", ("top_k",), "3"),
    ("gemini", ("contents", 0, "role"), "assistant"),
    ("gemini", ("contents", 0, "parts"), []),
    ("gemini", ("contents", 0, "parts", 0, "type"), "text"),
    ("gemini", ("contents", 0, "parts", 0, "inlineData"), {"mimeType": "image/png", "data": DATA}),
    ("gemini", ("contents", 1, "parts", 0, "functionCall", "args"), "{}"),
    ("gemini", ("generationConfig", "maxTokens"), 5),
    ("gemini", ("toolConfig", "functionCallingConfig", "mode"), "MUST"),
    ("gemini", ("messages",), []),
    ("bedrock_converse", ("messages", 0, "role"), "tool"),
    ("bedrock_converse", ("messages", 0, "content", 0, "type"), "text"),
    ("bedrock_converse", ("messages", 0, "content", 1, "image", "format"), "tiff"),
    ("bedrock_converse", ("messages", 1, "content", 0, "toolUse", "toolUseId"), "a b"),
    ("bedrock_converse", ("messages", 1, "content", 0, "toolUse", "name"), "f" * 65),
    ("bedrock_converse", ("messages", 2, "content", 0, "toolResult", "content"), "r"),
    ("bedrock_converse", ("inferenceConfig", "maxTokens"), "5"),
    ("bedrock_converse", ("seed",), 1),
    ("cohere", ("messages", 0, "role"), "developer"),
    ("cohere", ("messages", 1, "content", 0, "type"), "input_text"),
    ("cohere", ("messages", 2, "tool_calls", 0, "function", "arguments"), {}),
    ("cohere", ("messages", 3, "tool_call_id"), None),
    ("cohere", ("tool_choice",), {"type": "auto"}),
    ("cohere", ("top_p",), 0.5),
    ("ollama", ("messages", 0, "role"), "developer"),
    ("ollama", ("messages", 0, "content"), [{"type": "text", "text": "x"}]),
    ("ollama", ("messages", 0, "images", 0), "data:image/png;base64,aGVsbG8"),
    ("ollama", ("messages", 1, "tool_calls", 0, "function", "arguments"), "{}"),
    ("ollama", ("options", "max_tokens"), 5),
    ("ollama", ("options", "num_predict"), "5"),
    ("ollama", ("temperature",), 0.5),
    ("ollama", ("stream",), None),
]


def broken(good: Json, path: tuple[Any, ...], value: Any) -> Json:
    """A copy with one member set, or taken away for None."""
    made: Json = json.loads(json.dumps(good))
    at: Any = made
    for step in path[:-1]:
        at = at[step]
    if value is None:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return made


def needs_the_document(name: str) -> None:
    if name.startswith("openai") and not DOCUMENT.exists():
        pytest.skip("no OpenAPI document at SETPOINT_SHARED: OpenAI's requests are not judged")


@pytest.mark.parametrize("name", list(SURFACES))
def test_a_good_request_is_admitted(name: str) -> None:
    needs_the_document(name)
    SURFACES[name].judge(json.dumps(GOOD[name]).encode(), False)


@pytest.mark.parametrize(("name", "path", "value"), BROKEN, ids=[f"{name}-{'.'.join(map(str, path))}" for name, path, _ in BROKEN])
def test_a_request_wrong_in_one_thing_is_refused(name: str, path: tuple[Any, ...], value: Any) -> None:
    needs_the_document(name)
    with pytest.raises(RefusedError):
        SURFACES[name].judge(json.dumps(broken(GOOD[name], path, value)).encode(), False)


@pytest.mark.parametrize("name", list(SURFACES))
@pytest.mark.parametrize(
    "other",
    [
        Said("abd", (("c", "f", {"x": 1}),), "tool_calls", 3, 4),
        Said("abc", (("d", "f", {"x": 1}),), "tool_calls", 3, 4),
        Said("abc", (("c", "g", {"x": 1}),), "tool_calls", 3, 4),
        Said("abc", (("c", "f", {"x": 2}),), "tool_calls", 3, 4),
        Said("abc", (), "tool_calls", 3, 4),
        Said("abc", (("c", "f", {"x": 1}),), "length", 3, 4),
        Said("abc", (("c", "f", {"x": 1}),), "tool_calls", 2, 4),
        Said("abc", (("c", "f", {"x": 1}),), "tool_calls", 3, None),
    ],
)
def test_a_difference_in_any_thing_is_seen(name: str, other: Said) -> None:
    told = Said("abc", (("c", "f", {"x": 1}),), "tool_calls", 3, 4)
    assert not differences(told, told, SURFACES[name])
    assert differences(told, other, SURFACES[name])


def test_a_made_up_id_must_be_there_and_its_own() -> None:
    told = Said("", (("", "f", {}), ("", "f", {})), "tool_calls")
    for ids, good in ((("a", "b"), True), (("a", "a"), False), (("a", ""), False)):
        read = Said("", tuple((call_id, "f", {}) for call_id in ids), "tool_calls")
        assert (not differences(told, read, SURFACES["anthropic"])) is good
