"""What is easily lost between dialects: citations, proofs of thinking, log-probs, tiers, and what only one provider has."""

import itertools
import json
from typing import Any

import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types import RawMessageStreamEvent
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from setpoint.domain.chat import (
    ChatAnswer,
    ChatRequest,
    Citation,
    Document,
    Foreign,
    Image,
    Reasoning,
    Refusal,
    Text,
    Thinking,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
)
from setpoint.domain.faults import Fault
from setpoint.domain.stream import (
    Cited,
    Finished,
    ForeignShown,
    LogprobsReported,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    fold,
)
from setpoint.wire.anthropic.answer_tool import ANSWER_TOOL
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.carried import carried
from setpoint.wire.dialect import Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.sse import SseDecoder

BOTH: list[Dialect] = [OPENAI_CHAT, ANTHROPIC]
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
Json = dict[str, Any]


def openai_answer(message: Json, **more: Any) -> ChatAnswer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **more.pop("choice", {})}
    answer = OPENAI_CHAT.decode_answer(json.dumps({"id": "chatcmpl-1", "model": "m", "created": 3, "choices": [choice], **more}).encode())
    assert isinstance(answer, ChatAnswer), answer
    return answer


def anthropic_answer(*content: Json, **more: Any) -> ChatAnswer:
    body = {"type": "message", "id": "msg_1", "role": "assistant", "model": "m", "content": content, "stop_reason": "end_turn", **more}
    answer = ANTHROPIC.decode_answer(json.dumps(body).encode())
    assert isinstance(answer, ChatAnswer), answer
    return answer


def completion(answer: ChatAnswer) -> ChatCompletion:
    return ChatCompletion.model_validate_json(OPENAI_CHAT.encode_answer(answer, "m", 1))


def message(answer: ChatAnswer) -> Json:
    body: Json = json.loads(ANTHROPIC.encode_answer(answer, "m", 1))
    AnthropicMessage.model_validate(body)
    return body


def stream(dialect: Dialect, events: list[StreamEvent]) -> bytes:
    renderer = dialect.stream_renderer("m", 1, include_usage=True)
    out = b"".join(renderer.render(event) for event in events) + renderer.finish()
    for event in SseDecoder().feed(out):
        if event.data != b"[DONE]":
            (EVENT.validate_json if dialect is ANTHROPIC else ChatCompletionChunk.model_validate_json)(event.data)
    return out


def told(dialect: Dialect, out: bytes) -> ChatAnswer:
    decoder = dialect.stream_decoder()
    answer = fold(decoder.feed(out) + decoder.finish())
    assert isinstance(answer, ChatAnswer), answer
    return answer


def heard(dialect: Dialect, events: list[StreamEvent]) -> ChatAnswer:
    return told(dialect, stream(dialect, events))


def openai_chunks(*deltas: Json, **last: Any) -> bytes:
    chunks = [{"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta.pop("delta", delta), **delta}]} for delta in deltas]
    chunks.append({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **last})
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"


def request_of(dialect: Dialect, body: Json) -> ChatRequest:
    request = dialect.decode_request(json.dumps(body).encode())
    assert isinstance(request, ChatRequest), request
    return request


def said(dialect: Dialect, request: ChatRequest, model: str = "claude-sonnet-4-5") -> tuple[Json, tuple[str, ...]]:
    encoded = dialect.encode_request(request, model, False)
    assert isinstance(encoded, Encoded), encoded
    return json.loads(encoded.body), encoded.losses


def chat(*messages: Json, **more: Any) -> Json:
    return {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}, *messages], **more}


# --------------------------------------------------------------------------------------------------------------- citations

PLACES: list[tuple[Json, Citation]] = [
    (
        {"type": "web_search_result_location", "url": "https://a/", "title": "A", "cited_text": "q", "encrypted_index": "e"},
        Citation("https://a/", "A", "q"),
    ),
    (
        {"type": "search_result_location", "source": "https://a/", "title": "A", "cited_text": "q", "search_result_index": 0,
         "start_block_index": 0, "end_block_index": 1},
        Citation("https://a/", "A", "q"),
    ),
    (
        {"type": "char_location", "document_index": 1, "document_title": "D", "cited_text": "q", "start_char_index": 2, "end_char_index": 3,
         "file_id": "f"},
        Citation("", "D", "q", document=1, file_id="f"),
    ),
    (
        {"type": "page_location", "document_index": 0, "document_title": None, "cited_text": "q", "start_page_number": 1,
         "end_page_number": 2},
        Citation("", "", "q", document=0),
    ),
    (
        {"type": "content_block_location", "document_index": 0, "document_title": "D", "cited_text": "q", "start_block_index": 0,
         "end_block_index": 1},
        Citation("", "D", "q", document=0),
    ),
]  # fmt: skip


