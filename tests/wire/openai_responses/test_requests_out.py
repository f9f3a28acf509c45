"""Requests to a Responses upstream: what it can say it says, what it cannot is named or refused. OpenAI's own schema admits them all."""

import json
from typing import Any

import pytest
from tests.pairs.judges import openai_schema

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
    Refusal,
    ResponseFormat,
    Sampling,
    Speaker,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.dialect import Encoded
from setpoint.wire.openai_responses import custom_tools
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES
from setpoint.wire.openai_responses.model_facts import MAX_OUTPUT_TOKENS_MIN
from setpoint.wire.openai_responses.words import CALL_ID_CHARS_MAX

NAME = "openai_responses"
Json = dict[str, Any]
QUESTION = Message("user", (Text("x"),))


def encoded(request: ChatRequest, model: str = "gpt-4o", stream: bool = False) -> tuple[Json, tuple[str, ...]]:
    made = OPENAI_RESPONSES.encode_request(request, model, stream)
    assert isinstance(made, Encoded), made
    if openai_schema.DOCUMENT.is_file():
        openai_schema.judge_response(made.body, stream)
    return json.loads(made.body), made.losses


def asked(*messages: Message, **more: Any) -> ChatRequest:
    return ChatRequest("m", messages or (QUESTION,), **more)


def items(role: Speaker, *parts: Part, model: str = "gpt-4o") -> tuple[list[Json], tuple[str, ...]]:
    body, losses = encoded(asked(Message(role, parts), QUESTION), model)
    return body["input"][:-1], losses


def test_a_plain_request_keeps_nothing_at_the_provider() -> None:
    assert encoded(asked(system=(Text("be brief"),))) == (
        {"model": "gpt-4o", "instructions": "be brief", "input": [{"role": "user", "content": "x"}], "store": False},
        (),
    )
    assert encoded(asked(), stream=True)[0]["stream"] is True


def test_further_instructions_stand_ahead_of_the_turns() -> None:
    body, _ = encoded(asked(system=(Text("a"), Text("b"), Text("c"))))
    assert body["instructions"] == "a"
    assert body["input"][0] == {"role": "system", "content": [{"type": "input_text", "text": text} for text in "bc"]}


def test_cache_marks_are_said_where_the_model_knows_them_and_named_elsewhere() -> None:
    marked = asked(system=(Text("a", CacheMark("1h")),))
    body, losses = encoded(marked, "gpt-5.6")
    assert body["input"][0]["content"] == [{"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}]
    assert losses == ("cache_control.ttl",)
    body, losses = encoded(marked, "gpt-4o")
    assert body["input"][0]["content"] == [{"type": "input_text", "text": "a"}]
    assert losses == ("cache_control",)


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (Image(url="https://x.test/i"), {"type": "input_image", "image_url": "https://x.test/i", "detail": "auto"}),
        (
            Image(data="QQ==", media_type="image/gif", detail="low"),
            {"type": "input_image", "image_url": "data:image/gif;base64,QQ==", "detail": "low"},
        ),
        (Image(file_id="file-1"), {"type": "input_image", "file_id": "file-1", "detail": "auto"}),
        (
            Document("a.pdf", "QQ==", "application/pdf"),
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
        ),
        (Document(url="https://x.test/a.pdf"), {"type": "input_file", "file_url": "https://x.test/a.pdf"}),
        (Document(file_id="file-2"), {"type": "input_file", "file_id": "file-2"}),
    ],
)
def test_images_and_files_are_said_in_messages_and_in_results(part: Image | Document, written: Json) -> None:
    assert items("user", Text("t"), part) == ([{"role": "user", "content": [{"type": "input_text", "text": "t"}, written]}], ())
    output = {"type": "function_call_output", "call_id": "c", "output": [written]}
    assert items("tool", ToolResult("c", (part,))) == ([output], ())


def test_a_document_of_plain_text_becomes_a_text() -> None:
    written, losses = items("user", Text("t"), Document("notes", text="body"))
    assert written[0]["content"][1] == {"type": "input_text", "text": "notes\n\nbody"}
    assert losses == ("document (plain text became a text part)",)


