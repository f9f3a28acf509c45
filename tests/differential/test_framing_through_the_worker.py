"""The corpus through a whole worker on real sockets: what reaches the engine and the upstreams is what the client framed, and nothing else.

The worker builds each request that it passes on anew. So whatever a body contains, whatever upgrade was asked for, however lengths were
told: behind the worker there is one request for each of the client's, with the same body, and never one that was a body.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from setpoint.testing.framing_corpus import CASES
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.stage import Stage, stage

WAITS_S = 0.15
CLOSES_S = 5.0
BY_NAME = {case.name: case for case in CASES}
SMUGGLED = "/smuggled"
PLAINLY_A_BODY = (
    "post_then_get", "chunked_then_get", "get_with_body", "h2c_post", "h2c_chunked", "h2c_then_get", "expect_continue", "unknown_upgrade",
    "upgrade_without_connection", "websocket_post",
)  # fmt: skip


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with stage() as started:
        yield started


@pytest.fixture
def on(running: Stage) -> Iterator[Stage]:
    running.reset()
    yield running
    with RawClient(running.gateway.port) as client:
        assert client.send(request_bytes("GET", "/health/live")).receive().status == 200


def exchange(on: Stage, pieces: list[bytes], *, waits: bool) -> list[Received]:
    """Every answer until the worker closes, or, for a case that leaves it waiting, until it has had time to."""
    answers = []
    with RawClient(on.gateway.port, deadline_s=WAITS_S if waits else CLOSES_S) as client:
        client.send(*pieces)
        try:
            while not client.ended:
                answers.append(client.receive())
        except TimeoutError:
            assert waits, "the worker neither answered nor closed"
    return [answer for answer in answers if answer.status]


READABLE = [case.name for case in CASES if case.name != "head"]
"""The raw client cannot know that the answer to a HEAD has no body."""


@pytest.mark.parametrize("name", READABLE)
def test_every_case_is_answered_or_refused_and_the_worker_lives(on: Stage, name: str) -> None:
    case = BY_NAME[name]
    answers = exchange(on, [case.data], waits=case.waits)
    assert answers or case.waits
    assert all(answer.complete for answer in answers)
    behind = on.engine.seen
    assert len(behind) <= len(answers)
    assert all(seen.request.method.isupper() and seen.path.startswith("/") for seen in behind)
    for seen in behind:
        assert int(seen.headers.get("content-length", "0")) == len(seen.body)
        assert not {"upgrade", "http2-settings", "transfer-encoding", "expect"} & seen.headers.keys()


@pytest.mark.parametrize("name", PLAINLY_A_BODY)
def test_a_body_stays_a_body_behind_the_worker(on: Stage, name: str) -> None:
    exchange(on, [BY_NAME[name].data], waits=False)
    assert SMUGGLED not in [seen.path for seen in on.engine.seen]
    assert SMUGGLED.encode() in on.engine.seen[0].body


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(PLAINLY_A_BODY), cuts=st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_a_body_stays_a_body_wherever_the_packets_are_cut(on: Stage, name: str, cuts: list[int]) -> None:
    data = BY_NAME[name].data
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    on.engine.forget()
    exchange(on, [data[a:b] for a, b in pairwise(edges)], waits=False)
    assert SMUGGLED not in [seen.path for seen in on.engine.seen]
    assert SMUGGLED.encode() in on.engine.seen[0].body
