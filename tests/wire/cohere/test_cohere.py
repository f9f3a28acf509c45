"""Cohere's chat: what it says reaches everybody, and what others say reaches it or is named."""

import itertools
import json
from typing import Any

import cohere
import httpx
import pytest
from cohere.errors import BadRequestError, TooManyRequestsError, UnauthorizedError
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.openai_completions.recorded import datas, events_of, rendered

from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatAnswer,
    ChatRequest,
    Citation,
    Document,
    Finish,
    Foreign,
    Image,
    Message,
    Reasoning,
    Refusal,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Cited,
    Failed,
    Finished,
    ForeignShown,
    LogprobsReported,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.cohere.dialect import COHERE
from setpoint.wire.cohere.messages_out import NO_CONTENT
from setpoint.wire.cohere.model_facts import PENALTY_MAX, STOP_SEQUENCES_MAX, TOP_K_MAX, TOP_P_MAX, TOP_P_MIN
from setpoint.wire.cohere.stream_in import ChatStreamDecoder
from setpoint.wire.dialect import DELTA_BYTES_MAX, Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT

DIALECT: Dialect = COHERE
HI = (Message("user", (Text("hi"),)),)


def read(**members: Any) -> ChatRequest:
    request = DIALECT.decode_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode())
    assert isinstance(request, ChatRequest), request
    return request


def said(request: ChatRequest, model: str = "command-a-03-2025", stream: bool = False) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = DIALECT.encode_request(request, model, stream)
    assert isinstance(encoded, Encoded), encoded
    return json.loads(encoded.body), encoded.losses


def refused(request: ChatRequest) -> Fault:
    fault = DIALECT.encode_request(request, "m", False)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.unsupported
    return fault


def told(events: list[StreamEvent]) -> ChatAnswer:
    answer = fold(events)
    assert isinstance(answer, ChatAnswer), answer
    return answer


# ------------------------------------------------------------------------------------------------------ reading requests


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


def test_every_member_finds_its_noun_and_its_way_back() -> None:
    members: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "be kind"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0"}}],
            },
            {
                "role": "assistant",
                "tool_plan": "I will look.",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "document", "document": {"data": {"title": "t", "text": "d"}}}]},
            {"role": "user", "content": "go on"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        "strict_tools": True,
        "tool_choice": "REQUIRED",
        "max_tokens": 9,
        "stop_sequences": ["x"],
        "temperature": 0.5,
        "p": 0.9,
        "k": 4,
        "seed": 7,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "logprobs": True,
        "safety_mode": "STRICT",
        "citation_options": {"mode": "FAST"},
        "priority": 1,
        "stream": True,
    }
    request = read(**members)
    assert request.system == (Text("be kind"),)
    assert request.messages[0].parts == (Text("look"), Image(data="R0", media_type="image/gif"))
    assert request.messages[1].parts == (Thinking("I will look."), ToolCall("c1", "f", '{"x":1}'))
    assert request.messages[2].parts == (ToolResult("c1", (Document("t", text="d"),)),)
    assert request.tools == (Tool("f", "d", json.dumps(SCHEMA).encode(), True),)
    assert request.tool_choice == ToolChoice("required")
    assert request.sampling == Sampling(0.5, 0.9, 4, 0.1, 0.2, 7)
    assert (request.max_tokens, request.stop, request.logprobs, request.stream) == (9, ("x",), True, True)
    body, losses = said(request, "m", stream=True)
    assert losses == ()
    assert body == {"model": "m", **members}


def test_documents_of_a_request_are_the_last_users() -> None:
    given: list[Any] = ["plain", {"id": "1", "data": {"title": "t", "snippet": "s"}}, {"data": {"a": 1, "b": "c"}}, {"data": '{"x":1}'}]
    request = read(documents=given)
    documents = request.messages[0].parts[:-1]
    assert documents == (Document(text="plain"), Document("t", text="s"), Document(text='{"a":1,"b":"c"}'), Document(text='{"x":1}'))
    body, losses = said(request)
    assert losses == ("documents.id",)
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert [document["data"]["text"] for document in body["documents"]] == ["plain", "s", '{"a":1,"b":"c"}', '{"x":1}']
    there = ANTHROPIC.encode_request(request, "claude-sonnet-4-5", False)
    assert isinstance(there, Encoded)
    assert [block["type"] for block in json.loads(there.body)["messages"][0]["content"]] == ["document"] * 4 + ["text"]


def test_documents_without_a_user_get_one() -> None:
    request = read(messages=[{"role": "assistant", "content": "x"}], documents=["d"])
    assert request.messages[-1] == Message("user", (Document(text="d"),))


