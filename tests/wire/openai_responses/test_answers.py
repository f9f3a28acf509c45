"""Unary answers: what each noun is for a Responses client, by OpenAI's own types, and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response
from pydantic import TypeAdapter

from setpoint.domain.chat import ChatAnswer, Citation, Foreign, Part, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.openai_responses import custom_tools
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES

NAME = "openai_responses"
RESPONSE = TypeAdapter(Response)
Json = dict[str, Any]


def shown(*parts: Part, **more: Any) -> Response:
    answer = ChatAnswer("chatcmpl-1", "m", parts, more.pop("finish", "stop"), **more)
    return RESPONSE.validate_json(OPENAI_RESPONSES.encode_answer(answer, "shown", 7), strict=True)


def there_and_back(*parts: Part, **more: Any) -> ChatAnswer:
    answer = ChatAnswer("resp_1", "shown", parts, more.pop("finish", "stop"), created_s=5, **more)
    again = OPENAI_RESPONSES.decode_answer(OPENAI_RESPONSES.encode_answer(answer, "shown", 7))
    assert isinstance(again, ChatAnswer)
    return again


def read(output: list[Json] | None, **more: object) -> ChatAnswer | Fault:
    body = {"id": "resp_1", "object": "response", "model": "m", "status": "completed", "output": output, **more}
    return OPENAI_RESPONSES.decode_answer(json.dumps(body).encode())


def message(*content: Json) -> Json:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": list(content)}


def test_texts_in_a_row_share_a_message_and_everything_has_its_own_id() -> None:
    response = shown(Thinking("hm"), Text("a"), Text("b"), ToolCall("c1", "f", '{"a":1}'), Text("c"), usage=Usage(input=3, output=2))
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "message"]
    assert response.output_text == "abc"
    assert [item.id for item in response.output] == ["rs_1_0", "msg_1_1", "fc_1_2", "msg_1_3"]
    assert (response.id, response.model, response.created_at, response.status) == ("resp_1", "shown", 7, "completed")
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (3, 2, 5)


def test_usage_shows_the_classes_there_are() -> None:
    usage = Usage(input=3, cached_read=5, cache_write=7, output=11, reasoning=13)
    given = shown(usage=usage).usage
    assert given is not None
    assert given.model_dump(exclude_none=True) == {
        "input_tokens": 15,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 7},
        "output_tokens": 24,
        "output_tokens_details": {"reasoning_tokens": 13},
        "total_tokens": 39,
    }
    assert there_and_back(usage=usage).usage == usage
    assert shown().usage is None


@pytest.mark.parametrize(
    ("finish", "parts", "status", "reason", "back"),
    [
        ("stop", (Text("a"),), "completed", None, "stop"),
        ("stop_sequence", (Text("a"),), "completed", None, "stop"),
        ("tool_calls", (ToolCall("c", "f", "{}"),), "completed", None, "tool_calls"),
        ("length", (Text("a"),), "incomplete", "max_output_tokens", "length"),
        ("content_filter", (Text("a"),), "incomplete", "content_filter", "content_filter"),
        ("refusal", (Refusal("no"),), "completed", None, "stop"),
        ("refusal", (Text("a"),), "incomplete", "content_filter", "content_filter"),
        ("pause", (Text("a"),), "completed", None, "stop"),
        ("unknown", (), "completed", None, "stop"),
    ],
)
def test_ends(finish: str, parts: tuple[Part, ...], status: str, reason: str | None, back: str) -> None:
    response = shown(*parts, finish=finish)
    assert response.status == status
    assert (response.incomplete_details and response.incomplete_details.reason) == reason
    assert there_and_back(*parts, finish=finish).finish == back
    if status == "incomplete":
        assert getattr(response.output[-1], "status", None) == "incomplete"


def test_an_incomplete_answer_without_a_reason_is_one_that_was_cut_short() -> None:
    for details in (None, {"reason": None}, {"reason": "novel"}):
        answer = read([], status="incomplete", incomplete_details=details)
        assert isinstance(answer, ChatAnswer)
        assert answer.finish == "length"


def test_citations_of_others_become_annotations() -> None:
    web = Citation("https://x.test", "X", "words", 1, 2)
    nowhere = Citation("https://y.test")
    paper = Citation(title="Paper", document=3, quote="words")
    (item,) = shown(Text("abcd", citations=(web, nowhere, paper))).output
    assert item.type == "message"
    (part,) = item.content
    assert part.type == "output_text"
    first, second, third = (annotation.model_dump() for annotation in part.annotations)
    assert first == {"type": "url_citation", "url": "https://x.test", "title": "X", "start_index": 1, "end_index": 2, "quote": "words"}
    assert (second["start_index"], second["end_index"]) == (0, 4)
    assert third == {"type": "file_citation", "file_id": "", "filename": "Paper", "index": 3, "quote": "words"}
    again = there_and_back(Text("abcd", citations=(paper,))).parts[0]
    assert isinstance(again, Text)
    assert (again.citations[0].title, again.citations[0].document, again.citations[0].quote) == ("Paper", 3, "words")


def test_annotations_of_its_own_are_said_again_unchanged() -> None:
    annotations = [
        {"type": "file_citation", "file_id": "file-1", "filename": "a.txt", "index": 5},
        {"type": "container_file_citation", "container_id": "k", "file_id": "f", "filename": "b", "start_index": 0, "end_index": 1},
        {"type": "url_citation", "url": "https://x.test"},
        {"type": "novelty", "x": {}},
    ]
    answer = read([message({"type": "output_text", "text": "a", "annotations": annotations})])
    assert isinstance(answer, ChatAnswer)
    written = json.loads(OPENAI_RESPONSES.encode_answer(answer, "shown", 1))
    assert written["output"][0]["content"][0]["annotations"] == annotations


def test_log_probs_are_whole() -> None:
    tokens = (TokenLogprob("a", -0.5, b"a", (TokenLogprob("b", -1.5, b"b"),)), TokenLogprob("\ufffd", -2.0, b"\xf0"))
    assert there_and_back(Text("a"), logprobs=tokens).logprobs == tokens
    (item,) = shown(Text("a"), logprobs=(TokenLogprob("é", -1.0),)).output
    assert item.type == "message"
    assert item.content[0].model_dump()["logprobs"] == [{"token": "é", "logprob": -1.0, "bytes": [195, 169], "top_logprobs": []}]


@pytest.mark.parametrize(
    "part",
    [
        Thinking("hm"),
        Thinking("hm", "anthropic:A"),
        Thinking("", "anthropic:A"),
        Thinking("", redacted="anthropic:A"),
        Thinking("hm", f"{NAME}:rs_9:gAAA"),
        Text("a", signature="gemini:A"),
        Text("", signature="gemini:A"),
        ToolCall("c", "f", '{"a":1}', signature="gemini:A"),
        ToolCall("c", "f", custom_tools.arguments_of('say "hi"\n')),
        Refusal("no"),
        Foreign("web_search_call", NAME, b'{"type":"web_search_call","id":"ws"}'),
    ],
)
def test_a_part_comes_back_as_it_was(part: Part) -> None:
    assert there_and_back(part).parts == (part,)


def test_parts_of_other_dialects_have_no_place() -> None:
    assert shown(Text("a"), Foreign("server_tool_use", "anthropic", b"{}")).output_text == "a"
    assert len(shown(Foreign("server_tool_use", "anthropic", b"{}")).output) == 0


def test_a_call_without_arguments_has_an_empty_object() -> None:
    (call,) = shown(ToolCall("c", "f", "")).output
    assert call.type == "function_call"
    assert call.arguments == "{}"


def test_tiers_that_this_api_does_not_know_are_left_out() -> None:
    tiers = {given: shown(service_tier=given).service_tier for given in ("flex", "standard", "batch", None)}
    assert tiers == {"flex": "flex", "standard": "default", "batch": None, None: None}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"status": "failed", "error": {"code": "server_error", "message": "oops"}}, FaultKind.upstream_server),
        ({"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "slow"}}, FaultKind.upstream_rate),
        ({"status": "failed", "error": {"code": "invalid_prompt", "message": "flagged as a violation"}}, FaultKind.content_filter),
        ({"status": "failed", "error": {"code": "image_too_large", "message": "big"}}, FaultKind.upstream_refused),
        ({"status": "failed", "error": {"code": "insufficient_quota", "message": "money"}}, FaultKind.upstream_quota),
        ({"status": "failed", "error": None}, FaultKind.upstream_server),
        ({"status": "cancelled"}, FaultKind.upstream_server),
        ({"status": "queued", "output": []}, FaultKind.upstream_server),
        ({"status": "completed"}, FaultKind.upstream_server),
        ({"error": {"message": "no such model", "code": "model_not_found"}}, FaultKind.unknown_model),
    ],
)
def test_what_is_no_answer_is_a_fault(body: Json, kind: FaultKind) -> None:
    fault = OPENAI_RESPONSES.decode_answer(json.dumps(body).encode())
    assert isinstance(fault, Fault)
    assert fault.kind is kind
    error = body.get("error")
    assert not error or error["message"] in fault.message


def test_oddities_of_vendors_are_read() -> None:
    answer = read(
        [
            {"type": "message", "content": None},
            {"type": "message", "content": "plain"},
            message({"type": "text", "text": "b", "annotations": None, "logprobs": None}),
            {"type": "function_call", "id": "fc", "name": "f", "arguments": {"a": 1}},
            {"type": "reasoning", "id": "r", "summary": None, "content": [{"type": "reasoning_text", "text": "hm"}, None]},
            {"type": "novelty", "x": [1]},
            {},
        ],
        status=None,
        usage={"input_tokens": 3, "output_tokens": None, "input_tokens_details": None},
        incomplete_details=None,
        created_at=12.5,
    )
    assert isinstance(answer, ChatAnswer)
    assert [part for part in answer.parts if not isinstance(part, Foreign)] == [
        Text("plain"),
        Text("b"),
        ToolCall("fc", "f", '{"a": 1}'),
        Thinking("hm"),
    ]
    assert (answer.finish, answer.usage, answer.created_s) == ("tool_calls", Usage(input=3), 12)


GOOD = OPENAI_RESPONSES.encode_answer(
    ChatAnswer(
        "1",
        "m",
        (Thinking("t", "anthropic:s"), Text("a", citations=(Citation("u"),)), ToolCall("c", "f", "{}")),
        "stop",
        Usage(input=1),
        logprobs=(TokenLogprob("a", -1.0),),
    ),
    "m",
    1,
)


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=0, max_size=4), st.integers(0, 6))
def test_mutated_bytes_never_crash(at: int, put: bytes, cut: int) -> None:
    body = GOOD[:at] + put + GOOD[at + cut :]
    assert isinstance(OPENAI_RESPONSES.decode_answer(body), ChatAnswer | Fault)
    OPENAI_RESPONSES.read_usage(body)
    OPENAI_RESPONSES.decode_request(body.replace(b'"output"', b'"input"'))
    OPENAI_RESPONSES.classify_fault(500, {}, body, 0.0)


MEMBERS = [
    "content",
    "text",
    "annotations",
    "logprobs",
    "summary",
    "arguments",
    "call_id",
    "usage",
    "input_tokens_details",
    "status",
    "output",
    "id",
]


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [None], [5]])
@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_of_any_other_type_never_crashes(member: str, value: object) -> None:
    def changed(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: value if name == member else changed(inner) for name, inner in node.items()}
        return [changed(inner) for inner in node] if isinstance(node, list) else node

    body = json.dumps(changed(json.loads(GOOD))).encode()
    answer = OPENAI_RESPONSES.decode_answer(body)
    assert isinstance(answer, ChatAnswer | Fault)
    if value is None and member != "output":
        assert isinstance(answer, ChatAnswer), answer
