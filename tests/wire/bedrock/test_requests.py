"""Requests of Converse: read, and written for many models. What is written is judged by botocore's own model of the API."""

import json
from base64 import b64encode
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.bedrock.oracle import problems

from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatRequest,
    Citation,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Reasoning,
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
from setpoint.wire.bedrock_converse.dialect import BEDROCK_CONVERSE
from setpoint.wire.bedrock_converse.words import ANSWER_TOOL, CALL_ID_CHARS_MAX, DOCUMENT_NAME_CHARS_MAX, TOOL_NAME_CHARS_MAX
from setpoint.wire.dialect import Encoded

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE_46 = "us.anthropic.claude-opus-4-6-v1"
OLD_CLAUDE = "anthropic.claude-3-5-sonnet-20241022-v2:0"
NOVA = "us.amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
ALL = (
    CLAUDE,
    CLAUDE_46,
    OLD_CLAUDE,
    NOVA,
    NOVA_2,
    LLAMA,
    GPT_OSS,
    "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/x",
)

SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
WEATHER = Tool("get_weather", "Weather", SCHEMA)
PIXEL = b64encode(b"png").decode()


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def ask(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages or (user("Hi"),), **more)


def written(request: ChatRequest, model: str = CLAUDE) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = BEDROCK_CONVERSE.encode_request(request, model, stream=True)
    assert isinstance(encoded, Encoded), encoded
    assert problems(encoded.body, model) == []
    body: dict[str, Any] = json.loads(encoded.body)
    return body, encoded.losses


def refused(request: ChatRequest, model: str = CLAUDE) -> Fault:
    fault = BEDROCK_CONVERSE.encode_request(request, model, stream=False)
    assert isinstance(fault, Fault)
    return fault


def read(body: Any) -> ChatRequest:
    request = BEDROCK_CONVERSE.decode_request(json.dumps(body).encode())
    assert isinstance(request, ChatRequest), request
    return request


def content(*blocks: Any) -> tuple[Part, ...]:
    return read({"messages": [{"role": "user", "content": list(blocks)}]}).messages[0].parts


# ------------------------------------------------------------------------------------------------------------------ reading


def test_blocks_become_parts() -> None:
    pdf, png = b64encode(b"%PDF").decode(), PIXEL
    assert content(
        {"text": "a"},
        {"image": {"format": "jpeg", "source": {"bytes": png}}},
        {"document": {"format": "pdf", "name": "Doc", "source": {"bytes": pdf}}},
        {"document": {"format": "md", "name": "Notes", "source": {"bytes": b64encode("é".encode()).decode()}}},
        {"document": {"name": "Plain", "source": {"text": "b"}}},
        {"document": {"name": "Parts", "format": "txt", "source": {"content": [{"text": "c"}, {"text": "d"}]}}},
        {"audio": {"format": "mp3", "source": {"bytes": png}}},
    ) == (
        Text("a"),
        Image(data=png, media_type="image/jpeg"),
        Document("Doc", pdf, "application/pdf"),
        Document("Notes", media_type="text/markdown", text="é"),
        Document("Plain", media_type="text/plain", text="b"),
        Document("Parts", media_type="text/plain", text="c\n\nd"),
        Audio(png, "mp3"),
    )


def test_a_file_said_to_be_text_that_is_none_stays_bytes() -> None:
    data = b64encode(b"\xff\xfe").decode()
    assert content({"document": {"format": "csv", "name": "x", "source": {"bytes": data}}}) == (Document("x", data, "text/csv"),)