@pytest.mark.parametrize(
    ("given_", "noun"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat("json_object")),
        ({"type": "json_object", "json_schema": SCHEMA}, ResponseFormat("json_schema", json.dumps(SCHEMA).encode())),
        ({"type": "json_object", "schema": SCHEMA}, ResponseFormat("json_schema", json.dumps(SCHEMA).encode())),
    ],
)
def test_a_form_of_the_answer_is_understood(given_: Any, noun: ResponseFormat | None) -> None:
    request = read(response_format=given_)
    assert request.response_format == noun
    if noun is not None:
        assert said(request)[0]["response_format"]["type"] == "json_object"
        assert said(request)[0]["response_format"].get("json_schema") == (given_.get("json_schema") or given_.get("schema"))


@pytest.mark.parametrize(
    ("thinking", "noun"),
    [
        ({"type": "enabled", "token_budget": 500}, Reasoning("enabled", budget_tokens=500)),
        ({"type": "enabled"}, Reasoning("enabled")),
        ({"type": "disabled"}, Reasoning("disabled")),
    ],
)
def test_thinking_is_asked_for_where_the_model_can(thinking: Any, noun: Reasoning) -> None:
    request = read(thinking=thinking)
    assert request.reasoning == noun
    assert said(request, "command-a-reasoning-08-2025")[0]["thinking"] == thinking
    body, losses = said(request)
    assert "thinking" not in body
    assert losses == (() if noun.mode == "disabled" else ("reasoning",))


def test_an_effort_in_words_becomes_a_budget() -> None:
    for effort, thinking in (("low", {"type": "enabled", "token_budget": 2_048}), ("high", {"type": "enabled"})):
        body, _ = said(ChatRequest("m", HI, reasoning=Reasoning("enabled", effort)), "command-a-reasoning-08-2025")
        assert body["thinking"] == thinking


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0].image_url"),
        ({"tool_choice": "f"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_a_malformed_request_is_refused_with_its_member(members: dict[str, Any], param: str) -> None:
    fault = DIALECT.decode_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode())
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.param) == (FaultKind.bad_request, param)


# ------------------------------------------------------------------------------------------------------ writing requests


def test_limits_of_parameters_are_kept_and_named() -> None:
    request = ChatRequest(
        "m",
        HI,
        sampling=Sampling(0.5, 1.0, TOP_K_MAX + 1, 2.0, -1.0, 3),
        stop=tuple("abcdefg"),
        user="u",
        service_tier="flex",
        verbosity="low",
        logprobs=True,
        top_logprobs=4,
        parallel_tool_calls=False,
        tools=(Tool("f"), Tool("g", strict=True)),
    )
    body, losses = said(request)
    assert (body["p"], body["k"], body["frequency_penalty"], body["presence_penalty"]) == (TOP_P_MAX, TOP_K_MAX, PENALTY_MAX, 0.0)
    assert body["stop_sequences"] == list("abcde")
    assert body["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert set(losses) == {
        "top_p (limited to 0.01 to 0.99)",
        "top_k (limited to 0 to 500)",
        "frequency_penalty (limited to 0.0 to 1.0)",
        "presence_penalty (limited to 0.0 to 1.0)",
        f"stop (only the first {STOP_SEQUENCES_MAX})",
        "tools.strict (of some tools only)",
        "parallel_tool_calls",
        "top_logprobs",
        "user",
        "service_tier",
        "verbosity",
    }


@pytest.mark.parametrize("top_p", [TOP_P_MIN, TOP_P_MAX])
def test_values_at_the_limit_are_no_loss(top_p: float) -> None:
    body, losses = said(ChatRequest("m", HI, sampling=Sampling(top_p=top_p, top_k=TOP_K_MAX, presence_penalty=PENALTY_MAX)))
    assert body["p"] == top_p
    assert losses == ()


def test_a_forced_tool_is_the_only_one_offered() -> None:
    tools = (Tool("f"), Tool("g"))
    body, losses = said(ChatRequest("m", HI, tools=tools, tool_choice=ToolChoice("named", "g")))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == "REQUIRED"
    assert losses == ("tool_choice (only the named tool is offered)",)
    assert "tool_choice" not in said(ChatRequest("m", HI, tools=tools, tool_choice=ToolChoice("auto")))[0]
    assert said(ChatRequest("m", HI, tools=tools, tool_choice=ToolChoice("none")))[0]["tool_choice"] == "NONE"


def test_tools_and_a_form_exclude_each_other() -> None:
    form = ResponseFormat("json_schema", b'{"type":"object"}')
    body, losses = said(ChatRequest("m", HI, system=(Text("be kind"),), tools=(Tool("f"),), response_format=form))
    assert "response_format" not in body
    assert '{"type":"object"}' in body["messages"][0]["content"][1]["text"]
    assert losses == ("response_format json_schema (asked for in the system prompt)",)


