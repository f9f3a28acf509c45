"""The upstream client: calls, connections and the pool, on a network of lists and a clock that is told the time."""

import ssl
from collections.abc import Iterator

import pytest
from tests.gateway.network import VirtualLoop, Wire, virtual_loop
from tests.gateway.world import ask, loaded, plan_of, status_of, upstream, world

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Route, Target, Timeouts
from setpoint.gateway import upstream as upstream_module
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import Drive
from setpoint.gateway.upstream import HEAD_BYTES_MAX, IDLE_S, JOIN_BYTES_MAX, Call, Pool

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSING = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
TIMEOUTS = Timeouts(connect_s=5, first_byte_s=10, idle_s=4, unary_total_s=30, stream_total_s=60)


class Pieces:
    """A relay that keeps what it is fed."""

    def __init__(self) -> None:
        self.fed: list[bytes] = []

    def feed(self, data: bytes) -> None:
        self.fed.append(data)


class Bench:
    """A pool of one upstream and what is needed to call it."""

    def __init__(self, loop: VirtualLoop, connections_max: int = 2) -> None:
        self.loop = loop
        self.deadlines = Deadlines(loop)
        self.pool = Pool(upstream(connections_max=connections_max), None, loop, self.deadlines)

    def call(self, body: bytes = b"{}", relay: Pieces | None = None, timeouts: Timeouts = TIMEOUTS, answer_max: int = 1_000) -> Call:
        call = Call(Drive(), (b"POST / HTTP/1.1\r\n\r\n", body), timeouts, answer_max, relay)
        self.pool.send(call)
        self.loop.spin()
        return call

    def wire(self, no: int = -1) -> Wire:
        return self.loop.wires[no]

    def answered(self, data: bytes = OK) -> Call:
        call = self.call()
        self.wire().says(data)
        self.loop.spin()
        return call


@pytest.fixture
def bench() -> Iterator[Bench]:
    with virtual_loop() as loop:
        yield Bench(loop)


def fault_of(call: Call) -> Fault:
    assert call.over
    assert call.fault is not None
    return call.fault


# ---- answers


def test_an_answer_is_complete_with_its_status_headers_and_body(bench: Bench) -> None:
    call = bench.call(b'{"a":1}')
    assert bench.wire().sent == b'POST / HTTP/1.1\r\n\r\n{"a":1}'
    for byte in b"HTTP/1.1 201 Made\r\nContent-Length: 2\r\nContent-Type: a/b\r\nX-One: 1\r\n\r\nok":
        assert not call.over
        bench.wire().says(bytes([byte]))
    assert (call.complete, call.fault, call.status, call.body(), call.content_type) == (True, None, 201, b"ok", b"a/b")
    assert (b"x-one", b"1") in call.headers


def test_a_large_body_is_not_copied_for_its_head(bench: Bench) -> None:
    body = b"x" * (JOIN_BYTES_MAX + 1)
    bench.call(body)
    assert bench.wire().sent.endswith(body)


def test_interim_answers_are_passed_over(bench: Bench) -> None:
    call = bench.call()
    bench.wire().says(b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK)
    assert (call.complete, call.status, call.body()) == (True, 200, b"ok")
    assert (b"link", b"x") not in call.headers


def test_interim_answers_without_end_are_cut_off(bench: Bench) -> None:
    call = bench.call()
    for _ in range(HEAD_BYTES_MAX // 1_000 + 2):
        bench.wire().says(b"HTTP/1.1 100 C\r\nx: %b\r\n\r\n" % (b"y" * 1_000))
    assert fault_of(call).kind is FaultKind.upstream_server


def test_an_answer_without_a_length_ends_with_its_connection(bench: Bench) -> None:
    call = bench.call()
    bench.wire().says(b"HTTP/1.1 200 OK\r\n\r\nall of ")
    bench.wire().says(b"it")
    assert not call.over
    bench.wire().ends()
    assert (call.complete, call.body()) == (True, b"all of it")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok", "before its answer was complete"),
        (b"HTTP/1.1 2", ""),
    ],
)
def test_an_answer_cut_short_is_a_fault(bench: Bench, said: bytes, words: str) -> None:
    call = bench.call()
    if said:
        bench.wire().says(said)
    bench.wire().ends()
    assert fault_of(call).kind is FaultKind.upstream_cut
    assert words in fault_of(call).message