def plain(citation: Citation) -> Citation:
    return Citation(citation.url, citation.title, citation.quote, citation.start, citation.end, citation.document, citation.file_id)


@pytest.mark.parametrize(("place", "meant"), PLACES)
def test_anthropic_cites_in_five_ways_and_says_each_again(place: Json, meant: Citation) -> None:
    answer = anthropic_answer({"type": "text", "text": "Not this. "}, {"type": "text", "text": "This.", "citations": [place]})
    assert [plain(c) for part in answer.parts if isinstance(part, Text) for c in part.citations] == [meant]
    assert message(answer)["content"][1]["citations"] == [place]
    annotations = completion(answer).choices[0].message.annotations
    assert annotations is not None
    (annotation,) = annotations
    assert (annotation.url_citation.start_index, annotation.url_citation.end_index) == (10, 15)
    assert (annotation.url_citation.url, annotation.url_citation.title) == (meant.url, meant.title)


@pytest.mark.parametrize(("place", "meant"), PLACES)
def test_citations_in_streams_stay_with_their_block(place: Json, meant: Citation) -> None:
    events: list[StreamEvent] = [
        Started("msg_1", "m"),
        TextDelta("Not this. "),
        TextEnded(),
        Cited(msg_citation(place, meant)),
        TextDelta("Th"),
        TextDelta("is."),
        Finished("stop"),
    ]
    answer = heard(ANTHROPIC, events)
    assert [(part.text, len(part.citations)) for part in answer.parts if isinstance(part, Text)] == [("Not this. ", 0), ("This.", 1)]
    assert message(answer)["content"][1]["citations"] == [place]
    (one,) = heard(OPENAI_CHAT, events).parts
    assert isinstance(one, Text)
    assert [(c.start, c.end, c.url) for c in one.citations] == [(10, 15, meant.url)]


def msg_citation(place: Json, meant: Citation) -> Citation:
    raw = json.dumps(place, separators=(",", ":")).encode()
    return Citation(meant.url, meant.title, meant.quote, document=meant.document, file_id=meant.file_id, dialect="anthropic", raw=raw)


def annotation(start: int, end: int, url: str = "https://a/") -> Json:
    return {"type": "url_citation", "url_citation": {"start_index": start, "end_index": end, "url": url, "title": "A"}}


def test_an_annotated_text_is_cut_into_blocks_where_its_citations_are() -> None:
    answer = openai_answer(
        {"content": "One two three", "annotations": [annotation(4, 7), annotation(4, 7, "https://b/"), annotation(6, 9)]}
    )
    blocks = message(answer)["content"]
    assert [(block["text"], [c["url"] for c in block.get("citations", ())]) for block in blocks] == [
        ("One ", []),
        ("two", ["https://a/", "https://b/", "https://a/"]),
        (" three", []),
    ]


@pytest.mark.parametrize(("start", "end"), [(0, 0), (0, 3), (-1, 2), (2, 1)])
def test_a_range_that_says_nothing_is_none(start: int, end: int) -> None:
    (part,) = openai_answer({"content": "One", "annotations": [annotation(start, end)]}).parts
    assert isinstance(part, Text)
    assert (part.citations[0].start, part.citations[0].end) == (-1, -1)


def test_sources_beside_the_answer_are_its_citations() -> None:
    results = [{"title": "A", "url": "https://a/", "date": None}, {"title": "B", "url": "https://b/", "snippet": "q"}]
    answer = openai_answer({"content": "One [1]"}, citations=["https://a/", "https://b/"], search_results=results)
    (part,) = answer.parts
    assert isinstance(part, Text)
    assert part.citations == (Citation("https://a/", "A"), Citation("https://b/", "B", "q"))
    streamed = told(OPENAI_CHAT, openai_chunks({"content": "One [1]"}, citations=["https://a/"]))
    assert streamed.parts == (Text("One [1]", citations=(Citation("https://a/"),)),)


def test_mistral_refers_to_sources_by_number() -> None:
    content = [{"type": "text", "text": "So"}, {"type": "reference", "reference_ids": [2, "doc"]}, {"type": "text", "text": "."}]
    assert openai_answer({"content": content}).parts == (Text("So.", citations=(Citation(document=2), Citation(title="doc"))),)


