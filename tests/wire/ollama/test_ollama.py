"""Ollama's chat: lines of JSON, calls without ids, and everything others say."""

import itertools
import json
from typing import Any

import httpx
import ollama
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.wire.openai_completions.recorded import events_of, rendered

from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatAnswer,
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
    TokenLogprob,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Failed,
    Finished,
    LogprobsReported,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import DELTA_BYTES_MAX, Dialect, Encoded
from setpoint.wire.ollama.dialect import OLLAMA
from setpoint.wire.ollama.ndjson import LineDecoder
from setpoint.wire.ollama.stream_in import ChatStreamDecoder
from setpoint.wire.ollama.tap import OllamaTap
from setpoint.wire.ollama.times import seconds_of, time_of
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.sse import EVENT_BYTES_MAX

DIALECT: Dialect = OLLAMA
HI = (Message("user", (Text("hi"),)),)
AT = "2026-08-07T06:08:11.017589Z"


def read(**members: Any) -> ChatRequest:
    request = DIALECT.decode_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode())
    assert isinstance(request, ChatRequest), request
    return request


def said(request: ChatRequest, model: str = "llama3.2", stream: bool = False) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = DIALECT.encode_request(request, model, stream)
    assert isinstance(encoded, Encoded), encoded
    return json.loads(encoded.body), encoded.losses


def told(events: list[StreamEvent]) -> ChatAnswer:
    answer = fold(events)
    assert isinstance(answer, ChatAnswer), answer
    return answer


def decoded(body: bytes) -> ChatAnswer:
    answer = DIALECT.decode_answer(body)
    assert isinstance(answer, ChatAnswer), answer
    return answer


# ------------------------------------------------------------------------------------------------------ reading requests


SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}


def test_every_member_finds_its_noun_and_its_way_back() -> None:
    members: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "be kind"},
            {"role": "system", "content": "be short"},
            {"role": "user", "content": "look", "images": ["R0lGODlh", "/9j/4AAQ", "iVBORw0KGgo=", "UklGRg==", "AAAA"]},
            {
                "role": "assistant",
                "content": "ok",
                "thinking": "hm",
                "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}],
            },
            {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c1"},
            {"role": "user", "content": "go on"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}],
        "format": SCHEMA,
        "options": {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 4,
            "frequency_penalty": 0.1,
            "presence_penalty": 0.2,
            "seed": 7,
            "num_predict": 9,
            "stop": ["x"],
            "num_ctx": 4096,
            "repeat_penalty": 1.1,
        },
        "think": True,
        "logprobs": True,
        "top_logprobs": 3,
        "keep_alive": "5m",
        "stream": True,
    }
    request = read(**members)
    assert request.system == (Text("be kind"), Text("be short"))
    kinds = ["image/gif", "image/jpeg", "image/png", "image/webp", "image/png"]
    assert [part.media_type for part in request.messages[0].parts if isinstance(part, Image)] == kinds
    assert request.messages[1].parts == (Thinking("hm"), Text("ok"), ToolCall("c1", "f", '{"x": 1}'))
    assert request.messages[2].parts == (ToolResult("c1", (Text("r"),)),)
    assert request.sampling == Sampling(0.5, 0.9, 4, 0.1, 0.2, 7)
    assert (request.max_tokens, request.stop, request.reasoning) == (9, ("x",), Reasoning("enabled"))
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    body, losses = said(request, "m", stream=True)
    assert losses == ()
    assert body == {"model": "m", **members}


def test_others_are_told_which_options_they_cannot_have() -> None:
    request = read(options={"num_ctx": 9, "stop": "x", "num_predict": -1}, keep_alive=0)
    assert (request.stop, request.max_tokens) == (("x",), None)
    encoded = OPENAI_CHAT.encode_request(request, "up", False)
    assert isinstance(encoded, Encoded)
    assert {"options.num_ctx", "keep_alive"} <= set(encoded.losses)


