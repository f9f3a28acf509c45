"""Requests of Responses clients: each kind of item, tool and setting becomes its noun, or is named, or is refused with advice."""

import json
from typing import Any

import pytest

from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatRequest,
    Citation,
    Document,
    Foreign,
    Image,
    Message,
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
from setpoint.wire.openai_responses import custom_tools
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES
from setpoint.wire.openai_responses.thoughts import OF_LAST, OF_NEXT, REDACTED

NAME = "openai_responses"
Json = dict[str, Any]


def decoded(given: str | list[Json], **more: object) -> ChatRequest:
    request = OPENAI_RESPONSES.decode_request(json.dumps({"model": "m", "input": given, **more}).encode())
    assert isinstance(request, ChatRequest), request
    return request


def refused(body: Json) -> Fault:
    fault = OPENAI_RESPONSES.decode_request(json.dumps(body).encode())
    assert isinstance(fault, Fault), fault
    return fault


def turns(*items: Json) -> list[tuple[object, ...]]:
    return [(message.role, *message.parts) for message in decoded(list(items)).messages]


def raw(item: object) -> bytes:
    return json.dumps(item).encode()


def user(*parts: Json) -> Json:
    return {"type": "message", "role": "user", "content": list(parts)}


# ------------------------------------------------------------------------------------------------------------------ input


def test_a_text_is_one_turn_of_the_user() -> None:
    assert decoded("hello").messages == (Message("user", (Text("hello"),)),)


def test_instructions_and_leading_system_messages_are_instructions_in_order() -> None:
    items: list[Json] = [{"role": "developer", "content": "two"}, {"role": "system", "content": [{"type": "input_text", "text": "three"}]}]
    request = decoded([*items, {"role": "user", "content": "x"}, {"role": "system", "content": "later"}], instructions="one")
    assert [text.text for text in request.system] == ["one", "two", "three"]
    assert request.messages == (Message("user", (Text("x"),)), Message("system", (Text("later"),)))


def test_items_of_the_assistant_in_a_row_are_one_turn_and_so_are_results() -> None:
    assert turns(
        {"role": "user", "content": "x"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "c2", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}]},
        {"role": "assistant", "content": "done"},
    ) == [
        ("user", Text("x")),
        ("assistant", Text("a"), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "")),
        ("tool", ToolResult("c1", (Text("one"),)), ToolResult("c2", (Image(data="AA==", media_type="image/png"),))),
        ("assistant", Text("done")),
    ]