def test_a_reset_never_passes_for_the_end_of_an_answer(bench: Bench) -> None:
    call = bench.call()
    bench.wire().says(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    bench.wire().ends(ConnectionResetError())
    assert fault_of(call).kind is FaultKind.upstream_cut


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n", "Expected HTTP/"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2_000, "larger than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * HEAD_BYTES_MAX, "head"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nabc", "another protocol"),
    ],
)
def test_what_cannot_be_used_is_a_fault_of_the_upstream_and_says_what(bench: Bench, said: bytes, words: str) -> None:
    call = bench.call()
    bench.wire().says(said)
    assert fault_of(call).kind is FaultKind.upstream_server
    assert words in fault_of(call).message
    assert bench.wire().aborted
    bench.loop.spin()
    assert bench.pool.connections == 0


@pytest.mark.parametrize("behind", [b"garbage", OK, b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno"])
def test_bytes_behind_a_whole_answer_cost_the_connection_but_not_the_answer(bench: Bench, behind: bytes) -> None:
    call = bench.call()
    bench.wire().says(OK + behind)
    assert (call.complete, call.status, call.body()) == (True, 200, b"ok")
    assert bench.wire().aborted


def test_bytes_on_an_idle_connection_cost_it(bench: Bench) -> None:
    bench.answered()
    bench.wire().says(b"surprise")
    assert bench.wire().aborted


# ---- streams


SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def test_a_stream_is_relayed_as_it_comes_one_piece_per_read(bench: Bench) -> None:
    relay = Pieces()
    call = bench.call(relay=relay)
    bench.wire().says(SSE + b"2\r\nab\r\n2\r\ncd\r\n")
    bench.wire().says(b"1\r\ne\r\n")
    assert (relay.fed, call.over) == ([b"abcd", b"e"], False)
    bench.wire().says(b"1\r\nf\r\n0\r\n\r\n")
    assert (relay.fed[2:], call.complete, call.body()) == ([b"f"], True, b"")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n", b"HTTP/1.1 429 No\r\ncontent-type: text/event-stream\r\n"]
)
def test_an_answer_that_is_no_good_stream_is_held(bench: Bench, head: bytes) -> None:
    relay = Pieces()
    call = bench.call(relay=relay)
    bench.wire().says(head + b"content-length: 2\r\n\r\nno")
    assert (relay.fed, call.body(), call.streaming) == ([], b"no", False)


# ---- the pool


def test_the_connection_used_last_is_used_next(bench: Bench) -> None:
    one, two = bench.call(), bench.call()
    bench.wire(0).says(OK)
    bench.wire(1).says(OK)
    assert (one.complete, two.complete, bench.pool.connections) == (True, True, 2)
    again = bench.call()
    assert again.reused
    bench.wire(1).says(OK)
    assert again.complete
    assert len(bench.loop.wires) == 2


def test_calls_beyond_the_cap_wait_in_order(bench: Bench) -> None:
    calls = [bench.call() for _ in range(5)]
    assert (bench.pool.connections, bench.pool.waiting, len(bench.loop.asked)) == (2, 3, 2)
    bench.wire(1).says(OK)
    bench.wire(1).says(OK)
    assert [call.complete for call in calls] == [False, True, True, False, False]


def test_a_queue_that_is_full_refuses_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "QUEUE_MAX", 2)
    calls = [bench.call() for _ in range(5)]
    assert fault_of(calls[4]).kind is FaultKind.overloaded
    assert [call.over for call in calls] == [False, False, False, False, True]


def test_a_call_does_not_wait_for_a_connection_for_ever(bench: Bench) -> None:
    slow = Timeouts(first_byte_s=100, unary_total_s=1_000)
    bench.call(timeouts=slow)
    bench.call(timeouts=slow)
    waits = bench.call()
    bench.loop.advance(TIMEOUTS.connect_s + TIMEOUTS.first_byte_s - 0.2)
    assert not waits.over
    bench.loop.advance(0.4)
    assert fault_of(waits).kind is FaultKind.overloaded
    assert "at most 2" in fault_of(waits).message
    assert bench.pool.waiting == 0


def test_a_call_that_got_its_connection_is_not_said_to_have_waited(bench: Bench) -> None:
    call = bench.call(timeouts=Timeouts(connect_s=1, first_byte_s=20, unary_total_s=40))
    bench.wire().says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n")
    bench.loop.advance(22)
    assert not call.over


def test_every_waiting_call_hears_of_a_refusal(bench: Bench) -> None:
    bench.loop.refuse = ConnectionRefusedError(111, "Connection refused")
    calls = []
    for _ in range(7):
        call = Call(Drive(), (b"", b""), TIMEOUTS, 10, None)
        bench.pool.send(call)
        calls.append(call)
    bench.loop.spin(20)
    assert {fault_of(call).kind for call in calls} == {FaultKind.upstream_unreachable}
    assert bench.pool.waiting == 0


