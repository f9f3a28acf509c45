"""What the gateway reads of a body, and how it says what is wrong with one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.world import body_of, post, status_of, world

from setpoint.domain.faults import FaultKind
from setpoint.gateway.envelope import malformed
from setpoint.gateway.surfaces import CHAT, EMBEDDINGS, HOT_PATHS


@pytest.mark.parametrize(
    ("body", "param", "says"),
    [
        (b'{"model":"m"}', "messages", "messages"),
        (b'{"model":5,"messages":[]}', "model", "Expected `str`"),
        (b'{"model":"m","messages":{}}', "messages", "Expected `array`"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream", "Expected `bool | null`"),
        (b'{"model":"m","messages":[],"stream_options":{"include_usage":1}}', "stream_options.include_usage", "bool"),
        (b'{"model":"m","messages":[],"tags":[1]}', "tags[0]", "str"),
        (b"[]", None, "Expected `object`"),
        (b"5", None, "Expected `object`"),
        (b'{"model":', None, "not valid JSON"),
        (b'{"model":"m","messages":[]} x', None, "not valid JSON"),
        (b"\xff\xfe", None, "not valid JSON"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, param: str | None, says: str) -> None:
    with pytest.raises(msgspec.MsgspecError) as raised:
        CHAT.decode(body)
    fault = malformed(raised.value)
    assert (fault.kind, fault.param) == (FaultKind.bad_request, param)
    assert says in fault.message


@pytest.mark.parametrize(
    "body",
    [b'{"model":"m","messages":[]}', b'{"model":"m","messages":[{"role":"x","content":[1,{"a":null}]}],"temperature":0,"new":{"a":[]}}'],
)
def test_unknown_members_are_nobodys_business_here(body: bytes) -> None:
    assert CHAT.decode(body).model == "m"


def test_embeddings_need_no_messages() -> None:
    assert EMBEDDINGS.decode(b'{"model":"e","input":["a"]}').model == "e"


def said_in(dialect: str, error: Any) -> str:
    """The message of an error, where the vendor's own clients look for it."""
    if dialect.startswith("cohere"):
        return str(error["message"])
    return str(error["error"]) if dialect.startswith("ollama") else str(error["error"]["message"])


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"\xff" * 10, b'{"model":"\xff","messages":[]}', b'{"model":"m","messages":' + b"[" * 100_000,
     b'{"model":"m","messages":[' + b"[" * 50_000 + b"]" * 50_000 + b"]}"],
)  # fmt: skip
@pytest.mark.parametrize("path", HOT_PATHS)
def test_a_bad_body_is_a_400_in_the_surfaces_own_shape(body: bytes, path: bytes) -> None:
    with world() as w:
        client = w.client()
        client.says(post(body, path.decode()))
        w.loop.spin()
        if status_of(client.sent) != 400:
            assert body.startswith(b'{"model":"m"')
            return
        error = msgspec.json.decode(body_of(client.sent))
        assert said_in(HOT_PATHS[path].dialect, error)
        assert (error.get("type") == "error") is (HOT_PATHS[path].dialect == "anthropic")
        assert w.clean


@given(st.binary(max_size=40))
def test_no_body_is_a_bug(body: bytes) -> None:
    with world() as w:
        client = w.client()
        client.says(post(body))
        w.loop.spin()
        assert status_of(client.sent) == 400
        assert w.log == []