def test_blocks_without_a_noun_stay_as_they_came_and_go_out_again() -> None:
    blocks: list[dict[str, Any]] = [
        {"video": {"format": "mp4", "source": {"s3Location": {"uri": "s3://bucket/key"}}}},
        {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://bucket/key"}}}},
        {"searchResult": {"source": "s", "title": "t", "content": [{"text": "c"}]}},
    ]
    parts = content(*blocks)
    assert [part.kind for part in parts if isinstance(part, Foreign)] == ["video", "image", "searchResult"]
    body, losses = written(ask(user(*parts)))
    assert body["messages"][0]["content"] == blocks
    assert losses == ()


def test_results_come_ahead_of_what_else_the_user_says() -> None:
    request = read(
        {
            "messages": [
                {"role": "user", "content": [{"text": "Hi"}]},
                {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "f", "input": {"a": 1.0}}}]},
                {
                    "role": "user",
                    "content": [
                        {"text": "And?"},
                        {"toolResult": {"toolUseId": "1", "content": [{"json": {"b": 2}}, {"text": "c"}], "status": "error"}},
                    ],
                },
            ]
        }
    )
    assert request.messages[1:] == (
        Message("assistant", (ToolCall("1", "f", '{"a": 1.0}'),)),
        Message("tool", (ToolResult("1", (Text('{"b": 2}'), Text("c")), is_error=True),)),
        Message("user", (Text("And?"),)),
    )


def test_cache_points_mark_what_is_before_them() -> None:
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    mark = CacheMark("1h")
    request = read(
        {
            "system": [{"text": "s"}, point],
            "messages": [
                {"role": "user", "content": [{"text": "a"}, point, {"text": "b"}]},
                {"role": "assistant", "content": [point, {"text": "c"}]},
            ],
            "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}, point]},
        }
    )
    assert request.system == (Text("s", mark),)
    assert [part for message in request.messages for part in message.parts] == [Text("a", mark), Text("b", mark), Text("c")]
    assert request.tools[0].cache == mark
    assert request.extras == {}
    body, losses = written(request)
    assert body["system"][1] == body["toolConfig"]["tools"][1] == body["messages"][0]["content"][1] == point
    assert losses == ()


def test_a_cache_point_that_marks_nothing_is_told() -> None:
    request = read({"messages": [{"role": "user", "content": [{"cachePoint": {"type": "default"}}, {"text": "a"}]}]})
    assert request.extras == {"messages.cachePoint": b"true"}


def test_what_the_models_own_fields_say_is_understood() -> None:
    def more(**fields: Any) -> ChatRequest:
        return read({"messages": [{"role": "user", "content": [{"text": "a"}]}], "additionalModelRequestFields": fields})

    assert more(thinking={"type": "enabled", "budget_tokens": 2000}).reasoning == Reasoning("enabled", budget_tokens=2000)
    assert more(thinking={"type": "adaptive", "display": "omitted"}, output_config={"effort": "high"}).reasoning == Reasoning(
        "adaptive", "high", show=False
    )
    assert more(thinking={"type": "disabled"}).reasoning == Reasoning("disabled")
    assert more(reasoningConfig={"type": "enabled", "maxReasoningEffort": "low"}).reasoning == Reasoning("enabled", "low")
    assert more(reasoning_effort="high").reasoning == more(reasoning_config="high").reasoning == Reasoning("enabled", "high")
    assert more(top_k=5).sampling.top_k == more(inferenceConfig={"topK": 5}).sampling.top_k == 5
    assert more(tool_choice={"type": "auto", "disable_parallel_tool_use": True}).parallel_tool_calls is False
    kept = more(top_k="odd", anthropic_beta=["x"], thinking=3)
    assert json.loads(kept.extras["additionalModelRequestFields"]) == {"top_k": "odd", "anthropic_beta": ["x"], "thinking": 3}