def test_only_anthropics_own_citations_go_back_to_it() -> None:
    own = {"type": "text", "text": "A", "citations": [PLACES[0][0]]}
    request = request_of(ANTHROPIC, chat({"role": "assistant", "content": [own]}, {"role": "user", "content": "y"}))
    body, losses = said(ANTHROPIC, request)
    assert (body["messages"][1]["content"], losses) == ([own], ())
    assert said(OPENAI_CHAT, request)[1] == ("citations (of earlier turns)",)
    shown = message(openai_answer({"content": "One", "annotations": [annotation(0, 3)]}))["content"]
    back = request_of(ANTHROPIC, chat({"role": "assistant", "content": shown}, {"role": "user", "content": "y"}))
    body, losses = said(ANTHROPIC, back)
    assert (body["messages"][1]["content"], losses) == ("One", ("citations (of earlier turns)",))


def test_the_vendors_own_client_puts_lists_of_a_stream_together() -> None:
    events: list[StreamEvent] = [Started("x", "m"), ThinkingDelta("t"), ThinkingDelta(signature="anthropic:s"),
                                 ThinkingDelta(redacted="anthropic:d")]  # fmt: skip
    for no in range(3):
        events += [TextDelta(f"text {no}"), Cited(Citation(f"https://{no}/", "T")), TextEnded()]
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for event in SseDecoder().feed(stream(OPENAI_CHAT, [*events, Finished("stop")])):
        if event.data != b"[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate_json(event.data))
    made = json.loads(state.get_final_completion().choices[0].message.model_dump_json())
    assert [item["url_citation"]["url"] for item in made["annotations"]] == ["https://0/", "https://1/", "https://2/"]
    assert [item["type"] for item in made["thinking_blocks"]] == ["thinking", "redacted_thinking"]


# -------------------------------------------------------------------------------------------------------------- signatures


def test_a_proof_of_one_provider_crosses_the_client_of_another_and_comes_home() -> None:
    answer = anthropic_answer(
        {"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}, {"type": "text", "text": "a"}
    )
    assert answer.parts[:2] == (Thinking("t", "anthropic:s"), Thinking("", redacted="anthropic:d"))
    shown = json.loads(OPENAI_CHAT.encode_answer(answer, "m", 1))["choices"][0]["message"]
    assert shown["thinking_blocks"] == [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "redacted_thinking", "data": "d"}]
    back = request_of(OPENAI_CHAT, chat(shown, {"role": "user", "content": "y"}))
    assert said(ANTHROPIC, back)[0]["messages"][1]["content"][:2] == shown["thinking_blocks"]


@pytest.mark.parametrize("streamed", [False, True])
def test_geminis_proofs_cross_an_anthropic_client(streamed: bool) -> None:
    parts = (Text("So.", signature="gemini:p1"), ToolCall("c1", "f", "{}", signature="gemini:p2"), ToolCall("c2", "g", "{}"))
    if streamed:
        events: list[StreamEvent] = [Started("x", "m"), TextDelta("So.", "gemini:p1")]
        for no, part in enumerate(parts[1:]):
            assert isinstance(part, ToolCall)
            events += [ToolCallStarted(no, part.id, part.name, part.signature), ToolCallDelta(no, "{}")]
        content = message(heard(ANTHROPIC, [*events, Finished("tool_calls")]))["content"]
    else:
        content = message(ChatAnswer("x", "m", parts, "tool_calls"))["content"]
    back = request_of(ANTHROPIC, chat({"role": "assistant", "content": content}, {"role": "user", "content": "y"}))
    assert back.messages[1].parts == parts
    body, _ = said(ANTHROPIC, back)
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text", "tool_use", "tool_use"]


@pytest.mark.parametrize("streamed", [False, True])
def test_geminis_proofs_cross_an_openai_client(streamed: bool) -> None:
    parts = (Text("So.", signature="gemini:p1"), ToolCall("c1", "f", "{}", signature="gemini:p2"), ToolCall("c2", "g", "{}"))
    events: list[StreamEvent] = [Started("x", "m"), TextDelta("So.", "gemini:p1"), ToolCallStarted(0, "c1", "f", "gemini:p2")]
    events += [ToolCallDelta(0, "{}"), ToolCallStarted(1, "c2", "g"), ToolCallDelta(1, "{}"), Finished("tool_calls")]
    if streamed:
        assert heard(OPENAI_CHAT, events).parts == parts
    shown = json.loads(OPENAI_CHAT.encode_answer(ChatAnswer("x", "m", parts, "tool_calls"), "m", 1))["choices"][0]["message"]
    assert request_of(OPENAI_CHAT, chat(shown)).messages[1].parts == parts