def test_a_turn_of_the_assistant_is_its_items_in_order() -> None:
    citation = Citation("https://x.test", "X", start=0, end=1)
    written, losses = items("assistant", Text("a"), ToolCall("c", "f", ""), Text("b", citations=(citation,)), Refusal("no"))
    assert losses == ()
    assert written[:2] == [
        {"role": "assistant", "content": "a"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    assert written[2]["content"][0]["annotations"][0]["url"] == "https://x.test"
    assert written[3]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_only_its_own_proofs_of_thinking_go_back() -> None:
    own = Thinking("hm", f"{NAME}:rs_1:gAAA")
    item = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA", "id": "rs_1"}
    assert items("assistant", own, Text("a"), model="gpt-5")[0][0] == item
    for other in (Thinking("hm", "anthropic:A"), Thinking("", redacted="anthropic:B"), Thinking("hm")):
        assert items("assistant", other, Text("a")) == ([{"role": "assistant", "content": "a"}], ("thinking (of earlier turns)",))


def test_open_models_get_their_thinking_back_as_it_is() -> None:
    written, losses = items("assistant", Thinking("hm"), Text("a"), model="deepseek-v4-flash")
    assert written[0]["content"] == [{"type": "reasoning_text", "text": "hm"}]
    assert losses == ()


def test_custom_calls_and_their_results_are_custom_again() -> None:
    call = ToolCall("c", "patch", custom_tools.arguments_of("*** Begin"))
    body, losses = encoded(asked(QUESTION, Message("assistant", (call,)), Message("tool", (ToolResult("c", (Text("ok"),)),))))
    assert body["input"][1:] == [
        {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": "*** Begin"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"},
    ]
    assert losses == ()


def test_ids_too_long_for_this_api_are_shortened_alike_on_both_sides() -> None:
    for length in (CALL_ID_CHARS_MAX, CALL_ID_CHARS_MAX + 1):
        given = "c" * length
        body, _ = encoded(asked(QUESTION, Message("assistant", (ToolCall(given, "f", "{}"),)), Message("tool", (ToolResult(given, ()),))))
        call, result = body["input"][1:]
        assert call["call_id"] == result["call_id"]
        assert len(call["call_id"]) == CALL_ID_CHARS_MAX
        assert (call["call_id"] == given) is (length == CALL_ID_CHARS_MAX)


def test_items_of_its_own_dialect_are_said_again_and_others_named_or_refused() -> None:
    search = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}}
    assert items("assistant", Foreign("web_search_call", NAME, json.dumps(search).encode())) == ([search], ())
    assert items("assistant", Text("a"), Foreign("server_tool_use", "anthropic", b"{}"))[1] == ("server_tool_use",)
    fault = OPENAI_RESPONSES.encode_request(asked(Message("user", (Foreign("video"),))), "gpt-4o", False)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.unsupported


def test_tools_are_strict_only_where_asked_and_where_the_schema_is_closed() -> None:
    closed = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
    opened = b'{"type":"object","properties":{"a":{"type":"string"}}}'
    body, losses = encoded(asked(tools=(Tool("f", "d", closed, True), Tool("g", None, opened), Tool("h"), Tool("i", None, opened, True))))
    assert [tool["strict"] for tool in body["tools"]] == [True, False, False, False]
    assert body["tools"][0] == {"type": "function", "name": "f", "description": "d", "parameters": json.loads(closed), "strict": True}
    assert body["tools"][2]["parameters"] == {"type": "object", "properties": {}}
    assert losses == ("tools.strict (the schema leaves something open)",)


def test_tools_of_its_own_dialect_are_said_again_and_others_named() -> None:
    own = Tool("", foreign="web_search", dialect=NAME, raw=b'{"type":"web_search"}')
    other = Tool("s", foreign="web_search_20250305", dialect="anthropic", raw=b"{}")
    body, losses = encoded(asked(tools=(own, other)))
    assert body["tools"] == [{"type": "web_search"}]
    assert losses == ("tool web_search_20250305 (runs at its own provider only)",)


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("named", "f"), {"type": "function", "name": "f"}),
        (ToolChoice("named", "p"), {"type": "custom", "name": "p"}),
    ],
)
def test_choices_of_tools(choice: ToolChoice, written: object) -> None:
    custom = Tool("p", None, custom_tools.SCHEMA, dialect=NAME, raw=b'{"type":"custom","name":"p"}')
    body, _ = encoded(asked(tools=(Tool("f"), custom), tool_choice=choice, parallel_tool_calls=False))
    assert (body["tool_choice"], body["parallel_tool_calls"]) == (written, False)


def test_forms_of_the_answer() -> None:
    closed, opened = b'{"type":"object","properties":{},"additionalProperties":false}', b'{"type":"object"}'
    for schema, strict, written in ((closed, None, True), (opened, None, False), (opened, True, True), (closed, False, False)):
        body, _ = encoded(asked(response_format=ResponseFormat("json_schema", schema, strict=strict), verbosity="low"))
        form = {"type": "json_schema", "name": "answer", "schema": json.loads(schema), "strict": written}
        assert body["text"] == {"format": form, "verbosity": "low"}
    assert encoded(asked(response_format=ResponseFormat("json_object")))[0]["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("model", "given", "written", "losses"),
    [
        ("gpt-5", Reasoning("enabled", "high", show=True), {"effort": "high", "summary": "auto"}, ()),
        ("gpt-5", Reasoning("enabled", budget_tokens=1_024), {"effort": "low"}, ()),
        ("gpt-5", Reasoning("enabled", budget_tokens=8_192), {"effort": "medium"}, ()),
        ("gpt-5", Reasoning("enabled", budget_tokens=8_193), {"effort": "high"}, ()),
        ("gpt-5", Reasoning("enabled", "max"), {"effort": "xhigh"}, ()),
        ("gpt-5.6", Reasoning("enabled", "max"), {"effort": "max"}, ()),
        ("gpt-5", Reasoning("adaptive"), None, ()),
        ("gpt-5", Reasoning("disabled"), None, ("reasoning (this model always thinks)",)),
        ("gpt-5.2", Reasoning("disabled"), {"effort": "none"}, ()),
        ("gpt-4o", Reasoning("disabled"), None, ()),
        ("gpt-4o", Reasoning("enabled", "low"), None, ("reasoning",)),
    ],
)
def test_reasoning(model: str, given: Reasoning, written: object, losses: tuple[str, ...]) -> None:
    body, lost = encoded(asked(reasoning=given), model)
    assert (body.get("reasoning"), lost) == (written, losses)