def test_the_rest_of_a_request_is_read() -> None:
    request = read(
        {
            "messages": [{"role": "user", "content": [{"text": "a"}]}],
            "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
            "toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}], "toolChoice": {"tool": {"name": "f"}}},
            "outputConfig": {
                "effort": "low",
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": SCHEMA.decode(), "name": "n", "description": "d"}},
                },
            },
            "serviceTier": {"type": "flex"},
            "requestMetadata": {"user_id": "u", "team": "t"},
            "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
            "performanceConfig": {"latency": "optimized"},
        }
    )
    assert (request.max_tokens, request.sampling, request.stop) == (5, Sampling(0.5, 0.9), ("x",))
    assert request.tools[0].foreign == "nova_grounding"
    assert request.tool_choice == ToolChoice("named", "f")
    assert request.response_format == ResponseFormat("json_schema", SCHEMA, "n", "d")
    assert (request.reasoning, request.service_tier, request.user) == (Reasoning("adaptive", "low"), "flex", "u")
    assert set(request.extras) == {"requestMetadata", "guardrailConfig", "performanceConfig"}
    body, losses = written(request, NOVA_2)
    assert losses == ("response_format json_schema (asked for in the system prompt)",)
    assert body["requestMetadata"] == {"user_id": "u", "team": "t"}
    assert body["guardrailConfig"] == {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    assert body["toolConfig"]["tools"] == [{"systemTool": {"name": "nova_grounding"}}]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"messages":null}',
        b'{"messages":[]}',
        b"[]",
        b"{",
        b'{"messages":[{"role":"robot","content":[]}]}',
        b'{"messages":[{"role":"user","content":[{"text":5}]}]}',
        b'{"messages":[{"role":"user","content":[{"text":"a"}]}],"outputConfig":{"textFormat":{"structure":{"jsonSchema":{"schema":"{"}}}}}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused(body: bytes) -> None:
    fault = BEDROCK_CONVERSE.decode_request(body)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request


def test_nulls_are_absent() -> None:
    names = (
        "system",
        "inferenceConfig",
        "toolConfig",
        "outputConfig",
        "serviceTier",
        "requestMetadata",
        "additionalModelRequestFields",
        "x",
    )
    request = read({"messages": [{"role": "user", "content": [{"text": "a", "image": None}]}], **dict.fromkeys(names)})
    assert request == ChatRequest("", (user("a"),), include_usage=True)


# ------------------------------------------------------------------------------------------------------------------ writing


def test_turns_alternate_and_the_user_begins() -> None:
    body, losses = written(ask(user("a"), user("b"), Message("assistant", (Text("c"), Text(" "))), Message("assistant", (Text("d "),))))
    assert body["messages"] == [
        {"role": "user", "content": [{"text": "a"}, {"text": "b"}]},
        {"role": "assistant", "content": [{"text": "c"}, {"text": "d"}]},
    ]
    assert losses == ()
    body, losses = written(ask(Message("assistant", (Text("c"),)), user("a")), NOVA)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert losses == ("messages (a user turn was put first)",)


def test_instructions_alone_are_a_request_and_nothing_is_none() -> None:
    assert written(ask(user(" "), system=(Text("s"),)))[0]["system"] == [{"text": "s"}]
    assert refused(ask(user(" "))).kind is FaultKind.bad_request


def test_instructions_between_turns_go_to_the_system_prompt() -> None:
    body, losses = written(ask(user("a"), Message("system", (Text("t"),)), system=(Text("s", CacheMark()), Text(""))))
    assert body["system"] == [{"text": "s"}, {"cachePoint": {"type": "default"}}, {"text": "t"}]
    assert losses == ("messages.role system (moved to the system prompt)",)


def test_a_mark_of_a_text_left_out_goes_to_the_part_before() -> None:
    body, _ = written(ask(user("a", Text("\n", CacheMark()), "b")))
    assert body["messages"][0]["content"] == [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]


def test_marks_are_named_where_the_model_keeps_no_prompts() -> None:
    request = ask(user(Text("a", CacheMark("1h"))), tools=(Tool("f", cache=CacheMark()),))
    assert written(request, LLAMA)[1] == ("cache_control",)
    body, losses = written(request, NOVA)
    assert "cachePoint" in body["messages"][0]["content"][1]
    assert losses == ("cache_control.ttl", "cache_control")
    assert written(request, CLAUDE)[1] == ()