@pytest.mark.parametrize(
    ("stream", "streams"), [({}, True), ({"stream": None}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_a_stream_is_the_default(stream: dict[str, Any], streams: bool) -> None:
    assert read(**stream).stream is streams


def call(name: str, **more: Any) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": {}}, **more}


@pytest.mark.parametrize(
    ("calls", "results", "ids"),
    [
        ([call("f"), call("g")], [{"tool_name": "g"}, {"tool_name": "f"}], ["call_1_1", "call_1_0"]),
        ([call("f"), call("f")], [{"tool_name": "f"}, {"tool_name": "f"}], ["call_1_0", "call_1_1"]),
        ([call("f"), call("g")], [{}, {}], ["call_1_0", "call_1_1"]),
        ([call("f", id="a"), call("f", id="b")], [{"tool_call_id": "b"}, {"tool_call_id": "a"}], ["b", "a"]),
        ([call("f")], [{"tool_name": "h"}], ["call_2"]),
        ([call("f")], [{"tool_call_id": "gone"}], ["gone"]),
        ([], [{}], ["call_2"]),
    ],
)
def test_results_find_their_calls(calls: list[Any], results: list[Any], ids: list[str]) -> None:
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": "", "tool_calls": calls}]
    request = read(messages=[*messages, *({"role": "tool", "content": "r", **result} for result in results)])
    assert [part.call_id for part in request.messages[-1].parts if isinstance(part, ToolResult)] == ids
    encoded = DIALECT.encode_request(request, "m", True)
    assert isinstance(encoded, Encoded)
    again = DIALECT.decode_request(encoded.body)
    assert isinstance(again, ChatRequest)
    assert again.messages == request.messages


@pytest.mark.parametrize(
    ("given_", "noun"),
    [
        ("", None),
        (None, None),
        ("json", ResponseFormat("json_object")),
        (SCHEMA, ResponseFormat("json_schema", json.dumps(SCHEMA).encode())),
    ],
)
def test_a_form_of_the_answer_is_understood(given_: Any, noun: ResponseFormat | None) -> None:
    request = read(format=given_)
    assert request.response_format == noun
    assert said(request)[0].get("format") == (given_ or None)


@pytest.mark.parametrize(
    ("reasoning", "model", "think", "losses"),
    [
        (Reasoning("disabled"), "qwen3", False, ()),
        (Reasoning("enabled", "high"), "qwen3", True, ("reasoning (the effort is not kept)",)),
        (Reasoning("enabled", "high"), "gpt-oss:20b", "high", ()),
        (Reasoning("enabled", "xhigh"), "gpt-oss:20b", "high", ("reasoning (the effort is not kept)",)),
        (Reasoning("enabled", "minimal"), "gpt-oss:20b", "low", ("reasoning (the effort is not kept)",)),
        (Reasoning("enabled", budget_tokens=9), "gpt-oss:20b", True, ("reasoning (a budget is not kept)",)),
    ],
)
def test_thinking_is_a_switch_or_a_level(reasoning: Reasoning, model: str, think: Any, losses: tuple[str, ...]) -> None:
    body, lost = said(ChatRequest("m", HI, reasoning=reasoning), model)
    assert (body["think"], lost) == (think, losses)


def test_a_level_is_read() -> None:
    assert read(think="low").reasoning == Reasoning("enabled", "low")
    assert read(think=False).reasoning == Reasoning("disabled")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "judge", "content": "x"}]}, "messages[0].role"),
        ({"format": "xml"}, "format"),
        ({"options": {"temperature": "hot"}}, "temperature"),
        ({"options": []}, "body"),
    ],
)
def test_a_malformed_request_is_refused_with_its_member(members: dict[str, Any], param: str) -> None:
    fault = DIALECT.decode_request(json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode())
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request
    assert fault.param in {param, None}


# ------------------------------------------------------------------------------------------------------ writing requests


def test_a_choice_of_tools_is_made_by_what_is_offered() -> None:
    tools = (Tool("f", strict=True, cache=CacheMark()), Tool("g"), Tool("", foreign="web_search"))
    named, losses = said(ChatRequest("m", HI, tools=tools, tool_choice=ToolChoice("named", "g"), parallel_tool_calls=False))
    assert [tool["function"]["name"] for tool in named["tools"]] == ["g"]
    assert named["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert set(losses) == {
        "tool web_search (runs at its own provider only)",
        "tool_choice (only the named tool is offered; a call cannot be forced)",
        "parallel_tool_calls",
    }
    none, losses = said(ChatRequest("m", HI, tools=tools[:2], tool_choice=ToolChoice("none")))
    assert "tools" not in none
    assert losses == ("tool_choice none (no tool is offered)",)
    required, losses = said(ChatRequest("m", HI, tools=tools[:2], tool_choice=ToolChoice("required")))
    assert len(required["tools"]) == 2
    assert losses == ("tool_choice required (a call cannot be forced)", "cache_control", "tools.strict")
    assert said(ChatRequest("m", HI, tools=(Tool("g"),), tool_choice=ToolChoice("auto")))[1] == ()