def test_openrouters_details_are_read_in_every_format() -> None:
    details = [
        {"type": "reasoning.summary", "summary": "Thin", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.summary", "summary": "king.", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "e", "format": "openai-responses-v1", "id": "rs_1", "index": 1},
        {"type": "reasoning.text", "text": "t", "signature": "s", "format": "anthropic-claude-v1", "index": 2},
        {"type": "reasoning.encrypted", "data": "d", "format": "anthropic-claude-v1", "index": 3},
        {"type": "reasoning.encrypted", "data": "x", "format": "xai-responses-v1", "index": 4},
        {"type": "reasoning.unknown"},
    ]
    foreign = Foreign("reasoning.encrypted", "openai_chat", json.dumps(details[5]).encode())
    wanted = (
        Thinking("Thinking.", "openai_responses:e"),
        Thinking("t", "anthropic:s"),
        Thinking("", redacted="anthropic:d"),
        foreign,
        Text("a"),
    )
    assert openai_answer({"content": "a", "reasoning": "Thinking.t", "reasoning_details": details}).parts == wanted
    deltas = [{"reasoning_details": [detail]} for detail in details]
    assert told(OPENAI_CHAT, openai_chunks(*deltas, {"content": "a"})).parts == wanted


def test_plain_reasoning_beside_encrypted_details_is_kept() -> None:
    details = [{"type": "reasoning.encrypted", "data": "e", "format": "openai-responses-v1"}]
    assert openai_answer({"content": "", "reasoning": "t", "reasoning_details": details}).parts == (Thinking("t", "openai_responses:e"),)


# --------------------------------------------------------------------------------------------------------- log-probs, tiers

TOKENS = (TokenLogprob("é", -0.5, "é".encode(), (TokenLogprob("é", -0.5, "é".encode()), TokenLogprob("e", -1.5))), TokenLogprob("!", -2.0))


def test_log_probs_are_said_again() -> None:
    answer = ChatAnswer("x", "m", (Text("é!"),), "stop", logprobs=TOKENS)
    shown = completion(answer).choices[0].logprobs
    assert shown is not None
    assert [(t.token, t.logprob, t.bytes, len(t.top_logprobs)) for t in shown.content or ()] == [
        ("é", -0.5, [195, 169], 2),
        ("!", -2.0, None, 0),
    ]
    again = OPENAI_CHAT.decode_answer(OPENAI_CHAT.encode_answer(answer, "m", 1))
    assert isinstance(again, ChatAnswer)
    assert again.logprobs == TOKENS
    events: list[StreamEvent] = [Started("x", "m"), TextDelta("é"), LogprobsReported(TOKENS[:1]), TextDelta("!"),
                                 LogprobsReported(TOKENS[1:]), Finished("stop")]  # fmt: skip
    assert heard(OPENAI_CHAT, events).logprobs == TOKENS
    assert heard(ANTHROPIC, events).parts == (Text("é!"),)


def test_log_probs_of_a_refusal_and_of_old_servers() -> None:
    refused = ChatAnswer("x", "m", (Refusal("!"),), "stop", logprobs=TOKENS[1:])
    shown = completion(refused).choices[0].logprobs
    assert shown is not None
    assert (shown.content, len(shown.refusal or ())) == (None, 1)
    old = {"tokens": ["a", "b"], "token_logprobs": [None, -1.0], "top_logprobs": [{"a": -1}]}
    assert openai_answer({"content": "ab"}, choice={"logprobs": old}).logprobs == (TokenLogprob("a", 0.0), TokenLogprob("b", -1.0))


@pytest.mark.parametrize("odd", [7, "x", [], {"content": 7}, {"content": [{"token": "a", "bytes": [999]}]}])
def test_odd_log_probs_are_no_reason_to_fail(odd: Any) -> None:
    assert openai_answer({"content": "a"}, choice={"logprobs": odd}).parts == (Text("a"),)


@pytest.mark.parametrize(("anthropic", "openai"), [("standard", "default"), ("priority", "priority"), ("batch", "flex"), (None, None)])
def test_the_service_tier_has_a_word_in_each_dialect(anthropic: str | None, openai: str | None) -> None:
    answer = anthropic_answer(usage={"input_tokens": 1, "output_tokens": 1, "service_tier": anthropic})
    assert (answer.service_tier, completion(answer).service_tier) == (anthropic, openai)
    assert message(answer)["usage"].get("service_tier") == anthropic
    streamed = heard(OPENAI_CHAT, [Started("x", "m"), TextDelta("a"), Finished("stop", service_tier=anthropic)])
    assert streamed.service_tier == openai
    assert heard(ANTHROPIC, [Started("x", "m"), TextDelta("a"), Finished("stop", service_tier=anthropic)]).service_tier == anthropic


# -------------------------------------------------------------------------------------------------- what only one dialect has


def test_server_tools_and_their_results_come_back_in_their_place() -> None:
    blocks: list[Json] = [
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"type": "web_search_result", "url": "u", "title": "t",
                                                                           "encrypted_content": "e", "page_age": None}]},
        {"type": "text", "text": "Found.", "citations": [PLACES[0][0]]},
        {"type": "a_block_of_tomorrow", "x": [1]},
    ]  # fmt: skip
    answer = anthropic_answer(*blocks)
    assert json.loads(ANTHROPIC.encode_answer(answer, "m", 1))["content"] == blocks
    assert completion(answer).choices[0].message.content == "Found."
    request = request_of(ANTHROPIC, chat({"role": "assistant", "content": blocks}, {"role": "user", "content": "y"}))
    assert said(ANTHROPIC, request)[0]["messages"][1]["content"] == blocks
    assert said(OPENAI_CHAT, request)[1] == (
        "server_tool_use",
        "web_search_tool_result",
        "citations (of earlier turns)",
        "a_block_of_tomorrow",
    )


