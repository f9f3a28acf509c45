"""A client that leaves: the upstream is hung up on, or read to its end, as the route says; and what was used is settled either way."""

from base64 import b64encode
from typing import Any

import msgspec
import pytest
from tests.gateway.network import Wire
from tests.gateway.streams import (
    SURFACES,
    UPSTREAM_DIALECTS,
    client_of,
    plain_body,
    plan_for,
    read,
    story,
    stream_head,
    text_of,
    told,
    whole_answer,
)
from tests.gateway.world import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    World,
    answer,
    ask,
    chunk,
    event,
    headers_of,
    plan_of,
    route_to,
    status_of,
    world,
)

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Capture, DialectName, Plan, Retries, Timeouts
from setpoint.domain.trace import Outcome
from setpoint.gateway.leavers import Leavers
from setpoint.wire.aws_event_stream import encode_frame
from setpoint.wire.sse import SseDecoder

every_surface = pytest.mark.parametrize("name", SURFACES)


def is_paused(wire: Wire) -> bool:
    """Asked anew each time: a type checker takes an attribute for what it was."""
    return wire.paused


def draining(**members: Any) -> Plan:
    return plan_of(routes=(route_to("m-1", "one", on_client_gone="drain", **members),))


def begun(w: World, text: str = "hel") -> tuple[Wire, Wire]:
    client = client_of(w, "openai_chat", temperature=0)
    up = w.up()
    up.says(STREAM_HEAD + event(text))
    w.loop.spin()
    return client, up


FINISH = event("lo") + event(finish="stop") + event(usage={"prompt_tokens": 9, "completion_tokens": 4}) + DONE + STREAM_END

# ---- abort


@every_surface
@pytest.mark.parametrize("dialect", UPSTREAM_DIALECTS)
def test_what_was_said_until_the_client_left_is_billed_on_every_surface(name: str, dialect: DialectName) -> None:
    with world(plan_for(dialect)) as w:
        client = client_of(w, name)
        up = w.up()
        up.says(stream_head(dialect) + chunk(told(*story("x" * 400)[:2], dialect=dialect, end=False)))
        w.loop.spin()
        client.ends()
        w.loop.spin()
        assert up.aborted
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.tail.estimated, end.head.output) == (Outcome.client_gone, True, 100)
        assert 1 <= end.head.input <= 20
        assert end.head.cost_nanousd == 1_000 * end.head.input + 2_000 * 100
        assert w.clean


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_is_billed_though_nothing_was_said(stream: bool) -> None:
    with world() as w:
        client = client_of(w, "openai_chat", stream=stream)
        w.up()
        client.ends()
        w.loop.spin()
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.output, end.tail.estimated) == (Outcome.client_gone, 0, True)
        assert end.head.input >= 1
        assert w.clean


def test_nothing_is_billed_that_was_never_sent() -> None:
    with world() as w:
        w.loop.hold = True
        client = client_of(w, "openai_chat")
        w.loop.spin()
        client.ends()
        w.loop.let_in()
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.input, end.head.cost_nanousd) == (Outcome.client_gone, 0, -1)


def test_what_the_provider_stated_is_kept_and_only_the_rest_estimated() -> None:
    with world() as w:
        client, up = begun(w, "x" * 400)
        up.says(event(usage={"prompt_tokens": 1_234, "completion_tokens": 1}))
        client.ends()
        w.loop.spin()
        end = w.sink.ends()[0]
        assert (end.head.input, end.head.output, end.tail.estimated) == (1_234, 100, True)


@pytest.mark.parametrize("bytes_max", [0, 300])
def test_what_is_not_kept_for_the_trace_is_billed_too(bytes_max: int) -> None:
    with world(plan_of(capture=Capture(answers=bytes_max > 0, bytes_max=bytes_max or 1))) as w:
        client, up = begun_more(w)
        for _ in range(9):
            up.says(event("x" * 40))
        client.ends()
        w.loop.spin()
        end = w.sink.ends()[0]
        assert end.tail.estimated
        assert end.head.output == 9 if not bytes_max else 40 <= end.head.output <= 100


# ---- drain


def test_an_answer_is_read_to_its_end_without_its_client() -> None:
    with world(draining()) as w:
        client, up = begun(w)
        client.ends()
        assert (up.aborted, len(w.lane.leavers)) == (False, 1)
        up.says(FINISH)
        w.loop.spin()
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.status, end.head.fault) == (Outcome.client_gone, 499, FaultKind.client_gone)
        assert (end.head.input, end.head.output, end.tail.estimated, end.tail.finish) == (9, 4, False, "stop")
        assert (len(w.lane.leavers), w.clean, up.aborted) == (0, True, False)


@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_that_was_read_on_is_in_the_cache(stream: bool) -> None:
    with world(draining()) as w:
        client = client_of(w, "openai_chat", stream=stream, temperature=0)
        up = w.up()
        if stream:
            up.says(STREAM_HEAD + event("hel"))
            w.loop.spin()
        client.ends()
        up.says(FINISH if stream else answer())
        w.loop.spin()
        second = client_of(w, "openai_chat", stream=stream, temperature=0)
        w.loop.spin()
        assert (headers_of(second.sent)["x-setpoint-cache"], b"hel" in second.sent) == ("hit-l1", True)
        assert w.clean


def test_a_paused_upstream_is_read_on_when_its_slow_client_leaves() -> None:
    with world(draining()) as w:
        client, up = begun(w)
        client._protocol.pause_writing()
        assert is_paused(up)
        client.ends()
        assert not is_paused(up)
        up.says(FINISH)
        w.loop.spin()
        assert w.clean


