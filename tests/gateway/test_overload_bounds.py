"""Bounds that hold a worker's memory and time, each met: what happens at it, and what the client sees. docs/overload.md lists them all."""

import asyncio
import re
import socket
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from tests.gateway.network import Wire, virtual_loop
from tests.gateway.test_server import GET, Lane, post, refusal
from tests.gateway.world import STREAM_HEAD, answer, ask, chat_body, event, plan_of, status_of, upstream, world
from tests.gateway.world import post as ask_with

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Limits
from setpoint.gateway import published
from setpoint.gateway.holding import cut_slowest, held_by, weigh
from setpoint.gateway.published import BREAKERS_KEPT, MEMO_MAX, Line
from setpoint.gateway.server import EARLY_BYTES, LOOK_S, ClientConnection, Request, has_left
from setpoint.gateway.upstream import Pool
from setpoint.kit.breaker import State

PAGE = Path(__file__).parents[2] / "docs/overload.md"
BUSY = Fault(FaultKind.overloaded, "There is too much to do.", retry_after_s=2.0)


@pytest.fixture
def lane() -> Iterator[Lane]:
    with virtual_loop() as loop:
        yield Lane(loop, Limits(body_bytes_max=10 * EARLY_BYTES, bodies_bytes_max=100 * EARLY_BYTES))


# ---- large bodies, when there is too much to do


def test_a_large_body_is_refused_at_its_head_and_not_read(lane: Lane) -> None:
    lane.busy = BUSY
    wire = lane.connect()
    wire.says(post(b"x" * (EARLY_BYTES + 1))[:300])
    assert refusal(lane) == (503, BUSY.message)
    lane.answer()
    assert (wire.half_closed, lane.body_bytes_held) == (True, 0)


def test_a_client_that_asks_before_it_sends_a_large_body_is_spared_sending_it(lane: Lane) -> None:
    lane.busy = BUSY
    wire = lane.connect()
    wire.says(b"POST /p HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % (EARLY_BYTES + 1))
    assert refusal(lane)[0] == 503
    assert b"100 Continue" not in wire.sent


def test_a_small_body_is_read_first(lane: Lane) -> None:
    lane.busy = BUSY
    lane.connect().says(post(b"x" * EARLY_BYTES))
    assert lane.seen[0].fault is None


def test_what_was_let_in_at_its_head_is_not_asked_again() -> None:
    with world() as w:
        w.lane.admission._begin(1_000.0)
        w.lane.admission._fractions = (1.0, 1.0, 1.0)
        client = w.client()
        whole = ask_with(chat_body(user="x" * (EARLY_BYTES + 1)))
        client.says(whole[:1_000])
        w.lane.admission._fractions = (0.0, 0.0, 0.0)
        client.says(whole[1_000:])
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200


# ---- connections of clients that were refused


def test_a_resting_connection_is_not_read_until_its_time_has_come(lane: Lane) -> None:
    wire = lane.connect()
    lane.connections[0].rest(0.5)
    wire.says(GET)
    lane.loop.advance(0.4)
    assert lane.seen == []
    stale: list[bool] = []
    dispatch = lane.dispatch

    def note(connection: ClientConnection, request: Request) -> None:
        stale.append(connection.stale)
        dispatch(connection, request)

    lane.dispatch = note  # type: ignore[method-assign]
    lane.loop.advance(0.2)
    assert (lane.targets, stale) == ([b"/a"], [True])
    lane.answer()
    lane.loop.spin()
    wire.says(GET)
    assert stale == [True, False]


def test_pipelined_requests_rest_too(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET * 3)
    for count in (1, 2):
        assert len(lane.seen) == count
        connection, _ = lane.waiting.pop()
        connection.answered(keep_alive=True)
        connection.rest(0.5)
        lane.loop.advance(0.4)
        assert len(lane.seen) == count
        lane.loop.advance(0.2)
    assert len(lane.seen) == 3


def test_a_busy_connection_does_not_rest(lane: Lane) -> None:
    wire = lane.connect()
    wire.says(GET)
    lane.connections[0].rest(5)
    assert not wire.paused


def test_a_resting_connection_counts_as_idle_when_the_worker_leaves(lane: Lane) -> None:
    wire = lane.connect()
    lane.connections[0].rest(5)
    assert lane.connections[0].idle
    lane.connections[0].close()
    lane.loop.spin()
    assert wire.gone


# ---- clients that send ahead and leave


class Info:
    """A socket that says in which state its connection is."""

    def __init__(self, state: int) -> None:
        self.state = state

    def getsockopt(self, *_: int) -> bytes:
        return bytes([self.state])


@pytest.mark.parametrize(("state", "gone"), [(1, False), (8, True), (7, True)])
def test_a_client_that_sent_ahead_and_left_is_noticed(lane: Lane, monkeypatch: pytest.MonkeyPatch, state: int, gone: bool) -> None:
    monkeypatch.setattr(Wire, "get_extra_info", lambda _, name, default=None: Info(state) if name == "socket" else ("192.0.2.7", 1))
    wire = lane.connect()
    wire.says(GET)
    told: list[str] = []
    lane.connections[0].work = type("Work", (), {"client_gone": lambda _: told.append("gone"), "pause": None, "resume": None})()
    wire.says(GET)
    assert wire.paused
    lane.loop.advance(LOOK_S + 0.2)
    assert (wire.gone, told) == (gone, ["gone"] if gone else [])


def test_the_kernel_says_who_has_left_although_bytes_lie_before_that() -> None:
    async def run() -> list[bool]:
        seen = []
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = socket.create_connection(server.getsockname())
            sock, _ = server.accept()
            transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, sock)
            transport.pause_reading()
            client.sendall(b"unread")
            seen.append(has_left(transport))
            client.close()
            await asyncio.sleep(0.05)
            seen.append(has_left(transport))
            transport.abort()
        return seen

    assert asyncio.run(run()) == [False, True]


