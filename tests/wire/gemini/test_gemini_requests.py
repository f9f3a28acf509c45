"""Requests: what a Gemini client may write is read, what other clients ask is said to Gemini, and each loss has a name."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.gemini.oracle import taken_by_server

from setpoint.domain.chat import (
    Audio,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
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
from setpoint.wire.dialect import Encoded
from setpoint.wire.gemini.dialect import GEMINI
from setpoint.wire.gemini.model_facts import SEED_MAX, STOP_SEQUENCES_MAX
from setpoint.wire.gemini.schema import google_schema, json_schema
from setpoint.wire.gemini.signed import for_client, read_signature

ASK = (Message("user", (Text("x"),)),)
PNG = base64.b64encode(b"\x89PNG").decode()


def read(body: Any) -> ChatRequest:
    request = GEMINI.decode_request(json.dumps(body).encode())
    assert isinstance(request, ChatRequest), request
    return request


def refused(body: Any) -> Fault:
    fault = GEMINI.decode_request(body if isinstance(body, bytes) else json.dumps(body).encode())
    assert isinstance(fault, Fault)
    return fault


def encoded(request: ChatRequest, model: str = "gemini-2.5-flash") -> Encoded:
    made = GEMINI.encode_request(request, model, stream=False)
    assert isinstance(made, Encoded), made
    taken_by_server(made.body)
    return made


def written(request: ChatRequest, model: str = "gemini-2.5-flash") -> Any:
    return json.loads(encoded(request, model).body)


def asked(*parts: Any, **more: Any) -> Any:
    return {"contents": [{"role": "user", "parts": list(parts)}], **more}


# ------------------------------------------------------------------------------------------------------------------ reading


def test_snake_case_is_the_same_request_and_what_is_the_clients_own_keeps_its_names() -> None:
    camel = asked(
        {"text": "x"},
        systemInstruction={"parts": [{"text": "s"}]},
        generationConfig={"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 9, "includeThoughts": True}, "topK": 3},
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"properties": {"a_b": {}}}}]}, {"urlContext": {}}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        safetySettings=[{"category": "C", "threshold": "T"}],
    )
    snake = asked(
        {"text": "x"},
        system_instruction={"parts": {"text": "s"}},
        generation_config={"max_output_tokens": 5, "thinking_config": {"thinking_budget": 9, "include_thoughts": True}, "top_k": 3.0},
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"properties": {"a_b": {}}}}]}, {"url_context": {}}],
        tool_config={"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        safety_settings=[{"category": "C", "threshold": "T"}],
    )
    assert read(snake).tools[0].schema == b'{"properties":{"a_b":{}}}'
    one, other = read(camel), read(snake)
    assert json.loads(one.extras["safetySettings"]) == json.loads(other.extras["safetySettings"])
    assert (one.messages, one.system, one.tools, one.tool_choice, one.reasoning) == (
        other.messages,
        other.system,
        other.tools,
        other.tool_choice,
        other.reasoning,
    )
    assert (one.sampling, one.max_tokens) == (other.sampling, other.max_tokens) == (Sampling(top_k=3), 5)
    assert one.tool_choice == ToolChoice("named", "f")


def test_arguments_and_results_keep_members_with_underscores() -> None:
    request = read(
        {
            "contents": [
                {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"user_id": 1.5}}}]},
                {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"first_name": "x"}}}]},
            ]
        }
    )
    call, result = request.messages[0].parts[0], request.messages[1].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"user_id":1.5}'
    assert result == ToolResult(call.id, (Text('{"first_name":"x"}'),))


def test_parallel_calls_without_ids_are_told_apart_and_results_find_theirs_by_name_and_order() -> None:
    def call(name: str, no: int) -> Any:
        return {"functionCall": {"name": name, "args": {"n": no}}}

    def result(name: str, text: str) -> Any:
        return {"functionResponse": {"name": name, "response": {"output": text}}}

    request = read(
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}]},
                {"role": "model", "parts": [call("f", 1), call("g", 2)]},
                {"role": "model", "parts": [call("f", 3)]},
                {"role": "function", "parts": [result("g", "2"), result("f", "1")]},
                {"role": "user", "parts": [result("f", "3"), {"text": "go on"}]},
            ]
        }
    )
    _, assistant, tool, more = request.messages
    assert [message.role for message in request.messages] == ["user", "assistant", "tool", "user"]
    first, second, third = (part.id for part in assistant.parts if isinstance(part, ToolCall))
    assert (first, second, third) == ("call_1", "call_2", "call_3")
    assert tool.parts == (ToolResult(second, (Text("2"),)), ToolResult(first, (Text("1"),)), ToolResult(third, (Text("3"),)))
    assert more.parts == (Text("go on"),)


def test_a_result_finds_its_call_by_id_ahead_of_order() -> None:
    request = read(
        {
            "contents": [
                {"role": "model", "parts": [{"functionCall": {"id": no, "name": "f"}} for no in ("a", "b")]},
                {"role": "user", "parts": [{"functionResponse": {"id": no, "name": "f", "response": {}}} for no in ("b", "a", "c")]},
            ]
        }
    )
    assert [part.call_id for part in request.messages[1].parts if isinstance(part, ToolResult)] == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("response", "result"),
    [
        ({"output": "x"}, ToolResult("call_1", (Text("x"),))),
        ({"output": {"a": 1}}, ToolResult("call_1", (Text('{"a":1}'),))),
        ({"error": "no"}, ToolResult("call_1", (Text("no"),), is_error=True)),
        ({"error": "no", "code": 5}, ToolResult("call_1", (Text('{"error":"no","code":5}'),), is_error=True)),
        ({"result": "x"}, ToolResult("call_1", (Text('{"result":"x"}'),))),
        ({}, ToolResult("call_1", (Text("{}"),))),
        (None, ToolResult("call_1", ())),
    ],
)
def test_results_by_the_convention_of_output_and_error(response: Any, result: ToolResult) -> None:
    body = {
        "contents": [
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": response}}]},
        ]
    }
    request = read(body)
    assert request.messages[1].parts == (result,)
    assert read(written(request)).messages == request.messages


@pytest.mark.parametrize("text", ['{"error": "in the data"}', '{"output": 1}', "plain", "", "[1]", '{"a":', "{}"])
@pytest.mark.parametrize("is_error", [False, True])
def test_results_of_other_dialects_come_back_as_they_were(text: str, is_error: bool) -> None:
    call = Message("assistant", (ToolCall("c1", "f", "{}"),))
    result = ToolResult("c1", (Text(text),) if text else (), is_error)
    back = read(written(ChatRequest("", (*ASK, call, Message("tool", (result,))))))
    again = back.messages[2].parts[0]
    assert isinstance(again, ToolResult)
    assert again.is_error is is_error
    assert [part.text for part in again.parts if isinstance(part, Text)] == ([text.replace(": ", ":")] if text else [])


def test_a_streamed_history_of_one_content_a_chunk_is_one_turn() -> None:
    parts: list[Any] = [
        {"text": "hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": "U0lH"},
        {"text": "Hel"},
        {"text": "lo"},
        {"text": "", "thoughtSignature": "QUJD"},
        {"text": "more"},
    ]
    request = read({"contents": [{"role": "model", "parts": [part]} for part in parts]})
    assert request.messages == (
        Message("assistant", (Thinking("hm", "gemini:U0lH"), Text("Hello", signature="gemini:QUJD"), Text("more"))),
    )


def test_files_are_images_documents_audio_or_foreign() -> None:
    text = base64.b64encode("grüß".encode()).decode()
    request = read(
        asked(
            {"inlineData": {"mimeType": "image/png", "data": "-_8"}, "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}},
            {"inlineData": {"mimeType": "application/pdf", "data": PNG, "displayName": "n"}},
            {"inlineData": {"mimeType": "text/csv", "data": text}},
            {"inlineData": {"mimeType": "audio/mpeg", "data": PNG}},
            {"inlineData": {"mimeType": "video/mp4", "data": PNG}},
            {"fileData": {"fileUri": "https://x.test/a.webp?q"}},
            {"fileData": {"fileUri": "gs://b/c", "mimeType": "image/png"}},
            {"fileData": {"fileUri": "https://x.test/a", "mimeType": "application/pdf"}},
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
            {"newKind": {}},
        )
    )
    kinds = request.messages[0].parts
    assert kinds[:4] == (
        Image(data="+/8=", media_type="image/png", detail="high"),
        Document("n", PNG, "application/pdf"),
        Document(None, media_type="text/csv", text="grüß"),
        Audio(PNG, "mp3"),
    )
    assert kinds[5:8] == (
        Image("https://x.test/a.webp?q", media_type="image/webp"),
        Image(media_type="image/png", file_id="gs://b/c"),
        Document(None, media_type="application/pdf", url="https://x.test/a"),
    )
    assert [part.kind for part in kinds if isinstance(part, Foreign)] == ["video/mp4", "video/mp4", "newKind"]


@pytest.mark.parametrize(
    ("config", "mode"), [({"mode": "AUTO"}, "auto"), ({"mode": "NONE"}, "none"), ({"mode": "ANY"}, "required"), ({"mode": 2}, "required")]
)
def test_modes_of_calling(config: Any, mode: str) -> None:
    body = asked({"text": "x"}, tools=[{"functionDeclarations": [{"name": "f"}]}], toolConfig={"functionCallingConfig": config})
    assert read(body).tool_choice == ToolChoice(mode)  # type: ignore[arg-type]  # one of the four


def test_names_that_alone_are_allowed_are_the_same_as_no_other_functions() -> None:
    calling = {"mode": "VALIDATED", "allowedFunctionNames": ["a", "b"], "streamFunctionCallArguments": True}
    functions = [{"name": name, "behavior": "NON_BLOCKING"} for name in "abc"]
    request = read(asked({"text": "x"}, tools={"functionDeclarations": functions}, toolConfig={"functionCallingConfig": calling}))
    assert [tool.name for tool in request.tools] == ["a", "b"]
    assert request.tool_choice == ToolChoice("auto")
    again = encoded(request)
    assert json.loads(again.body)["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED", "streamFunctionCallArguments": True}}
    assert again.losses == ("functionDeclarations.behavior",)


@pytest.mark.parametrize(
    ("config", "reasoning"),
    [
        ({"thinkingBudget": 0}, Reasoning("disabled", show=False)),
        ({"thinkingBudget": -1}, Reasoning("adaptive", show=False)),
        ({"thinkingBudget": 512, "includeThoughts": True}, Reasoning("enabled", None, 512, True)),
        ({"thinkingLevel": "HIGH"}, Reasoning("enabled", "high", None, False)),
        ({"includeThoughts": True}, Reasoning("adaptive", show=True)),
        ({"includeThoughts": False}, None),
    ],
)
def test_thinking_config(config: Any, reasoning: Reasoning | None) -> None:
    request = read(asked({"text": "x"}, generationConfig={"thinkingConfig": config}))
    assert request.reasoning == reasoning
    model = "gemini-3-flash" if "thinkingLevel" in config else "gemini-2.5-flash"
    assert read(written(request, model)).reasoning == reasoning


def test_everything_without_a_noun_is_kept_and_goes_back_to_its_place() -> None:
    body = asked(
        {"text": "x"},
        cachedContent="c/1",
        labels={"a_b": "c"},
        generationConfig={"mediaResolution": "MEDIA_RESOLUTION_LOW", "responseModalities": ["TEXT", "IMAGE"], "seed": 1},
        toolConfig={"retrievalConfig": {"languageCode": "de"}},
        tools=[{"googleSearch": {}}],
        serviceTier="flex",
        somethingNew=1,
    )
    made = encoded(read(body))
    back = json.loads(made.body)
    assert {name: back[name] for name in body if name not in {"somethingNew", "contents"}} == {
        name: value for name, value in body.items() if name not in {"somethingNew", "contents"}
    }
    assert made.losses == ("somethingNew",)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "boss", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"role": "user", "parts": [{"text": 5}]}]}, "contents[0].parts[0]"),
        (b"{", None),
        (b'{"contents":' + b"[" * 100_000, None),
    ],
)
def test_requests_that_cannot_be_read_say_where(body: Any, param: str | None) -> None:
    fault = refused(body)
    assert (fault.kind, fault.param) == (FaultKind.bad_request, param)


def test_nulls_are_the_same_as_nothing() -> None:
    names = ["systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "serviceTier", "labels"]
    part = dict.fromkeys(["functionCall", "inlineData", "fileData", "thought", "thoughtSignature", "functionResponse"]) | {"text": "x"}
    assert read(asked(part, **dict.fromkeys(names))) == read(asked({"text": "x"}))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_mutated_requests_never_crash(data: st.DataObject) -> None:
    body = bytearray(
        json.dumps(
            asked(
                {"inlineData": {"mimeType": "text/plain", "data": "eA=="}},
                {"functionResponse": {"name": "f", "response": {"output": "x"}}},
                tools=[
                    {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT", "properties": {"a": {"nullable": True}}}}]}
                ],
                generation_config={"responseSchema": {"type": "STRING", "enum": ["a"]}, "thinkingConfig": {"thinkingBudget": 1}},
                toolConfig={"functionCallingConfig": {"mode": "ANY"}},
            )
        ).encode()
    )
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    request = GEMINI.decode_request(bytes(body))
    if isinstance(request, ChatRequest):
        assert isinstance(GEMINI.encode_request(request, "gemini-2.5-flash", False), Encoded | Fault)


# ------------------------------------------------------------------------------------------------------------------ writing


def test_a_call_of_another_provider_carries_the_signature_that_generation_3_wants() -> None:
    calls = Message("assistant", (ToolCall("a", "f", "{}", signature="anthropic:x"), ToolCall("b", "f", "{}")))
    parts = written(ChatRequest("", (*ASK, calls)), "gemini-3-pro-preview")["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]
    parts = written(ChatRequest("", (*ASK, calls)))["contents"][1]["parts"]
    assert not any("thoughtSignature" in part for part in parts)


def test_own_signatures_go_back_and_those_of_others_stay_away() -> None:
    turn = Message(
        "assistant",
        (
            Thinking("a", "gemini:U0lH"),
            Thinking("b", "anthropic:S"),
            Thinking("", redacted="anthropic:R"),
            Text("t", signature="gemini:QUJD"),
            ToolCall("i", "f", "{}", signature="gemini:REVG"),
        ),
    )
    made = encoded(ChatRequest("", (*ASK, turn)), "gemini-3-pro-preview")
    parts = json.loads(made.body)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["U0lH", None, "QUJD", "REVG"]
    assert set(made.losses) == {"thinking.signature (of another provider)", "thinking (of another provider, encrypted)"}


@pytest.mark.parametrize("signature", ["gemini:U0lH", "anthropic:a+/b==", "openai_responses:ü", "none"])
def test_signatures_of_every_provider_survive_a_gemini_client(signature: str) -> None:
    shown = for_client(signature)
    base64.b64decode(shown, validate=True)
    urlsafe = shown.replace("+", "-").replace("/", "_").rstrip("=")
    wanted = signature if signature != "none" else "none"
    assert read_signature(shown) == (wanted, "")
    if not signature.startswith("gemini:"):
        assert read_signature(urlsafe) == (wanted, "")
        assert read_signature(for_client("", signature)) == ("", signature)


def test_files_of_results_stand_inside_or_behind_them() -> None:
    turns = (*ASK, Message("assistant", (ToolCall("a", "f", "{}"),)))
    request = ChatRequest("", (*turns, Message("tool", (ToolResult("a", (Text("x"), Image(data=PNG, media_type="image/png"))),))))
    inside = written(request, "gemini-3-flash")["contents"][2]["parts"]
    assert inside[0]["functionResponse"]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PNG}}]
    made = encoded(request)
    assert json.loads(made.body)["contents"][2]["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": PNG}}
    assert made.losses == ("tool_result (files moved behind the results)",)


def test_all_results_and_what_the_user_says_with_them_are_one_content() -> None:
    results = Message("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),)), ToolResult("zz", (Text("3"),))))
    calls = Message("assistant", (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}")))
    made = encoded(ChatRequest("", (*ASK, calls, results, Message("user", (Text("y"),)))))
    content = json.loads(made.body)["contents"][2]
    names = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
    assert names == ["f", "g", "zz"]
    assert content["parts"][-1] == {"text": "y"}
    assert made.losses == ("tool_result (of a call that is not in the history, under its id as name)",)


@pytest.mark.parametrize(
    ("reasoning", "model", "config", "losses"),
    [
        (Reasoning(effort="low"), "gemini-2.5-flash", {"thinkingBudget": 1024, "includeThoughts": True}, ()),
        (Reasoning(effort="xhigh"), "gemini-3.1-pro", {"thinkingLevel": "HIGH", "includeThoughts": True}, ()),
        (Reasoning(effort="minimal"), "models/gemini-3-pro-preview", {"thinkingLevel": "LOW", "includeThoughts": True}, ()),
        (Reasoning(effort="minimal", show=False), "gemini-3-flash", {"thinkingLevel": "MINIMAL"}, ()),
        (Reasoning("disabled"), "gemini-2.5-flash", {"thinkingBudget": 0}, ()),
        (Reasoning(effort="none"), "gemini-flash-latest", {"thinkingBudget": 0}, ()),
        (
            Reasoning("disabled"),
            "gemini-2.5-pro",
            {"thinkingBudget": 128},
            ("reasoning (this model always thinks; set to the least)",),
        ),
        (
            Reasoning(budget_tokens=99_999),
            "gemini-2.5-flash",
            {"thinkingBudget": 24_576, "includeThoughts": True},
            ("reasoning (its budget set to 24576)",),
        ),
        (Reasoning(effort="high"), "gemini-2.0-flash", None, ("reasoning",)),
        (Reasoning("disabled"), "gemini-2.0-flash", None, ()),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(reasoning: Reasoning, model: str, config: Any, losses: tuple[str, ...]) -> None:
    made = encoded(ChatRequest("", ASK, reasoning=reasoning), model)
    assert json.loads(made.body).get("generationConfig", {}).get("thinkingConfig") == config
    assert made.losses == losses


def test_a_form_of_the_answer_beside_functions_is_asked_for_in_words_before_generation_3() -> None:
    schema = ResponseFormat("json_schema", b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]}')
    request = ChatRequest("", ASK, tools=(Tool("f"),), response_format=schema)
    made = encoded(request)
    assert '"required":["a"]' in json.loads(made.body)["systemInstruction"]["parts"][0]["text"]
    assert "generationConfig" not in json.loads(made.body)
    assert len(made.losses) == 1
    held = written(request, "gemini-3-flash")["generationConfig"]
    assert (held["responseMimeType"], held["responseSchema"]["required"]) == ("application/json", ["a"])


def test_bounds_of_stop_sequences_seed_and_answers() -> None:
    within = ChatRequest("", ASK, stop=tuple("abcde"[:STOP_SEQUENCES_MAX]), sampling=Sampling(seed=SEED_MAX))
    assert encoded(within).losses == ()
    beyond = ChatRequest("", ASK, stop=tuple("abcdef"), sampling=Sampling(seed=SEED_MAX + 1))
    made = encoded(beyond)
    assert made.losses == ("seed (above 32 bits)", "stop (only the first 5)")
    assert json.loads(made.body)["generationConfig"] == {"stopSequences": list("abcde")}
    many = GEMINI.encode_request(ChatRequest("", ASK, n=2), "m", False)
    assert isinstance(many, Fault)
    assert many.kind is FaultKind.unsupported


@pytest.mark.parametrize(
    ("part", "losses"),
    [
        (Image("https://x.test/a.jpg"), ()),
        (Image("https://x.test/a"), ("image_url (its type is unknown; sent as image/jpeg)",)),
        (Document(url="https://x.test/a"), ("document.url (its type is unknown; sent as application/pdf)",)),
        (Document("a.pdf", PNG, "application/pdf"), ("document.name",)),
        (Audio(PNG, "wav"), ()),
        (Image(data=PNG, media_type="image/png", detail="low"), ("image_url.detail",)),
    ],
)
def test_files_are_said_or_their_loss_is_named(part: Any, losses: tuple[str, ...]) -> None:
    assert encoded(ChatRequest("", (Message("user", (Text("x"), part)),))).losses == losses


@pytest.mark.parametrize("part", [Image(file_id="file-1"), Document(file_id="file_01"), Foreign("search_result", "anthropic", b"{}")])
def test_what_lies_at_another_provider_is_refused(part: Any) -> None:
    fault = GEMINI.encode_request(ChatRequest("", (Message("user", (part,)),)), "m", False)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.unsupported


# ------------------------------------------------------------------------------------------------------------------ schemas


@pytest.mark.parametrize(
    ("google", "plain"),
    [
        ({"type": "STRING", "nullable": True, "enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"type": "ARRAY", "items": {"type": "integer"}, "min_items": "2"}, {"type": "array", "items": {"type": "integer"}, "minItems": 2}),
        ({"type": "STRING", "format": "enum", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        (
            {"type": "OBJECT", "properties": {"b": {"type": "STRING"}, "a": {"type": "NUMBER"}}, "propertyOrdering": ["a", "b"]},
            {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "string"}}},
        ),
        ({"anyOf": [{"type": "STRING"}], "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"type": "STRING", "example": "x"}, {"type": "string", "examples": ["x"]}),
    ],
)
def test_googles_schemas_become_json_schema(google: Any, plain: Any) -> None:
    assert json.loads(json_schema(json.dumps(google).encode())) == plain


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {}},
        {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False},
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["b"]},
        {"type": "string", "format": "email"},
        {"type": "string", "format": ["email"]},
        {"type": "integer", "enum": [1]},
        {"oneOf": [{"type": "string"}]},
        {"const": 1},
        {"type": "array"},
        {},
        True,
    ],
)
def test_what_googles_form_cannot_say_stays_json_schema(schema: Any) -> None:
    raw = json.dumps(schema).encode()
    assert google_schema(raw) is None
    function = written(ChatRequest("", ASK, tools=(Tool("f", None, raw),)))["tools"][0]["functionDeclarations"][0]
    assert function == {"name": "f", "parametersJsonSchema": schema}


LEAVES = st.fixed_dictionaries(
    {"type": st.sampled_from(["string", "number", "integer", "boolean", ["string", "null"]])}, optional={"description": st.text(max_size=3)}
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: (
        st.fixed_dictionaries({"type": st.just("array"), "items": inner, "minItems": st.integers(0, 3)})
        | st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(st.text(max_size=3), inner, min_size=1, max_size=3)}
        )
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS)
def test_schemas_that_googles_form_can_say_come_back_the_same(schema: Any) -> None:
    google = google_schema(json.dumps(schema).encode())
    assert google is not None
    assert json.loads(json_schema(google)) == schema


@pytest.mark.parametrize("ordering", [[[]], [{}], [None, 1, "b"], {"b": 1}, "b", None])
def test_odd_entries_of_an_ordering_are_left_out(ordering: Any) -> None:
    schema = {"type": "OBJECT", "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}}, "propertyOrdering": ordering}
    made = json.loads(json_schema(json.dumps(schema).encode()))
    assert list(made["properties"]) == (["b", "a"] if isinstance(ordering, list) and "b" in ordering else ["a", "b"])
