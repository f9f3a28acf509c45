"""Delays before restarts, by table."""

import pytest

from setpoint.runtime.restart import CAP_S, STABLE_S, Deaths, backoff_s, died, started


@pytest.mark.parametrize(("n", "delay_s"), [(0, 1), (1, 2), (2, 4), (5, 32), (6, 60), (7, 60), (10_000, 60)])
def test_the_delay_doubles_up_to_the_cap(n: int, delay_s: float) -> None:
    assert backoff_s(n) == delay_s


def test_the_first_restart_is_immediate_and_a_crash_loop_is_slowed_down() -> None:
    deaths, now_s, delays = Deaths(), 0.0, []
    for _ in range(9):
        deaths, delay_s = died(started(deaths, now_s), now_s + 0.1)
        delays.append(delay_s)
        now_s += 0.1 + delay_s
    assert delays == [0, 1, 2, 4, 8, 16, 32, 60, CAP_S]


def test_a_stable_run_clears_the_record() -> None:
    deaths, _ = died(started(Deaths(in_a_row=7), 0.0), STABLE_S - 0.1)
    assert deaths.in_a_row == 8
    deaths, delay_s = died(started(deaths, 0.0), STABLE_S)
    assert (deaths.in_a_row, delay_s) == (1, 0.0)
