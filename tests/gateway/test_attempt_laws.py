"""What holds of the calls of any exchange, whatever the upstreams do: made-up stories in virtual time."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.network import Wire
from tests.gateway.world import (
    DONE,
    KEYRING,
    STREAM_END,
    STREAM_HEAD,
    World,
    answer,
    ask,
    event,
    headers_of,
    plan_of,
    route_to,
    status_of,
    world,
)
from tests.gateway.world import upstream as one_upstream

from setpoint.domain.plan import BreakerLimits, Hedge, Plan, Retries, SealedKey, Timeouts
from setpoint.domain.trace import RecordKind
from setpoint.kit.breaker import State
from setpoint.kit.sealing import seal
from setpoint.wire import gauge_page as at

TIMEOUTS = Timeouts(connect_s=2.0, first_byte_s=6.0, idle_s=6.0, unary_total_s=8.0, stream_total_s=8.0)
OPEN_S = 10.0
WHOLE_S = 16.0
"""Twice what one call may take."""
NAMES = "abc"

BEHAVIOURS = {
    "good": [answer(), STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END],
    "ill": [answer(b"{}", 500)] * 2,
    "overloaded": [answer(b"{}", 529)] * 2,
    "refused": [answer(b'{"error":{"message":"no"}}', 400)] * 2,
    "unknown key": [answer(b"{}", 401)] * 2,
    "broke": [answer(b"{}", 402)] * 2,
    "forbidden": [answer(b"{}", 403)] * 2,
    "limited": [answer(b"{}", 429)] * 2,
    "limited for two seconds": [answer(b"{}", 429, "retry-after: 2")] * 2,
    "limited for long": [answer(b"{}", 429, "retry-after: 100")] * 2,
    "nonsense": [b"HTTP/1.1 banana\r\n\r\n"] * 2,
    "cut before content": [b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", STREAM_HEAD + event()],
    "silent": [b"", b""],
}
CUT = frozenset({"cut before content"})

story = st.lists(st.tuples(st.sampled_from(sorted(BEHAVIOURS)), st.sampled_from([0.0, 0.3, 1.2, 3.0])), min_size=1, max_size=8)
retries = st.builds(
    Retries,
    attempts=st.integers(1, 5),
    base_s=st.sampled_from([0.0, 0.2, 1.0]),
    factor=st.just(2.0),
    cap_s=st.sampled_from([0.5, 3.0]),
    total_s=st.sampled_from([None, 5.0]),
)
hedge = st.one_of(st.none(), st.just(Hedge(after_s=1.0, max_ratio=1.0)))


def plan(targets: int, keys: int, tries: Retries, hedging: Hedge | None) -> Plan:
    """The first target has several keys when `keys` is more than 1."""
    sealed = tuple(SealedKey(str(no), seal(KEYRING.kek, bytes(12), b"sk-%d" % no, b"upstream/a")) for no in range(keys))
    breaker = BreakerLimits(failures=2, open_s=OPEN_S, successes=1)
    first: dict[str, Any] = {"auth": "bearer", "keys": sealed} if keys > 1 else {}
    ups = [one_upstream(name, breaker=breaker, **(first if name == "a" else {})) for name in NAMES[:targets]]
    return plan_of(*ups, routes=(route_to("m", *NAMES[:targets], retries=tries, hedge=hedging, timeouts=TIMEOUTS),))


class Told:
    """Plays the upstreams: each request gets the next behaviour of the story, after its delay; the last one is for all others."""

    def __init__(self, w: World, script: list[tuple[str, float]], *, stream: bool) -> None:
        self.w = w
        self.script = script
        self.stream = stream
        self.seen: dict[int, int] = {}
        self.calls: list[tuple[float, str, str, str]] = []
        self.due: list[tuple[float, Wire, str]] = []

    def step(self, seconds: float = 0.05) -> None:
        loop = self.w.loop
        for at_s, wire, how in [each for each in self.due if each[0] <= loop.now_s]:
            self.due.remove((at_s, wire, how))
            wire.says(BEHAVIOURS[how][self.stream])
            if how in CUT:
                wire.ends()
        loop.advance(seconds)
        for no, wire in enumerate(loop.wires):
            count = wire.sent.count(b"POST ")
            for _ in range(self.seen.get(no, 0), count):
                how, delay_s = self.script[min(len(self.calls), len(self.script) - 1)]
                key = wire.sent.rpartition(b"Bearer ")[2].partition(b"\r\n")[0].decode() if b"Bearer" in wire.sent else ""
                self.calls.append((loop.now_s, loop.asked[no]["to"][0], key, how))
                self.due.append((loop.now_s + delay_s, wire, how))
            self.seen[no] = count


@settings(max_examples=120, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), retries, hedge, story, st.booleans())
def test_laws_of_one_exchange(targets: int, keys: int, tries: Retries, hedging: Hedge | None, script: list[Any], stream: bool) -> None:
    with world(plan(targets, keys, tries, hedging)) as w:
        told, client, began_s = Told(w, script, stream=stream), w.client(), w.loop.now_s
        client.says(ask("m", stream=stream))
        while not w.sink.ends() and w.loop.now_s < began_s + 60:
            told.step()
        w.loop.spin()
        assert w.sink.ends(), "it ends"
        assert w.loop.now_s - began_s <= (tries.total_s or WHOLE_S) + 0.3, "within its deadline"
        assert len(told.calls) <= tries.attempts, "no more calls than allowed, over all targets"
        end = w.sink.ends()[0]
        assert end.head.attempts == len(told.calls), "the number of calls is true"
        assert headers_of(client.sent)["x-setpoint-attempts"] == str(len(told.calls))
        assert client.sent.count(b"HTTP/1.1 ") == 1, "one answer"
        check_keys(told)
        check_ends(told, status_of(client.sent))
        calls_told_of = [each.tail.attempt_no for each in w.sink.records() if each.head.kind == RecordKind.attempt]
        assert sorted({*calls_told_of, end.tail.attempt_no or end.head.attempts}) == list(range(1, len(told.calls) + 1)) or not told.calls
        calls = len(told.calls)
        moves = w.page[at.RETRIES] + w.page[at.FALLBACKS] + sum(w.page[at.HEDGES[how]] for how in ("won", "lost", "failed", "abandoned"))
        assert moves == max(0, calls - 1), "each further call is counted once"
        told.step(30)
        assert len(told.calls) == calls, "nothing is tried after the end"
        assert w.clean


def check_keys(told: Told) -> None:
    refused: set[tuple[str, str]] = set()
    for no, (_, host, key, how) in enumerate(told.calls):
        assert (host, key) not in refused, "a refused key is not used again"
        answered = any(wire_due[2] == how for wire_due in told.due)
        if how in {"unknown key", "broke", "forbidden"} and not answered and told.script[min(no, len(told.script) - 1)][1] == 0.0:
            refused.add((host, key))


def check_ends(told: Told, status: int) -> None:
    for no, (_, _, _, how) in enumerate(told.calls):
        delay_s = told.script[min(no, len(told.script) - 1)][1]
        if how == "good" and delay_s == 0.0:
            assert status == 200
            assert no >= len(told.calls) - 2, "after a good answer nothing is asked"
        if how == "refused" and delay_s == 0.0:
            assert no >= len(told.calls) - 2, "after a fault of the request nothing is asked"


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 2),
    hedge,
    st.lists(st.tuples(story, st.booleans(), st.sampled_from([0.0, 0.5, 2.5, 12.0]), st.booleans()), min_size=2, max_size=6),
)
def test_circuits_never_wedge(targets: int, hedging: Hedge | None, visits: list[Any]) -> None:
    """Clients come, some leave early; afterwards the upstreams are well, and after at most `open_s` everybody is served again."""
    tries = Retries(attempts=3, base_s=0.1, factor=1.0, cap_s=0.2)
    with world(plan(targets, 1, tries, hedging)) as w:
        for script, stream, stays_s, leaves in visits:
            told, client = Told(w, script, stream=stream), w.client()
            told.seen = {no: wire.sent.count(b"POST ") for no, wire in enumerate(w.loop.wires)}
            client.says(ask("m", stream=stream))
            told.step()
            until_s = w.loop.now_s + stays_s
            while w.loop.now_s < until_s and not client.sent:
                told.step()
            if leaves:
                client.ends()
        told = Told(w, [("good", 0.0)], stream=False)
        told.seen = {no: wire.sent.count(b"POST ") for no, wire in enumerate(w.loop.wires)}
        for _ in range(20):
            told.step(1.0)
        w.loop.advance(OPEN_S + 0.1)
        resolved = w.lane.published.resolve("m", next(iter(w.lane.published._resolved))[1])
        assert resolved is not None
        assert all(each.breaker.retry_after_s(w.loop.now_s) == 0 for each in resolved.candidates)
        for _ in range(targets + 1):
            client = w.client()
            client.says(ask("m"))
            told.step()
            told.step()
            assert status_of(client.sent) == 200
        assert resolved.candidates[0].breaker.state is State.closed
        assert w.clean
