"""When a worker begins to refuse, whom, what it says, and when it stops; the decision by itself, and in a whole worker."""

from collections.abc import Callable

import pytest
from tests.gateway.network import virtual_loop
from tests.gateway.world import (
    World,
    answer,
    ask,
    body_of,
    chat_body,
    headers_of,
    key_table,
    plan_of,
    post,
    route_to,
    status_of,
    upstream,
    world,
)

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import Plan, RoleLimit
from setpoint.domain.principal import Principal
from setpoint.gateway.admission import (
    BURST_TURNS,
    CALM_WINDOWS,
    RATE_MIN,
    REFUSALS_MIN,
    REST_S_MIN,
    STANDING_WINDOWS,
    WATCH_FROM,
    WINDOW_S,
    Admission,
    Probe,
)
from setpoint.gateway.priority import HIGH, LOW, NORMAL
from setpoint.wire import gauge_page as at

SLOW_S, QUICK_S = 0.06, 0.001


class Told:
    """An admission that is told of turns, a window at a time."""

    def __init__(self, draw: Callable[[], float] = lambda: 0.5) -> None:
        self.admission = Admission(draw, 0.05)
        self.now_s = 100.0
        self.started = 0
        self.admission.sample(QUICK_S, 0, self.now_s)

    def window(self, *turns_s: float, started: int = 100) -> bool:
        """A window with these turns; whether it sheds after it."""
        self.started += started
        for turn_s in turns_s[:-1]:
            self.admission.sample(turn_s, self.started, self.now_s)
        self.now_s += WINDOW_S * 1.001
        self.admission.sample(turns_s[-1], self.started, self.now_s)
        return self.admission.shedding


def test_every_turn_must_be_slow_for_long_enough() -> None:
    told = Told()
    assert [told.window(SLOW_S, SLOW_S) for _ in range(STANDING_WINDOWS)] == [False] * (STANDING_WINDOWS - 1) + [True]


def test_one_quick_turn_in_between_is_no_overload() -> None:
    told = Told()
    assert not any(told.window(SLOW_S, QUICK_S, 10.0) for _ in range(20))
    assert not any(told.window(SLOW_S) or told.window(QUICK_S) for _ in range(20))


def test_a_single_turn_that_is_no_burst_any_more_is_not_waited_for() -> None:
    told = Told()
    told.admission.overrun(0.05 * BURST_TURNS, 1_000)
    assert not told.admission.shedding
    told.admission.overrun(0.05 * BURST_TURNS + 0.001, 1_000)
    assert told.admission.busy
    assert told.admission.rate == pytest.approx(0.7 * 1_000 / 0.251)


def shedding(draw: Callable[[], float] = lambda: 0.5) -> Told:
    """It took in 1,000 a second, and now 700."""
    told = Told(draw)
    for _ in range(STANDING_WINDOWS):
        told.window(SLOW_S)
    assert told.admission.rate == pytest.approx(700, rel=0.01)
    return told


def test_the_rate_falls_while_turns_are_long_and_rises_while_somebody_is_refused() -> None:
    told = shedding()
    told.window(0.02)
    lower = told.admission.rate
    assert lower < 700
    told.window(QUICK_S)
    assert told.admission.rate == lower, "nobody was refused"
    told.admission.admit(LOW)
    while told.admission.admit(NORMAL):
        continue
    told.window(QUICK_S)
    assert told.admission.rate > lower


def test_some_requests_are_admitted_whatever_happens() -> None:
    told = shedding()
    for _ in range(300):
        told.window(1.0, started=0)
    assert told.admission.shedding
    assert told.admission.rate == RATE_MIN
    assert told.admission.admit(HIGH)


def test_within_a_window_little_more_than_the_rate_is_admitted_even_when_everybody_is_of_the_highest_class() -> None:
    told = shedding(lambda: 0.0)
    assert sum(told.admission.admit(NORMAL) for _ in range(1_000)) <= 700 * WINDOW_S * 1.25 + 2
    assert sum(told.admission.admit(HIGH) for _ in range(1_000)) > 10
    assert sum(told.admission.admit(HIGH) for _ in range(1_000)) == 0


def test_when_nobody_was_refused_for_a_while_everybody_is_served_again() -> None:
    told = shedding()
    assert [told.window(QUICK_S) for _ in range(CALM_WINDOWS)] == [True] * (CALM_WINDOWS - 1) + [False]
    assert not told.admission.busy


def test_what_lay_in_a_resting_connection_gets_what_the_fresh_ones_leave() -> None:
    draws = iter([0.0] * 10_000)
    told = shedding(lambda: next(draws))
    for _ in range(10):
        for _ in range(200):
            told.admission.admit(NORMAL)
            told.admission.admit(NORMAL, stale=True)
        told.window(QUICK_S)
    assert told.admission.admit(NORMAL)
    assert not told.admission.admit(NORMAL, stale=True)


def test_connections_rest_only_when_refusals_are_many() -> None:
    told = shedding(lambda: 0.999)
    rests = []
    for _ in range(100):
        assert not told.admission.admit(LOW)
        rests.append(told.admission.rest_s())
    free = int(max(REFUSALS_MIN, 700 * WINDOW_S * 0.25))
    assert rests[:free] == [0.0] * free
    assert 0 < rests[-1] <= REST_S_MIN


def test_rests_grow_while_refusals_stay_many_and_never_reach_the_time_that_was_told() -> None:
    told = shedding(lambda: 0.999)
    longest = 0.0
    for _ in range(30):
        for _ in range(300):
            told.admission.admit(LOW)
            rest_s = told.admission.rest_s()
            longest = max(longest, rest_s)
            fault = told.admission.refusal(LOW)
            assert fault.retry_after_s is not None
            assert rest_s < fault.retry_after_s
        told.window(QUICK_S)
    assert longest > 4 * REST_S_MIN