def test_documents_become_text_beside_tools() -> None:
    request = ChatRequest("m", (Message("user", (Document("t", text="d"), Text("hi"))),), tools=(Tool("f"),))
    body, losses = said(request)
    assert "documents" not in body
    assert body["messages"][0]["content"] == [{"type": "text", "text": "t\n\nd"}, {"type": "text", "text": "hi"}]
    assert losses == ("document (plain text became a text part)",)


def test_thoughts_ahead_of_calls_are_their_plan() -> None:
    turn = Message("assistant", (Thinking("hm", "anthropic:sig"), Text("Let me look."), ToolCall("c", "f", "")))
    body, losses = said(ChatRequest("m", (*HI, turn, Message("tool", (ToolResult("c", (Text("r"),)),)))))
    assert body["messages"][1] == {
        "role": "assistant",
        "content": [{"type": "text", "text": "Let me look."}],
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        "tool_plan": "hm",
    }
    assert losses == ()
    body, _ = said(ChatRequest("m", (*HI, turn, *HI)), "command-a-reasoning-08-2025")
    assert body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm"}


def test_other_losses_of_a_history_are_named() -> None:
    turns = (
        Message("user", (Text("a", CacheMark()),), "Ann"),
        Message("assistant", (Thinking("hm"), Text("b", citations=(Citation("u"),)), Foreign("server_tool_use", "anthropic", b"{}"))),
        Message("assistant", (ToolCall("c", "f", "{}"),)),
        Message("tool", (ToolResult("c", (Image(data="R0", media_type="image/gif"), Text("r")), True),)),
        Message("system", (Text("s"),)),
        Message("assistant", (Text("The"),)),
    )
    body, losses = said(ChatRequest("m", turns, tools=(Tool("", foreign="web_search"),)))
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "assistant", "tool", "user", "system", "assistant"]
    assert set(losses) == {
        "cache_control",
        "messages.name",
        "thinking (of earlier turns)",
        "citations (of earlier turns)",
        "server_tool_use",
        "tool_result.is_error",
        "tool_result (files moved to a user message)",
        "tool web_search (runs at its own provider only)",
        "prefill (the model answers the last assistant turn instead of continuing it)",
    }


@pytest.mark.parametrize(
    "part",
    [
        Audio("x", "wav"),
        Document(data="JVBERi0=", media_type="application/pdf"),
        Document(url="https://x.test/a.pdf"),
        Image(file_id="f"),
        Foreign("container_upload", "anthropic", b"{}"),
    ],
)
def test_what_would_change_the_question_is_refused(part: Any) -> None:
    assert refused(ChatRequest("m", (Message("user", (part,)),))).param
    assert refused(ChatRequest("m", HI, n=2)).param == "n"


def test_messages_that_say_nothing_are_left_out() -> None:
    turns = (Message("user", (Text(""),)), *HI, Message("assistant", (Text(""), Thinking("hm"))), Message("system", ()), *HI)
    body, losses = said(ChatRequest("m", turns, system=(Text(""),)))
    assert [message["role"] for message in body["messages"]] == ["user", "user"]
    assert "messages (one that says nothing was left out)" in losses
    fault = DIALECT.encode_request(ChatRequest("m", turns[:1]), "m", False)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.param) == (FaultKind.bad_request, "messages")


def test_an_empty_result_says_so() -> None:
    turns = (*HI, Message("assistant", (ToolCall("c", "f", ""),)), Message("tool", (ToolResult("c", ()), ToolResult("d", (Text(""),)))))
    body, losses = said(ChatRequest("m", turns))
    assert [message["content"] for message in body["messages"][2:]] == [NO_CONTENT, NO_CONTENT]
    assert losses == ("tool_result (an empty one says so)",)


def test_a_document_that_is_all_a_message_says_stays_in_it() -> None:
    body, losses = said(ChatRequest("m", (Message("user", (Document("t", text="d"),)),)))
    assert body["messages"] == [{"role": "user", "content": "t\n\nd"}]
    assert "documents" not in body
    assert losses == ("document (plain text became a text part)",)


def test_a_text_file_is_a_document() -> None:
    body, _ = said(ChatRequest("m", (Message("user", (Document("t", data="aGk=", media_type="text/plain"), Text("x"))),)))
    assert body["documents"] == [{"data": {"title": "t", "text": "hi"}}]


# -------------------------------------------------------------------------------------------------------------- answers


