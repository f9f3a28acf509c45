"""Faults as plain functions: what is played is known without playing it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.testing.answers import Answer, answer
from setpoint.testing.replies import status, text
from setpoint.testing.wire_faults import FAULT_NAMES, HARMLESS, Close, FaultName, Pause, Send, Stall, WireFault, steps

UNARY = answer(text("grüß ", "dich"), "/v1/chat/completions", b'{"model":"m"}')
STREAM = answer(text("grüß ", "dich"), "/v1/messages", b'{"model":"m","stream":true}')


def sent(answer: Answer, fault: WireFault | None = None) -> bytes:
    return b"".join(step.data for step in steps(answer, fault) if isinstance(step, Send))


@pytest.mark.parametrize("name", FAULT_NAMES)
@pytest.mark.parametrize("whole", [UNARY, STREAM])
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


def test_a_drip_waits_before_every_piece() -> None:
    played = steps(STREAM, WireFault("slow_drip", drip_s=0.5))
    assert [isinstance(step, Pause) for step in played] == [i % 2 == 0 for i in range(len(played))]


@given(no=st.integers(1, 1_000), count=st.integers(1, 50))
def test_when_a_fault_strikes(no: int, count: int) -> None:
    assert WireFault("cut").strikes(no)
    assert WireFault("cut", first=count).strikes(no) == (no <= count)
    assert WireFault("cut", nth=count).strikes(no) == (no % count == 0)
