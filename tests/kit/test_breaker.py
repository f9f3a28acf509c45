"""The circuit breaker: its table of transitions, and a long life against a plain model."""

from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from setpoint.kit.breaker import CALL, REFUSED, Breaker, Circuit, Limits, State, after_abandoned, after_ask, after_failure, after_success

LIMITS = Limits(failures=3, open_s=30.0, successes=2)
CLOSED, HALF, OPEN = State.closed, State.half_open, State.open
NOW_S = 100.0


@pytest.mark.parametrize(
    ("before", "after", "admission"),
    [
        (Circuit(CLOSED), Circuit(CLOSED), CALL),
        (Circuit(CLOSED, 2), Circuit(CLOSED, 2), CALL),
        (Circuit(OPEN, 0, 100.1, 4), Circuit(OPEN, 0, 100.1, 4), REFUSED),
        (Circuit(OPEN, 0, 100.0, 4), Circuit(HALF, 0, 130.0, 5, 5), 5),
        (Circuit(HALF, 1, 100.1, 5, 4), Circuit(HALF, 1, 100.1, 5, 4), REFUSED),
        (Circuit(HALF, 1, -inf, 5, 4), Circuit(HALF, 1, 130.0, 6, 4), 6),
        (Circuit(HALF, 1, 99.0, 5, 4), Circuit(HALF, 1, 130.0, 6, 4), 6),
    ],
)
def test_who_may_call(before: Circuit, after: Circuit, admission: int) -> None:
    assert after_ask(before, LIMITS, NOW_S) == (after, admission)


@pytest.mark.parametrize(
    ("before", "admission", "after"),
    [
        (Circuit(CLOSED, 2), CALL, Circuit(CLOSED, 0)),
        (Circuit(OPEN, 0, 110.0, 1), CALL, Circuit(OPEN, 0, 110.0, 1)),
        (Circuit(OPEN, 0, 110.0, 1), 1, Circuit(OPEN, 0, 110.0, 1)),
        (Circuit(HALF, 0, 110.0, 1, 1), CALL, Circuit(HALF, 0, 110.0, 1, 1)),
        (Circuit(HALF, 0, 110.0, 2, 2), 1, Circuit(HALF, 0, 110.0, 2, 2)),
        (Circuit(HALF, 0, 110.0, 2, 1), 1, Circuit(HALF, 1, 110.0, 2, 1)),
        (Circuit(HALF, 0, 110.0, 2, 1), 2, Circuit(HALF, 1, -inf, 2, 1)),
        (Circuit(HALF, 1, 110.0, 3, 1), 3, Circuit(CLOSED, 0, -inf, 3)),
        (Circuit(HALF, 1, 110.0, 3, 1), 2, Circuit(CLOSED, 0, -inf, 3)),
        (Circuit(HALF, 1, -inf, 3, 1), 3, Circuit(HALF, 1, -inf, 3, 1)),
    ],
)
def test_what_a_success_changes(before: Circuit, admission: int, after: Circuit) -> None:
    assert after_success(before, LIMITS, admission) == after


@pytest.mark.parametrize(
    ("before", "admission", "after"),
    [
        (Circuit(CLOSED, 0), CALL, Circuit(CLOSED, 1)),
        (Circuit(CLOSED, 2), CALL, Circuit(OPEN, 0, 130.0)),
        (Circuit(OPEN, 0, 110.0), CALL, Circuit(OPEN, 0, 110.0)),
        (Circuit(HALF, 1, 110.0, 2, 2), CALL, Circuit(HALF, 1, 110.0, 2, 2)),
        (Circuit(HALF, 1, 110.0, 2, 2), 1, Circuit(HALF, 1, 110.0, 2, 2)),
        (Circuit(HALF, 1, 110.0, 2, 1), 1, Circuit(OPEN, 0, 130.0, 2)),
        (Circuit(HALF, 1, 110.0, 2, 2), 2, Circuit(OPEN, 0, 130.0, 2)),
    ],
)
def test_what_a_failure_changes(before: Circuit, admission: int, after: Circuit) -> None:
    assert after_failure(before, LIMITS, admission, NOW_S) == after


@pytest.mark.parametrize(
    ("before", "admission", "after"),
    [
        (Circuit(CLOSED, 2), CALL, Circuit(CLOSED, 2)),
        (Circuit(OPEN, 0, 110.0, 2), 2, Circuit(OPEN, 0, 110.0, 2)),
        (Circuit(HALF, 1, 110.0, 2, 1), CALL, Circuit(HALF, 1, 110.0, 2, 1)),
        (Circuit(HALF, 1, 110.0, 2, 1), 1, Circuit(HALF, 1, 110.0, 2, 1)),
        (Circuit(HALF, 1, 110.0, 2, 1), 2, Circuit(HALF, 1, -inf, 2, 1)),
    ],
)
def test_what_an_abandoned_call_changes(before: Circuit, admission: int, after: Circuit) -> None:
    assert after_abandoned(before, admission) == after


def opened(breaker: Breaker, now_s: float) -> Breaker:
    for _ in range(breaker.limits.failures):
        breaker.failed(breaker.admit(now_s), now_s)
    return breaker


def test_five_failures_in_a_row_open_for_thirty_seconds_and_two_probes_close() -> None:
    breaker = opened(Breaker(), 0.0)
    assert (breaker.state, breaker.admit(29.9), breaker.retry_after_s(10.0)) == (State.open, REFUSED, 20.0)
    for probe in (1, 2):
        assert breaker.admit(30.0) == probe
        assert breaker.admit(30.0) == REFUSED
        breaker.succeeded(probe)
    assert (breaker.state, breaker.admit(30.0), breaker.retry_after_s(30.0)) == (State.closed, CALL, 0.0)


