"""Unary answers, there and back and across."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.chat import ChatAnswer, Finish, Part, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.dialect import AnswerFacts, Dialect, Metered
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS
from setpoint.wire.openai_shapes import UsageShape, shape_of, usage_of

BOTH: list[Dialect] = [OPENAI_CHAT, ANTHROPIC]
COUNTS = st.integers(0, 1_000)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
WORDS = st.text(min_size=1, max_size=12)
OBJECTS = st.dictionaries(st.text(max_size=4), st.integers() | st.text(max_size=6), max_size=3).map(
    lambda o: json.dumps(o, separators=(",", ":"), ensure_ascii=False)
)


@st.composite
def answers(draw: st.DrawFn) -> ChatAnswer:
    parts: list[Part] = [Thinking(text, "anthropic:sig") for text in draw(st.lists(WORDS, max_size=2))]
    parts += [Thinking("", redacted="anthropic:r")] if draw(st.booleans()) else []
    parts += [Text(draw(WORDS))] if draw(st.booleans()) else []
    calls = [ToolCall(f"c{no}", "f", text) for no, text in enumerate(draw(st.lists(OBJECTS, max_size=3)))]
    finish: Finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    return ChatAnswer("x", "m", (*parts, *calls), finish, draw(USAGES))


def read(dialect: Dialect, body: bytes) -> ChatAnswer:
    answer = dialect.decode_answer(body)
    assert isinstance(answer, ChatAnswer), answer
    return answer


def comparable(answer: ChatAnswer) -> tuple[Any, ...]:
    return answer.parts, answer.finish, answer.usage, answer.model


@given(answers())
def test_what_is_written_is_read_and_survives_the_other_dialect(answer: ChatAnswer) -> None:
    for first, second in ((OPENAI_CHAT, ANTHROPIC), (ANTHROPIC, OPENAI_CHAT)):
        once = read(first, first.encode_answer(answer, "m", 1))
        assert comparable(once) == comparable(answer)
        assert comparable(read(second, second.encode_answer(once, "m", 1))) == comparable(answer)


@given(answers())
def test_the_ledger_reads_the_same_as_the_translator(answer: ChatAnswer) -> None:
    for dialect in BOTH:
        facts = dialect.read_usage(dialect.encode_answer(answer, "m", 1))
        assert facts.usage == answer.usage
        assert facts.model == "m"
        assert facts.finish


@given(USAGES, COUNTS, COUNTS, COUNTS)
def test_openai_usage_is_read_as_written(usage: Usage, audio_in: int, audio_out: int, images: int) -> None:
    given_usage = Usage(usage.input, usage.cached_read, usage.cache_write, usage.output, usage.reasoning, audio_in, audio_out, images)
    body = json.dumps({"usage": shape_of(given_usage)}).encode()
    assert OPENAI_CHAT.read_usage(body).usage == given_usage


@given(st.builds(UsageShape, *[st.none() | COUNTS] * 3, cached_tokens=st.none() | COUNTS))
def test_usage_classes_never_exceed_the_providers_totals(shape: UsageShape) -> None:
    usage = usage_of(shape)
    assert (usage.prompt_total, usage.completion_total) == (shape.prompt_tokens or 0, shape.completion_tokens or 0)


REASONED = {"prompt_tokens": 10, "total_tokens": 18, "completion_tokens_details": {"reasoning_tokens": 5}}
TWICE_CACHED = {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9, "cache_write_tokens": 9}}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({**REASONED, "completion_tokens": 8}, Usage(input=10, output=3, reasoning=5)),
        ({**REASONED, "completion_tokens": 3}, Usage(input=10, output=3, reasoning=5)),
        (TWICE_CACHED, Usage(input=0, cached_read=9, cache_write=1, output=1)),
        ({"prompt_tokens": 10, "completion_tokens": 1, "cached_tokens": 4}, Usage(input=6, cached_read=4, output=1)),
        ({"prompt_tokens": 10, "prompt_cache_hit_tokens": 4, "prompt_tokens_details": None}, Usage(input=6, cached_read=4)),
        ({"prompt_tokens": None}, Usage()),
    ],
)
def test_every_token_is_counted_once(usage: dict[str, Any], expected: Usage) -> None:
    assert OPENAI_CHAT.read_usage(json.dumps({"usage": usage}).encode()).usage == expected


def test_anthropic_usage_keeps_cache_classes_apart_and_thinking_inside_output() -> None:
    usage = {
        "input_tokens": 5,
        "cache_read_input_tokens": 4,
        "cache_creation_input_tokens": 3,
        "output_tokens": 9,
        "output_tokens_details": {"thinking_tokens": 7},
    }
    body = json.dumps({"model": "m", "stop_reason": "end_turn", "usage": usage}).encode()
    assert ANTHROPIC.read_usage(body) == AnswerFacts(Usage(input=5, cached_read=4, cache_write=3, output=2, reasoning=7), "m", "end_turn")


def test_embeddings_have_usage_and_no_finish() -> None:
    body = b'{"object":"list","data":[{"embedding":[0.1]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}'
    assert OPENAI_EMBEDDINGS.read_usage(body) == AnswerFacts(Usage(input=8), "e", "")


METERED: list[Metered] = [OPENAI_CHAT, ANTHROPIC, OPENAI_EMBEDDINGS]


@pytest.mark.parametrize("dialect", METERED)
@given(st.binary(max_size=60) | st.sampled_from([b"", b"[]", b'{"usage":7}', b'{"usage":{"prompt_tokens":"x","input_tokens":"x"}}']))
def test_a_body_that_is_no_answer_has_no_facts(dialect: Metered, body: bytes) -> None:
    assert dialect.read_usage(body).usage is None


def openai_body(message: dict[str, Any], finish: str | None = "stop") -> bytes:
    return json.dumps(
        {"id": "chatcmpl-1", "model": "m", "created": 3, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
    ).encode()


def test_openai_answers_of_many_vendors() -> None:
    mistral = [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "a"}]
    assert read(OPENAI_CHAT, openai_body({"content": mistral})).parts == (Thinking("t"), Text("a"))
    assert read(OPENAI_CHAT, openai_body({"content": "a", "reasoning": "t"})).parts == (Thinking("t"), Text("a"))
    object_call = {"content": None, "tool_calls": [{"id": "", "function": {"name": "f", "arguments": {"x": 1}}}]}
    assert read(OPENAI_CHAT, openai_body(object_call)).parts == (ToolCall("call_chatcmpl-1_0", "f", '{"x": 1}'),)
    legacy = read(OPENAI_CHAT, openai_body({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"))
    assert (legacy.parts, legacy.finish) == ((ToolCall("call_f", "f", "{}"),), "tool_calls")


@pytest.mark.parametrize(
    ("openai", "anthropic", "back"),
    [
        ("stop", "end_turn", "stop"),
        ("length", "max_tokens", "length"),
        ("tool_calls", "tool_use", "tool_calls"),
        ("content_filter", "refusal", "content_filter"),
        (None, "end_turn", "stop"),
        ("something new", "end_turn", "stop"),
    ],
)
def test_ends_of_answers(openai: str | None, anthropic: str, back: str) -> None:
    there = ANTHROPIC.encode_answer(read(OPENAI_CHAT, openai_body({"content": "a"}, openai)), "m", 1)
    assert json.loads(there)["stop_reason"] == anthropic
    again = OPENAI_CHAT.encode_answer(read(ANTHROPIC, there), "m", 1)
    assert json.loads(again)["choices"][0]["finish_reason"] == back


@pytest.mark.parametrize(
    ("stop", "finish"), [("stop_sequence", "stop"), ("pause_turn", "stop"), ("model_context_window_exceeded", "length")]
)
def test_ends_only_anthropic_has(stop: str, finish: str) -> None:
    body = json.dumps({"type": "message", "id": "msg_1", "content": [], "stop_reason": stop, "stop_sequence": "X"}).encode()
    assert json.loads(OPENAI_CHAT.encode_answer(read(ANTHROPIC, body), "m", 1))["choices"][0]["finish_reason"] == finish


def test_an_openai_refusal_is_a_refusal_for_an_anthropic_client() -> None:
    body = json.loads(ANTHROPIC.encode_answer(read(OPENAI_CHAT, openai_body({"content": None, "refusal": "No."})), "m", 1))
    assert (body["content"], body["stop_reason"]) == ([{"type": "text", "text": "No."}], "refusal")


def test_an_anthropic_refusal_is_one_for_an_openai_client() -> None:
    given_body = {
        "type": "message",
        "id": "msg_1",
        "content": [],
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "explanation": "No."},
    }
    choice = json.loads(OPENAI_CHAT.encode_answer(read(ANTHROPIC, json.dumps(given_body).encode()), "m", 1))["choices"][0]
    assert (choice["message"]["refusal"], choice["finish_reason"]) == ("No.", "content_filter")


def test_broken_arguments_reach_an_anthropic_client_inside_an_object() -> None:
    call = {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"x":'}}]}
    body = json.loads(ANTHROPIC.encode_answer(read(OPENAI_CHAT, openai_body(call, "tool_calls")), "m", 1))
    assert body["content"][0]["input"] == {"INVALID_JSON": '{"x":'}


@pytest.mark.parametrize(
    ("dialect", "body", "kind"),
    [
        (OPENAI_CHAT, b'{"error":{"message":"x","code":429}}', FaultKind.upstream_rate),
        (OPENAI_CHAT, b'{"choices":[]}', FaultKind.upstream_server),
        (OPENAI_CHAT, b"<html>", FaultKind.upstream_server),
        (OPENAI_CHAT, b'{"object":"text_completion","choices":[{"text":"a"}]}', FaultKind.upstream_server),
        (ANTHROPIC, b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', FaultKind.upstream_overloaded),
        (ANTHROPIC, b'{"object":"chat.completion"}', FaultKind.upstream_server),
        (ANTHROPIC, b"", FaultKind.upstream_server),
    ],
)
def test_a_good_status_without_an_answer_is_a_fault(dialect: Dialect, body: bytes, kind: FaultKind) -> None:
    fault = dialect.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


@given(answers(), st.data())
def test_no_damage_to_an_answer_breaks_a_decoder(answer: ChatAnswer, data: st.DataObject) -> None:
    for dialect in BOTH:
        body = bytearray(dialect.encode_answer(answer, "m", 1))
        for _ in range(data.draw(st.integers(1, 4))):
            body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
        got = dialect.decode_answer(bytes(body))
        if isinstance(got, ChatAnswer):
            for other in BOTH:
                json.loads(other.encode_answer(got, "m", 1))