def test_results_of_parallel_calls_share_a_turn_and_keep_their_ids() -> None:
    long = "call_" + "x" * 80
    calls = (
        ToolCall("functions.f:0", "get_weather", '{"a":1}'),
        ToolCall(long, "get_weather", "broken"),
        ToolCall("a|b", "get_weather", ""),
    )
    results = Message(
        "tool", (ToolResult("functions.f:0", (Text("1"),)), ToolResult(long, (), is_error=True), ToolResult("a|b", (Text("c"),)))
    )
    body, losses = written(ask(user("a"), Message("assistant", calls), results, user("go on"), tools=(WEATHER,)))
    uses = [block["toolUse"] for block in body["messages"][1]["content"]]
    found = [block["toolResult"] for block in body["messages"][2]["content"] if "toolResult" in block]
    assert [use["toolUseId"] for use in uses] == [result["toolUseId"] for result in found]
    assert (uses[0]["toolUseId"], uses[2]["toolUseId"]) == ("functions.f:0", "a_b")
    assert len(uses[1]["toolUseId"]) == CALL_ID_CHARS_MAX
    assert [use["input"] for use in uses] == [{"a": 1}, {"INVALID_JSON": "broken"}, {}]
    assert found[1] == {"toolUseId": uses[1]["toolUseId"], "content": [{"text": "(empty)"}], "status": "error"}
    assert body["messages"][2]["content"][3] == {"text": "go on"}
    assert losses == ("tool results (an empty one is said in words)",)


def test_tools_of_a_history_without_tools_are_declared() -> None:
    history = (user("a"), Message("assistant", (ToolCall("1", "odd.name", "{}"),)), Message("tool", (ToolResult("1", (Text("b"),)),)))
    body, losses = written(ask(*history))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["odd_name"]
    assert losses == ("tools (declared from the calls in the history)",)
    assert "tool_choice none (the model may still call)" in written(ask(*history, tools=(WEATHER,), tool_choice=ToolChoice("none")))[1]


def test_choices_of_tools() -> None:
    def choice(mode: Any, model: str = CLAUDE, **more: Any) -> Any:
        body, losses = written(
            ask(tools=(WEATHER,), tool_choice=ToolChoice(mode, "get_weather" if mode == "named" else None), **more), model
        )
        return body.get("toolConfig", {}).get("toolChoice"), losses, body.get("additionalModelRequestFields")

    assert choice("auto") == ({"auto": {}}, (), None)
    assert choice("auto", LLAMA) == (None, (), None)
    assert choice("required") == ({"any": {}}, (), None)
    assert choice("named") == ({"tool": {"name": "get_weather"}}, (), None)
    assert choice("none") == (None, ("tools (left out, as tool_choice is none)",), None)
    single = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    assert choice("auto", parallel_tool_calls=False) == (None, (), single)
    assert choice("required", parallel_tool_calls=False) == ({"any": {}}, ("parallel_tool_calls",), None)
    assert choice("auto", NOVA, parallel_tool_calls=False) == ({"auto": {}}, ("parallel_tool_calls",), None)


def test_tools_are_declared_as_bedrock_wants_them() -> None:
    tools = (Tool("a"), Tool("b", "", b'{"properties":{}}', strict=True), Tool("web", foreign="web_search"))
    body, losses = written(ask(tools=tools))
    assert body["toolConfig"]["tools"] == [
        {"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        {"toolSpec": {"name": "b", "inputSchema": {"json": {"type": "object", "properties": {}}}, "strict": True}},
    ]
    assert losses == ("tool web_search (runs at its own provider only)",)
    assert "tools.strict" in written(ask(tools=tools), OLD_CLAUDE)[1]


def test_a_tool_that_cannot_be_named_is_refused() -> None:
    assert written(ask(tools=(Tool("x" * TOOL_NAME_CHARS_MAX),)))[1] == ()
    for name in ("x" * (TOOL_NAME_CHARS_MAX + 1), "a.b", ""):
        assert refused(ask(tools=(Tool(name),))).kind is FaultKind.unsupported


def test_images_and_documents_come_as_bytes() -> None:
    body, losses = written(
        ask(
            user(
                Image(data=PIXEL, media_type="image/jpg"),
                Document("my_report v2.pdf", PIXEL, "application/pdf"),
                Document("my report v2", PIXEL),
                Document(None, text="é", media_type="text/markdown"),
                Document("x" * 300 + "a", text="b"),
            )
        )
    )
    blocks = body["messages"][0]["content"]
    assert blocks[0] == {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}}
    assert blocks[1] == {"text": "(see the document)"}
    documents = [block["document"] for block in blocks[2:]]
    assert [document["name"] for document in documents] == ["my report v2", "my report v2 2", "Document", "x" * DOCUMENT_NAME_CHARS_MAX]
    assert [document["format"] for document in documents] == ["pdf", "pdf", "md", "txt"]
    assert documents[2]["source"] == {"bytes": b64encode("é".encode()).decode()}
    assert losses == ("names of documents (changed to what this provider allows)", "messages (a text was put beside a document)")