def test_other_losses_are_named() -> None:
    turns = (
        Message("user", (Text("a", CacheMark()), Text("b"), Document("t", text="d"), Image(data="R0", detail="high")), "Ann"),
        Message(
            "assistant",
            (Thinking("", redacted="x"), Text("b", citations=(Citation("u"),)), Foreign("server_tool_use"), ToolCall("c", "f", "")),
        ),
        Message("tool", (ToolResult("c", (Image(data="R1"), Text("r")), True, CacheMark()), ToolResult("other", ()))),
        Message("system", (Text("s"),)),
    )
    body, losses = said(ChatRequest("m", turns, user="u", service_tier="flex", verbosity="low", extras={"x": b"1"}))
    assert body["messages"] == [
        {"role": "user", "content": "a\nb\nt\n\nd", "images": ["R0"]},
        {"role": "assistant", "content": "b", "tool_calls": [{"id": "c", "function": {"index": 0, "name": "f", "arguments": {}}}]},
        {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c"},
        {"role": "tool", "content": "", "tool_call_id": "other"},
        {"role": "user", "content": "Files of the result of c:", "images": ["R1"]},
        {"role": "system", "content": "s"},
    ]
    assert set(losses) == {
        "cache_control",
        "messages.name",
        "document (plain text became a text part)",
        "image_url.detail",
        "thinking (of earlier turns)",
        "citations (of earlier turns)",
        "server_tool_use",
        "tool_result.is_error",
        "tool_result (files moved to a user message)",
        "user",
        "service_tier",
        "verbosity",
        "x",
    }


@pytest.mark.parametrize(
    "part",
    [
        Audio("x", "wav"),
        Image(url="https://x.test/a.png"),
        Image(file_id="f"),
        Document(data="JVBERi0=", media_type="application/pdf"),
        Foreign("container_upload", "anthropic", b"{}"),
    ],
)
def test_what_would_change_the_question_is_refused(part: Any) -> None:
    for request in (ChatRequest("m", (Message("user", (part,)),)), ChatRequest("m", HI, n=2)):
        fault = DIALECT.encode_request(request, "m", False)
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.unsupported


# -------------------------------------------------------------------------------------------------------------- answers


def answered(message: Any, **more: Any) -> bytes:
    body = {"model": "m", "created_at": AT, "message": {"role": "assistant", **message}, "done": True, "done_reason": "stop"}
    return json.dumps({**body, "prompt_eval_count": 5, "eval_count": 3, **more}, separators=(",", ":")).encode()


def test_calls_without_ids_get_some_that_do_not_come_again() -> None:
    calls = [call("f"), {"function": {"name": "g", "arguments": '{"x":1}'}}, {"function": None}, call("h", id="own")]
    answer = decoded(answered({"content": "", "tool_calls": calls}))
    made = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert [part.id for part in made] == [f"call_20260807T060811017589Z_{no}" for no in range(3)] + ["own"]
    assert [part.arguments for part in made] == ["{}", '{"x":1}', "{}", "{}"]
    assert answer.finish == "tool_calls"
    assert decoded(answered({"content": "", "tool_calls": [call("f")]}, created_at="2026-08-08T00:00:00Z")).parts != tuple(made[:1])


def test_an_answer_is_known_by_its_time() -> None:
    answer = decoded(answered({"content": "x"}))
    assert (answer.id, answer.created_s) == (f"ollama-{AT}", 1_786_082_891)
    assert json.loads(DIALECT.encode_answer(answer, "m", 1))["created_at"] == AT
    other = ChatAnswer("chatcmpl-1", "m", (Text("x"),), "stop", created_s=1_786_082_891)
    assert json.loads(DIALECT.encode_answer(other, "m", 1))["created_at"] == "2026-08-07T06:08:11Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024-05-24T22:01:59.481632123+01:00", 1_716_584_519),
        ("2024-05-24T21:01:59", 1_716_584_519),
        ("", 0),
        ("soon", 0),
        ("0001-01-01T00:00:00Z", 0),
    ],
)
def test_times_are_read_as_go_writes_them(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1_753_879_648_527, "9999-12-31T23:59:59Z"),
        (253_402_300_800, "9999-12-31T23:59:59Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (10**30, "9999-12-31T23:59:59Z"),
        (-1, "1970-01-01T00:00:00Z"),
        (-(10**30), "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_out_of_range_is_written_as_the_nearest_one(seconds: int, text: str) -> None:
    assert time_of("x", seconds) == text
    assert json.loads(OLLAMA.encode_answer(ChatAnswer("x", "m", (Text("a"),), "stop", created_s=seconds), "m", 1))["created_at"] == text


TOKENS = (TokenLogprob("ü", -0.5, "ü".encode(), (TokenLogprob("ü", -0.5, "ü".encode()), TokenLogprob("u", -2.0))), TokenLogprob("!", -1.0))


def test_log_probabilities_come_through() -> None:
    raw = DIALECT.encode_answer(ChatAnswer(f"ollama-{AT}", "m", (Text("ü!"),), "stop", logprobs=TOKENS), "m", 1)
    assert decoded(raw).logprobs == TOKENS
    response = ollama.ChatResponse.model_validate_json(raw)
    assert response.logprobs is not None
    assert [one.token for one in response.logprobs[0].top_logprobs or ()] == ["ü", "u"]
    odd = decoded(answered({"content": "x"}, logprobs=[{"token": "a"}, {"logprob": -1.0, "bytes": [300]}]))
    assert odd.logprobs == (TokenLogprob("", -1.0),)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", FaultKind.upstream_server),
        (b"<html>", FaultKind.upstream_server),
        (b'{"error":"model requires more system memory"}', FaultKind.upstream_server),
        (b'{"error":{"message":"the input length exceeds the context length"}}', FaultKind.context_length),
    ],
)
def test_a_good_status_without_an_answer_is_a_fault(body: bytes, kind: FaultKind) -> None:
    fault = DIALECT.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


