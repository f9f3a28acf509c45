"""Faults as plain functions: what is played is known without playing it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.testing.answers import Answer, answer
from setpoint.testing.replies import status, text
from setpoint.testing.wire_faults import FAULT_NAMES, HARMLESS, Close, FaultName, Pause, Send, Stall, WireFault, steps

UNARY = answer(text("grüß ", "dich"), "/v1/chat/completions", b'{"model":"m"}')
STREAM = answer(text("grüß ", "dich"), "/v1/messages", b'{"model":"m","stream":true}')
LINES = answer(text("grüß ", "dich"), "/api/chat", b'{"model":"m"}')
FRAMES = answer(text("grüß ", "dich"), "/model/m/converse-stream", b"{}")


def sent(answer: Answer, fault: WireFault | None = None) -> bytes:
    return b"".join(step.data for step in steps(answer, fault) if isinstance(step, Send))


@pytest.mark.parametrize("name", FAULT_NAMES)
@pytest.mark.parametrize("whole", [UNARY, STREAM, LINES, FRAMES])
def test_every_fault_can_be_planned_for_every_answer_and_ends(name: FaultName, whole: Answer) -> None:
    played = steps(whole, WireFault(name))
    assert played
    assert not any(isinstance(step, Close | Stall) for step in played[:-1]), "nothing follows an end"
    if name in HARMLESS:
        assert not isinstance(played[-1], Stall)


def test_a_healthy_answer_is_head_and_body() -> None:
    head, body = sent(UNARY).split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json")
    assert f"content-length: {len(body)}".encode() in head
    assert sent(STREAM).endswith(b"0\r\n\r\n")


def test_an_unknown_status_has_a_status_line_all_the_same() -> None:
    assert sent(answer(status(529), "/v1/messages", b"")).startswith(b"HTTP/1.1 529 Unknown\r\n")


def test_a_cut_leaves_as_many_events_as_it_says() -> None:
    for events in (0, 1, 3):
        assert sent(STREAM, WireFault("cut", after_pieces=events)).count(b"event: ") == events
    assert steps(STREAM, WireFault("cut"))[-1] == Close()
    assert steps(STREAM, WireFault("reset_mid_body"))[-1] == Close(reset=True)


def test_an_answer_can_end_early_although_http_says_that_it_is_whole() -> None:
    assert sent(STREAM, WireFault("ended_early", after_pieces=3)).count(b"event: ") == 3
    assert sent(STREAM, WireFault("ended_early")).endswith(b"0\r\n\r\n")
    head, body = sent(UNARY, WireFault("ended_early")).split(b"\r\n\r\n", 1)
    assert f"content-length: {len(body)}".encode() in head
    assert UNARY.pieces[0].startswith(body)


@pytest.mark.parametrize("whole", [STREAM, LINES, FRAMES])
def test_garbage_comes_in_the_framing_of_the_stream_or_in_none(whole: Answer) -> None:
    garbage = len(sent(whole, WireFault("bad_sse"))) - len(sent(whole))
    assert garbage > 0
    assert sent(whole, WireFault("bad_sse", after_pieces=0)).index(b"\r\n\r\n") == sent(whole).index(b"\r\n\r\n")


def test_lines_may_end_in_two_characters() -> None:
    assert sent(LINES, WireFault("crlf")).count(b"}\r\n") > sent(LINES).count(b"}\r\n")


def test_a_pause_is_followed_by_the_rest() -> None:
    played = steps(STREAM, WireFault("pause_mid_body", after_pieces=2, pause_s=0.5))
    assert [at for at, step in enumerate(played) if isinstance(step, Pause)] == [3]
    assert sent(STREAM, WireFault("pause_mid_body")) == sent(STREAM)


def test_chance_is_the_same_at_the_same_seed() -> None:
    fault = WireFault("cut", probability=0.3, seed=7)
    struck = [fault.strikes(no) for no in range(1, 1_001)]
    assert struck == [fault.strikes(no) for no in range(1, 1_001)]
    assert 200 < sum(struck) < 400
    assert struck != [WireFault("cut", probability=0.3, seed=8).strikes(no) for no in range(1, 1_001)]


def test_a_drip_waits_before_every_piece() -> None:
    played = steps(STREAM, WireFault("slow_drip", drip_s=0.5))
    assert [isinstance(step, Pause) for step in played] == [i % 2 == 0 for i in range(len(played))]


@given(no=st.integers(1, 1_000), count=st.integers(1, 50))
def test_when_a_fault_strikes(no: int, count: int) -> None:
    assert WireFault("cut").strikes(no)
    assert WireFault("cut", first=count).strikes(no) == (no <= count)
    assert WireFault("cut", nth=count).strikes(no) == (no % count == 0)