@pytest.mark.parametrize(
    "part",
    [
        Image(url="https://x/y.png"),
        Image(file_id="f"),
        Image(data=PIXEL, media_type="image/bmp"),
        Document(url="https://x"),
        Document(file_id="f"),
        Document("x", PIXEL, "video/mp4"),
        Audio(PIXEL, "wav"),
        Foreign("video_url"),
        Foreign("video", "gemini", b"{}"),
    ],
)
def test_what_would_change_the_question_is_refused(part: Part) -> None:
    assert refused(ask(user("a", part))).kind is FaultKind.unsupported


def test_a_model_that_hears_gets_audio() -> None:
    body, _ = written(ask(user("a", Audio(PIXEL, "wav"))), "amazon.nova-2-omni-v1:0")
    assert body["messages"][0]["content"][1] == {"audio": {"format": "wav", "source": {"bytes": PIXEL}}}


def test_more_than_one_answer_is_refused() -> None:
    assert refused(ask(n=2)).kind is FaultKind.unsupported


def test_thinking_goes_back_only_to_whom_it_is_from() -> None:
    def back(part: Part, model: str = CLAUDE) -> Any:
        body, losses = written(ask(user("a"), Message("assistant", (part, Text("b"))), user("c")), model)
        return body["messages"][1]["content"][:-1], losses

    assert back(Thinking("t", "anthropic:sig")) == ([{"reasoningContent": {"reasoningText": {"text": "t", "signature": "sig"}}}], ())
    redacted = {"reasoningContent": {"redactedContent": b64encode(b"EqAB").decode()}}
    assert back(Thinking("", redacted="anthropic:EqAB")) == ([redacted], ())
    assert back(Thinking("t", "gemini:sig")) == ([], ("reasoning_content (of earlier turns, signed by another provider)",))
    assert back(Thinking("t")) == ([], ("reasoning_content (of earlier turns, without a signature)",))
    assert back(Thinking("t"), "us.deepseek.r1-v1:0") == ([{"reasoningContent": {"reasoningText": {"text": "t"}}}], ())


def test_thinking_comes_in_marked() -> None:
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": b64encode(b"EqAB").decode()}},
        {"reasoningContent": {"redactedContent": b64encode(b"\xff\x00").decode()}},
    ]
    request = read({"messages": [{"role": "user", "content": [{"text": "a"}]}, {"role": "assistant", "content": blocks}]})
    parts = request.messages[1].parts
    assert parts[:2] == (Thinking("t", "anthropic:sig"), Thinking("", redacted="anthropic:EqAB"))
    assert written(request)[0]["messages"][1]["content"] == blocks