def test_members_of_the_message_come_back() -> None:
    members = {"container": {"id": "c", "expires_at": "2026-01-01T00:00:00Z"}, "context_management": {"applied_edits": []}}
    answer = anthropic_answer({"type": "text", "text": "a"}, **members)
    body = json.loads(ANTHROPIC.encode_answer(answer, "m", 1))
    assert {name: body[name] for name in members} == members
    events: list[StreamEvent] = [Started("msg_1", "m"), TextDelta("a")]
    events += [*(ForeignShown(p) for p in answer.parts if isinstance(p, Foreign)), Finished("stop")]
    streamed = json.loads(ANTHROPIC.encode_answer(heard(ANTHROPIC, events), "m", 1))
    assert {name: streamed[name] for name in members} == members


def test_line_ends_in_what_is_carried_do_not_break_an_event() -> None:
    place = json.dumps(PLACES[0][0], indent=2).encode()
    own = Foreign("server_tool_use", "anthropic", b'{"type": "server_tool_use",\r\n "id": "s", "name": "web_search", "input": {}}')
    container = Foreign("message.container", "anthropic", b'{"id":\n"c","expires_at":"2026-01-01T00:00:00Z"}')
    events: list[StreamEvent] = [Started("x", "m"), ForeignShown(own), TextDelta("a")]
    events += [Cited(Citation(dialect="anthropic", raw=place)), ForeignShown(container), Finished("stop")]
    body = json.loads(ANTHROPIC.encode_answer(heard(ANTHROPIC, events), "m", 1))
    assert (body["content"][0]["id"], body["content"][1]["citations"], body["container"]["id"]) == ("s", [PLACES[0][0]], "c")
    spoken = Foreign("audio", "openai_chat", b'{"id":\n"a1"}')
    note = Foreign("annotation", "openai_chat", b'{"type":\n"file"}')
    told_again = heard(OPENAI_CHAT, [Started("x", "m"), TextDelta("a"), ForeignShown(spoken), ForeignShown(note), Finished("stop")])
    assert [part.kind for part in told_again.parts if isinstance(part, Foreign)] == ["audio", "annotation"]


def test_what_is_carried_becomes_utf8_on_one_line() -> None:
    assert carried(b'{"a":\r\n"\xff"}') == '{"a":  "\ufffd"}'.encode()
    body = b'{"type":"message","content":[{"type":"new","x":"\xff"}],"stop_reason":"end_turn"}'
    answer = ANTHROPIC.decode_answer(body)
    assert isinstance(answer, ChatAnswer)
    assert json.loads(ANTHROPIC.encode_answer(answer, "m", 1))["content"] == [{"type": "new", "x": "\ufffd"}]