def test_an_old_answer_without_counts_or_reason_is_read() -> None:
    body = b'{"model":"m","created_at":"x","message":{"role":"assistant","content":"a"},"done":true,"eval_count":3}'
    answer = decoded(body)
    assert (answer.usage, answer.finish, answer.created_s) == (Usage(output=3), "unknown", 0)
    assert decoded(b'{"message":{"content":"a"},"done":true}').usage is None


def test_what_has_no_place_is_left_to_the_text() -> None:
    parts = (Thinking("hm"), Text("a"), Refusal("no"), Foreign("x"), ToolCall("c", "f", "no json"))
    raw = DIALECT.encode_answer(ChatAnswer("a", "m", parts, "refusal", Usage(1, 2, 3, 4, 5)), "m", 1)
    message = json.loads(raw)["message"]
    assert (message["content"], message["thinking"]) == ("ano", "hm")
    assert message["tool_calls"][0]["function"]["arguments"] == {"INVALID_JSON": "no json"}
    assert (json.loads(raw)["prompt_eval_count"], json.loads(raw)["eval_count"]) == (6, 9)


# -------------------------------------------------------------------------------------------------------------- streams


WORDS = st.text(min_size=1, max_size=12)
OBJECTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6) | st.sampled_from([True, False]), max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> list[StreamEvent]:
    """A whole answer as Ollama can say it: thinking, then text, then calls, whose deltas may be interleaved."""
    events: list[StreamEvent] = [Started(f"ollama-{AT}", "shown", 1_786_082_891)]
    events += [ThinkingDelta(text) for text in draw(st.lists(WORDS, max_size=3))]
    events += [TextDelta(text) for text in draw(st.lists(WORDS, max_size=3))]
    calls = [json.dumps(value, ensure_ascii=False) for value in draw(st.lists(OBJECTS, max_size=3))]
    lanes: list[list[StreamEvent]] = []
    for no, text in enumerate(calls):
        at = draw(st.integers(0, len(text)))
        lanes.append([ToolCallStarted(no, f"c{no}", f"f{no}"), ToolCallDelta(no, text[:at]), ToolCallDelta(no, text[at:])])
    while any(lanes):
        startable = next((no for no, lane in enumerate(lanes) if lane and isinstance(lane[0], ToolCallStarted)), len(lanes))
        events.append(lanes[draw(st.sampled_from([no for no, lane in enumerate(lanes) if lane and no <= startable]))].pop(0))
    events.append(UsageReported(Usage(input=draw(st.integers(0, 99)), output=draw(st.integers(0, 99)))))
    return [*events, Finished("tool_calls" if calls else draw(st.sampled_from(["stop", "length"])))]