CITED = {
    "start": 0,
    "end": 3,
    "text": "Rex",
    "sources": [
        {"type": "document", "id": "doc:1", "document": {"id": "doc:1", "title": "Dogs", "url": "https://x.test", "text": "Rex is a dog."}},
        {"type": "tool", "id": "c:0", "tool_output": {"content": "Rex"}},
    ],
    "type": "TEXT_CONTENT",
}


def answered(**message: Any) -> bytes:
    usage = {"billed_units": {"input_tokens": 1.0}, "tokens": {"input_tokens": 9.0, "output_tokens": 4.0}, "cached_tokens": 8}
    return json.dumps({"id": "a", "message": {"role": "assistant", **message}, "finish_reason": "COMPLETE", "usage": usage}).encode()


def decoded(body: bytes) -> ChatAnswer:
    answer = DIALECT.decode_answer(body)
    assert isinstance(answer, ChatAnswer), answer
    return answer


def test_citations_find_their_text_and_keep_every_source() -> None:
    plan = {**CITED, "type": "PLAN"}
    body = answered(
        content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Rex barks."}],
        citations=[{**CITED, "content_index": 1}, plan, {"start": 4, "end": 9, "text": "barks", "sources": [{"type": "odd"}]}, "odd"],
    )
    answer = decoded(body)
    assert answer.usage == Usage(input=1, cached_read=8, output=4)
    (text,) = [part for part in answer.parts if isinstance(part, Text)]
    first, second, third = text.citations
    assert (first.start, first.end, first.document, first.title, first.url, first.quote) == (
        0,
        3,
        1,
        "Dogs",
        "https://x.test",
        "Rex is a dog.",
    )
    assert (second.document, second.quote, third.start, third.end) == (-1, "Rex", 4, 9)
    again = json.loads(DIALECT.encode_answer(answer, "m", 1))
    assert again["message"]["citations"] == [
        {**CITED, "content_index": 1},
        {"start": 4, "end": 9, "text": "barks", "sources": [{"type": "odd"}]},
    ]
    assert decoded(DIALECT.encode_answer(answer, "m", 1)).parts == answer.parts


def test_citations_of_others_are_said_with_what_they_rest_on() -> None:
    parts = (Text("A. "), Text("B?", citations=(Citation("https://x.test", "T", "quoted", 0, 1, 3), Citation("https://y.test"))))
    message = json.loads(DIALECT.encode_answer(ChatAnswer("a", "m", parts, "stop"), "m", 1))["message"]
    assert message["content"] == [{"type": "text", "text": "A. B?"}]
    first, second = message["citations"]
    assert (first["start"], first["end"], first["text"], first["sources"][0]["id"]) == (3, 4, "B", "doc:3")
    assert first["sources"][0]["document"] == {"title": "T", "url": "https://x.test", "text": "quoted"}
    assert "start" not in second
    assert second["sources"][0]["id"] == "https://y.test"


@pytest.mark.parametrize(("arguments", "read_as"), [("null", "{}"), ("", "{}"), (None, "{}"), ('{"x":null}', '{"x":null}')])
def test_a_call_without_arguments_says_null(arguments: str | None, read_as: str) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": arguments}}
    assert decoded(answered(tool_calls=[call])).parts == (ToolCall("c", "f", read_as),)
    assert decoded(answered(tool_calls=[call])).finish == "tool_calls"


def test_log_probabilities_come_through() -> None:
    tokens = (TokenLogprob("a", -0.5), TokenLogprob("b", -1.5))
    raw = DIALECT.encode_answer(ChatAnswer("a", "", (Text("ab"),), "stop", logprobs=tokens), "m", 1)
    assert json.loads(raw)["logprobs"][0] == {"text": "a", "token_ids": [], "logprobs": [-0.5]}
    assert decoded(raw).logprobs == tokens
    several = json.loads(raw) | {"logprobs": [{"text": "ab", "token_ids": [1, 2], "logprobs": [-0.5, -1.5]}]}
    assert decoded(json.dumps(several).encode()).logprobs == (TokenLogprob("ab", -2.0),)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", FaultKind.upstream_server),
        (b"<html>", FaultKind.upstream_server),
        (b'{"message":"too many tokens"}', FaultKind.context_length),
        (b'{"message":{"content":[1]}}', FaultKind.upstream_server),
        (b'{"message":{"content":[]},"finish_reason":"ERROR"}', FaultKind.upstream_server),
        (b'{"message":{"content":[{"type":"text","text":"a"}]},"finish_reason":"TIMEOUT"}', FaultKind.upstream_timeout),
    ],
)
def test_a_good_status_without_an_answer_is_a_fault(body: bytes, kind: FaultKind) -> None:
    fault = DIALECT.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