def test_a_compaction_that_streams_is_one_block() -> None:
    def event(kind: str, **more: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()

    out = b"".join(
        [
            event("message_start", message={"id": "msg_1", "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}}),
            event("content_block_start", index=0, content_block={"type": "compaction", "content": None}),
            event("content_block_delta", index=0, delta={"type": "compaction_delta", "content": "Summary"}),
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
            event("message_stop"),
        ]
    )
    (part,) = told(ANTHROPIC, out).parts
    assert isinstance(part, Foreign)
    assert json.loads(part.raw) == {"type": "compaction", "content": "Summary"}


def test_tools_and_members_of_anthropics_own_are_said_again() -> None:
    tools: list[Json] = [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "mcp_toolset", "mcp_server_name": "s"},
        {"name": "f", "input_schema": {"type": "object"}, "defer_loading": True},
        {"name": "g", "input_schema": {"type": "object"}},
    ]
    more: Json = {
        "tools": tools,
        "mcp_servers": [{"type": "url", "url": "https://s/", "name": "s"}],
        "container": "c",
        "context_management": {"edits": [{"type": "compact_20260112"}]},
        "cache_control": {"type": "ephemeral"},
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "high", "task_budget": {"type": "tokens", "total": 5}},
    }
    request = request_of(ANTHROPIC, chat(**more))
    body, losses = said(ANTHROPIC, request, "claude-opus-4-8")
    assert {name: body[name] for name in more} == more
    assert losses == ()
    assert request.reasoning == Reasoning("adaptive", "high", show=False)
    other, losses = said(OPENAI_CHAT, request, "gpt-5")
    assert [tool["function"]["name"] for tool in other["tools"]] == ["f", "g"]
    assert {"tools.members", "mcp_servers", "container", "context_management", "cache_control", "output_config.task_budget"} <= set(losses)


def test_documents_keep_their_context_and_the_wish_to_be_cited() -> None:
    documents: list[Json] = [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "d"}, "title": "T",
         "context": "About it.", "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "url", "url": "https://d/"}, "citations": {"enabled": True}},
    ]  # fmt: skip
    request = request_of(ANTHROPIC, {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": documents}]})
    assert request.messages[0].parts == (Document("T", text="d"), Document(url="https://d/"))
    assert said(ANTHROPIC, request)[0]["messages"][0]["content"] == documents


def test_search_results_given_with_the_prompt_are_text_for_others() -> None:
    result: Json = {"type": "search_result", "source": "https://a/", "title": "A", "content": [{"type": "text", "text": "Fact."}],
                    "citations": {"enabled": True}}  # fmt: skip
    blocks: Json = {"type": "document", "title": "B", "source": {"type": "content", "content": [{"type": "text", "text": "More."}]}}
    request = request_of(ANTHROPIC, {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": [result, blocks]}]})
    assert said(ANTHROPIC, request)[0]["messages"][0]["content"] == [result, blocks]
    texts = [part["text"] for part in said(OPENAI_CHAT, request)[0]["messages"][0]["content"]]
    assert texts == ["A\nhttps://a/\n\nFact.", "B\n\nMore."]


def test_custom_tools_are_declared_called_and_answered() -> None:
    custom: Json = {"type": "custom", "custom": {"name": "code", "format": {"type": "text"}}}
    call: Json = {"id": "c1", "type": "custom", "custom": {"name": "code", "input": "print()"}}
    turns: list[Json] = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "r"},
    ]
    request = request_of(OPENAI_CHAT, chat(*turns, tools=[custom], tool_choice={"type": "custom", "custom": {"name": "code"}}))
    body, losses = said(OPENAI_CHAT, request, "gpt-5")
    assert (body["tools"], body["tool_choice"]) == ([custom], {"type": "custom", "custom": {"name": "code"}})
    assert body["messages"][1:] == turns
    assert losses == ()
    other, losses = said(ANTHROPIC, request)
    assert other["messages"][1]["content"][0]["input"] == {"input": "print()"}
    assert "tool custom (runs at its own provider only)" in losses
    deltas: list[Json] = [
        {"tool_calls": [{"index": 0, "id": "c1", "type": "custom", "custom": {"name": "code", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "print"}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "()"}}]},
    ]
    for answer in (openai_answer({"content": None, "tool_calls": [call]}), told(OPENAI_CHAT, openai_chunks(*deltas))):
        again = json.loads(OPENAI_CHAT.encode_answer(answer, "m", 1))["choices"][0]["message"]["tool_calls"]
        assert again == [call]


def test_only_the_allowed_tools_are_declared() -> None:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}}
    request = request_of(OPENAI_CHAT, chat(tools=tools, tool_choice=choice))
    assert (request.tools, request.tool_choice) == ((Tool("g"),), ToolChoice("required"))