CUTS = st.lists(st.integers(0, 3_000), max_size=10)


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(no for no in cuts if no < len(stream))})
    return [stream[a:b] for a, b in itertools.pairwise(at)]


@given(streams())
def test_a_unary_answer_is_read_back_as_it_was_told(events: list[StreamEvent]) -> None:
    answer = told(events)
    assert decoded(DIALECT.encode_answer(answer, "shown", 1)) == answer


@given(streams(), CUTS)
def test_a_stream_is_read_back_as_it_was_told_under_any_cut(events: list[StreamEvent], cuts: list[int]) -> None:
    stream = rendered(DIALECT, events)
    again = events_of(DIALECT, cut(stream, cuts))
    assert alike(told(again)) == alike(told(events))
    assert again == events_of(DIALECT, [stream])
    assert again == events_of(DIALECT, [stream[no : no + 1] for no in range(len(stream))])
    assert again == events_of(DIALECT, cut(stream.replace(b"\n", b"\r\n"), cuts))
    assert again == events_of(DIALECT, [stream.rstrip(b"\n")])


@given(streams())
@settings(max_examples=40)
def test_a_stream_crosses_to_others_and_back(events: list[StreamEvent]) -> None:
    for other in (OPENAI_CHAT, ANTHROPIC):
        there = events_of(other, [rendered(other, events_of(DIALECT, [rendered(DIALECT, events)]))])
        back = told(events_of(DIALECT, [rendered(DIALECT, there)]))
        assert alike(back)[:3] == alike(told(events))[:3], other.name


def alike(answer: ChatAnswer) -> Any:
    """Arguments are compared as objects: an odd line end of Unicode in them is escaped on the way."""
    parts = [(part.id, part.name, json.loads(part.arguments)) if isinstance(part, ToolCall) else part for part in answer.parts]
    return parts, answer.finish, answer.usage, answer.id, answer.model, answer.created_s


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


NAMES = ["message", "content", "tool_calls", "function", "arguments", "name", "logprobs", "done", "error", "thinking", "options", "format"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@settings(max_examples=200)
def test_odd_json_never_crashes(value: Any) -> None:
    raw = json.dumps(value).encode()
    assert isinstance(DIALECT.decode_answer(raw), Fault | ChatAnswer)
    assert isinstance(DIALECT.decode_answer(b'{"message":%b,"logprobs":%b}' % (raw, raw)), Fault | ChatAnswer)
    assert isinstance(DIALECT.decode_request(b'{"model":"m","messages":[%b],"options":%b}' % (raw, raw)), Fault | ChatRequest)
    DIALECT.read_usage(raw)
    assert isinstance(events_of(DIALECT, [raw + b"\n"])[-1], Finished | Failed)


def line(text: str = "", done: bool = False, **more: Any) -> bytes:
    body = {"model": "m", "created_at": AT, "message": {"role": "assistant", "content": text}, "done": done, **more}
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def test_a_stream_cut_short_fails() -> None:
    stream = line("a") + line("b") + line(done=True, done_reason="stop")
    for end in range(0, len(line("a") + line("b")) + 1, 10):
        last = events_of(DIALECT, [stream[:end]])[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultKind.upstream_cut


def test_an_error_line_ends_a_stream() -> None:
    stream = line("a") + b'{"error":"server busy, please try again","status_code":503}\n' + line("b")
    events = events_of(DIALECT, [stream])
    last = events[-1]
    assert isinstance(last, Failed)
    assert (last.fault.kind, last.fault.message) == (FaultKind.upstream_overloaded, "server busy, please try again")
    tap = DIALECT.tap()
    assert tap.feed(stream) == stream
    assert tap.error == last.fault
    assert tap.done is False
    shown = rendered(DIALECT, events)
    assert shown.endswith(DIALECT.render_stream_fault(last.fault, ""))
    client = ollama.Client("http://x.test", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=shown)))
    with pytest.raises(ollama.ResponseError, match="server busy"):
        list(client.chat("m", [], stream=True))