@pytest.mark.parametrize(
    ("part", "noun"),
    [
        ({"type": "input_text", "text": "t"}, Text("t")),
        ({"type": "input_text", "text": "t", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("t", CacheMark())),
        ({"type": "input_image", "image_url": "https://x.test/i.png", "detail": "auto"}, Image(url="https://x.test/i.png")),
        (
            {"type": "input_image", "image_url": "data:image/jpeg;base64,QQ==", "detail": "low"},
            Image(None, "QQ==", "image/jpeg", None, "low"),
        ),
        ({"type": "input_image", "file_id": "file-1"}, Image(file_id="file-1")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,QQ=="},
            Document("a.pdf", "QQ==", "application/pdf"),
        ),
        ({"type": "input_file", "file_url": "https://x.test/a.pdf"}, Document(url="https://x.test/a.pdf")),
        ({"type": "input_file", "file_id": "file-2"}, Document(file_id="file-2")),
        ({"type": "input_audio", "input_audio": {"data": "QQ==", "format": "mp3"}}, Audio("QQ==", "mp3")),
        ({"type": "input_video", "video": {}}, Foreign("input_video", NAME, raw({"type": "input_video", "video": {}}))),
    ],
)
def test_a_part_of_the_user_is_its_noun(part: Json, noun: object) -> None:
    assert turns(user(part)) == [("user", noun)]


def test_what_the_assistant_said_keeps_refusals_and_citations() -> None:
    annotation = {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 1, "end_index": 3}
    said = [{"type": "output_text", "text": "abc", "annotations": [annotation]}, {"type": "refusal", "refusal": "no"}]
    citation = Citation("https://x.test", "X", start=1, end=3, dialect=NAME, raw=raw(annotation))
    assert turns({"type": "message", "id": "m", "status": "completed", "role": "assistant", "content": said}) == [
        ("assistant", Text("abc", citations=(citation,)), Refusal("no"))
    ]


def test_reasoning_keeps_its_summary_and_the_id_its_proof_counts_with() -> None:
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    signed = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"}
    bare = {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"}
    openly = {"type": "reasoning", "id": "rs_2", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    empty = {"type": "reasoning", "id": "rs_3", "summary": []}
    assert turns(signed, bare, openly, empty) == [
        ("assistant", Thinking("one\n\ntwo", f"{NAME}:rs_1:gAAA"), Thinking("", f"{NAME}::gBBB"), Thinking("hm"))
    ]


def test_proofs_of_other_providers_find_their_parts_again() -> None:
    def proof(text: str) -> Json:
        return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": text}

    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    text = {"role": "assistant", "content": "t"}
    assert turns(proof(OF_NEXT + "gemini:A"), call, text, proof(OF_LAST + "gemini:B"), proof(REDACTED + "anthropic:C")) == [
        (
            "assistant",
            ToolCall("c", "f", "{}", signature="gemini:A"),
            Text("t", signature="gemini:B"),
            Thinking("", redacted="anthropic:C"),
        )
    ]
    assert turns(proof("anthropic:D"), text) == [("assistant", Thinking("", "anthropic:D"), Text("t"))]
    assert turns(proof(OF_NEXT + "gemini:A")) == [("assistant", Thinking("", "gemini:A"))]
    assert turns(proof(OF_LAST + "gemini:B")) == [("assistant", Text("", signature="gemini:B"))]


def test_traces_of_tools_of_the_provider_stay_whole() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
    assert turns(search) == [("assistant", Foreign("web_search_call", NAME, raw(search)))]


def test_what_only_its_provider_can_read_is_the_users_so_that_others_refuse_it() -> None:
    items: list[Json] = [
        {"type": "compaction", "encrypted_content": "g"},
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "x"}},
    ]
    assert [role for role, *_ in turns(*items)] == ["user", "user"]


def test_a_reference_to_an_item_is_refused_with_advice() -> None:
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        fault = refused({"model": "m", "input": [{"role": "user", "content": "x"}, item]})
        assert (fault.kind, fault.param) == (FaultKind.unsupported, "input[1]")
        assert "send the item itself" in fault.message


@pytest.mark.parametrize(
    ("member", "value", "advice"),
    [
        ("previous_response_id", "resp_1", "send the whole conversation in `input`"),
        ("conversation", {"id": "conv_1"}, "send the whole conversation in `input`"),
        ("prompt", {"id": "pmpt_1"}, "send its text"),
        ("background", True, "leave it out"),
    ],
)
def test_what_is_kept_at_the_provider_is_refused_with_advice(member: str, value: object, advice: str) -> None:
    fault = refused({"model": "m", "input": "x", member: value})
    assert (fault.kind, fault.param) == (FaultKind.unsupported, member)
    assert advice in fault.message
    assert "a route whose upstream speaks Responses" in fault.message
    assert decoded("x", **{member: None}).messages


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "robot", "content": "x"}, "input[0].role"),
        ({"role": "user", "content": 5}, "input[0]"),
        ({"role": "user", "content": [{"type": "input_text", "text": 5}]}, "input[0].text"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input[0].content[0]"),
        ({"role": "user", "content": [{"type": "input_file"}]}, "input[0].content[0]"),
        ({"type": "function_call_output", "output": "x"}, "input[0].call_id"),
        ({"role": "system", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0].content"),
    ],
)
def test_a_wrong_item_is_named_by_its_place(item: Json, param: str) -> None:
    fault = refused({"model": "m", "input": [item]})
    assert (fault.kind, fault.param) == (FaultKind.bad_request, param)


@pytest.mark.parametrize("body", [{"model": "m"}, {"model": "m", "input": []}, {"input": "x"}])
def test_a_request_without_a_question_or_a_model_is_bad(body: Json) -> None:
    assert refused(body).kind is FaultKind.bad_request


# ------------------------------------------------------------------------------------------------------------------ tools


def test_tools_of_all_kinds() -> None:
    function = {
        "type": "function",
        "name": "f",
        "description": "d",
        "parameters": {"type": "object"},
        "strict": True,
        "defer_loading": True,
    }
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: WORD"}
    custom = {"type": "custom", "name": "patch", "description": "Patches.", "format": grammar}
    search = {"type": "web_search", "search_context_size": "low"}
    request = decoded("x", tools=[function, custom, search])
    assert request.tools == (
        Tool("f", "d", raw({"type": "object"}), True),
        Tool(
            "patch",
            "Patches.\n\nThe input must follow this lark grammar:\nstart: WORD",
            custom_tools.SCHEMA,
            dialect=NAME,
            raw=raw(custom),
        ),
        Tool("", foreign="web_search", dialect=NAME, raw=raw(search)),
    )
    assert set(request.extras) == {"tools.defer_loading", "tools.format"}