def test_thinking_is_asked_for_in_each_models_words() -> None:
    def asked(model: str, reasoning: Reasoning, **more: Any) -> Any:
        body, losses = written(ask(reasoning=reasoning, **more), model)
        return body.get("additionalModelRequestFields"), body.get("inferenceConfig"), losses

    assert asked(CLAUDE, Reasoning(effort="low")) == ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, None, ())
    assert asked(CLAUDE_46, Reasoning(effort="minimal", show=True)) == (
        {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        None,
        (),
    )
    assert asked(CLAUDE_46, Reasoning(budget_tokens=3000), max_tokens=2000)[0] == {"thinking": {"type": "enabled", "budget_tokens": 1500}}
    assert asked(CLAUDE, Reasoning(budget_tokens=3000), max_tokens=1024)[2] == ("reasoning (max_tokens leaves no room to think)",)
    assert asked(CLAUDE, Reasoning("disabled"))[0] == {"thinking": {"type": "disabled"}}
    assert asked(NOVA_2, Reasoning(effort="minimal"))[0] == {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}
    assert asked(NOVA_2, Reasoning(budget_tokens=20_000), max_tokens=9, sampling=Sampling(0.5, 0.5, 5)) == (
        {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
        None,
        (
            "temperature (the high effort excludes it)",
            "top_p (the high effort excludes it)",
            "top_k (the high effort excludes it)",
            "max_tokens (the high effort excludes it)",
        ),
    )
    assert asked(GPT_OSS, Reasoning(effort="xhigh"))[0] == {"reasoning_effort": "high"}
    assert asked("qwen.qwen3-32b-v1:0", Reasoning(effort="high"))[0] == {"reasoning_config": "high"}
    assert asked(LLAMA, Reasoning(effort="high"))[2] == ("reasoning (this model has no setting for it)",)


def test_a_claude_that_thinks_takes_no_sampling_and_no_forced_call() -> None:
    body, losses = written(ask(reasoning=Reasoning(budget_tokens=2000), sampling=Sampling(0.3, None, 4)))
    assert "inferenceConfig" not in body
    assert losses == ("temperature (thinking excludes it)", "top_k (thinking excludes it)")
    assert written(ask(reasoning=Reasoning(budget_tokens=2000), sampling=Sampling(1.0)))[1] == ()
    body, losses = written(ask(reasoning=Reasoning(), tools=(WEATHER,), tool_choice=ToolChoice("required")))
    assert "additionalModelRequestFields" not in body
    assert losses == ("reasoning (a forced tool call excludes thinking)",)
    history = (user("a"), Message("assistant", (ToolCall("1", "get_weather", "{}"),)), Message("tool", (ToolResult("1", (Text("b"),)),)))
    lost = "reasoning (the last tool calls came back without their thinking_blocks)"
    assert written(ask(*history, reasoning=Reasoning(), tools=(WEATHER,)))[1] == (lost,)
    for signature, kept in (("anthropic:s", True), ("gemini:s", False)):
        turn = Message("assistant", (Thinking("t", signature), *history[1].parts))
        losses = written(ask(history[0], turn, history[2], reasoning=Reasoning(), tools=(WEATHER,)))[1]
        assert (lost not in losses) is kept


def test_signatures_of_texts_and_calls_are_named() -> None:
    parts = (Text("a", signature="gemini:s"), ToolCall("1", "get_weather", "{}", signature="gemini:s"))
    _, losses = written(ask(user("q"), Message("assistant", parts), Message("tool", (ToolResult("1", (Text("b"),)),)), tools=(WEATHER,)))
    assert losses == ("thinking.signature (of another provider)",)


def test_sampling_is_said_where_it_can_be() -> None:
    sampling = Sampling(1.5, 0.9, 7, 0.1, 0.2, 3)
    body, losses = written(ask(sampling=sampling, max_tokens=5, stop=("x", "")))
    assert body["inferenceConfig"] == {"maxTokens": 5, "temperature": 1.0, "stopSequences": ["x"]}
    assert body["additionalModelRequestFields"] == {"top_k": 7}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence", "/delta/stop_sequence"]
    assert losses == ("frequency_penalty", "presence_penalty", "seed", "temperature (lowered to 1)", "top_p (temperature is set)")
    body, losses = written(ask(sampling=sampling), NOVA)
    assert body["inferenceConfig"] == {"temperature": 1.0, "topP": 0.9}
    assert body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 7}}
    assert written(ask(sampling=Sampling(top_k=7)), LLAMA)[1] == ("top_k",)


def test_the_paths_of_stop_sequences_are_added_and_not_read_back() -> None:
    body, _ = written(ask(stop=("x",)))
    assert read(body).extras == {}
    assert "additionalModelResponseFieldPaths" not in written(ask(stop=("x",)), NOVA)[0]


