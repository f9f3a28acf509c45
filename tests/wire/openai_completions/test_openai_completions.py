"""Legacy completions: a prompt becomes a question, and an answer of any dialect a text."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from tests.wire.openai_completions.recorded import datas, events_of, legacy_chunk, rendered

from setpoint.domain.capabilities import Capabilities
from setpoint.domain.chat import (
    ChatAnswer,
    ChatRequest,
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
)
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Failed,
    Finished,
    LogprobsReported,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallStarted,
    UsageReported,
    fold,
)
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import DELTA_BYTES_MAX, Dialect, Encoded
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_completions.dialect import OPENAI_COMPLETIONS
from setpoint.wire.openai_completions.request_out import DEFAULT_MAX_TOKENS, LOGPROBS_MAX, STOP_SEQUENCES_MAX
from setpoint.wire.openai_completions.stream_in import CompletionStreamDecoder

DIALECT: Dialect = OPENAI_COMPLETIONS


def decoded(**members: Any) -> ChatRequest:
    request = DIALECT.decode_request(json.dumps({"model": "m", "prompt": "Say hi", **members}).encode())
    assert isinstance(request, ChatRequest), request
    return request


def refused(**members: Any) -> Fault:
    request = DIALECT.decode_request(json.dumps({"model": "m", "prompt": "Say hi", **members}).encode())
    assert isinstance(request, Fault)
    return request


def asked(request: ChatRequest, stream: bool = False) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = DIALECT.encode_request(request, "up", stream)
    assert isinstance(encoded, Encoded), encoded
    return json.loads(encoded.body), encoded.losses


QUESTION = ChatRequest("m", (Message("user", (Text("Say hi"),)),), max_tokens=9)


# ------------------------------------------------------------------------------------------------------------- requests


def test_a_prompt_becomes_one_user_message_and_every_target_says_so() -> None:
    request = decoded(max_tokens=5)
    assert request.messages == (Message("user", (Text("Say hi"),)),)
    for target in (OPENAI_CHAT, ANTHROPIC):
        encoded = target.encode_request(request, "up", False)
        assert isinstance(encoded, Encoded)
        assert "prompt" in encoded.losses


def test_every_member_finds_its_noun() -> None:
    request = decoded(
        prompt=["Say hi"],
        max_tokens=5,
        temperature=0.5,
        top_p=0.9,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        seed=7,
        stop="x",
        logprobs=2,
        n=3,
        user="u",
        stream=True,
        stream_options={"include_usage": True},
        best_of=3,
        logit_bias={},
    )
    assert request.sampling == Sampling(0.5, 0.9, None, 0.1, 0.2, 7)
    assert (request.max_tokens, request.stop, request.n, request.user) == (5, ("x",), 3, "u")
    assert (request.logprobs, request.top_logprobs, request.stream, request.include_usage) == (True, 2, True, True)
    assert list(request.extras) == ["prompt"]


def test_more_tries_than_answers_are_named_as_a_loss() -> None:
    request = decoded(best_of=4, logit_bias={"1": 2})
    encoded = ANTHROPIC.encode_request(request, "up", False)
    assert isinstance(encoded, Encoded)
    assert {"best_of", "logit_bias", "prompt"} <= set(encoded.losses)
    body, losses = asked(request)
    assert (body["best_of"], body["logit_bias"], losses) == (4, {"1": 2}, ())


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"prompt": ["a", "b"]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"suffix": "end"}, "suffix"),
        ({"echo": True}, "echo"),
    ],
)
def test_what_would_change_the_question_is_refused_with_its_name(members: dict[str, Any], param: str) -> None:
    fault = refused(**members)
    assert (fault.kind, fault.param) == (FaultKind.unsupported, param)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model":"m"}', b'{"model":"m","prompt":null}', b'{"prompt":"x"}', b'{"model":1}'])
def test_a_malformed_request_is_the_callers_fault(body: bytes) -> None:
    fault = DIALECT.decode_request(body)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.bad_request


def test_a_question_of_a_chat_client_is_asked_as_a_prompt() -> None:
    request = ChatRequest(
        "m",
        (Message("user", (Text("a"), Text("b"))),),
        sampling=Sampling(0.5, 0.9, 4, 0.1, 0.2, 7),
        stop=("1", "2", "3", "4", "5"),
        logprobs=True,
        top_logprobs=9,
        reasoning=Reasoning("enabled", "high"),
        user="u",
        n=2,
    )
    body, losses = asked(request, stream=True)
    assert body == {
        "model": "up",
        "prompt": "ab",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "stop": ["1", "2", "3", "4"],
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 0.1,
        "presence_penalty": 0.2,
        "seed": 7,
        "logprobs": LOGPROBS_MAX,
        "n": 2,
        "user": "u",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert set(losses) == {
        f"max_tokens (set to {DEFAULT_MAX_TOKENS})",
        f"stop (only the first {STOP_SEQUENCES_MAX})",
        f"top_logprobs (lowered to {LOGPROBS_MAX})",
        "reasoning",
        "top_k",
    }


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest("m", QUESTION.messages, system=(Text("be kind"),)), "messages"),
        (ChatRequest("m", (*QUESTION.messages, Message("assistant", (Text("hi"),)))), "messages"),
        (ChatRequest("m", (Message("assistant", (Text("hi"),)),)), "messages"),
        (ChatRequest("m", (Message("user", (Image(url="https://x.test/a.png"),)),)), "messages.content"),
        (ChatRequest("m", QUESTION.messages, tools=(Tool("f"),)), "tools"),
        (ChatRequest("m", QUESTION.messages, response_format=ResponseFormat("json_object")), "response_format"),
    ],
)
def test_a_conversation_is_not_flattened_into_a_prompt(request_: ChatRequest, param: str) -> None:
    fault = DIALECT.encode_request(request_, "up", False)
    assert isinstance(fault, Fault)
    assert (fault.kind, fault.param) == (FaultKind.unsupported, param)


def test_usage_of_a_stream_is_asked_for_only_where_it_has_to_be() -> None:
    encoded = DIALECT.encode_request(QUESTION, "up", True, Capabilities(stream_usage="always"))
    assert isinstance(encoded, Encoded)
    assert "stream_options" not in json.loads(encoded.body)


@given(
    st.fixed_dictionaries(
        {"prompt": st.text(max_size=20)},
        optional={
            "max_tokens": st.integers(1, 99),
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0, 1),
            "seed": st.integers(0, 9),
            "stop": st.lists(st.text(min_size=1, max_size=3), min_size=1, max_size=4),
            "logprobs": st.integers(0, 5),
            "n": st.integers(1, 3),
            "user": st.text(max_size=5),
            "presence_penalty": st.floats(-2, 2),
        },
    ),
    st.booleans(),
)
def test_a_request_comes_back_from_its_own_dialect(members: dict[str, Any], stream: bool) -> None:
    request = decoded(**members)
    encoded = DIALECT.encode_request(request, "m", stream)
    assert isinstance(encoded, Encoded)
    assert encoded.losses == ()
    again = DIALECT.decode_request(encoded.body)
    assert isinstance(again, ChatRequest)
    assert again == ChatRequest(**{**fields(request), "stream": stream, "include_usage": stream})


def fields(request: ChatRequest) -> dict[str, Any]:
    return {name: getattr(request, name) for name in request.__struct_fields__}


# -------------------------------------------------------------------------------------------------------------- answers


TOP = (TokenLogprob("hi", -0.1), TokenLogprob("ho", -2.5))
TOKENS = (TokenLogprob("hi", -0.1, top=TOP), TokenLogprob(" ü", -0.2), TokenLogprob("!", -0.25))
ANSWER = ChatAnswer("cmpl-1", "up", (Text("hi ü!"),), "stop", Usage(input=3, cached_read=1, output=2), None, 7, TOKENS)


def test_an_answer_is_what_the_sdk_expects_and_comes_back() -> None:
    raw = DIALECT.encode_answer(ANSWER, "up", 1)
    completion = Completion.model_validate_json(raw, strict=True)
    assert completion.choices[0].text == "hi ü!"
    assert (completion.object, completion.created, completion.choices[0].finish_reason) == ("text_completion", 7, "stop")
    logprobs = completion.choices[0].logprobs
    assert logprobs is not None
    assert logprobs.tokens == ["hi", " ü", "!"]
    assert logprobs.token_logprobs == [-0.1, -0.2, -0.25]
    assert logprobs.top_logprobs == [{"hi": -0.1, "ho": -2.5}, {}, {}]
    assert logprobs.text_offset == [0, 2, 4]
    assert DIALECT.decode_answer(raw) == ANSWER


def test_half_characters_travel_as_their_bytes() -> None:
    halves = tuple(TokenLogprob(f"bytes:\\x{byte:02x}", -1.0, bytes([byte])) for byte in "€".encode())
    raw = DIALECT.encode_answer(ChatAnswer("cmpl-1", "m", (Text("€!"),), "stop", logprobs=(*halves, TokenLogprob("!", -1.0))), "m", 1)
    shape = json.loads(raw)["choices"][0]["logprobs"]
    assert shape["tokens"] == ["bytes:\\xe2", "bytes:\\x82", "bytes:\\xac", "!"]
    assert shape["text_offset"] == [0, 0, 0, 1]
    again = DIALECT.decode_answer(raw)
    assert isinstance(again, ChatAnswer)
    assert again.logprobs[:3] == halves


@pytest.mark.parametrize("logprobs", ["null", "1", '{"content":[]}', '{"tokens":["a"]}', '{"tokens":["a"],"token_logprobs":[null]}'])
def test_a_vendors_own_logprobs_are_none(logprobs: str) -> None:
    answer = DIALECT.decode_answer(f'{{"choices":[{{"text":"a","logprobs":{logprobs}}}]}}'.encode())
    assert isinstance(answer, ChatAnswer)
    assert (answer.parts, answer.logprobs) == ((Text("a"),), ())


def test_only_text_of_an_answer_can_be_said() -> None:
    parts = (Thinking("hm"), Text("a"), Refusal("no"), ToolCall("c", "f", "{}"))
    completion = Completion.model_validate_json(DIALECT.encode_answer(ChatAnswer("msg_1", "up", parts, "tool_calls"), "m", 1))
    assert (completion.choices[0].text, completion.choices[0].finish_reason, completion.id) == ("ano", "stop", "cmpl-1")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", FaultKind.upstream_server),
        (b"<html>", FaultKind.upstream_server),
        (b'{"choices":[]}', FaultKind.upstream_server),
        (b'{"choices":null,"error":{"code":"insufficient_quota","message":"broke"}}', FaultKind.upstream_quota),
    ],
)
def test_a_good_status_without_an_answer_is_a_fault(body: bytes, kind: FaultKind) -> None:
    fault = DIALECT.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


# -------------------------------------------------------------------------------------------------------------- streams


EVENTS: list[StreamEvent] = [
    Started("cmpl-1", "shown", 1),
    TextDelta("hi"),
    LogprobsReported(TOKENS[:1]),
    TextDelta(" ü!"),
    LogprobsReported(TOKENS[1:]),
    UsageReported(Usage(input=3, cached_read=1, output=2)),
    Finished("length"),
]


def test_the_openai_client_reads_a_rendered_stream() -> None:
    body = rendered(DIALECT, EVENTS)
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"}))
    client = openai.OpenAI(api_key="k", base_url="http://x.test/v1", http_client=httpx2.Client(transport=transport))
    chunks = list(client.completions.create(model="m", prompt="x", stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == "hi ü!"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    offsets = [at for chunk in chunks if chunk.choices and (given := chunk.choices[0].logprobs) for at in given.text_offset or ()]
    assert offsets == [0, 2, 4]
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (4, 2)
    assert all(legacy_chunk(data).object == "text_completion" for data in datas(body)[:-1])


def cut(stream: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(stream), *(no for no in cuts if no < len(stream))})
    return [stream[a:b] for a, b in itertools.pairwise(at)]


CUTS = st.lists(st.integers(0, 2_000), max_size=12)
TEXTS = st.lists(st.text(min_size=1, max_size=9), max_size=5)


@given(TEXTS, st.sampled_from(["stop", "length", "content_filter"]), CUTS)
def test_what_is_rendered_is_read_back_under_any_cut(texts: list[str], finish: Any, cuts: list[int]) -> None:
    events: list[StreamEvent] = [Started("cmpl-1", "shown", 1), *map(TextDelta, texts), UsageReported(Usage(input=1)), Finished(finish)]
    stream = rendered(DIALECT, events)
    again = events_of(DIALECT, cut(stream, cuts))
    assert fold(again) == fold(events)
    assert again == events_of(DIALECT, [stream])
    assert again == events_of(DIALECT, [stream[no : no + 1] for no in range(len(stream))])


@given(st.integers(0, 3_000), st.binary(max_size=5), CUTS)
@settings(max_examples=60)
def test_changed_bytes_never_crash_and_end_once(at: int, put: bytes, cuts: list[int]) -> None:
    stream = rendered(DIALECT, EVENTS)
    events = events_of(DIALECT, cut(stream[:at] + put + stream[at + len(put) :], cuts))
    assert sum(isinstance(event, Finished | Failed) for event in events) == 1
    assert isinstance(events[-1], Finished | Failed)


def test_a_stream_cut_short_fails() -> None:
    stream = rendered(DIALECT, EVENTS)
    for end in range(0, stream.index(b'"length"'), 40):
        last = events_of(DIALECT, [stream[:end]])[-1]
        assert isinstance(last, Failed)
        assert last.fault.kind is FaultKind.upstream_cut


def test_an_error_in_a_stream_ends_it() -> None:
    stream = b'data: {"id":"a","choices":[{"text":"x"}]}\n\ndata: {"error":{"message":"slow down","code":"rate_limit_exceeded"}}\n\n'
    *_, last = events_of(DIALECT, [stream])
    assert isinstance(last, Failed)
    assert last.fault.kind is FaultKind.upstream_rate
    failed = rendered(DIALECT, [Started(), Failed(last.fault)])
    assert b"slow down" in failed
    assert b"[DONE]" not in failed


def test_an_event_over_the_limit_ends_the_stream() -> None:
    fits = b'data: {"choices":[{"text":"' + b"x" * 100 + b'"}]}\n\n'
    for limit, fails in ((len(fits), False), (len(fits) - 1, True)):
        events = CompletionStreamDecoder(limit).feed(fits)
        assert isinstance(events[-1], Failed) is fails


def test_a_long_text_is_written_in_pieces() -> None:
    stream = rendered(DIALECT, [Started(), TextDelta("€" * DELTA_BYTES_MAX), Finished("stop")])
    texts = [json.loads(data)["choices"][0]["text"] for data in datas(stream)[:-2]]
    assert "".join(texts) == "€" * DELTA_BYTES_MAX
    assert max(len(text.encode()) for text in texts) <= DELTA_BYTES_MAX


def test_a_stream_says_text_only() -> None:
    events: list[StreamEvent] = [ThinkingDelta("hm"), ToolCallStarted(0, "c", "f"), TextDelta("a"), Finished("tool_calls")]
    told = fold(events_of(DIALECT, [rendered(DIALECT, events)]))
    assert isinstance(told, ChatAnswer)
    assert (told.parts, told.finish) == ((Text("a"),), "stop")


# ------------------------------------------------------------------------------------------------------------------ tap


def chunks(texts: list[str], null_usage: bool, usage: bool, spaced: bool) -> Iterator[bytes]:
    separators = (", ", ": ") if spaced else (",", ":")
    more: dict[str, Any] = {"usage": None} if null_usage else {}
    for text in texts:
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": None}
        yield json.dumps({"id": "c", "model": "m-1", "choices": [choice], **more}, separators=separators).encode()
    choice = {"text": "", "index": 0, "logprobs": None, "finish_reason": "stop"}
    yield json.dumps({"id": "c", "model": "m-1", "choices": [choice], **more}, separators=separators).encode()
    if usage:
        counts = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        yield json.dumps({"id": "c", "model": "m-1", "choices": [], "usage": counts}, separators=separators).encode()
    yield b"[DONE]"


def framed(events: Iterator[bytes]) -> bytes:
    return b"".join(b"data: " + event + b"\n\n" for event in events)


ODD_TEXTS = st.lists(
    st.sampled_from(["a", "ü😀", '"usage":{', '"finish_reason":"', '"error"', "\n\ndata: x\n\n", "", "[DONE]"]), max_size=6
)


@given(ODD_TEXTS, st.booleans(), CUTS)
def test_a_tap_forwards_every_byte_and_sees_the_same_under_any_cut(texts: list[str], spaced: bool, cuts: list[int]) -> None:
    stream = framed(chunks(texts, True, True, spaced))
    seen = []
    for pieces in ([stream], cut(stream, cuts), [stream[no : no + 1] for no in range(len(stream))]):
        tap = DIALECT.tap()
        assert b"".join([tap.feed(piece) for piece in pieces]) + tap.flush() == stream
        seen.append((tap.events, tap.content_started, tap.usage, tap.model, tap.finish, tap.done, tap.error))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][1:] == (any(texts), Usage(input=3, output=2), "m-1", "stop", True, None)


@given(ODD_TEXTS, st.booleans(), CUTS)
def test_hiding_gives_the_stream_of_a_client_that_did_not_ask(texts: list[str], spaced: bool, cuts: list[int]) -> None:
    stream = framed(chunks(texts, True, True, spaced))
    tap = DIALECT.tap(hide_usage=True)
    out = b"".join([tap.feed(piece) for piece in cut(stream, cuts)]) + tap.flush()
    assert out == framed(chunks(texts, False, False, spaced))
    assert tap.usage == Usage(input=3, output=2)


def test_a_tap_sees_the_providers_error() -> None:
    tap = DIALECT.tap()
    tap.feed(b'data: {"error":{"message":"m","code":"server_error"}}\n\n')
    assert tap.error is not None
    assert tap.error.kind is FaultKind.upstream_server


def test_facts_of_a_unary_answer() -> None:
    facts = DIALECT.read_usage(DIALECT.encode_answer(ANSWER, "m", 1))
    assert (facts.usage, facts.model, facts.finish) == (ANSWER.usage, "m", "stop")
    assert DIALECT.read_usage(b"<html>").usage is None