def test_an_answer_filtered_whole_still_cost_something() -> None:
    answer = ChatAnswer("a", "", (), "content_filter", Usage(input=3))
    assert decoded(DIALECT.encode_answer(answer, "m", 1)) == answer


def test_an_answer_broken_off_keeps_its_text() -> None:
    body = json.loads(answered(content=[{"type": "text", "text": "Rex"}])) | {"finish_reason": "ERROR"}
    assert decoded(json.dumps(body).encode()).finish == "content_filter"


FINISHES: list[Finish] = ["stop", "stop_sequence", "length", "tool_calls", "content_filter"]
WORDS = st.text(min_size=1, max_size=12)
OBJECTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3).map(
    lambda o: json.dumps(o, ensure_ascii=False)
)


@st.composite
def streams(draw: st.DrawFn) -> list[StreamEvent]:
    """A whole answer: thinking and text in turns, then calls, possibly interleaved."""
    events: list[StreamEvent] = [Started("x1")]
    last = ""
    for kind in draw(st.lists(st.sampled_from(["text", "thinking"]), max_size=4)):
        if kind == last:
            continue
        last = kind
        texts = draw(st.lists(WORDS, min_size=1, max_size=3))
        events += [TextDelta(text) for text in texts] if kind == "text" else [ThinkingDelta(text) for text in texts]
        if kind == "text" and draw(st.booleans()):
            events.append(Cited(Citation("https://x.test", "t", start=0, end=1)))
    calls = draw(st.lists(OBJECTS, max_size=3))
    lanes: list[list[StreamEvent]] = []
    for no, text in enumerate(calls):
        at = draw(st.integers(0, len(text)))
        lanes.append([ToolCallStarted(no, f"c{no}", f"f{no}"), *(ToolCallDelta(no, piece) for piece in (text[:at], text[at:]) if piece)])
    while any(lanes):
        startable = next((no for no, lane in enumerate(lanes) if lane and isinstance(lane[0], ToolCallStarted)), len(lanes))
        events.append(lanes[draw(st.sampled_from([no for no, lane in enumerate(lanes) if lane and no <= startable]))].pop(0))
    events.append(
        UsageReported(Usage(input=draw(st.integers(0, 99)), cached_read=draw(st.integers(0, 9)), output=draw(st.integers(0, 99))))
    )
    return [*events, Finished("tool_calls" if calls else draw(st.sampled_from(["stop", "stop_sequence", "length"])))]


def comparable(answer: ChatAnswer) -> Any:
    """Citations of others become Cohere's own; what they say stays."""
    parts = [
        (part.text, [(c.url, c.title, c.start, c.end) for c in part.citations]) if isinstance(part, Text) else part for part in answer.parts
    ]
    return parts, answer.finish, answer.usage, answer.id


CUTS = st.lists(st.integers(0, 3_000), max_size=10)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(no for no in cuts if no < len(stream))})
    return [stream[a:b] for a, b in itertools.pairwise(at)]


@given(streams())
def test_a_unary_answer_is_read_back_as_it_was_told(events: list[StreamEvent]) -> None:
    answer = told(events)
    assert comparable(decoded(DIALECT.encode_answer(answer, "m", 1))) == comparable(answer)


@given(streams(), CUTS)
def test_a_stream_is_read_back_as_it_was_told_under_any_cut(events: list[StreamEvent], cuts: list[int]) -> None:
    stream = rendered(DIALECT, events)
    again = events_of(DIALECT, cut(stream, cuts))
    assert comparable(told(again)) == comparable(told(events))
    assert again == events_of(DIALECT, [stream])
    assert again == events_of(DIALECT, [stream[no : no + 1] for no in range(len(stream))])


@given(streams())
@settings(max_examples=40)
def test_a_stream_crosses_to_others_and_back(events: list[StreamEvent]) -> None:
    for other in (OPENAI_CHAT, ANTHROPIC):
        there = events_of(other, [rendered(other, events_of(DIALECT, [rendered(DIALECT, events)]))])
        back = told(events_of(DIALECT, [rendered(DIALECT, there)]))
        calls = [part for part in back.parts if isinstance(part, ToolCall)]
        assert calls == [part for part in told(events).parts if isinstance(part, ToolCall)], other.name
        assert text_of(back) == text_of(told(events)), other.name
        assert back.usage == told(events).usage


def text_of(answer: ChatAnswer) -> str:
    return "".join(part.text for part in answer.parts if isinstance(part, Text))