def test_a_custom_call_and_its_result_are_a_call_and_a_result() -> None:
    call = {"type": "custom_tool_call", "call_id": "c", "name": "patch", "input": 'a "b"\n'}
    output = {"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}
    (_, made), (_, result) = turns(call, output)
    assert isinstance(made, ToolCall)
    assert json.loads(made.arguments) == {custom_tools.ARGUMENT: 'a "b"\n'}
    assert result == ToolResult("c", (Text("ok"),))


def test_tools_that_come_later_are_tools_of_the_conversation() -> None:
    late = {"type": "function", "name": "late", "parameters": {}, "strict": False}
    request = decoded(
        [
            {"type": "additional_tools", "role": "developer", "tools": [late]},
            {"type": "tool_search_output", "call_id": "c", "execution": "client", "tools": [late]},
            {"role": "user", "content": "x"},
        ],
        tools=[{"type": "tool_search"}],
    )
    assert [tool.name or tool.foreign for tool in request.tools] == ["tool_search", "late"]


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("named", "f")),
        ({"type": "custom", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_choices_of_tools(given: object, choice: ToolChoice | None) -> None:
    assert decoded("x", tool_choice=given).tool_choice == choice


def test_allowed_tools_are_the_only_ones_left() -> None:
    tools: list[Json] = [{"type": "function", "name": name, "parameters": {}} for name in ("f", "g", "h")]
    tools += [{"type": "mcp", "server_label": label, "server_url": "https://x.test"} for label in ("a", "b")]
    allowed = [{"type": "function", "name": "f"}, {"type": "function", "name": "h"}, {"type": "mcp", "server_label": "b"}]
    request = decoded("x", tools=tools, tool_choice={"type": "allowed_tools", "mode": "required", "tools": allowed})
    assert request.tool_choice == ToolChoice("required")
    assert [tool.name or json.loads(tool.raw)["server_label"] for tool in request.tools] == ["f", "h", "b"]


def test_the_choice_of_a_tool_of_the_provider_is_named() -> None:
    request = decoded("x", tools=[{"type": "web_search"}], tool_choice={"type": "web_search"})
    assert (request.tool_choice, set(request.extras)) == (None, {"tool_choice"})


@pytest.mark.parametrize("given", ["perhaps", {"type": "function"}])
def test_a_wrong_choice_is_bad(given: object) -> None:
    assert refused({"model": "m", "input": "x", "tool_choice": given}).kind is FaultKind.bad_request


# --------------------------------------------------------------------------------------------------------------- settings


def test_settings_are_carried() -> None:
    request = decoded(
        "x",
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=100,
        parallel_tool_calls=False,
        include=["message.output_text.logprobs", "reasoning.encrypted_content"],
        top_logprobs=3,
        safety_identifier="u",
        service_tier="flex",
        stream=True,
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
    )
    assert request.sampling == Sampling(0.5, 0.9)
    assert (request.max_tokens, request.parallel_tool_calls) == (100, False)
    assert (request.logprobs, request.top_logprobs, request.user) == (True, 3, "u")
    assert (request.service_tier, request.stream, request.include_usage, request.verbosity) == ("flex", True, True, "low")
    assert request.response_format == ResponseFormat("json_schema", raw({"type": "object"}), "n", None, True)
    assert request.extras == {}


@pytest.mark.parametrize(
    ("given", "noun"),
    [
        (None, None),
        ({}, None),
        ({"effort": "none"}, Reasoning("disabled")),
        ({"effort": "high"}, Reasoning("enabled", "high")),
        ({"effort": "low", "summary": "detailed"}, Reasoning("enabled", "low", show=True)),
        ({"summary": "auto"}, Reasoning("adaptive", show=True)),
        ({"generate_summary": "concise"}, Reasoning("adaptive", show=True)),
    ],
)
def test_reasoning(given: object, noun: Reasoning | None) -> None:
    assert decoded("x", reasoning=given).reasoning == noun


def test_what_no_noun_carries_is_named() -> None:
    request = decoded(
        [{"role": "assistant", "content": "a", "phase": "commentary"}, {"role": "user", "content": "x"}],
        store=True,
        truncation="auto",
        metadata={"a": "b"},
        include=["file_search_call.results"],
        user="u",
        safety_identifier="s",
        reasoning={"effort": "low", "context": "all_turns"},
        stream_options={"include_obfuscation": False},
        novelty=1,
    )
    assert set(request.extras) == {
        "store",
        "truncation",
        "metadata",
        "include.file_search_call.results",
        "safety_identifier",
        "reasoning.context",
        "input.phase",
        "novelty",
    }
    assert decoded("x", store=False, truncation="disabled", background=False).extras == {}
