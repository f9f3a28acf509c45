"""The life of a service, by table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.runtime.service import FAILED_CHECKS_MAX, Event, Life, State, after, overall

I, R, D, F, SD, S = State.initializing, State.running, State.degraded, State.failed, State.shutting_down, State.stopped  # noqa: E741


@pytest.mark.parametrize(
    ("state", "event", "then"),
    [
        (I, Event.ready, R),
        (I, Event.exited, F),
        (I, Event.check_failed, I),
        (R, Event.check_failed, D),
        (R, Event.check_passed, R),
        (R, Event.exited, F),
        (R, Event.ready, R),
        (D, Event.check_passed, R),
        (D, Event.check_failed, D),
        (D, Event.exited, F),
        (F, Event.restarted, I),
        (F, Event.ready, F),
        (SD, Event.exited, S),
        (SD, Event.ready, SD),
        (S, Event.stop, S),
        (S, Event.restarted, S),
        *[(state, Event.stop, SD) for state in (I, R, D, F, SD)],
    ],
)
def test_each_event_leads_where_the_chart_says(state: State, event: Event, then: State) -> None:
    assert after(Life(state), event, 1.0).state is then


def test_the_third_failed_check_in_a_row_fails_the_service() -> None:
    life = Life(R)
    states = []
    for now_s in range(FAILED_CHECKS_MAX):
        life = after(life, Event.check_failed, now_s)
        states.append(life.state)
    assert states == [D, D, F]


def test_a_passed_check_clears_the_count() -> None:
    life = Life(R)
    for event in (Event.check_failed, Event.check_failed, Event.check_passed, Event.check_failed):
        life = after(life, event, 0.0)
    assert (life.state, life.failed_checks) == (D, 1)


def test_restarts_are_counted_and_the_time_of_the_last_change_is_kept() -> None:
    life = Life(R, since_s=1.0)
    life = after(life, Event.check_passed, 2.0)
    assert life.since_s == 1.0
    life = after(after(after(life, Event.exited, 3.0), Event.restarted, 4.0), Event.ready, 5.0)
    assert (life.state, life.restarts, life.since_s) == (R, 1, 5.0)


@given(st.lists(st.sampled_from(list(Event))))
def test_nothing_leaves_the_way_down(events: list[Event]) -> None:
    life = after(Life(), Event.stop, 0.0)
    for event in events:
        life = after(life, event, 0.0)
        assert life.state in (SD, S)


@pytest.mark.parametrize(
    ("states", "whole"),
    [([], S), ([R, R], R), ([R, I], I), ([R, F, I], D), ([D], D), ([R, SD, F], SD)],
)
def test_a_tree_is_as_bad_as_its_worst_part(states: list[State], whole: State) -> None:
    assert overall(states) is whole