@given(streams(), st.integers(0, 3_000), st.binary(max_size=5), CUTS)
@settings(max_examples=60)
def test_changed_bytes_never_crash_and_end_once(events: list[StreamEvent], at: int, put: bytes, cuts: list[int]) -> None:
    stream = rendered(DIALECT, events)
    changed = stream[:at] + put + stream[at + len(put) :]
    got = events_of(DIALECT, cut(changed, cuts))
    assert sum(isinstance(event, Finished | Failed) for event in got) == 1
    assert isinstance(got[-1], Finished | Failed)
    tap = DIALECT.tap()
    for piece in cut(changed, cuts):
        tap.feed(piece)
    tap.flush()


@given(streams(), CUTS)
@settings(max_examples=60)
def test_a_tap_forwards_every_byte_and_sees_the_same_under_any_cut(events: list[StreamEvent], cuts: list[int]) -> None:
    stream = rendered(DIALECT, events)
    seen = []
    for pieces in ([stream], cut(stream, cuts), [stream[no : no + 1] for no in range(len(stream))]):
        tap = DIALECT.tap()
        assert b"".join([tap.feed(piece) for piece in pieces]) + tap.flush() == stream
        seen.append((tap.events, tap.content_started, tap.usage, tap.finish, tap.done, tap.error))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1:] == (bool(told(events).parts), told(events).usage, seen[0][3], True, None)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "delta",
                        "message",
                        "content",
                        "tool_calls",
                        "citations",
                        "sources",
                        "index",
                        "usage",
                        "text",
                        "id",
                        "finish_reason",
                        "document",
                        "data",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=200)
def test_odd_json_never_crashes(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert isinstance(DIALECT.decode_answer(raw), Fault | ChatAnswer)
    assert isinstance(DIALECT.decode_answer(b'{"message":%b,"usage":%b,"logprobs":%b}' % (raw, raw, raw)), Fault | ChatAnswer)
    assert isinstance(DIALECT.decode_request(b'{"model":"m","messages":[%b],"documents":[%b]}' % (raw, raw)), Fault | ChatRequest)
    DIALECT.read_usage(raw)
    for kind in ("content-start", "content-delta", "tool-call-start", "citation-start", "message-end", "message-start", "other"):
        events = events_of(DIALECT, [b'data: {"type":"%b","delta":{"message":%b}}\n\n' % (kind.encode(), raw)])
        assert isinstance(events[-1], Finished | Failed)


# -------------------------------------------------------------------------------------------------------------- streams


def framed(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n" for event in events)


def call_event(kind: str, **function: Any) -> dict[str, Any]:
    return {"type": kind, "index": 0, "delta": {"message": {"tool_calls": {"id": "c", "type": "function", "function": function}}}}


END = {"type": "message-end", "delta": {"finish_reason": "TOOL_CALL"}}


@pytest.mark.parametrize(
    ("deltas", "arguments"),
    [([], "{}"), (["null"], "{}"), (["nu", "ll"], "{}"), (['{"x":', "null}"], '{"x":null}'), (["nul", "lx"], "nullx")],
)
def test_a_streamed_call_without_arguments_says_null(deltas: list[str], arguments: str) -> None:
    stream = framed(
        call_event("tool-call-start", name="f", arguments=""),
        *(call_event("tool-call-delta", arguments=text) for text in deltas),
        {"type": "tool-call-end", "index": 0},
        END,
    )
    assert told(events_of(DIALECT, [stream])).parts == (ToolCall("c", "f", arguments),)


def test_blocks_of_text_are_parts_and_citations_stay_with_theirs() -> None:
    def content(kind: str, index: int, **said_: Any) -> dict[str, Any]:
        return {"type": kind, "index": index, "delta": {"message": {"content": said_}}}

    stream = framed(
        {"type": "message-start", "id": "a", "delta": {"message": {"content": [], "tool_calls": [], "citations": []}}},
        content("content-start", 0, type="text", text=""),
        content("content-delta", 0, text="Rex"),
        {"type": "content-end", "index": 0},
        {"type": "citation-start", "index": 0, "delta": {"message": {"citations": CITED}}},
        {"type": "citation-end", "index": 0},
        content("content-start", 1, type="text", text=""),
        content("content-delta", 1, text="barks"),
        {"type": "content-end", "index": 1},
        {**END, "delta": {"finish_reason": "COMPLETE"}},
    )
    events = events_of(DIALECT, [stream])
    first, second = told(events).parts
    assert isinstance(first, Text)
    assert (first.text, len(first.citations), second) == ("Rex", 2, Text("barks"))
    again = rendered(DIALECT, events)
    assert again.count(b"content-start\n") == 1
    assert text_of(told(events_of(DIALECT, [again]))) == "Rexbarks"


def test_log_probabilities_stream() -> None:
    events: list[StreamEvent] = [Started("a"), TextDelta("hi"), LogprobsReported((TokenLogprob("hi", -0.5),)), Finished("stop")]
    again = told(events_of(DIALECT, [rendered(DIALECT, events)]))
    assert (again.parts, again.logprobs) == ((Text("hi"),), (TokenLogprob("hi", -0.5),))


def test_only_own_foreign_parts_are_shown() -> None:
    mine, other = Foreign("odd", "cohere", b'{"type":"odd","x":1}'), Foreign("web_search", "anthropic", b"{}")
    events: list[StreamEvent] = [
        Started("a"),
        ForeignShown(mine),
        ForeignShown(other),
        RefusalDelta("no"),
        TextEnded(),
        Finished("refusal"),
    ]
    again = told(events_of(DIALECT, [rendered(DIALECT, events)]))
    assert again.parts == (mine, Text("no"))
    answer = ChatAnswer("a", "m", (mine, other, Refusal("no")), "refusal")
    assert decoded(DIALECT.encode_answer(answer, "m", 1)).parts == (mine, Text("no"))


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (framed({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "it broke"}}), FaultKind.upstream_server),
        (framed({"type": "message-end", "delta": {"finish_reason": "ERROR"}}), FaultKind.upstream_server),
        (framed({"type": "message-end", "delta": {"finish_reason": "TIMEOUT"}}), FaultKind.upstream_timeout),
        (b'data: {"message":"too many tokens"}\n\n', FaultKind.context_length),
        (b"data: {\n\n", FaultKind.upstream_server),
        (b"", FaultKind.upstream_cut),
        (b"data: [DONE]\n\n", FaultKind.upstream_cut),
    ],
)
def test_a_stream_that_fails_says_why(stream: bytes, kind: FaultKind) -> None:
    (event,) = events_of(DIALECT, [stream])
    assert isinstance(event, Failed)
    assert event.fault.kind is kind
    tap = DIALECT.tap()
    tap.feed(stream)
    tap.flush()
    assert (tap.error is not None) is (kind is not FaultKind.upstream_cut)
    assert tap.done is False