def test_spoken_answers_are_text_for_others_and_audio_for_their_own() -> None:
    audio = {"id": "a1", "data": "AAAA", "expires_at": 9, "transcript": "Hello."}
    answer = openai_answer({"content": None, "audio": audio})
    assert completion(answer).choices[0].message.audio is not None
    assert message(answer)["content"] == [{"type": "text", "text": "Hello."}]
    back = request_of(OPENAI_CHAT, chat({"role": "assistant", "audio": {"id": "a1"}}, {"role": "user", "content": "y"}))
    assert said(OPENAI_CHAT, back, "gpt-audio")[0]["messages"][1]["audio"] == {"id": "a1"}
    assert "audio" in said(ANTHROPIC, back)[1]


def test_images_that_a_model_made_are_images() -> None:
    images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]
    answer = openai_answer({"content": "Here.", "images": images})
    assert answer.parts == (Text("Here."), Image(data="AAAA", media_type="image/png"))
    assert json.loads(OPENAI_CHAT.encode_answer(answer, "m", 1))["choices"][0]["message"]["images"] == images


def test_openais_own_members_are_said_again_and_named_elsewhere() -> None:
    more: Json = {
        "prediction": {"type": "content", "content": "x"},
        "web_search_options": {"search_context_size": "low"},
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
        "store": True,
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "verbosity": "low",
        "service_tier": "flex",
    }
    request = request_of(OPENAI_CHAT, chat(**more))
    body, losses = said(OPENAI_CHAT, request, "gpt-4o")
    assert {name: body[name] for name in more} == more
    assert losses == ()
    assert set(said(ANTHROPIC, request)[1]) == set(more)
    assert said(ANTHROPIC, request_of(OPENAI_CHAT, chat(modalities=["text"])))[1] == ()


def test_parts_of_its_own_dialect_are_said_again() -> None:
    video = {"type": "video_url", "video_url": {"url": "https://v/"}}
    request = request_of(OPENAI_CHAT, chat({"role": "user", "content": [{"type": "text", "text": "see"}, video]}))
    assert said(OPENAI_CHAT, request, "m")[0]["messages"][1]["content"][1] == video
    assert isinstance(ANTHROPIC.encode_request(request, "m", False), Fault)


@pytest.mark.parametrize(
    ("member", "value", "meant"),
    [
        ("reasoning", {"enabled": True, "exclude": True}, Reasoning("enabled", show=False)),
        ("reasoning", {"effort": "none"}, Reasoning("disabled")),
        ("thinking", {"type": "disabled"}, Reasoning("disabled")),
        ("thinking", {"type": "enabled", "budget_tokens": 2_000}, Reasoning("enabled", budget_tokens=2_000)),
        ("enable_thinking", False, Reasoning("disabled")),
        ("thinking_budget", 500, Reasoning("enabled", budget_tokens=500)),
        ("include_reasoning", False, Reasoning("adaptive", show=False)),
        ("reasoning_effort", "xhigh", Reasoning("enabled", "xhigh")),
    ],
)
def test_thinking_is_asked_for_in_many_ways(member: str, value: Any, meant: Reasoning) -> None:
    assert request_of(OPENAI_CHAT, chat(**{member: value})).reasoning == meant


def test_the_forced_answer_tool_is_no_tool_for_the_client() -> None:
    block = {"type": "tool_use", "id": "t", "name": ANSWER_TOOL, "input": {"a": 1}}
    answer = anthropic_answer(block, stop_reason="tool_use")
    assert (answer.parts, answer.finish) == ((Text('{"a": 1}'),), "stop")
    events: list[StreamEvent] = [
        Started("x", "m"),
        ToolCallStarted(0, "t", ANSWER_TOOL),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ": 1}"),
    ]
    streamed = told(ANTHROPIC, stream(ANTHROPIC, [*events, Finished("tool_calls")]))
    assert (streamed.parts, streamed.finish) == ((Text('{"a": 1}'),), "stop")


# ------------------------------------------------------------------------------------------------------------- tolerance


