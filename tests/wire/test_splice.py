"""One member changes, every other byte stays, and no body can say two things."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.wire.openai_chat.stream_usage import ask_for_stream_usage
from setpoint.wire.splice import remove_members, replace_model, set_members

NAMES = st.text(min_size=1, max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8) | st.just("model"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["model", "a", "stream"]), inner, max_size=3),
    max_leaves=8,
)


def test_only_the_bytes_of_the_name_change() -> None:
    body = b'{ "temperature" : 1.0e0,\n "model" :  "gpt-4" , "messages":[{"content":"\\u00e9 \\" model"}]}'
    assert replace_model(body, "gpt-4", "o/x") == body.replace(b'"gpt-4"', b'"o/x"')


@given(NAMES, NAMES, st.dictionaries(st.sampled_from(["messages", "user", "metadata"]), JSON), st.booleans(), st.booleans())
def test_the_upstream_reads_the_new_model_and_everything_else_as_it_was(
    model: str, new: str, rest: dict[str, object], ascii_only: bool, first: bool
) -> None:
    document = {"model": model, **rest} if first else {**rest, "model": model}
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert json.loads(replace_model(body, model, new)) == {**document, "model": new}


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","model":"dear"}',
        b'{"model":"cheap","mod\\u0065l":"dear"}',
        b'{"mod\\u0065l":"dear","model":"cheap"}',
        b'{"model":"cheap","\\u006D\\u006f\\u0064el":"dear","x":1}',
    ],
)
def test_a_name_given_twice_leaves_once(body: bytes) -> None:
    pairs = json.loads(replace_model(body, "cheap", "new"), object_pairs_hook=list)
    assert [pair for pair in pairs if pair[0] == "model"] == [("model", "new")]


def test_a_nested_model_is_left_alone() -> None:
    body = b'{"model":"a","tools":[{"model":"b"}]}'
    assert replace_model(body, "a", "c") == b'{"model":"c","tools":[{"model":"b"}]}'


def test_an_unchanged_model_returns_the_same_object() -> None:
    body = b'{"model":"a"}'
    assert replace_model(body, "a", "a") is body


def test_removing_absent_members_returns_the_same_object() -> None:
    body = b'{"model":"a","messages":[{"content":"the \\"cache\\" word"}]}'
    assert remove_members(body, ("cache", "fallbacks")) is body


def test_members_are_removed_at_the_top_only_and_even_when_spelled_with_escapes() -> None:
    body = b'{"cache":{"ttl":1},"x":{"cache":2},"fallb\\u0061cks":["a"]}'
    assert remove_members(body, ("cache", "fallbacks")) == b'{"x":{"cache":2}}'


def test_members_are_set() -> None:
    assert set_members(b'{"a":1,"b":2.0}', {"b": b"3", "c": b'"x"'}) == b'{"a":1,"b":3,"c":"x"}'


def test_a_body_that_is_no_object_is_an_error() -> None:
    with pytest.raises(msgspec.DecodeError):
        set_members(b"[]", {})


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b'{"model":"a","stream":true}', False),
        (b' {"model":"a","stream_options":null}', False),
        (b'{"stream_options":{"include_usage":false,"include_obfuscation":false}}', False),
        (b'{"stream_options":{"include_usage":true}}', True),
        (b'{"messages":[{"content":"\\"stream_options\\""}]}', False),
    ],
)
def test_usage_is_asked_for_once(body: bytes, asked: bool) -> None:
    changed = ask_for_stream_usage(body)
    assert (changed is body) is asked
    before, after = json.loads(body), json.loads(changed)
    assert after.pop("stream_options") == {**(before.pop("stream_options", None) or {}), "include_usage": True}
    assert before == after


def test_an_escaped_spelling_cannot_switch_usage_off_again() -> None:
    changed = ask_for_stream_usage(b'{"model":"a","stream_option\\u0073":null}')
    assert changed.count(b"stream_option") == 1
    assert json.loads(changed) == {"model": "a", "stream_options": {"include_usage": True}}


def test_asking_leaves_every_other_byte() -> None:
    body = b'{ "model" : "a",\n"temperature":1.0e0}'
    assert ask_for_stream_usage(body) == b'{"stream_options":{"include_usage":true}, "model" : "a",\n"temperature":1.0e0}'