def test_an_event_over_the_limit_ends_the_stream() -> None:
    fits = framed({"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "x" * 100}}})
    for limit, fails in ((len(fits), False), (len(fits) - 1, True)):
        assert isinstance(ChatStreamDecoder(limit).feed(fits)[-1], Failed) is fails


def test_a_long_text_is_written_in_pieces() -> None:
    stream = rendered(DIALECT, [Started(), TextDelta("€" * DELTA_BYTES_MAX), Finished("stop")])
    texts = [json.loads(data)["delta"]["message"]["content"]["text"] for data in datas(stream) if b"content-delta" in data]
    assert "".join(texts) == "€" * DELTA_BYTES_MAX
    assert max(len(text.encode()) for text in texts) <= DELTA_BYTES_MAX


def client(status: int, body: bytes, kind: str = "application/json") -> cohere.ClientV2:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers={"content-type": kind}))
    return cohere.ClientV2(api_key="k", httpx_client=httpx.Client(transport=transport))


ASKED: Any = [{"role": "user", "content": "x"}]


def test_the_cohere_client_puts_a_stream_together() -> None:
    events: list[StreamEvent] = [
        Started("x"),
        ThinkingDelta("hm"),
        TextDelta("It is "),
        TextDelta("ü€😀."),
        Cited(Citation("https://x.test", "T", start=0, end=2)),
        ToolCallStarted(0, "c0", "look"),
        ToolCallDelta(0, '{"x":'),
        ToolCallStarted(1, "c1", "look"),
        ToolCallDelta(1, '{"x":2}'),
        ToolCallDelta(0, "1}"),
        UsageReported(Usage(input=3, cached_read=2, output=4, reasoning=1)),
        Finished("tool_calls"),
    ]
    seen: list[Any] = list(client(200, rendered(DIALECT, events), "text/event-stream").chat_stream(model="m", messages=ASKED))
    kinds = [event.type for event in seen]
    assert kinds[0] == "message-start"
    assert kinds.count("content-start") == kinds.count("content-end") == 2
    assert kinds.count("tool-call-start") == kinds.count("tool-call-end") == 2
    assert "".join(event.delta.message.content.text or "" for event in seen if event.type == "content-delta") == "It is ü€😀."
    arguments = {0: "", 1: ""}
    for event in seen:
        if event.type == "tool-call-delta":
            arguments[event.index] += event.delta.message.tool_calls.function.arguments
    assert arguments == {0: '{"x":1}', 1: '{"x":2}'}
    (cited,) = [event.delta.message.citations for event in seen if event.type == "citation-start"]
    assert (cited.text, cited.sources[0].document["url"], cited.content_index) == ("It", "https://x.test", 1)
    end = seen[-1]
    assert (end.type, end.delta.finish_reason) == ("message-end", "TOOL_CALL")
    assert (end.delta.usage.tokens.input_tokens, end.delta.usage.tokens.output_tokens, end.delta.usage.cached_tokens) == (5, 5, 2)