def test_connections_that_close_after_each_answer_are_replaced_while_calls_wait(bench: Bench) -> None:
    calls = [bench.call() for _ in range(6)]
    for opened in (2, 4, 6):
        assert (len(bench.loop.wires), bench.pool.connections) == (opened, 2)
        for wire in bench.loop.wires[-2:]:
            wire.says(CLOSING)
        bench.loop.spin()
    assert all(call.complete for call in calls)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OSError(113, "No route to host"), FaultKind.upstream_unreachable, "No route to host"),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), FaultKind.upstream_unreachable, "TLS"),
        (UnicodeError("label too long"), FaultKind.upstream_unreachable, "label too long"),
    ],
)
def test_a_connection_that_cannot_be_made_says_why(bench: Bench, error: Exception, kind: FaultKind, words: str) -> None:
    bench.loop.refuse = error
    call = bench.call()
    assert fault_of(call).kind is kind
    assert words in fault_of(call).message


def test_connecting_has_its_own_deadline(bench: Bench) -> None:
    bench.loop.hold = True
    call = bench.call()
    bench.loop.advance(TIMEOUTS.connect_s + 0.1)
    assert fault_of(call).kind is FaultKind.upstream_timeout
    assert "Connecting" in fault_of(call).message


def test_a_call_given_up_while_connecting_leaves_the_connection_to_the_next(bench: Bench) -> None:
    bench.loop.hold = True
    call = bench.call()
    call.abort()
    bench.loop.let_in()
    assert (bench.wire().sent, bench.pool.connections) == (b"", 1)
    bench.loop.hold = False
    assert bench.call().reused


# ---- the race of a kept connection


def test_a_stale_connection_costs_nothing(bench: Bench) -> None:
    bench.answered()
    call = bench.call()
    bench.wire(0).ends()
    bench.loop.spin()
    assert not call.over
    assert len(bench.loop.wires) == 2
    bench.wire(1).says(OK)
    assert call.complete


def test_a_call_is_sent_again_once_only(bench: Bench) -> None:
    bench.answered()
    call = bench.call()
    bench.wire(0).ends()
    bench.loop.spin()
    bench.wire(1).ends()
    assert fault_of(call).kind is FaultKind.upstream_cut
    assert len(bench.loop.wires) == 2


def test_a_call_whose_answer_began_is_not_sent_again(bench: Bench) -> None:
    bench.answered()
    call = bench.call()
    bench.wire(0).says(b"HTT")
    bench.wire(0).ends()
    assert fault_of(call).kind is FaultKind.upstream_cut
    assert len(bench.loop.wires) == 1


def test_sending_again_may_meet_a_full_queue_and_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.answered()
    call = bench.call()
    monkeypatch.setattr(upstream_module, "QUEUE_MAX", 0)
    woken: list[bool] = []

    async def wait() -> None:
        await call
        woken.append(True)

    call.drive.start(wait())
    bench.wire(0).ends()
    assert fault_of(call).kind is FaultKind.overloaded
    assert woken == [True]


# ---- deadlines


def test_an_answer_that_does_not_begin_is_a_timeout(bench: Bench) -> None:
    call = bench.call()
    bench.loop.advance(TIMEOUTS.first_byte_s - 0.1)
    assert not call.over
    bench.loop.advance(0.2)
    assert fault_of(call).kind is FaultKind.upstream_timeout
    assert "10.0 s" in fault_of(call).message
    assert bench.wire().aborted