@pytest.mark.parametrize(
    "odd",
    [
        {"annotations": "x"},
        {"annotations": [7, {"type": "url_citation", "url_citation": "x"}]},
        {"reasoning_details": {"a": 1}},
        {"reasoning_details": [7, {"text": 7}]},
        {"audio": "x"},
        {"audio": {"transcript": 7}},
        {"extra_content": [1]},
        {"extra_content": {"google": 7}},
        {"executed_tools": None},
        {"images": [7, {"image_url": "x"}]},
        {"function_call": {"name": "", "arguments": ""}},
        {"a_member_of_tomorrow": {}},
    ],
)
def test_odd_members_of_a_vendor_cost_no_answer(odd: Json) -> None:
    answers = (openai_answer({"content": "a", **odd}), told(OPENAI_CHAT, openai_chunks({"content": "a"}, odd)))
    for answer in answers:
        assert Text("a") in answer.parts
        for dialect in BOTH:
            json.loads(dialect.encode_answer(answer, "m", 1))


@pytest.mark.parametrize("odd", [{"citations": "x"}, {"citations": [7]}, {"citations": None}])
def test_odd_members_of_a_block_cost_no_answer(odd: Json) -> None:
    assert anthropic_answer({"type": "text", "text": "a", **odd}).parts[0] in {Text("a"), Text("a", citations=())}
    assert anthropic_answer(stop_details=None, container=None).parts == ()


WORDS = st.text(min_size=1, max_size=8)
CITATIONS = st.builds(lambda url, title, quote: Citation(f"https://{url}/", title, quote), WORDS, WORDS, WORDS)


@st.composite
def cited_streams(draw: st.DrawFn) -> list[StreamEvent]:
    events: list[StreamEvent] = [Started("x1", "m")]
    for _ in range(draw(st.integers(1, 3))):
        cited = draw(st.lists(CITATIONS, max_size=2))
        before = draw(st.booleans())
        events += [Cited(c) for c in cited] if before else []
        events += [TextDelta(text) for text in draw(st.lists(WORDS, min_size=1, max_size=2))]
        events += [] if before else [Cited(c) for c in cited]
        events.append(TextEnded())
        if draw(st.booleans()):
            events += [ThinkingDelta(draw(WORDS)), ThinkingDelta(signature="gemini:" + draw(WORDS))]
    return [*events, Finished("stop")]


@given(cited_streams(), st.lists(st.integers(0, 3_000), max_size=5))
@settings(max_examples=60)
def test_cited_streams_are_the_same_under_every_cut(events: list[StreamEvent], cuts: list[int]) -> None:
    for dialect in BOTH:
        out = stream(dialect, events)
        decoder = dialect.stream_decoder()
        bounds = [0, *sorted(min(cut, len(out)) for cut in cuts), len(out)]
        got = [event for a, b in itertools.pairwise(bounds) for event in decoder.feed(out[a:b])] + decoder.finish()
        assert fold(got) == told(dialect, out)


@given(cited_streams())
@settings(max_examples=60)
def test_citations_stay_with_what_they_are_about(events: list[StreamEvent]) -> None:
    answer = fold(events)
    assert isinstance(answer, ChatAnswer)
    wanted = [(part.text, [c.url for c in part.citations]) for part in answer.parts if isinstance(part, Text)]
    parts = heard(ANTHROPIC, events).parts
    assert [(part.text, [c.url for c in part.citations]) for part in parts if isinstance(part, Text)] == wanted
    cited = [
        (part.text[c.start : c.end] if c.start >= 0 else part.text, c.url)
        for part in heard(OPENAI_CHAT, events).parts
        if isinstance(part, Text)
        for c in part.citations
    ]
    assert cited == [(text, url) for text, urls in wanted for url in urls]


@given(cited_streams(), st.data())
@settings(max_examples=60)
def test_no_damage_to_a_cited_stream_breaks_a_decoder(events: list[StreamEvent], data: st.DataObject) -> None:
    for dialect in BOTH:
        out = bytearray(stream(dialect, events))
        for _ in range(data.draw(st.integers(1, 4))):
            out[data.draw(st.integers(0, len(out) - 1))] = data.draw(st.integers(0, 255))
        decoder = dialect.stream_decoder()
        got = fold(decoder.feed(bytes(out)) + decoder.finish())
        if isinstance(got, ChatAnswer):
            for other in BOTH:
                json.loads(other.encode_answer(got, "m", 1))