@pytest.mark.parametrize("bad", [b"{\n", b"[]\n", b"\xff\n", b'{"message":1}\n'])
def test_a_line_that_is_no_answer_fails(bad: bytes) -> None:
    assert isinstance(events_of(DIALECT, [bad])[-1], Failed)
    tap = DIALECT.tap()
    tap.feed(bad)
    assert tap.error is not None


def test_a_line_over_the_limit_ends_the_stream() -> None:
    fits = line("x" * 100)
    for limit, fails in ((len(fits) - 1, False), (len(fits) - 2, True)):
        decoder = ChatStreamDecoder(limit)
        assert isinstance(decoder.feed(fits)[-1], Failed) is fails
        held = LineDecoder(limit)
        held.feed(fits[:-1])
        assert held.overflowed is fails
        assert len(held.finish()) == (0 if fails else 1)


def test_a_long_text_is_written_in_pieces() -> None:
    stream = rendered(DIALECT, [Started(), TextDelta("€" * DELTA_BYTES_MAX), Finished("stop")])
    texts = [json.loads(one)["message"]["content"] for one in stream.splitlines()]
    assert "".join(texts) == "€" * DELTA_BYTES_MAX
    assert max(len(text.encode()) for text in texts) <= DELTA_BYTES_MAX


def test_line_ends_of_unicode_are_escaped_because_the_client_takes_them_for_its_own() -> None:
    text = "a\u2028b\u2029c\x85d"
    events: list[StreamEvent] = [
        Started(),
        TextDelta(text),
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, json.dumps({"x": text})),
        Finished("stop"),
    ]
    seen = list(client(200, rendered(DIALECT, events), "application/x-ndjson").chat("m", [], stream=True))
    assert "".join(piece.message.content or "" for piece in seen) == text
    assert [dict(one.function.arguments) for piece in seen for one in piece.message.tool_calls or ()] == [{"x": text}]


def test_text_after_calls_stays_behind_them() -> None:
    events: list[StreamEvent] = [
        Started(f"ollama-{AT}", "shown", 1_786_082_891),
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, "{}"),
        RefusalDelta("no"),
        LogprobsReported(TOKENS),
        Finished("stop"),
    ]
    again = told(events_of(DIALECT, [rendered(DIALECT, events)]))
    assert again.parts == (ToolCall("c", "f", "{}"), Text("no"))
    assert again.logprobs == TOKENS


# ------------------------------------------------------------------------------------------------------------------ tap


ODD_TEXTS = st.lists(st.sampled_from(["a", "ü😀", '"done":true', '"done":false', '"error"', "\n{}\n", ""]), max_size=6)


@given(ODD_TEXTS, st.booleans(), st.sampled_from([b"\n", b"\r\n", b"\n\n"]), st.booleans(), CUTS)
def test_a_tap_forwards_every_byte_and_sees_the_same_under_any_cut(
    texts: list[str], spaced: bool, end: bytes, ended: bool, cuts: list[int]
) -> None:
    odd = {"tool_calls": [{"function": {"name": "f", "arguments": {"done": False, "error": "x"}}}]}
    lines = [*(line(text) for text in texts), line(done=True, done_reason="length", prompt_eval_count=5, eval_count=3)]
    lines[-1] = json.dumps({**json.loads(lines[-1]), "message": {"content": "", **(odd if spaced else {})}}, separators=(",", ":")).encode()
    if spaced:
        lines = [json.dumps(json.loads(one)).encode() for one in lines]
    stream = end.join(one.rstrip(b"\n") for one in lines) + (end if ended else b"")
    seen = []
    for pieces in ([stream], cut(stream, cuts), [stream[no : no + 1] for no in range(len(stream))]):
        tap = DIALECT.tap()
        assert b"".join([tap.feed(piece) for piece in pieces]) + tap.flush() == stream
        seen.append((tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0] == (len(lines), any(texts) or spaced, Usage(input=5, output=3), "m", "length", True, None)


def test_a_whole_line_is_returned_itself() -> None:
    tap = DIALECT.tap()
    data = line("a")
    assert tap.feed(data) is data
    assert tap.feed(data) is data
    assert tap.events == 2


def test_half_a_line_is_held_and_never_passed_on() -> None:
    tap = DIALECT.tap()
    assert tap.feed(line("a") + b'{"model"') == line("a")
    assert tap.flush() == b""
    assert tap.done is False
    whole = DIALECT.tap()
    assert whole.feed(line("a")[:-1]) == b""
    assert whole.flush() == line("a")


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(("more", "whole"), [(0, True), (1, False)])
def test_a_line_over_its_bound_is_an_error_and_is_not_passed_on(more: int, whole: bool, size: int) -> None:
    tap = OllamaTap()
    tap.event_bytes_max = 200
    start, end = b'{"message":{"content":"', b'"}}\n'
    stream = line("a") + start + b"x" * (200 - len(start) - len(end) + more) + end + line("b")
    out = b"".join(tap.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + tap.flush()
    assert out == (stream if whole else line("a"))
    assert (tap.error is None) is whole


def test_the_bound_of_a_line_is_that_of_all_events() -> None:
    tap = DIALECT.tap()
    assert tap.feed(b"x" * EVENT_BYTES_MAX) == b""
    before = tap.error
    assert tap.feed(b"x") == b""
    assert (before is None, tap.error is None) == (True, False)
    assert tap.feed(line("b")) == b""


# ----------------------------------------------------------------------------------------------------------- the client


def client(status: int, body: bytes, kind: str = "application/json") -> ollama.Client:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=body, headers={"content-type": kind}))
    return ollama.Client("http://x.test", transport=transport)