def test_a_held_answer_that_goes_on_coming_has_until_its_total(bench: Bench) -> None:
    call = bench.call()
    bench.wire().says(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n")
    for _ in range(9):
        bench.loop.advance(3)
        bench.wire().says(b"x")
    assert not call.over
    bench.loop.advance(3)
    bench.wire().says(b"x")
    bench.loop.advance(0.2)
    assert fault_of(call).kind is FaultKind.upstream_timeout


def test_a_held_answer_that_stops_coming_is_a_timeout(bench: Bench) -> None:
    call = bench.call()
    bench.wire().says(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\nx")
    bench.loop.advance(TIMEOUTS.idle_s + 0.1)
    assert fault_of(call).kind is FaultKind.upstream_timeout


def test_a_stream_that_stops_is_told_from_one_that_takes_too_long(bench: Bench) -> None:
    stopped = bench.call(relay=Pieces())
    bench.wire().says(SSE + b"1\r\na\r\n")
    bench.loop.advance(TIMEOUTS.idle_s + 0.1)
    assert "stopped sending" in fault_of(stopped).message
    endless = bench.call(relay=Pieces())
    bench.wire().says(SSE)
    for _ in range(21):
        bench.wire().says(b"1\r\na\r\n")
        bench.loop.advance(3)
    assert "in total" in fault_of(endless).message


def test_a_client_that_reads_slowly_is_not_blamed_on_the_upstream(bench: Bench) -> None:
    call = bench.call(relay=Pieces())
    bench.wire().says(SSE + b"1\r\na\r\n")
    connection = call.connection
    assert connection is not None
    connection.pause()
    assert bench.wire().paused
    bench.loop.advance(3 * TIMEOUTS.idle_s)
    assert not call.over
    connection.resume()
    bench.loop.advance(TIMEOUTS.idle_s - 0.2)
    assert not call.over
    bench.loop.advance(0.4)
    assert "stopped sending" in fault_of(call).message


def test_an_idle_connection_is_closed_after_a_while(bench: Bench) -> None:
    bench.answered()
    bench.loop.advance(IDLE_S - 0.2)
    assert not bench.wire().closing
    bench.loop.advance(0.4)
    assert (bench.wire().aborted, bench.pool.connections) == (True, 0)
    assert len(bench.deadlines) == 0


# ---- giving up


def test_an_abort_hangs_up_at_once(bench: Bench) -> None:
    call = bench.call()
    call.abort()
    assert bench.wire().aborted
    assert fault_of(call).kind is FaultKind.client_gone
    bench.loop.spin()
    assert bench.pool.connections == 0


def test_an_abort_after_the_end_is_nothing(bench: Bench) -> None:
    call = bench.answered()
    call.abort()
    assert (call.fault, bench.wire().aborted) == (None, False)


def test_giving_up_ends_the_call_with_the_fault_given(bench: Bench) -> None:
    fault = Fault(FaultKind.draining, "going")
    busy, waiting = [bench.call() for _ in range(3)][1:]
    for call in (busy, waiting):
        call.give_up(fault)
        assert call.fault is fault
    assert bench.wire(1).aborted
    assert bench.pool.waiting == 0


def test_a_closed_pool_lets_busy_connections_end_and_keeps_none(bench: Bench) -> None:
    done = bench.call()
    busy = bench.call()
    bench.wire(0).says(OK)
    bench.pool.close()
    assert (bench.wire(0).aborted, bench.wire(1).closing) == (True, False)
    bench.wire(1).says(OK)
    assert (done.complete, busy.complete, bench.wire(1).aborted) == (True, True, True)
    bench.loop.spin()
    assert bench.pool.connections == 0


def test_aborting_a_pool_ends_every_call(bench: Bench) -> None:
    calls = [bench.call() for _ in range(2)]
    bench.pool.abort()
    bench.loop.spin()
    assert [fault_of(call).kind for call in calls] == [FaultKind.upstream_cut] * 2


# ---- a plan swap


def test_a_swap_keeps_warm_connections_and_closes_those_not_named() -> None:
    one, two = upstream("one"), upstream("two")
    with world(plan_of(one)) as w:
        client = w.client()
        client.says(ask())
        w.up().says(OK.replace(b"ok", b"{}"))
        w.loop.spin()
        assert status_of(client.take()) == 200
        w.adopt(plan_of(one, two, version=2))
        line = w.lane.published.lines["one"]
        client.says(ask())
        w.loop.spin()
        assert len(w.loop.wires) == 1
        w.adopt(plan_of(two, version=3))
        assert not w.up(0).closing
        w.up(0).says(OK.replace(b"ok", b"{}"))
        w.loop.spin()
        assert (status_of(client.take()), w.up(0).aborted) == (200, True)
        assert "one" not in w.lane.published.lines
        assert line.pool.connections == 0
        assert w.lane.oldest_in_use() == (1, 3)


def test_the_oldest_plan_in_use_is_that_of_the_oldest_exchange() -> None:
    with world() as w:
        client = w.client()
        client.says(ask())
        w.adopt(plan_of(version=2))
        assert w.lane.oldest_in_use() == (1, 1)
        w.up().says(OK.replace(b"ok", b"{}"))
        w.loop.spin()
        assert w.lane.oldest_in_use() == (1, 2)


def test_a_plan_that_names_an_unknown_upstream_changes_nothing() -> None:
    with world() as w:
        before = w.lane.published
        broken = plan_of(upstream("one"), routes=(Route("m", (Target("gone"),)),))
        with pytest.raises(ValueError, match="'gone'"):
            w.workshop.build(loaded(broken))
        assert w.lane.published is before
