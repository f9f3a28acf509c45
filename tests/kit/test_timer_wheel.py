"""The timer wheel against a list of deadlines."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from setpoint.kit.timer_wheel import Timer, TimerWheel

ROUNDING_S = 1e-6


class WheelAgainstAList(RuleBasedStateMachine):
    """Timers are set, moved, rested and cleared at will; each fires once per deadline, never early, late by at most a tick."""

    @initialize(start_s=st.floats(0.0, 1e6), tick_s=st.sampled_from([0.05, 0.1]), slots=st.sampled_from([4, 64, 512]))
    def start(self, start_s: float, tick_s: float, slots: int) -> None:
        self.wheel = TimerWheel(tick_s, slots)
        self.now_s = start_s
        self.wheel.advance(start_s)
        self.fired: list[int] = []
        self.timers = [self.wheel.timer(lambda _, number=number: self.fired.append(number)) for number in range(5)]  # type: ignore[misc]
        self.deadlines = [inf] * 5
        self.latest = [inf] * 5

    @rule(number=st.integers(0, 4), ahead_s=st.one_of(st.floats(-1.0, 3.0), st.floats(0.0, 1300.0)))
    def set_deadline(self, number: int, ahead_s: float) -> None:
        self.deadlines[number] = self.now_s + ahead_s
        self.latest[number] = self.now_s + max(0.0, ahead_s) + self.wheel.tick_s + ROUNDING_S
        self.timers[number].set(self.now_s + ahead_s)

    @rule(number=st.integers(0, 4))
    def clear(self, number: int) -> None:
        self.deadlines[number] = inf
        self.timers[number].clear()

    @rule(number=st.integers(0, 4))
    def rest(self, number: int) -> None:
        self.deadlines[number] = inf
        self.timers[number].rest()

    @rule(passes_s=st.one_of(st.floats(0.0, 0.3), st.floats(0.0, 1500.0)))
    def advance(self, passes_s: float) -> None:
        self.now_s += passes_s
        self.fired.clear()
        for timer in self.wheel.advance(self.now_s):
            timer.fire(self.now_s)
        for number in self.fired:
            assert self.deadlines[number] <= self.now_s, "early"
        assert [self.deadlines[number] for number in self.fired] == sorted(self.deadlines[number] for number in self.fired)
        for number in self.fired:
            self.deadlines[number] = inf
        assert all(self.latest[number] > self.now_s for number in range(5) if self.deadlines[number] < inf), "late"

    @invariant()
    def no_fewer_queued_than_armed(self) -> None:
        if hasattr(self, "wheel"):
            assert len(self.wheel) >= sum(deadline < inf for deadline in self.deadlines)


TestWheelAgainstAList = WheelAgainstAList.TestCase
TestWheelAgainstAList.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


def fired_at(wheel: TimerWheel, timer: Timer, moments_s: list[float]) -> list[float]:
    """The moments at which `timer` is among the due ones."""
    return [now_s for now_s in moments_s if timer in wheel.advance(now_s)]


@given(st.floats(0.0, 1e6), st.floats(0.0, 1300.0))
def test_a_timer_fires_in_the_first_turn_a_tick_after_its_deadline(start_s: float, ahead_s: float) -> None:
    wheel = TimerWheel()
    wheel.advance(start_s)
    timer = wheel.timer(lambda _: None)
    timer.set(start_s + ahead_s)
    assert timer not in wheel.advance(start_s + ahead_s - ROUNDING_S)
    late_s = start_s + ahead_s + wheel.tick_s + ROUNDING_S
    assert fired_at(wheel, timer, [late_s]) == [late_s]


def test_a_deadline_pushed_at_every_chunk_fires_once_at_the_last_one() -> None:
    wheel = TimerWheel()
    wheel.advance(0.0)
    timer = wheel.timer(lambda _: None)
    seen: list[float] = []
    for chunk in range(100):
        timer.set(chunk * 0.1 + 30.0)
        seen += fired_at(wheel, timer, [chunk * 0.1])
    assert seen == []
    assert fired_at(wheel, timer, [39.8, 39.9, 39.95, 40.0, 50.0]) == [39.95]


def test_a_deadline_moved_nearer_fires_there() -> None:
    wheel = TimerWheel()
    timer = wheel.timer(lambda _: None)
    for at_s in (40.0, 2.0, 1.5):
        timer.set(at_s)
    assert fired_at(wheel, timer, [1.0, 1.49, 1.55, 2.05, 40.05]) == [1.55]


def test_a_timer_cleared_by_an_earlier_callback_of_the_same_turn_does_not_fire() -> None:
    wheel = TimerWheel()
    fired: list[str] = []
    second = wheel.timer(lambda _: fired.append("second"))
    first = wheel.timer(lambda _: second.clear())
    moved = wheel.timer(lambda _: fired.append("moved"))
    mover = wheel.timer(lambda _: moved.set(9.0))
    for timer, at_s in ((first, 1.0), (second, 2.0), (mover, 1.5), (moved, 2.0)):
        timer.set(at_s)
    for timer in wheel.advance(3.0):
        timer.fire(3.0)
    assert fired == []
    for timer in wheel.advance(9.1):
        timer.fire(9.1)
    assert fired == ["moved"]


def test_a_timer_at_rest_leaves_the_ring_when_its_slot_comes_up() -> None:
    wheel = TimerWheel()
    timer = wheel.timer(lambda _: None)
    timer.set(1.0)
    timer.rest()
    assert len(wheel) == 1
    assert wheel.advance(1.1) == []
    assert len(wheel) == 0


def test_a_cleared_timer_is_let_go_at_once() -> None:
    wheel = TimerWheel()
    timer = wheel.timer(lambda _: None)
    timer.set(1200.0)
    timer.clear()
    timer.clear()
    assert len(wheel) == 0


def test_the_callback_gets_the_moment_of_the_turn_and_may_set_the_timer_again() -> None:
    wheel = TimerWheel()
    seen: list[float] = []

    def again(now_s: float) -> None:
        seen.append(now_s)
        timer.set(now_s + 1.0)

    timer = wheel.timer(again)
    timer.set(1.0)
    for now_s in (0.5, 1.01, 1.5, 2.1):
        for due in wheel.advance(now_s):
            due.fire(now_s)
    assert seen == [1.01, 2.1]


@pytest.mark.parametrize("slots", [0, 1, 3, 500])
def test_a_ring_of_an_odd_size_is_refused(slots: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        TimerWheel(slots=slots)
