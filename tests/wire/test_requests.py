"""Requests: what one dialect writes it reads back, and the other dialect says the same or says what it cannot."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.domain.capabilities import STANDARD
from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.anthropic.answer_tool import ANSWER_TOOL
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.anthropic.model_facts import BUDGET_BY_EFFORT, DEFAULT_MAX_TOKENS, takes_adaptive_thinking, takes_output_format
from setpoint.wire.closed_schema import closed
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_chat.model_facts import is_openai_reasoning, takes_reasoning_effort

BOTH: list[Dialect] = [OPENAI_CHAT, ANTHROPIC]

WORDS = st.text(min_size=1, max_size=20).map(lambda text: f"a{text}z")
TEXTS = st.builds(Text, WORDS)
IDS = st.from_regex(r"[a-z]{1,4}_[A-Za-z0-9]{1,8}", fullmatch=True)
OBJECTS = st.dictionaries(st.text(max_size=5), st.integers(-9, 9) | st.text(max_size=5) | st.none(), max_size=3).map(
    lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)
)
IMAGES = st.builds(lambda data: Image(data=data, media_type="image/png"), st.just("iVBORw0KGgo=")) | st.builds(
    lambda path: Image(url=f"https://x.test/{path}"), st.sampled_from(["a.png", "b"])
)
PDFS = st.builds(lambda name: Document(name, "JVBERi0=", "application/pdf"), WORDS)
CALLS = st.builds(ToolCall, IDS, IDS, OBJECTS)
SCHEMAS = st.sampled_from(
    [b'{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}', b'{"type":"object","properties":{}}']
)
TOOLS = st.builds(Tool, IDS, st.none() | WORDS, SCHEMAS)
CHOICES = st.sampled_from([None, ToolChoice("auto"), ToolChoice("none"), ToolChoice("required"), ToolChoice("named", "f_1")])


@st.composite
def turns(draw: st.DrawFn, user_parts: st.SearchStrategy[Part], thinking: bool) -> tuple[Message, ...]:
    """A canonical conversation that ends with the user or a tool."""
    made: list[Message] = []
    for _ in range(draw(st.integers(0, 3))):
        made.append(Message("user", tuple(draw(st.lists(user_parts, min_size=1, max_size=3)))))
        parts: list[Part] = [Thinking(draw(WORDS), "anthropic:" + draw(IDS))] if thinking and draw(st.booleans()) else []
        calls = draw(st.lists(CALLS, max_size=3, unique_by=lambda call: call.id))
        if not calls or draw(st.booleans()):
            parts.append(draw(TEXTS))
        made.append(Message("assistant", (*parts, *calls)))
        if calls:
            results = tuple(ToolResult(call.id, tuple(draw(st.lists(TEXTS, max_size=2)))) for call in calls)
            made.append(Message("tool", results))
    if not made or made[-1].role == "assistant" or draw(st.booleans()):
        made.append(Message("user", tuple(draw(st.lists(user_parts, min_size=1, max_size=3)))))
    return tuple(made)


def requests(messages: st.SearchStrategy[tuple[Message, ...]], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[ChatRequest]:
    def build(tools: list[Tool], choice: ToolChoice | None, parallel: bool | None, stream: bool, **given: Any) -> ChatRequest:
        if not tools:
            choice = parallel = None
        elif choice is not None and choice.mode == "none":
            parallel = None
        elif choice is None and parallel is not None:
            choice = ToolChoice("auto")
        declared = {part.name for m in given["messages"] for part in m.parts if isinstance(part, ToolCall)}
        if declared and not tools:
            tools, choice = [Tool("f_1", schema=b'{"type":"object"}')], ToolChoice("auto")
        return ChatRequest(
            "m", tools=tuple(tools), tool_choice=choice, parallel_tool_calls=parallel, stream=stream, include_usage=stream, **given
        )

    shared: dict[str, st.SearchStrategy[Any]] = {
        "messages": messages,
        "system": st.lists(TEXTS, max_size=2).map(tuple),
        "max_tokens": st.integers(2_000, 9_000),
        "stop": st.lists(WORDS, max_size=3).map(tuple),
        "user": st.none() | WORDS,
        "sampling": st.builds(Sampling, st.none() | st.floats(0, 1), st.none()),
    }
    return st.builds(build, st.lists(TOOLS, max_size=2), CHOICES, st.none() | st.booleans(), st.booleans(), **(shared | more))


SHARED_REQUESTS = requests(turns(TEXTS | IMAGES | PDFS, thinking=False))
OPENAI_REQUESTS = requests(
    turns(TEXTS | IMAGES | PDFS | st.builds(Audio, st.just("AAAA"), st.just("wav")), thinking=False),
    sampling=st.builds(
        Sampling,
        st.none() | st.floats(0, 2),
        st.none() | st.floats(0, 1),
        st.none(),
        st.none() | st.floats(-2, 2),
        seed=st.none() | st.integers(0, 9),
    ),
    reasoning=st.sampled_from([None, Reasoning("enabled", "high")]),
    response_format=st.sampled_from([None, ResponseFormat("json_object"), ResponseFormat("json_schema", b"{}", "x", "d", True)]),
    logprobs=st.booleans(),
    n=st.integers(1, 3),
    service_tier=st.sampled_from([None, "flex"]),
)
ANTHROPIC_REQUESTS = requests(
    turns(
        TEXTS | IMAGES | PDFS | st.builds(lambda t: Document("t", text=t), WORDS) | st.builds(Text, WORDS, st.just(CacheMark("1h"))),
        thinking=True,
    ),
    sampling=st.builds(Sampling, st.none() | st.floats(0, 1), st.none(), st.none() | st.integers(1, 9)),
    service_tier=st.sampled_from([None, "auto", "standard_only"]),
)


def said(dialect: Dialect, request: ChatRequest, model: str = "m") -> Encoded:
    encoded = dialect.encode_request(request, model, request.stream)
    assert isinstance(encoded, Encoded), encoded
    return encoded


def read(dialect: Dialect, body: bytes) -> ChatRequest:
    request = dialect.decode_request(body)
    assert isinstance(request, ChatRequest), request
    return request


@given(OPENAI_REQUESTS)
@settings(max_examples=60)
def test_openai_reads_what_it_writes(request: ChatRequest) -> None:
    encoded = said(OPENAI_CHAT, request)
    assert read(OPENAI_CHAT, encoded.body) == request
    assert encoded.losses == ()


@given(ANTHROPIC_REQUESTS)
@settings(max_examples=60)
def test_anthropic_reads_what_it_writes(request: ChatRequest) -> None:
    encoded = said(ANTHROPIC, request)
    assert read(ANTHROPIC, encoded.body) == request
    assert encoded.losses == ()


@given(SHARED_REQUESTS)
@settings(max_examples=60)
def test_what_both_can_say_survives_the_way_there_and_back(request: ChatRequest) -> None:
    there = said(ANTHROPIC, request)
    back = said(OPENAI_CHAT, read(ANTHROPIC, there.body))
    assert read(OPENAI_CHAT, back.body) == request
    assert there.losses == back.losses == ()


@given(st.data())
def test_no_damage_to_a_body_breaks_a_decoder(data: st.DataObject) -> None:
    for dialect, request in ((OPENAI_CHAT, FULL_OPENAI), (ANTHROPIC, FULL_ANTHROPIC)):
        body = bytearray(json.dumps(request).encode())
        for _ in range(data.draw(st.integers(1, 4))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        got = dialect.decode_request(bytes(body))
        if isinstance(got, ChatRequest):
            for other in BOTH:
                assert isinstance(other.encode_request(got, "m", True), Encoded | Fault)


FULL_OPENAI: dict[str, Any] = {
    "model": "gpt-x",
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}},
                {"id": "c2", "type": "function", "function": {"name": "look", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "functions.look:0", "content": "a cat"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "a dog"}]},
        {"role": "user", "content": "Which?"},
    ],
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "Look.", "parameters": {"properties": {"x": {"type": "integer"}}}}}
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "parallel_tool_calls": False,
    "temperature": 1.5,
    "stop": "END",
    "seed": 7,
    "logit_bias": {"1": 2},
    "user": "u1",
}
FULL_ANTHROPIC: dict[str, Any] = {
    "model": "claude-x",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": "What is it?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}},
                {"type": "tool_use", "id": "t2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "a cat"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "blurred"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                    ],
                },
                {"type": "text", "text": "Which?"},
            ],
        },
    ],
    "tools": [{"name": "look", "input_schema": {"type": "object"}}, {"type": "web_search_20250305", "name": "web_search"}],
    "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 4000},
    "top_k": 5,
    "stop_sequences": ["1", "2", "3", "4", "5"],
    "metadata": {"user_id": "u1"},
    "stream": True,
}


def test_an_openai_request_as_anthropic_gets_it() -> None:
    encoded = said(ANTHROPIC, read(OPENAI_CHAT, json.dumps(FULL_OPENAI).encode()))
    assert json.loads(encoded.body) == {
        "model": "m",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "system": "Be brief.",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "functions_look_0", "name": "look", "input": {"x": 1}},
                    {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "functions_look_0", "content": "a cat"},
                    {"type": "tool_result", "tool_use_id": "c2", "content": "a dog"},
                    {"type": "text", "text": "Which?"},
                ],
            },
        ],
        "tools": [{"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {"x": {"type": "integer"}}}}],
        "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        "temperature": 1.0,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u1"},
    }
    assert encoded.losses == (
        f"max_tokens (set to {DEFAULT_MAX_TOKENS})",
        "image_url.detail",
        "seed",
        "temperature (lowered to 1)",
        "logit_bias",
    )


def test_an_anthropic_request_as_openai_gets_it() -> None:
    encoded = said(OPENAI_CHAT, read(ANTHROPIC, json.dumps(FULL_ANTHROPIC).encode()))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert json.loads(encoded.body) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is it?"},
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}},
                    {"id": "t2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "t1", "content": "a cat"},
            {"role": "tool", "tool_call_id": "t2", "content": "blurred"},
            {"role": "user", "content": [{"type": "text", "text": "Files of the result of t2:"}, image]},
            {"role": "user", "content": "Which?"},
        ],
        "max_tokens": 100,
        "stop": ["1", "2", "3", "4"],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning_effort": "medium",
        "user": "u1",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert encoded.losses == (
        "cache_control",
        "thinking (of earlier turns)",
        "tool_result.is_error",
        "tool_result (files moved to a user message)",
        f"stop (only the first {STANDARD.stops_max})",
        "top_k",
        "tool web_search_20250305 (runs at its own provider only)",
    )


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages or (Message("user", (Text("hi"),)),), **more)


def anthropic_body(request: ChatRequest, model: str = "claude-sonnet-4-5") -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = said(ANTHROPIC, request, model)
    body: dict[str, Any] = json.loads(encoded.body)
    return body, encoded.losses


def openai_body(request: ChatRequest, model: str = "gpt-4o") -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = said(OPENAI_CHAT, request, model)
    body: dict[str, Any] = json.loads(encoded.body)
    return body, encoded.losses


@pytest.mark.parametrize(
    ("dialect", "request_", "param"),
    [
        (ANTHROPIC, ask(n=2), "n"),
        (ANTHROPIC, ask(Message("user", (Audio("AAAA", "wav"),))), "messages.content.input_audio"),
        (ANTHROPIC, ask(Message("user", (Document("x", "AAAA", "text/csv"),))), "messages.content.file"),
        (ANTHROPIC, ask(Message("user", (Text("see"), Foreign("video_url")))), "messages.content"),
        (OPENAI_CHAT, ask(Message("user", (Document(url="https://x.test/a.pdf"),))), "messages.content.source"),
        (OPENAI_CHAT, ask(Message("user", (Image(file_id="f"),))), "messages.content.source"),
        (OPENAI_CHAT, ask(Message("user", (Foreign("container_upload"),))), "messages.content"),
    ],
)
def test_what_would_change_the_question_is_refused_and_may_be_tried_elsewhere(dialect: Dialect, request_: ChatRequest, param: str) -> None:
    fault = dialect.encode_request(request_, "m", False)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.param, fault.retry) == (FaultKind.unsupported, param, "elsewhere")


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        (OPENAI_CHAT, {"messages": []}, "model"),
        (OPENAI_CHAT, {"model": "m", "messages": []}, "messages"),
        (OPENAI_CHAT, {"model": 1, "messages": []}, "model"),
        (OPENAI_CHAT, {"model": "m", "messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        (OPENAI_CHAT, {"model": "m", "messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        (
            OPENAI_CHAT,
            {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        (OPENAI_CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": "maybe"}, "tool_choice"),
        (
            OPENAI_CHAT,
            {"model": "m", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "xml"}},
            "response_format",
        ),
        (ANTHROPIC, {"model": "m", "messages": [{"role": "user", "content": "x"}]}, "max_tokens"),
        (ANTHROPIC, {"model": "m", "max_tokens": 1, "messages": []}, "messages"),
        (ANTHROPIC, {"model": "m", "max_tokens": 1, "messages": [{"role": "king", "content": "x"}]}, "messages[0].role"),
        (
            ANTHROPIC,
            {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": [{"type": "tool_use"}]}]},
            "messages[0].content[0].id",
        ),
        (
            ANTHROPIC,
            {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}], "tool_choice": {"type": "x"}},
            "tool_choice.type",
        ),
    ],
)
def test_a_bad_request_names_the_member(dialect: Dialect, body: dict[str, Any], param: str) -> None:
    fault = dialect.decode_request(json.dumps(body).encode())
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.param) == (FaultKind.bad_request, param)
    assert param in fault.message


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff\xfe", b'"x"', b"null"])
@pytest.mark.parametrize("dialect", BOTH)
def test_a_body_that_is_no_json_object_is_a_bad_request(dialect: Dialect, body: bytes) -> None:
    fault = dialect.decode_request(body)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request


def test_names_of_unknown_members_cannot_smuggle_header_lines() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "a\r\nset-cookie: b": 1, "good_name": 2}
    losses = said(ANTHROPIC, read(OPENAI_CHAT, json.dumps(body).encode())).losses
    assert losses[1:] == ("(a member with an odd name)", "good_name")


def test_turns_of_one_role_are_merged_and_the_first_is_the_users() -> None:
    request = ask(Message("assistant", (Text("Hello"),)), Message("user", (Text("a"),)), Message("user", (Text("b"),)))
    body, losses = anthropic_body(request)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert body["messages"][2]["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert "messages (a user turn was put first)" in losses


def test_empty_texts_are_left_out_and_a_prefill_loses_its_last_blanks() -> None:
    request = ask(Message("user", (Text(""), Text("a"))), Message("assistant", (Text("   "),)), Message("assistant", (Text("{ \n"),)))
    body, _ = anthropic_body(request)
    assert body["messages"] == [{"role": "user", "content": "a"}, {"role": "assistant", "content": "{"}]
    assert any("prefill" in loss for loss in openai_body(request)[1])


def test_instructions_between_turns_reach_anthropic_with_the_system_prompt() -> None:
    request = ask(Message("user", (Text("a"),)), Message("system", (Text("later"),)), system=(Text("first"),))
    body, losses = anthropic_body(request)
    assert [block["text"] for block in body["system"]] == ["first", "later"]
    assert "messages.role system (moved to the system prompt)" in losses


def test_a_history_with_calls_declares_its_tools() -> None:
    request = ask(
        Message("user", (Text("a"),)),
        Message("assistant", (ToolCall("c1", "f", "{}"),)),
        Message("tool", (ToolResult("c1", (Text("r"),)),)),
    )
    body, _ = anthropic_body(request)
    assert body["tools"][0]["name"] == "f"
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("arguments", "given"), [("", {}), (" ", {}), ('{"a":1}', {"a": 1}), ("[1]", {"INVALID_JSON": "[1]"}), ('{"a', {"INVALID_JSON": '{"a'})]
)
def test_arguments_that_are_no_object_travel_inside_one(arguments: str, given: dict[str, Any]) -> None:
    body, _ = anthropic_body(ask(Message("user", (Text("a"),)), Message("assistant", (ToolCall("c", "f", arguments),))))
    assert body["messages"][1]["content"][0]["input"] == given


def test_effort_becomes_a_budget_below_max_tokens_and_takes_the_temperature_with_it() -> None:
    request = ask(max_tokens=4_000, reasoning=Reasoning("enabled", "high"), sampling=Sampling(0.5))
    body, losses = anthropic_body(request)
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 3_000}
    assert "temperature" not in body
    assert losses == ("temperature (thinking excludes it)",)


def test_effort_without_max_tokens_leaves_room_for_the_answer() -> None:
    body, _ = anthropic_body(ask(reasoning=Reasoning("enabled", "low")))
    assert body["thinking"]["budget_tokens"] == BUDGET_BY_EFFORT["low"]
    assert body["max_tokens"] == BUDGET_BY_EFFORT["low"] + DEFAULT_MAX_TOKENS


def test_current_models_choose_their_own_thinking() -> None:
    body, losses = anthropic_body(ask(max_tokens=100, reasoning=Reasoning("enabled", "minimal")), "claude-opus-4-7")
    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"] == {"effort": "low"}
    assert losses == ()


def test_thinking_gives_way_where_anthropic_would_refuse() -> None:
    forced = ask(max_tokens=9_000, reasoning=Reasoning("enabled", "low"), tools=(Tool("f"),), tool_choice=ToolChoice("required"))
    unsigned = ask(
        Message("user", (Text("a"),)),
        Message("assistant", (ToolCall("c", "f", "{}"),)),
        Message("tool", (ToolResult("c", (Text("r"),)),)),
        max_tokens=9_000,
        reasoning=Reasoning("enabled", "low"),
        tools=(Tool("f"),),
    )
    short = ask(max_tokens=500, reasoning=Reasoning("enabled", "low"))
    for request in (forced, unsigned, short):
        body, losses = anthropic_body(request)
        assert "thinking" not in body
        assert any(loss.startswith("reasoning (") for loss in losses)


def test_a_schema_is_held_by_the_provider_where_the_model_can() -> None:
    schema = b'{"type":"object","properties":{"n":{"type":"integer","minimum":1,"description":"Count."}},"required":["n"]}'
    request = ask(max_tokens=9, response_format=ResponseFormat("json_schema", schema, "x"))
    body, losses = anthropic_body(request)
    assert body["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"n": {"type": "integer", "description": "Count. {minimum: 1}"}},
            "required": ["n"],
            "additionalProperties": False,
        },
    }
    assert losses == ("response_format (additionalProperties minimum changed in the schema)",)
    old, losses = anthropic_body(request, "claude-3-haiku-20240307")
    assert "output_config" not in old
    assert old["tool_choice"] == {"type": "tool", "name": ANSWER_TOOL}
    assert old["tools"][0]["input_schema"]["properties"]["n"]["minimum"] == 1
    assert losses == ("response_format json_schema (asked for by a forced tool call)",)
    with_tools, losses = anthropic_body(ask(max_tokens=9, response_format=request.response_format, tools=(Tool("f"),)), "claude-3-haiku")
    assert '"minimum":1' in with_tools["system"]
    assert losses == ("response_format json_schema (asked for in the system prompt)",)


def test_a_schema_that_fits_is_not_touched() -> None:
    schema = b'{ "type":"object", "properties":{"minimum":{"type":"string","enum":["maximum"]}}, "additionalProperties":false }'
    raw, changed = closed(schema)
    assert bytes(raw) == schema
    assert changed == ()


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (b'{"type":"object","properties":{"a":{}},"required":["a"],"additionalProperties":false}', True),
        (b'{"type":"object","properties":{"a":{}},"additionalProperties":false}', False),
        (b'{"type":"object","properties":{},"required":[]}', False),
    ],
)
def test_an_anthropic_schema_is_strict_at_openai_when_it_may_be(schema: bytes, strict: bool) -> None:
    body, _ = openai_body(ask(response_format=ResponseFormat("json_schema", schema)))
    assert body["response_format"]["json_schema"]["strict"] is strict


def test_json_mode_is_asked_for_in_words() -> None:
    body, losses = anthropic_body(ask(max_tokens=9, response_format=ResponseFormat("json_object")))
    assert "JSON object" in body["system"]
    assert losses == ("response_format json_object (asked for in the system prompt)",)


def test_openai_reasoning_models_get_the_members_they_take() -> None:
    request = ask(max_tokens=9, stop=("x",), sampling=Sampling(0.5, 1.0), reasoning=Reasoning("enabled", budget_tokens=1_024))
    body, losses = openai_body(request, "o4-mini")
    assert (body["max_completion_tokens"], body["reasoning_effort"]) == (9, "low")
    assert not {"max_tokens", "stop", "temperature", "top_p"} & set(body)
    assert losses == ("stop", "temperature")
    classic, losses = openai_body(request, "gpt-4o")
    assert (classic["max_tokens"], classic["stop"], classic["temperature"]) == (9, ["x"], 0.5)
    assert losses == ("reasoning",)


def test_functions_of_2023_are_tools() -> None:
    request = read(
        OPENAI_CHAT,
        json.dumps(
            {
                "model": "m",
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
                    {"role": "function", "name": "f", "content": "r"},
                ],
                "functions": [{"name": "f"}],
                "function_call": {"name": "f"},
            }
        ).encode(),
    )
    assert request.tools == (Tool("f"),)
    assert request.tool_choice == ToolChoice("named", "f")
    assert request.messages[1:] == (
        Message("assistant", (ToolCall("call_f", "f", "{}"),)),
        Message("tool", (ToolResult("call_f", (Text("r"),)),)),
    )


def test_thinking_that_a_client_sends_back_keeps_its_proof() -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}],
    }
    request = read(OPENAI_CHAT, json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}, message]}).encode())
    assert request.messages[1].parts == (Thinking("t", "anthropic:s"), Thinking("", redacted="anthropic:d"), Text("a"))
    body, _ = anthropic_body(request)
    assert body["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
    ]


def test_a_refusal_of_an_earlier_turn_stays_readable() -> None:
    request = ask(Message("user", (Text("a"),)), Message("assistant", (Refusal("No."),)), Message("user", (Text("b"),)))
    assert anthropic_body(request)[0]["messages"][1] == {"role": "assistant", "content": "No."}
    assert openai_body(request)[0]["messages"][1] == {"role": "assistant", "content": None, "refusal": "No."}


@pytest.mark.parametrize(
    ("model", "schema", "adaptive"),
    [
        ("claude-3-5-haiku-20241022", False, False),
        ("claude-3-haiku-20240307", False, False),
        ("claude-sonnet-4-20250514", False, False),
        ("claude-opus-4-0", False, False),
        ("claude-opus-4-1-20250805", True, False),
        ("claude-sonnet-4-5", True, False),
        ("anthropic/claude-haiku-4-5-20251001", True, False),
        ("claude-opus-4-6", True, True),
        ("claude-sonnet-5", True, True),
        ("our-alias", True, True),
    ],
)
def test_facts_about_claude(model: str, schema: bool, adaptive: bool) -> None:
    assert (takes_output_format(model), takes_adaptive_thinking(model)) == (schema, adaptive)


@pytest.mark.parametrize(
    ("model", "reasoning", "effort"),
    [("gpt-4o", False, False), ("gpt-4.1-mini", False, False), ("openai/gpt-5.2", True, True), ("o1", True, True), ("o4-mini", True, True),
     ("gpt-5-chat-latest", False, True), ("deepseek-reasoner", False, True), ("gpt-3.5-turbo", False, False), ("llama-3", False, True)],
)  # fmt: skip
def test_facts_about_openai_models(model: str, reasoning: bool, effort: bool) -> None:
    assert (is_openai_reasoning(model), takes_reasoning_effort(model)) == (reasoning, effort)


@pytest.mark.parametrize("schema", [b'"text"', b"[]", b'{"type":"\xff"}'])
def test_a_schema_that_is_no_object_is_a_bad_request(schema: bytes) -> None:
    for request in (
        ask(max_tokens=9, tools=(Tool("f", schema=schema),)),
        ask(max_tokens=9, response_format=ResponseFormat("json_schema", schema)),
    ):
        for dialect in BOTH:
            got = dialect.encode_request(request, "m", False)
            assert isinstance(got, Encoded) or got.kind is FaultKind.bad_request


def test_another_dialects_member_of_the_same_name_is_named_as_lost() -> None:
    mine = ChatRequest("m", (Message("user", (Text("hi"),)),), extras={"context_management": b'{"edits":[]}'})
    encoded = ANTHROPIC.encode_request(mine, "claude-sonnet-4-5", False)
    assert isinstance(encoded, Encoded)
    assert json.loads(encoded.body)["context_management"] == {"edits": []}
    theirs = ChatRequest("m", (Message("user", (Text("hi"),)),), extras={"context_management": b'[{"type":"compaction"}]'})
    encoded = ANTHROPIC.encode_request(theirs, "claude-sonnet-4-5", False)
    assert isinstance(encoded, Encoded)
    assert "context_management" in encoded.losses
    assert "context_management" not in json.loads(encoded.body)