@pytest.mark.parametrize(
    ("kind", "raised"),
    [
        (FaultKind.bad_request, BadRequestError),
        (FaultKind.unauthenticated, UnauthorizedError),
        (FaultKind.rate_limited, TooManyRequestsError),
    ],
)
def test_faults_are_the_clients_own_exceptions(kind: FaultKind, raised: type[Exception]) -> None:
    fault = Fault(kind, "It broke.")
    with pytest.raises(raised, match=r"It broke"):
        client(fault.http_status, DIALECT.render_fault(fault, "r")).chat(model="m", messages=ASKED, request_options={"max_retries": 0})


def test_a_broken_stream_ends_in_an_error() -> None:
    fault = Fault(FaultKind.upstream_cut, "It ended.")
    body = rendered(DIALECT, [Started("a"), TextDelta("x"), Failed(fault)])
    assert body.endswith(DIALECT.render_stream_fault(fault, ""))
    last: Any = list(client(200, body, "text/event-stream").chat_stream(model="m", messages=ASKED))[-1]
    assert (last.type, last.delta.finish_reason) == ("message-end", "ERROR")
    assert "It ended." in last.delta.error


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "invalid api token", FaultKind.upstream_auth),
        (498, "blocked", FaultKind.upstream_auth),
        (404, "model 'x' not found, make sure the correct model ID was used", FaultKind.unknown_model),
        (404, "no such thing", FaultKind.upstream_refused),
        (429, "You are using a Trial key, which is limited to 10 API calls / minute.", FaultKind.upstream_rate),
        (429, "You are using a Trial key, which is limited to 1000 API calls / month.", FaultKind.upstream_quota),
        (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081", FaultKind.context_length),
        (402, "Please add a payment method", FaultKind.upstream_quota),
        (503, "busy", FaultKind.upstream_overloaded),
        (500, "internal", FaultKind.upstream_server),
    ],
)
def test_errors_are_told_by_status_and_words(status: int, message: str, kind: FaultKind) -> None:
    fault = DIALECT.classify_fault(status, {"retry-after": "7"}, json.dumps({"id": "i", "message": message}).encode(), 0.0)
    assert (fault.kind, fault.message, fault.upstream_status) == (kind, message, status)
    assert fault.retry_after_s == (7.0 if fault.retry == "again" else None)


def frame(data: str, name: str = "") -> bytes:
    return ((f"event: {name}\n" if name else "") + f"data: {data}\n\n").encode()


@pytest.mark.parametrize(
    ("last", "finish", "failed"),
    [
        (frame('{"delta":{"message":{"tool_plan":" for"}}}', "tool-plan-delta"), "", False),
        (frame('{"type":null,"delta":{"finish_reason":"COMPLETE"}}', "message-end"), "COMPLETE", False),
        (frame('{"delta":{"finish_reason":"COMPLETE"}}', "message-end"), "COMPLETE", False),
        (frame('{"id":"x","type":"message-end","delta":{"finish_reason":"COMPLETE"}}'), "COMPLETE", False),
        (frame('{"message":"no more"}'), "", True),
        (frame('{"message":"no more"}', "error"), "", True),
        (frame('{"type":null,"message":"no more"}'), "", True),
        (frame('{"type":"something-new"}'), "", False),
    ],
)
def test_the_name_of_an_event_stands_for_its_type_under_any_cut(last: bytes, finish: str, failed: bool) -> None:
    delta = frame('{"type":"content-delta","index":0,"delta":{"message":{"content":{"text":"a"}}}}', "content-delta")
    opening = frame('{"id":"1","type":"message-start"}', "message-start")
    seen = []
    for chunks in ([opening, delta, delta + last], [opening, delta + delta, last], [opening + delta + delta + last]):
        tap = DIALECT.tap()
        for chunk in chunks:
            tap.feed(chunk)
        seen.append((tap.finish, tap.done, tap.error is not None, tap.events))
    assert seen == [(finish, bool(finish), failed, 4)] * 3
    events = events_of(DIALECT, [opening + delta + last])
    assert (type(events[-1]) is Finished) is bool(finish)
    assert (ThinkingDelta(" for") in events) is (b"tool_plan" in last)