def test_no_other_attempt_is_made_for_a_client_that_left() -> None:
    with world(draining(retries=Retries(3))) as w:
        client = client_of(w, "openai_chat")
        up = w.up()
        client.ends()
        up.says(answer(b'{"error":{"message":"busy"}}', 503))
        w.loop.advance(5)
        assert (len(w.loop.wires), w.sink.ends()[0].head.outcome, w.clean) == (1, Outcome.client_gone, True)


@pytest.mark.parametrize("how", ["cut", "stalled"])
def test_an_answer_that_breaks_off_is_settled_by_estimate(how: str) -> None:
    with world(draining(timeouts=Timeouts(idle_s=5.0))) as w:
        client, up = begun(w, "x" * 400)
        client.ends()
        if how == "cut":
            up.ends(ConnectionResetError())
        w.loop.advance(6)
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.tail.estimated, end.head.output) == (Outcome.client_gone, True, 100)
        assert (len(w.lane.leavers), w.clean) == (0, True)


def test_a_stream_without_a_client_is_not_continued() -> None:
    with world(draining(continuation="auto", retries=Retries(3))) as w:
        client, up = begun(w)
        client.ends()
        up.ends(ConnectionResetError())
        w.loop.advance(5)
        assert (len(w.loop.wires), w.clean) == (1, True)


def test_at_the_bound_of_leavers_the_next_one_is_hung_up_on() -> None:
    with world(draining()) as w:
        w.lane.leavers = Leavers(2)
        pairs = [begun_more(w) for _ in range(3)]
        for client, _ in pairs:
            client.ends()
        w.loop.spin()
        assert [up.aborted for _, up in pairs] == [False, False, True]
        for _, up in pairs[:2]:
            up.says(FINISH)
        w.loop.spin()
        assert (len(w.lane.leavers), w.clean) == (0, True)


def begun_more(w: World) -> tuple[Wire, Wire]:
    client = w.client()
    client.says(ask(stream=True))
    up = w.up()
    up.says(STREAM_HEAD + event("hel"))
    w.loop.spin()
    return client, up


def test_a_worker_that_shuts_down_ends_those_too() -> None:
    with world(draining()) as w:
        client, up = begun(w)
        client.ends()
        w.lane.end_all(Fault(FaultKind.draining, "The worker is shutting down."))
        w.loop.spin()
        assert (up.aborted, w.clean, len(w.lane.leavers), len(w.sink.ends())) == (True, True, 0, 1)


def test_a_client_that_stays_is_answered_as_ever() -> None:
    with world(draining()) as w:
        client, up = begun(w)
        up.says(FINISH)
        w.loop.spin()
        assert (status_of(client.sent), client.sent.endswith(STREAM_END), w.sink.ends()[0].head.outcome) == (200, True, Outcome.ok)


def test_a_client_that_hangs_up_on_the_last_event_has_had_its_answer() -> None:
    for plan in (plan_of(), draining()):
        with world(plan) as w:
            client, up = begun(w)
            up.says(event(finish="stop") + DONE)
            client.ends()
            w.loop.advance(3)
            assert w.sink.ends()[0].head.outcome == Outcome.ok
            assert w.clean


# ---- a client that reads slowly


def framed_by_bedrock(body: bytes) -> bytes:
    """Anthropic's events as Bedrock frames them."""
    frames = []
    for each in SseDecoder().feed(body):
        payload = msgspec.json.encode({"bytes": b64encode(each.data).decode()})
        frames.append(encode_frame({":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}, payload))
    return b"".join(frames)


@every_surface
@pytest.mark.parametrize("dialect", [*UPSTREAM_DIALECTS, "hosted by bedrock"])
@pytest.mark.parametrize("continuation", ["off", "auto"])
def test_a_slow_reader_pauses_the_upstream_through_every_translation_and_framing(name: str, dialect: Any, continuation: str) -> None:
    hosted = dialect == "hosted by bedrock"
    spoken: DialectName = "anthropic" if hosted else dialect
    plan = plan_for(spoken, continuation=continuation, timeouts=Timeouts(idle_s=5.0))
    if hosted:
        ups = tuple(msgspec.structs.replace(up, hosting="bedrock") for up in plan.upstreams)
        plan = msgspec.structs.replace(plan, upstreams=ups)
    head = stream_head("bedrock_converse" if hosted else spoken)
    begin, whole = (told(*events, dialect=spoken, end=end) for events, end in ((story("one")[:2], False), (story("one", " two"), True)))
    rest = whole.removeprefix(begin) if spoken != "openai_responses" else b""
    if hosted:
        begin, rest = framed_by_bedrock(begin), framed_by_bedrock(rest)
    with world(plan) as w:
        client = client_of(w, name)
        up = w.up()
        up.says(head + chunk(begin))
        w.loop.spin()
        client._protocol.pause_writing()
        assert is_paused(up)
        sent = len(client.sent)
        if rest:
            up.says(chunk(rest))
        w.loop.advance(20)
        assert (len(client.sent), up.aborted) == (sent, False), "its silence is the client's, not the upstream's"
        client._protocol.resume_writing()
        assert not is_paused(up)
        if rest:
            w.loop.spin()
            assert "two" in text_of(read(name, plain_body(client.sent)))
        up.says(STREAM_END)
        w.loop.advance(3)
        client.ends()
        w.loop.spin()
        assert w.clean


def test_whole_answers_are_not_held_up_by_this() -> None:
    with world() as w:
        client = client_of(w, "openai_chat", stream=False)
        w.up().says(answer(whole_answer("hello", "openai_chat")))
        w.loop.spin()
        assert status_of(client.sent) == 200