def test_the_time_to_wait_gives_places_one_after_another() -> None:
    told = shedding(lambda: 0.999)
    waits = []
    for _ in range(1_400):
        told.admission.admit(LOW)
        waits.append(told.admission.refusal(LOW).retry_after_s or 0)
    assert waits == sorted(waits)
    assert waits[-1] - waits[0] == pytest.approx(1_399 / told.admission.rate)


# ---- the probe


def test_the_probe_measures_one_turn_of_the_loop_and_ends_when_little_is_under_way() -> None:
    with virtual_loop() as loop:
        admission = Admission(lambda: 0.5, 0.05)
        in_flight = [WATCH_FROM]
        probe = Probe(admission, loop, loop.time, lambda: in_flight[0], lambda: 0)
        probe.watch(loop.time())

        def drag() -> None:
            loop.now_s += SLOW_S
            if in_flight[0]:
                loop.call_soon(drag)

        loop.call_soon(drag)
        for _ in range(30):
            loop.spin(2)
        assert admission.standing_s == pytest.approx(SLOW_S)
        assert admission.shedding
        in_flight[0] = 0
        loop.advance(3 * CALM_WINDOWS * WINDOW_S)
        assert (probe.running, admission.shedding, admission.standing_s) == (False, False, 0.0)


# ---- in a worker


def shed(w: World, *parts: float) -> None:
    """The worker sheds, and admits these parts of low, normal and high."""
    w.lane.admission._begin(1_000.0)
    w.lane.admission._fractions = parts  # type: ignore[assignment]


def roles(plan: Plan | None = None) -> Plan:
    return plan or plan_of(role_limits={"developer": RoleLimit(0, 0), "admin": RoleLimit(0, 0, "high")})


def test_a_refusal_is_early_and_says_when_to_come_back() -> None:
    with world() as w:
        shed(w, 0, 0, 1)
        client = w.client()
        client.says(ask())
        assert status_of(client.sent) == 503
        headers = headers_of(client.sent)
        assert headers["x-setpoint-error-code"] == str(int(FaultKind.overloaded))
        assert 1 <= int(headers["retry-after"]) <= 30
        assert b"normal priority" in body_of(client.sent)
        assert "connection" not in headers
        assert (w.lane.in_flight, w.loop.wires, w.sink.records()) == (0, [], [])
        assert (w.page[at.SHED + NORMAL], w.page[at.ERRORS[FaultKind.overloaded]]) == (1, 1)
        w.lane.admission.rest()
        client.take()
        client.says(ask())
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/messages", b'"type":"error"'),
        ("/v1/chat/completions", b'"error":{'),
        ("/v1beta/models/m-1:generateContent", b'"status":"UNAVAILABLE"'),
    ],
)
def test_a_refusal_has_the_error_shape_of_its_surface(path: str, says: bytes) -> None:
    with world() as w:
        shed(w, 0, 0, 0)
        client = w.client()
        client.says(post(chat_body(), path))
        assert status_of(client.sent) in (503, 529)
        assert says in body_of(client.sent).replace(b" ", b"")


@pytest.mark.parametrize(
    ("role", "header", "status"), [("admin", "high", 200), ("admin", "normal", 503), ("developer", "high", 503), ("admin", "", 503)]
)
def test_who_may_say_high_is_served_last_of_all_refused(role: str, header: str, status: int) -> None:
    with world(roles(), key_table(Principal(7, "pub7", role))) as w:  # type: ignore[arg-type]
        shed(w, 0, 0, 1)
        client = w.client()
        client.says(ask(headers={"x_setpoint_priority": header} if header else {}))
        if status == 200:
            w.up().says(answer())
            w.loop.spin()
        assert status_of(client.sent) == status


def test_a_key_that_nobody_issued_is_refused_before_it_costs_anything() -> None:
    with world() as w:
        shed(w, 0, 1, 1)
        client = w.client()
        client.says(ask(token="sk-sp-nobody"))
        assert status_of(client.sent) == 503
        assert w.page[at.SHED + LOW] == 1


def test_a_route_can_name_the_class_of_its_requests() -> None:
    routes = (route_to("m-1", "one", priority="low"), route_to("m-2", "one", priority="high"), route_to("m-3", "one"))
    with world(plan_of(upstream(), routes=routes)) as w:
        shed(w, 0, 0, 1)
        client = w.client()
        for model in ("m-1", "m-3"):
            client.says(ask(model))
            assert status_of(client.take()) == 503
        client.says(ask("m-2"))
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200
        assert [w.page[at.SHED + no] for no in (LOW, NORMAL, HIGH)] == [1, 1, 0]


def test_a_body_that_cannot_be_read_has_the_class_of_its_key() -> None:
    with world(plan_of(upstream(), routes=(route_to("m-1", "one", priority="low"),))) as w:
        shed(w, 0, 1, 1)
        client = w.client()
        client.says(post(b"{"))
        w.loop.spin()
        assert status_of(client.sent) == 400


def test_health_and_lists_of_models_are_answered_all_the_same() -> None:
    with world() as w:
        shed(w, 0, 0, 0)
        client = w.client()
        client.says(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
        assert status_of(client.sent) == 200


def test_many_under_way_start_the_probe_and_few_do_not() -> None:
    with world() as w:
        running = []
        for _ in range(WATCH_FROM):
            w.client().says(ask())
            running.append(w.lane._probe.running)
        w.lane.abort_all()
        w.loop.advance(1)
        assert [*running, w.lane._probe.running] == [False] * (WATCH_FROM - 1) + [True, False]