def test_structured_output_is_native_where_the_model_takes_it() -> None:
    loose = b'{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}'
    body, losses = written(ask(response_format=ResponseFormat("json_schema", loose, "n", "d")))
    given_schema = body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (given_schema["name"], given_schema["description"]) == ("n", "d")
    assert json.loads(given_schema["schema"])["additionalProperties"] is False
    assert losses == ("response_format (additionalProperties minimum changed in the schema)",)


def test_structured_output_is_a_forced_tool_where_it_is_not_native() -> None:
    wanted = ResponseFormat("json_schema", SCHEMA, "n")
    for model in (OLD_CLAUDE, NOVA):
        body, losses = written(ask(response_format=wanted), model)
        assert body["toolConfig"]["tools"][0]["toolSpec"]["inputSchema"]["json"] == json.loads(SCHEMA)
        assert body["toolConfig"]["toolChoice"] == {"tool": {"name": ANSWER_TOOL}}
        assert losses == ("response_format json_schema (as the arguments of a forced tool)",)
    assert written(ask(response_format=wanted), "mistral.mistral-large-2407-v1:0")[0]["toolConfig"]["toolChoice"] == {"any": {}}
    body, _ = written(ask(response_format=wanted, tools=(WEATHER,)), NOVA)
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["get_weather", ANSWER_TOOL]
    assert body["toolConfig"]["toolChoice"] == {"any": {}}


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (LLAMA, {}),
        (NOVA, {"tools": (WEATHER,), "tool_choice": ToolChoice("named", "get_weather")}),
        (OLD_CLAUDE.replace("3-5", "3-7"), {"reasoning": Reasoning(budget_tokens=2000)}),
    ],
)
def test_structured_output_is_asked_for_in_words_where_a_call_cannot_be_forced(model: str, more: dict[str, Any]) -> None:
    body, losses = written(ask(response_format=ResponseFormat("json_schema", SCHEMA), **more), model)
    assert SCHEMA.decode() in body["system"][-1]["text"]
    assert "response_format json_schema (asked for in the system prompt)" in losses


def test_an_array_for_an_answer_is_asked_for_in_words_and_any_object_too() -> None:
    assert "system" in written(ask(response_format=ResponseFormat("json_schema", b'{"type":"array"}')), NOVA)[0]
    assert written(ask(response_format=ResponseFormat("json_object")))[1] == (
        "response_format json_object (asked for in the system prompt)",
    )


def test_tiers_users_and_members_of_converse_are_carried_and_the_rest_is_named() -> None:
    extras = {"guardrailConfig": b'{"guardrailIdentifier":"g","guardrailVersion":"1"}', "performanceConfig": b"1", "store": b"true"}
    body, losses = written(ask(service_tier="flex", user="u-1", extras=extras, logprobs=True, verbosity="low"))
    assert body["serviceTier"] == {"type": "flex"}
    assert body["requestMetadata"] == {"user_id": "u-1"}
    assert body["guardrailConfig"]["guardrailIdentifier"] == "g"
    assert losses == ("logprobs", "verbosity", "performanceConfig", "store")
    assert written(ask(service_tier="scale", user="ü"))[1] == ("service_tier", "user")
    assert written(ask(service_tier="auto"))[1] == ()


def test_citations_of_earlier_turns_go_back() -> None:
    raw = b'{"title":"t","location":{"documentChar":{"documentIndex":0,"start":1,"end":2}}}'
    parts = (
        Text("a", citations=(Citation(dialect="bedrock_converse", raw=raw),)),
        Text("b", citations=(Citation("https://x", "t", "q", dialect="anthropic", raw=b"{}"),)),
    )
    body, _ = written(ask(user("q"), Message("assistant", parts), user("r")))
    assert body["messages"][1]["content"] == [
        {"citationsContent": {"content": [{"text": "a"}], "citations": [json.loads(raw)]}},
        {
            "citationsContent": {
                "content": [{"text": "b"}],
                "citations": [{"title": "t", "sourceContent": [{"text": "q"}], "location": {"web": {"url": "https://x"}}}],
            }
        },
    ]


