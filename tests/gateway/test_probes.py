"""Health probes: when a provider counts as ill, what that changes, and that they end."""

import pytest
from tests.gateway.network import Wire
from tests.gateway.world import World, answer, ask, plan_of, route_to, status_of, upstream, world

from setpoint.domain.plan import BreakerLimits, HealthProbe, Plan, Retries
from setpoint.gateway.probes import HealthProbes
from setpoint.gateway.published import Line
from setpoint.kit.breaker import State
from setpoint.wire.standing import BAD, GOOD, UNSEEN

PROBE = HealthProbe(every_s=30.0, path="/models")


def probed(names: str = "ab") -> Plan:
    ups = [upstream(name, probe=PROBE if name == "a" else None, breaker=BreakerLimits(failures=1)) for name in names]
    return plan_of(*ups, routes=(route_to("m", *names, retries=Retries(attempts=2)),))


def line(w: World) -> Line:
    return w.lane.published.lines["a"]


def start(w: World, uniform: float = 0.5) -> HealthProbes:
    probes = HealthProbes(w.deadlines, lambda: uniform)
    probes.follow(w.lane.published.lines.values())
    return probes


def make_ill(w: World) -> Wire:
    w.loop.advance(15.2)
    up = w.up()
    up.says(answer(b"{}", 500))
    w.loop.advance(1.1)
    up.says(answer(b"{}", 503))
    assert line(w).ill
    return up


def test_it_asks_by_itself_at_times_of_its_own() -> None:
    with world(probed()) as w:
        probes = start(w)
        w.loop.advance(14.9)
        assert w.loop.wires == []
        w.loop.advance(0.3)
        assert w.up().sent.startswith(b"GET /v1/models HTTP/1.1\r\nhost: a.test\r\n")
        w.up().says(answer())
        assert (line(w).ill, line(w).health, len(probes)) == (False, GOOD, 1)
        w.loop.advance(29)
        assert w.up().sent.count(b"GET") == 1
        w.loop.advance(1.5)
        assert w.up().sent.count(b"GET") == 2
        probes.stop()


@pytest.mark.parametrize("status", [200, 301, 401, 404, 429])
def test_any_answer_below_500_is_a_sign_of_life(status: int) -> None:
    with world(probed()) as w:
        probes = start(w)
        w.loop.advance(15.2)
        w.up().says(answer(b"{}", status))
        assert line(w).health == GOOD
        probes.stop()


def test_one_bad_answer_is_looked_at_once_more_and_two_make_it_ill() -> None:
    with world(probed()) as w:
        probes = start(w)
        w.loop.advance(15.2)
        w.up().says(answer(b"{}", 500))
        assert (line(w).ill, line(w).health) == (False, UNSEEN)
        w.loop.advance(1.1)
        w.up().says(answer(b"{}", 500))
        assert (line(w).ill, line(w).health) == (True, BAD)
        w.loop.advance(31)
        w.up().says(answer())
        assert (line(w).ill, line(w).health) == (False, GOOD)
        probes.stop()


def test_no_answer_within_five_seconds_is_a_bad_one() -> None:
    with world(probed()) as w:
        probes = start(w)
        w.loop.advance(15.2 + 5.2 + 1.2 + 5.2)
        assert line(w).ill
        probes.stop()


def test_an_ill_provider_is_tried_last_and_still_tried() -> None:
    with world(probed()) as w:
        probes = start(w)
        make_ill(w)
        client = w.client()
        client.says(ask("m"))
        w.loop.spin()
        assert w.loop.asked[-1]["to"][0] == "b.test"
        w.up().says(answer(b"{}", 500))
        w.loop.spin()
        w.up(0).says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200
        probes.stop()


def test_a_probe_closes_no_circuit_but_hastens_its_first_try() -> None:
    with world(probed("a")) as w:
        probes = start(w)
        up = make_ill(w)
        client = w.client()
        client.says(ask("m"))
        up.says(answer(b"{}", 500))
        w.loop.spin()
        breaker = next(each for _, _, each in line(w).breakers())
        assert (status_of(client.sent), breaker.state, breaker.retry_after_s(w.loop.now_s) > 25) == (502, State.open, True)
        w.loop.advance(15)
        w.loop.advance(15)
        assert breaker.state is State.open
        up.says(answer())
        assert (breaker.state, breaker.retry_after_s(w.loop.now_s)) == (State.open, 0.0)
        probes.stop()


def test_a_provider_that_was_never_ill_hastens_nothing() -> None:
    with world(probed("a")) as w:
        probes = start(w)
        client = w.client()
        client.says(ask("m"))
        w.up().says(answer(b"{}", 500))
        w.loop.advance(15.2)
        w.up().says(answer())
        breaker = next(each for _, _, each in line(w).breakers())
        assert breaker.retry_after_s(w.loop.now_s) > 10
        probes.stop()


def test_a_worker_that_drains_asks_no_more_and_hangs_up() -> None:
    with world(probed()) as w:
        probes = start(w)
        w.loop.advance(15.2)
        probes.stop()
        w.loop.spin()
        assert (w.up().aborted, len(probes)) == (True, 0)
        w.loop.advance(100)
        assert (len(w.loop.wires), len(w.deadlines)) == (1, 0)


def test_a_plan_without_the_probe_ends_it_and_one_that_keeps_it_does_not_begin_anew() -> None:
    with world(probed()) as w:
        probes = start(w)
        w.loop.advance(10)
        probes.follow(w.lane.published.lines.values())
        w.loop.advance(5.2)
        assert len(w.loop.wires) == 1
        w.adopt(plan_of(upstream("a"), version=2))
        probes.follow(w.lane.published.lines.values())
        assert len(probes) == 0