@pytest.mark.parametrize(
    ("model", "signs"),
    [
        ("gpt-5", True),
        ("openai/o3", True),
        ("openai.gpt-5.6-luna", True),
        ("grok-4", True),
        ("gpt-4o", False),
        ("gpt-5-chat-latest", False),
    ],
)
def test_proofs_of_thinking_are_asked_for_where_the_model_gives_them(model: str, signs: bool) -> None:
    assert encoded(asked(), model)[0].get("include") == (["reasoning.encrypted_content"] if signs else None)


def test_log_probs_are_asked_for_where_the_model_gives_them() -> None:
    body, losses = encoded(asked(logprobs=True, top_logprobs=2), "gpt-4o")
    assert (body["include"], body["top_logprobs"], losses) == (["message.output_text.logprobs"], 2, ())
    body, losses = encoded(asked(logprobs=True, top_logprobs=2), "gpt-5")
    assert ("top_logprobs" in body, losses) == (False, ("logprobs",))


def test_what_the_api_cannot_say_is_named() -> None:
    sampling = Sampling(0.5, 0.5, 5, 0.1, 0.1, 7)
    turns = (QUESTION, Message("user", (Text("y"),), "ann"), Message("tool", (ToolResult("c", (), True),)))
    body, losses = encoded(asked(*turns, sampling=sampling, stop=("end",), service_tier="batch", extras={"odd": b"1"}))
    assert (body["temperature"], body["top_p"]) == (0.5, 0.5)
    assert set(losses) == {
        "top_k",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "stop",
        "messages.name",
        "tool_result.is_error",
        "service_tier",
        "odd",
    }
    body, losses = encoded(asked(sampling=Sampling(0.5, 1)), "gpt-5")
    assert ("temperature" in body, losses) == (False, ("temperature",))
    assert encoded(asked(QUESTION, Message("assistant", (Text("a"),))))[1][0].startswith("prefill")


@pytest.mark.parametrize("request_", [asked(n=2), asked(Message("user", (Audio("QQ==", "wav"),)))])
def test_what_would_change_the_question_is_refused(request_: ChatRequest) -> None:
    fault = OPENAI_RESPONSES.encode_request(request_, "gpt-4o", False)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.unsupported


def test_nothing_to_say_is_a_bad_request() -> None:
    fault = OPENAI_RESPONSES.encode_request(ChatRequest("m", (Message("assistant", ()),)), "gpt-4o", False)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request


@pytest.mark.parametrize("most", [MAX_OUTPUT_TOKENS_MIN - 1, MAX_OUTPUT_TOKENS_MIN, MAX_OUTPUT_TOKENS_MIN + 1])
def test_the_least_answer_is_sixteen_tokens(most: int) -> None:
    body, losses = encoded(asked(max_tokens=most))
    assert body["max_output_tokens"] == max(most, MAX_OUTPUT_TOKENS_MIN)
    assert bool(losses) is (most < MAX_OUTPUT_TOKENS_MIN)


def test_members_that_both_of_openais_chat_apis_have_are_carried() -> None:
    extras = {"metadata": b'{"a":"b"}', "prompt_cache_key": b'"k"', "safety_identifier": b'"s"'}
    body, losses = encoded(asked(user="u", service_tier="standard_only", extras=extras))
    assert (body["metadata"], body["prompt_cache_key"], body["safety_identifier"]) == ({"a": "b"}, "k", "s")
    assert (body["user"], body["service_tier"], losses) == ("u", "default", ())
    assert encoded(asked(extras={"metadata": b'{"a":1}'}))[1] == ("metadata",)


@pytest.mark.parametrize("schema", [b"{", b"\xff"])
def test_a_schema_that_is_no_json_is_a_bad_request(schema: bytes) -> None:
    fault = OPENAI_RESPONSES.encode_request(asked(response_format=ResponseFormat("json_schema", schema)), "gpt-4o", False)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request
