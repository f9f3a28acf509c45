"""A client gets the form of answer that it asked for, whatever form the upstream gives it; on every surface, from every dialect."""

import msgspec
import pytest
from tests.gateway.streams import (
    SURFACES,
    UPSTREAM_DIALECTS,
    client_of,
    ends_of,
    plain_body,
    plan_for,
    read,
    story,
    stream_head,
    text_of,
    told,
    whole_answer,
)
from tests.gateway.world import answer, body_of, headers_of, status_of, world

from setpoint.domain.chat import ChatAnswer, Text
from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import DialectName
from setpoint.domain.trace import Outcome
from setpoint.gateway.dialects import DIALECTS

every_surface = pytest.mark.parametrize("name", SURFACES)
every_dialect = pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)


@every_surface
@every_dialect
def test_a_whole_answer_to_a_streamed_request_is_told_as_a_stream(name: str, dialect: DialectName) -> None:
    with world(plan_for(dialect)) as w:
        client = client_of(w, name)
        w.up().says(answer(whole_answer("hello", dialect)))
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["content-type"].partition(";")[0]) == (200, SURFACES[name].media)
        events = read(name, plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("hello", ["Finished"])
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.input, end.head.output) == (Outcome.ok, 10, 5)
        assert w.clean


@every_surface
@every_dialect
def test_a_stream_to_a_request_for_a_whole_answer_is_put_together(name: str, dialect: DialectName) -> None:
    with world(plan_for(dialect)) as w:
        client = client_of(w, name, stream=False)
        body = told(*story("hel", "lo"), dialect=dialect)
        w.up().says(stream_head(dialect, length=len(body)) + body)
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["content-type"]) == (200, "application/json")
        said = DIALECTS[SURFACES[name].dialect].decode_answer(body_of(client.sent))
        assert isinstance(said, ChatAnswer)
        assert "".join(part.text for part in said.parts if isinstance(part, Text)) == "hello"
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.input, end.head.output) == (Outcome.ok, 10, 5)
        assert w.clean


@pytest.mark.parametrize("label", ["application/json", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("stream", [True, False])
def test_a_stream_under_a_wrong_label_is_known_by_its_looks(label: str, stream: bool) -> None:
    with world() as w:
        client = client_of(w, "openai_chat", stream=stream)
        body = told(*story("hello"), dialect="openai_chat")
        w.up().says(f"HTTP/1.1 200 OK\r\ncontent-type: {label}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        w.loop.spin()
        assert status_of(client.sent) == 200
        if stream:
            assert text_of(read("openai_chat", plain_body(client.sent))) == "hello"
        else:
            assert msgspec.json.decode(body_of(client.sent))["choices"][0]["message"]["content"] == "hello"


def test_half_a_stream_to_a_request_for_a_whole_answer_is_no_answer() -> None:
    with world() as w:
        client = client_of(w, "openai_chat", stream=False)
        body = told(*story("hello")[:2], dialect="openai_chat", end=False)
        w.up().says(stream_head("openai_chat", length=len(body)) + body)
        w.loop.spin()
        assert (status_of(client.sent), w.sink.ends()[0].head.fault) == (502, FaultKind.upstream_cut)


@pytest.mark.parametrize("stream", [True, False])
def test_several_answers_in_the_wrong_form_are_a_fault_and_none_is_dropped(stream: bool) -> None:
    with world() as w:
        client = client_of(w, "openai_chat", stream=stream, n=2)
        body = whole_answer("hello", "openai_chat") if stream else told(*story("hello"), dialect="openai_chat")
        w.up().says(answer(body) if stream else stream_head("openai_chat", length=len(body)) + body)
        w.loop.spin()
        assert (status_of(client.sent), b"several answers" in client.sent) == (502, True)


@pytest.mark.parametrize("body", [b"{}", b'{"choices":[]}', b"[]", b"null", b"not json", b'{"error":"odd"}'])
def test_an_answer_that_says_nothing_is_never_a_good_stream(body: bytes) -> None:
    with world() as w:
        client = client_of(w, "openai_chat")
        w.up().says(answer(body))
        w.loop.spin()
        assert status_of(client.sent) >= 500
        assert w.clean


def test_an_error_answer_to_a_streamed_request_stays_an_error_answer() -> None:
    with world() as w:
        client = client_of(w, "openai_chat")
        w.up().says(answer(b'{"error":{"message":"bad","type":"invalid_request_error"}}', 400))
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["content-type"]) == (400, "application/json")


def test_a_whole_answer_told_as_a_stream_names_what_was_lost_and_is_not_kept_by_caches() -> None:
    with world(plan_for("anthropic")) as w:
        client = client_of(w, "openai_chat", seed=7)
        w.up().says(answer(whole_answer("hello", "anthropic")))
        w.loop.spin()
        headers = headers_of(client.sent)
        assert ("seed" in headers["x-setpoint-untranslated"], headers["cache-control"]) == (True, "no-cache")


def test_a_whole_answer_told_as_a_stream_is_replayed_from_the_cache_as_one() -> None:
    with world() as w:
        first = client_of(w, "openai_chat", temperature=0)
        w.up().says(answer(whole_answer("hello", "openai_chat")))
        w.loop.spin()
        second = client_of(w, "openai_chat", temperature=0)
        w.loop.spin()
        assert headers_of(second.sent)["x-setpoint-cache"] == "hit-l1"
        assert plain_body(second.sent) == plain_body(first.sent)
        assert headers_of(second.sent)["content-type"] == headers_of(first.sent)["content-type"]