def test_a_success_between_failures_keeps_it_closed() -> None:
    breaker = Breaker()
    for _ in range(50):
        for _ in range(4):
            breaker.failed(breaker.admit(0.0), 0.0)
        breaker.succeeded(breaker.admit(0.0))
    assert breaker.state is State.closed


def test_a_probe_that_never_reports_is_replaced_after_open_s() -> None:
    breaker = opened(Breaker(), 0.0)
    lost = breaker.admit(30.0)
    assert breaker.admit(59.9) == REFUSED
    second = breaker.admit(60.0)
    assert second == lost + 1
    breaker.abandoned(lost)
    assert breaker.admit(61.0) == REFUSED
    breaker.abandoned(second)
    assert breaker.admit(61.0) == second + 1


def test_an_endpoint_that_answers_slower_than_open_s_closes_all_the_same() -> None:
    breaker = opened(Breaker(open_s=30.0), 0.0)
    out: list[tuple[float, int]] = []
    for second in range(30, 200):
        if breaker.state is State.closed:
            break
        admission = breaker.admit(float(second))
        if admission != REFUSED:
            out.append((second + 40.0, admission))
        for at_s, probe in out:
            if at_s == second:
                breaker.succeeded(probe)
    assert (breaker.state, second) == (State.closed, 101)


def test_a_probe_of_an_earlier_half_open_time_counts_for_nothing() -> None:
    breaker = opened(Breaker(), 0.0)
    late = breaker.admit(30.0)
    breaker.failed(breaker.admit(60.0), 60.0)
    probe = breaker.admit(90.0)
    before = breaker.circuit
    breaker.succeeded(late)
    assert breaker.circuit == before
    breaker.succeeded(probe)
    assert breaker.circuit.count == 1


def test_who_sees_the_upstream_well_may_hasten_the_first_probe_but_closes_nothing() -> None:
    breaker = Breaker()
    breaker.hasten(0.0)
    assert breaker.state is State.closed
    opened(breaker, 1.0)
    breaker.hasten(2.0)
    assert (breaker.state, breaker.retry_after_s(2.0)) == (State.open, 0.0)
    probe = breaker.admit(2.0)
    breaker.hasten(3.0)
    assert (breaker.state, breaker.admit(3.0)) == (State.half_open, REFUSED)
    breaker.failed(probe, 4.0)
    assert breaker.retry_after_s(4.0) == 30.0


class LongLife(RuleBasedStateMachine):
    """Callers come, report late, twice or never; whatever they do, one probe is out at most and nothing wedges."""

    @initialize(failures=st.integers(1, 4), successes=st.integers(1, 3))
    def start(self, failures: int, successes: int) -> None:
        self.breaker = Breaker(failures, 30.0, successes)
        self.now_s = 0.0
        self.out: list[tuple[int, float]] = []

    @rule(passes_s=st.floats(0.0, 40.0))
    def time_passes(self, passes_s: float) -> None:
        self.now_s += passes_s

    @rule()
    def ask(self) -> None:
        state, wait_s = self.breaker.state, self.breaker.retry_after_s(self.now_s)
        admission = self.breaker.admit(self.now_s)
        assert (admission == REFUSED) == (wait_s > 0.0)
        assert (admission == CALL) == (state is State.closed)
        if admission > CALL:
            assert not any(earlier >= admission for earlier, _ in self.out)
        if admission != REFUSED:
            self.out.append((admission, self.now_s))

    @rule(how=st.sampled_from(["succeeded", "failed", "abandoned", "forgotten"]), pick=st.integers(0, 100))
    def report(self, how: str, pick: int) -> None:
        if not self.out:
            return
        admission, _ = self.out.pop(pick % len(self.out))
        before = self.breaker.circuit
        left = self.breaker.retry_after_s(self.now_s)
        if how == "succeeded":
            self.breaker.succeeded(admission)
        elif how == "failed":
            self.breaker.failed(admission, self.now_s)
        elif how == "abandoned":
            self.breaker.abandoned(admission)
        after = self.breaker.circuit
        if before.state is not State.closed and not before.since <= admission <= before.probe:
            assert after == before
        if before.state is State.half_open and admission < before.probe and how != "failed" and after.state is State.half_open:
            assert self.breaker.retry_after_s(self.now_s) == left, "only the latest probe makes room for another"

    @rule()
    def seen_well(self) -> None:
        before = self.breaker.state
        self.breaker.hasten(self.now_s)
        assert self.breaker.state is before

    @rule()
    def everybody_vanishes_and_the_upstream_is_well(self) -> None:
        """From any state: no report ever comes of what is out, and yet good calls close it again."""
        self.out.clear()
        for _ in range(1 + self.breaker.limits.successes):
            self.now_s += 30.001
            admission = self.breaker.admit(self.now_s)
            if admission != REFUSED:
                self.breaker.succeeded(admission)
        assert self.breaker.state is State.closed

    @invariant()
    def an_answer_is_never_further_than_open_s(self) -> None:
        if hasattr(self, "breaker"):
            assert self.breaker.retry_after_s(self.now_s) <= 30.0 + 1e-9


TestLongLife = LongLife.TestCase
TestLongLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