NAME = st.text("ab-_", min_size=1, max_size=8)
MARK = st.none() | st.builds(CacheMark, st.sampled_from([None, "5m", "1h"]))
TEXT = st.builds(Text, st.text(max_size=6), MARK)
PARTS: st.SearchStrategy[Part] = st.one_of(
    TEXT,
    st.builds(Image, data=st.just(PIXEL), media_type=st.sampled_from(["image/png", "image/webp"]), cache=MARK),
    st.builds(Document, st.none() | st.text(max_size=12), media_type=st.none(), text=st.text(max_size=5), cache=MARK),
    st.builds(Thinking, st.text(max_size=3), st.sampled_from(["", "anthropic:x", "gemini:y"]), st.sampled_from(["", "anthropic:zz"])),
)
CALL = st.builds(ToolCall, st.text(max_size=90), st.text(max_size=70), st.sampled_from(["", "{}", '{"a":[1]}', "[", '"x"']), MARK)
MESSAGES = st.one_of(
    st.builds(Message, st.just("user"), st.lists(PARTS, max_size=3).map(tuple)),
    st.builds(Message, st.just("assistant"), st.lists(PARTS | CALL, max_size=3).map(tuple)),
    st.builds(
        Message,
        st.just("tool"),
        st.lists(st.builds(ToolResult, st.text(max_size=90), st.lists(TEXT, max_size=2).map(tuple)), max_size=2).map(tuple),
    ),
    st.builds(Message, st.just("system"), st.lists(TEXT, max_size=2).map(tuple)),
)
REQUESTS = st.builds(
    ChatRequest,
    st.just("m"),
    st.lists(MESSAGES, max_size=5).map(tuple),
    system=st.lists(TEXT, max_size=2).map(tuple),
    tools=st.lists(st.builds(Tool, NAME, st.none() | st.text(max_size=3), st.sampled_from([None, SCHEMA, b"{}"])), max_size=2).map(tuple),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(["auto", "none", "required"])),
    parallel_tool_calls=st.sampled_from([None, True, False]),
    sampling=st.builds(Sampling, st.none() | st.floats(0, 2), st.none() | st.floats(0, 1), st.none() | st.integers(1, 9)),
    max_tokens=st.none() | st.integers(1, 9_000),
    stop=st.lists(st.text(max_size=3), max_size=2).map(tuple),
    response_format=st.none() | st.builds(ResponseFormat, st.sampled_from(["json_object", "json_schema"]), st.just(SCHEMA)),
    reasoning=st.none()
    | st.builds(Reasoning, st.just("enabled"), st.sampled_from([None, "low", "high"]), st.none() | st.integers(1024, 9_000)),
)


@given(REQUESTS, st.sampled_from(ALL))
def test_whatever_is_asked_is_valid_for_botocore_or_refused(request: ChatRequest, model: str) -> None:
    encoded = BEDROCK_CONVERSE.encode_request(request, model, stream=False)
    if isinstance(encoded, Fault):
        assert encoded.kind in {FaultKind.bad_request, FaultKind.unsupported}
        return
    assert problems(encoded.body, "anthropic.claude") == []
    roles = [message["role"] for message in json.loads(encoded.body)["messages"]]
    assert all(a != b for a, b in pairwise(roles))
    assert isinstance(BEDROCK_CONVERSE.decode_request(encoded.body), ChatRequest)


@given(st.data())
def test_mutated_requests_are_read_or_refused(data: st.DataObject) -> None:
    whole = {
        "messages": [
            {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "1", "content": [{"json": {}}]}}, {"document": {"source": {"text": "a"}}}],
            }
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "a", "inputSchema": {"json": {}}}}], "toolChoice": {"any": {}}},
        "additionalModelRequestFields": {"thinking": {"type": "enabled"}},
    }
    body = bytearray(json.dumps(whole).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.sampled_from(b'{}[]",:0anul\xff'))
    request = BEDROCK_CONVERSE.decode_request(bytes(body))
    if isinstance(request, ChatRequest):
        for model in (CLAUDE, LLAMA):
            assert isinstance(BEDROCK_CONVERSE.encode_request(request, model, stream=False), Encoded | Fault)
