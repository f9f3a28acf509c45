"""Bounds of a stream: writes, deltas, events, how many, and the three deadlines. Each per route, each with what happens at it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.network import Wire
from tests.gateway.streams import (
    SURFACES,
    UPSTREAM_DIALECTS,
    asking,
    chunks_of,
    client_of,
    ends_of,
    plain_body,
    plan_for,
    read,
    story,
    stream_head,
    text_of,
    told,
)
from tests.gateway.world import DONE, STREAM_END, STREAM_HEAD, answer, ask, chunk, event, plan_of, route_to, status_of, world

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import DialectName, Retries, StreamLimits, Timeouts
from setpoint.domain.stream import TextDelta
from setpoint.domain.trace import Outcome
from setpoint.gateway.small_writes import small_writes

WRITE_BYTES = StreamLimits().write_bytes_max


class Writes:
    """Every write that reaches the client's socket."""

    def __init__(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        write = wire.write

        def noted(data: Any) -> None:
            self.sizes.append(len(data))
            write(data)

        monkeypatch.setattr(wire, "write", noted)


# ---- writes


@given(st.binary(max_size=300), st.integers(4, 60))
def test_small_writes_keep_every_byte_and_the_bound(data: bytes, most: int) -> None:
    cut = list(small_writes(data, most))
    assert b"".join(cut) == data
    assert all(0 < len(piece) <= most for piece in cut)


@given(st.text(max_size=200), st.integers(4, 60))
def test_no_write_ends_inside_of_a_character(text: str, most: int) -> None:
    assert "".join(piece.decode() for piece in small_writes(text.encode(), most)) == text


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\n"])
def test_a_cut_is_made_behind_an_event_where_there_is_one(end: bytes) -> None:
    one = b"x" * 20 + end
    assert next(iter(small_writes(one * 10, 70))) == one * (70 // len(one))


@pytest.mark.parametrize("name", SURFACES)
def test_no_write_to_a_client_is_larger_than_the_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On every surface: relayed, in one read of 60 KB and before the stream flows, when all that was held leaves at once."""
    dialect = SURFACES[name].dialect
    texts = ["ä" * 1_000 + str(no) for no in range(30)]
    for flowing in (False, True):
        with world(plan_for(dialect)) as w:
            client = client_of(w, name)
            writes = Writes(client, monkeypatch)
            up = w.up()
            body = told(*story(*texts), dialect=dialect)
            start = told(*story(*texts)[:2], dialect=dialect, end=False)
            assert body.startswith(start) or dialect == "openai_responses"
            up.says(stream_head(dialect) + (chunk(start) if flowing else b""))
            if flowing:
                w.loop.spin()
            up.says(chunk(body[len(start) :] if flowing else body) + STREAM_END)
            w.loop.spin()
            assert len(plain_body(client.sent)) > 3 * WRITE_BYTES
            assert max(writes.sizes) <= WRITE_BYTES
            if dialect != "openai_responses":  # its renderer counts time
                assert text_of(read(name, plain_body(client.sent))) == "".join(texts)


def test_relayed_bytes_stay_as_they_are_however_they_are_written() -> None:
    body = told(*story(*["wörd " * 500] * 40), dialect="openai_chat")
    with world() as w:
        client = client_of(w, "openai_chat", stream_options={"include_usage": True})
        w.up().says(STREAM_HEAD + chunk(body) + STREAM_END)
        w.loop.spin()
        assert plain_body(client.sent) == body
        for piece in chunks_of(client.sent):
            piece.decode()


@pytest.mark.parametrize("write_bytes_max", [64, 1_000])
def test_a_route_may_lower_the_bound_of_a_write(write_bytes_max: int, monkeypatch: pytest.MonkeyPatch) -> None:
    route = route_to("m-1", "one", stream=StreamLimits(write_bytes_max=write_bytes_max))
    with world(plan_of(routes=(route,))) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD + event("a"))
        w.loop.spin()
        writes = Writes(client, monkeypatch)
        up.says(event("b" * 3_000) + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert max(writes.sizes) <= write_bytes_max
        assert "b" * 3_000 in text_of(read("openai_chat", plain_body(client.sent)))


@pytest.mark.parametrize("again", [False, True])
def test_a_stream_that_comes_whole_or_from_the_cache_is_written_in_small_pieces_too(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with world() as w:
        body = told(*story(*["word " * 500] * 20), dialect="openai_chat")
        client_of(w, "openai_chat", temperature=0)
        w.up().says(STREAM_HEAD + chunk(body) + STREAM_END)
        w.loop.spin()
        client = w.client()
        writes = Writes(client, monkeypatch)
        client.says(asking("openai_chat", temperature=0 if again else 1))
        if not again:
            w.up().says(answer(b'{"id":"c","model":"m","choices":[{"message":{"content":"%b"},"finish_reason":"stop"}]}' % (b"x" * 50_000)))
        w.loop.spin()
        assert len(plain_body(client.sent)) > 40_000
        assert max(writes.sizes) <= WRITE_BYTES


# ---- deltas


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("most", [4_096, 100])
def test_no_translated_delta_is_longer_than_the_bound(name: str, most: int) -> None:
    dialect: DialectName = "anthropic" if SURFACES[name].dialect == "openai_chat" else "openai_chat"
    with world(plan_for(dialect, stream=StreamLimits(delta_bytes_max=most))) as w:
        client = client_of(w, name)
        text = "käse " * 3_000
        w.up().says(stream_head(dialect) + chunk(told(*story(text), dialect=dialect)) + STREAM_END)
        w.loop.spin()
        events = read(name, plain_body(client.sent))
        assert text_of(events) == text
        assert max(len(each.text.encode()) for each in events if isinstance(each, TextDelta)) <= most


# ---- events


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)
def test_an_event_over_its_bound_ends_in_an_error_event_in_every_dialect(name: str, dialect: DialectName) -> None:
    limit = 2_000
    with world(plan_for(dialect, stream=StreamLimits(event_bytes_max=limit))) as w:
        client = client_of(w, name)
        up = w.up()
        begin = told(*story("hello")[:2], dialect=dialect, end=False)
        up.says(stream_head(dialect) + chunk(begin))
        w.loop.spin()
        over = told(*story("hello", "x" * (limit + 1))[:3], dialect=dialect, end=False)
        for at in range(0, len(over), 500):
            up.says(chunk(over[at : at + 500]))
        w.loop.spin()
        events = read(name, plain_body(client.sent))
        assert (text_of(events)[:5], ends_of(events)) == ("hello", ["Failed"])
        assert "x" * 100 not in text_of(events)
        assert (up.aborted, client.gone, w.sink.ends()[0].head.fault) == (True, True, FaultKind.upstream_server)
        assert w.clean


@pytest.mark.parametrize(("events", "ends"), [(8, ["Finished"]), (9, ["Failed"])])
def test_the_number_of_events_is_bounded_per_route(events: int, ends: list[str]) -> None:
    """The reason to finish is an event too; the terminal is the end, whichever number it has."""
    with world(plan_for("openai_chat", timeouts=Timeouts(stream_events_max=9))) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD)
        for _ in range(events):
            up.says(event("a"))
            w.loop.spin()
        up.says(event(finish="stop"))
        up.says(DONE + STREAM_END)
        w.loop.spin()
        assert ends_of(read("openai_chat", plain_body(client.sent))) == ends
        assert (b"stream_events_max" in client.sent) is (ends == ["Failed"])


def test_a_terminal_in_the_read_that_is_one_event_too_many_is_an_end_and_no_error_follows() -> None:
    with world(plan_for("openai_chat", timeouts=Timeouts(stream_events_max=3))) as w:
        client = client_of(w, "openai_chat")
        w.up().says(STREAM_HEAD + chunk(told(*story(*"abcdef"), dialect="openai_chat")) + STREAM_END)
        w.loop.spin()
        assert ends_of(read("openai_chat", plain_body(client.sent))) == ["Finished"]
        assert client.sent.count(b'"error"') == 0


# ---- deadlines


def timed(**timeouts: Any) -> Any:
    return plan_of(routes=(route_to("m-1", "one", timeouts=Timeouts(**timeouts)),))


def test_signs_of_life_do_not_put_off_the_first_content() -> None:
    with world(timed(first_token_s=5.0, idle_s=3.0)) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD)
        for _ in range(4):
            w.loop.advance(1)
            up.says(chunk(b": ping\n\n"))
        assert client.sent == b""
        w.loop.advance(1.2)
        assert (status_of(client.sent), b"no content in time" in client.sent) == (504, True)
        assert up.aborted
        assert w.clean


def test_after_the_first_content_only_inactivity_and_the_total_count() -> None:
    with world(timed(first_token_s=5.0, idle_s=3.0, stream_total_s=20.0)) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD + event("a"))
        for _ in range(8):
            w.loop.advance(2)
            up.says(event("b"))
        assert not up.aborted
        w.loop.advance(3.2)
        events = read("openai_chat", plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("abbbbbbbb", ["Failed"])
        assert b"stopped sending" in client.sent


def test_a_stream_that_never_stops_ends_at_its_total_deadline() -> None:
    with world(timed(stream_total_s=10.0, idle_s=3.0)) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD)
        for _ in range(12):
            up.says(event("b"))
            w.loop.advance(1)
        assert (up.aborted, b"longer in total" in client.sent) == (True, True)
        assert ends_of(read("openai_chat", plain_body(client.sent))) == ["Failed"]


def test_a_time_to_first_token_lets_another_target_answer() -> None:
    with world(plan_for("openai_chat", "openai_chat", timeouts=Timeouts(first_token_s=2.0), retries=Retries(2))) as w:
        client = client_of(w, "openai_chat")
        w.up().says(STREAM_HEAD + chunk(b": thinking\n\n"))
        w.loop.advance(2.2)
        w.up().says(STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert text_of(read("openai_chat", plain_body(client.sent))) == "hello"


def test_a_reasoning_model_gets_the_long_preset_by_itself() -> None:
    for model, by_itself, patient in (("o3", True, True), ("m-1", True, False), ("o3", False, False)):
        plan = plan_of(routes=(route_to(model, "one", long_by_itself=by_itself),))
        with world(plan) as w:
            client = w.client()
            client.says(ask(model, stream=True))
            w.up().says(STREAM_HEAD)
            w.loop.advance(100)
            assert (client.sent == b"") is patient, (model, by_itself)


def test_a_unary_answer_of_a_reasoning_model_may_take_long_too() -> None:
    with world(plan_of(routes=(route_to("m-1", "one", long_by_itself=True),))) as w:
        client = w.client()
        client.says(ask("m-1", reasoning_effort="high"))
        up = w.up()
        w.loop.advance(100)
        up.says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200


# ---- one end


@pytest.mark.parametrize("name", SURFACES)
def test_nothing_is_waited_for_behind_the_end_of_an_answer(name: str) -> None:
    """The dialect's terminal came; a connection that stays open behind it does not hold up the client, and is no fault."""
    dialect = SURFACES[name].dialect
    with world(plan_for(dialect)) as w:
        client = client_of(w, name)
        up = w.up()
        up.says(stream_head(dialect) + chunk(told(*story("hello"), dialect=dialect)))
        w.loop.advance(2.5 if dialect != "gemini" else 31)  # Gemini's last event cannot be told from the others
        assert client.sent.endswith(STREAM_END)
        assert ends_of(read(name, plain_body(client.sent))) == ["Finished"]
        assert (w.sink.ends()[0].head.outcome, up.aborted) == (Outcome.ok, True)
        assert w.clean


@pytest.mark.parametrize("name", SURFACES)
@pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)
@pytest.mark.parametrize("how", ["cut", "ended", "stalled"])
def test_a_truncated_stream_is_never_passed_off_as_whole(name: str, dialect: DialectName, how: str) -> None:
    with world(plan_for(dialect)) as w:
        client = client_of(w, name)
        up = w.up()
        up.says(stream_head(dialect) + chunk(told(*story("hello")[:2], dialect=dialect, end=False)))
        w.loop.spin()
        if how == "cut":
            up.ends(ConnectionResetError())
        elif how == "ended":
            up.says(STREAM_END)
        w.loop.advance(31 if how == "stalled" else 0.1)
        events = read(name, plain_body(client.sent))
        assert (text_of(events), ends_of(events)) == ("hello", ["Failed"])
        end = w.sink.ends()[0]
        expected = FaultKind.upstream_timeout if how == "stalled" else FaultKind.upstream_cut
        assert (end.head.outcome, end.head.fault, end.tail.estimated, end.head.output) == (Outcome.fault, expected, True, 2)
        assert (client.gone, w.clean) == (True, True)


def test_the_providers_own_error_event_ends_the_stream_at_once_and_is_said_once() -> None:
    with world() as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        up.says(STREAM_HEAD + event("a"))
        w.loop.spin()
        up.says(chunk(b'data: {"error":{"message":"boom","type":"server_error"}}\n\n'))
        w.loop.spin()
        assert (client.sent.count(b'"error"'), client.sent.endswith(STREAM_END), up.aborted) == (1, True, True)
        assert w.clean
