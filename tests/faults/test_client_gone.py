"""A client that hangs up: the upstream call ends at once, what was used is settled, and one record says who left."""

import time
from collections.abc import Iterator

import pytest

from setpoint.domain.trace import Outcome
from setpoint.testing.conversation import CHAT_PATH, MESSAGES_PATH, chat, messages
from setpoint.testing.raw_client import RawClient, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.stage import Stage, stage
from setpoint.testing.wire_faults import WireFault

CANCEL_NS_MAX = 1_000_000_000
"""The promise: an upstream is cancelled within a second after its client left."""


@pytest.fixture(scope="module", params=["plain", "tls"])
def running(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stage(tls=request.param == "tls") as started:
        yield started


@pytest.fixture
def on(running: Stage) -> Stage:
    running.reset()
    return running


PAIRS = [(surface, model) for surface in (CHAT_PATH, MESSAGES_PATH) for model in ("fake-1", "claude-1")]


def asked(on: Stage, surface: str, model: str, *, stream: bool) -> bytes:
    ask = (chat if surface == CHAT_PATH else messages)("hi", model=model, stream=stream)
    return request_bytes("POST", ask.path, ask.body(), authorization=f"Bearer {on.keys['developer']}")


@pytest.mark.parametrize(("surface", "model"), PAIRS)
@pytest.mark.parametrize("stream", [False, True])
def test_leaving_before_the_answer_cancels_the_upstream(on: Stage, surface: str, model: str, stream: bool) -> None:
    up = on.anthropic if model == "claude-1" else on.openai
    up.breaks(WireFault("hang_before_head"))
    before = len(on.gateway.ends())
    with RawClient(on.gateway.port, tls=on.gateway.client_tls) as client:
        client.send(asked(on, surface, model, stream=stream))
        up.wait_for_requests(1)
        left_ns = time.monotonic_ns()
    assert up.wait_for_hang_up().hung_up_ns - left_ns < CANCEL_NS_MAX
    end = on.gateway.wait_for_ends(before + 1)[-1]
    assert (end.head.outcome, end.head.status) == (Outcome.client_gone, 499)
    assert len(on.gateway.ends()) == before + 1


@pytest.mark.parametrize(("surface", "model"), PAIRS)
def test_leaving_in_mid_stream_cancels_the_upstream_and_settles_what_was_used(on: Stage, surface: str, model: str) -> None:
    up = on.anthropic if model == "claude-1" else on.openai
    up.says(text("good ", "day"))
    up.breaks(WireFault("stall_mid_body", after_pieces=4 if model == "claude-1" else 2))
    before = len(on.gateway.ends())
    with RawClient(on.gateway.port, tls=on.gateway.client_tls) as client:
        client.send(asked(on, surface, model, stream=True)).read_until(b"good")
    up.wait_for_hang_up()
    end = on.gateway.wait_for_ends(before + 1)[-1]
    assert end.head.outcome == Outcome.client_gone
    assert end.head.streamed
    assert end.head.input > 0, "usage is settled, by an estimate if need be"


def test_leaving_while_a_retry_waits_makes_no_further_call(on: Stage) -> None:
    on.openai.breaks(WireFault("hang_before_head"))
    with RawClient(on.gateway.port, tls=on.gateway.client_tls) as client:
        client.send(asked(on, CHAT_PATH, "spare", stream=False))
        on.openai.wait_for_requests(1)
    on.openai.wait_for_hang_up()
    with RawClient(on.gateway.port, tls=on.gateway.client_tls) as client:
        on.openai.breaks(None)
        assert client.send(asked(on, CHAT_PATH, "fake-1", stream=False)).receive().status == 200
    assert not on.openai_2.seen


def test_half_a_request_that_is_given_up_costs_nothing(on: Stage) -> None:
    before = len(on.gateway.ends())
    with RawClient(on.gateway.port, tls=on.gateway.client_tls) as client:
        client.send(asked(on, CHAT_PATH, "fake-1", stream=False)[:-5])
    with RawClient(on.gateway.port, tls=on.gateway.client_tls) as client:
        assert client.send(asked(on, CHAT_PATH, "fake-1", stream=False)).receive().status == 200
    assert len(on.openai.seen) == 1
    assert len(on.gateway.ends()) == before + 1