def test_of_what_is_no_tcp_nothing_is_known(lane: Lane) -> None:
    wire = lane.connect()
    assert not has_left(wire)


# ---- everything that is held, together


def test_a_worker_that_holds_too_much_takes_in_nothing_until_it_holds_less() -> None:
    with world() as w:
        w.lane.admission.fill(full=True)
        client = w.client()
        client.says(ask())
        assert status_of(client.take()) == 503
        assert w.clean
        w.lane.admission.fill(full=False)
        client.says(ask())
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200


def test_answers_that_come_in_and_streams_that_wait_are_weighed() -> None:
    with world() as w:
        client = w.client()
        client.says(ask())
        whole = answer(b'{"a": "' + b"x" * 50_000 + b'"}')
        w.up().says(whole[:40_000])
        assert 39_000 < weigh(w.lane.connections) < 41_000
        w.up().says(whole[40_000:])
        w.loop.spin()
        assert weigh(w.lane.connections) == 0
        client.says(ask(stream=True))
        w.up().says(STREAM_HEAD + event("x" * 5_000))
        w.loop.spin()
        assert weigh(w.lane.connections) > 5_000


def test_the_clients_that_read_least_are_cut_until_the_rest_fits() -> None:
    with world() as w:
        clients = [w.client() for _ in range(4)]
        connections = [client._protocol for client in clients]
        for no, client in enumerate(clients):
            client.stuck = no > 0
            client.sent = b"x" * (1_000 * no)
            if no:
                connections[no].pause_writing()
        assert weigh(w.lane.connections) == 6_000
        assert cut_slowest(w.lane.connections, 4_000) == 2
        assert [client.aborted for client in clients] == [False, False, True, True]
        assert held_by(connections[0]) == 0  # type: ignore[arg-type]
        for client in clients:
            client.sent = b""


# ---- circuits


def test_an_open_circuit_stays_open_however_many_models_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "MEMO_MAX", 100)
    monkeypatch.setattr(published, "BREAKERS_KEPT", 75)
    with world(plan_of(upstream())) as w:
        line: Line = w.lane.published.lines["one"]
        bad = line.breaker("chat", "bad")
        for _ in range(1_000):
            bad.failed(0, 0.0)
        for no in range(1_000):
            line.breaker("chat", f"m{no}")
        assert line.breaker("chat", "bad") is bad
        assert bad.state is State.open
        assert len(list(line.breakers())) <= 100


def test_of_too_many_ill_circuits_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "MEMO_MAX", 100)
    monkeypatch.setattr(published, "BREAKERS_KEPT", 75)
    with world(plan_of(upstream())) as w:
        line: Line = w.lane.published.lines["one"]
        for no in range(101):
            line.breaker("chat", f"m{no}").failed(0, 0.0)
        known = [model for _, model, _ in line.breakers()]
        assert known == [f"m{no}" for no in range(25, 101)]


def test_the_bounds_of_circuits_are_what_the_page_says() -> None:
    assert (MEMO_MAX, BREAKERS_KEPT) == (10_000, 7_500)


# ---- the page


def test_every_bound_that_the_page_names_is_there_with_that_figure() -> None:
    rows = re.findall(r"^\| .*?`([a-z_.]+)\.([A-Z_]+)` = ([0-9,._]+)", PAGE.read_text(), re.MULTILINE)
    assert len(rows) > 20
    for module, name, figure in rows:
        assert getattr(import_module(f"setpoint.{module}"), name) == float(figure.replace(",", "")), f"{module}.{name}"


def test_every_limit_of_the_plan_is_on_the_page() -> None:
    text = PAGE.read_text()
    assert [name for name in Limits.__struct_fields__ if f"{name}`" not in text] == []


def test_a_call_that_finds_the_queue_of_its_upstream_full_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("setpoint.gateway.upstream.QUEUE_MAX", 3)
    with world(plan_of(upstream(connections_max=1))) as w:
        clients = [w.client() for _ in range(5)]
        for client in clients:
            client.says(ask())
            w.loop.spin()
        pool: Pool = w.lane.published.lines["one"].pool
        assert pool.waiting == 3
        assert status_of(clients[-1].sent) == 503