def test_the_ollama_client_puts_a_stream_together() -> None:
    events: list[StreamEvent] = [
        Started("x", "up"),
        ThinkingDelta("hm"),
        TextDelta("It is "),
        TextDelta("ü€😀."),
        ToolCallStarted(0, "c0", "look"),
        ToolCallDelta(0, '{"x":'),
        ToolCallStarted(1, "c1", "look"),
        ToolCallDelta(1, '{"x":2}'),
        ToolCallDelta(0, "1}"),
        UsageReported(Usage(input=3, cached_read=2, output=4, reasoning=1)),
        Finished("tool_calls"),
    ]
    seen = list(client(200, rendered(DIALECT, events), "application/x-ndjson").chat("m", [], stream=True))
    assert "".join(piece.message.content or "" for piece in seen) == "It is ü€😀."
    assert "".join(piece.message.thinking or "" for piece in seen) == "hm"
    calls = [(one.function.name, dict(one.function.arguments)) for piece in seen for one in piece.message.tool_calls or ()]
    assert calls == [("look", {"x": 1}), ("look", {"x": 2})]
    last = seen[-1]
    assert (last.done, last.done_reason, last.prompt_eval_count, last.eval_count, last.model) == (True, "stop", 5, 5, "shown")


@pytest.mark.parametrize("kind", [FaultKind.bad_request, FaultKind.unauthenticated, FaultKind.rate_limited, FaultKind.upstream_server])
def test_faults_are_the_clients_own_exception(kind: FaultKind) -> None:
    fault = Fault(kind, "It broke.")
    with pytest.raises(ollama.ResponseError, match=r"It broke") as raised:
        client(fault.http_status, DIALECT.render_fault(fault, "r")).chat("m", [])
    assert raised.value.status_code == fault.http_status


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "model 'x' not found", FaultKind.unknown_model),
        (404, 'model "x" not found, try pulling it first', FaultKind.unknown_model),
        (404, "page not found", FaultKind.upstream_refused),
        (400, "registry.ollama.ai/library/x does not support tools", FaultKind.unsupported),
        (400, '"x" does not support thinking', FaultKind.unsupported),
        (400, "invalid options", FaultKind.upstream_refused),
        (401, "unauthorized", FaultKind.upstream_auth),
        (429, "too many requests", FaultKind.upstream_rate),
        (500, "model runner has unexpectedly stopped", FaultKind.upstream_server),
        (503, "server busy, please try again. maximum pending requests exceeded", FaultKind.upstream_overloaded),
    ],
)
def test_errors_are_told_by_status_and_words(status: int, message: str, kind: FaultKind) -> None:
    fault = DIALECT.classify_fault(status, {"retry-after": "7"}, json.dumps({"error": message}).encode(), 0.0)
    assert (fault.kind, fault.message, fault.upstream_status) == (kind, message, status)
    assert fault.retry_after_s == (7.0 if fault.retry == "again" else None)
