"""The settable clock."""

import pytest

from setpoint.runtime.clock import Clock
from setpoint.testing.clock import SettableClock


def test_both_clocks_move_together_and_only_when_told() -> None:
    clock = SettableClock(now_s=5.0, wall_ns=100)
    kept: Clock = clock
    clock.advance(1.5)
    assert (kept.now_s(), kept.wall_ns()) == (6.5, 1_500_000_100)


def test_the_wall_clock_may_jump_back_alone() -> None:
    clock = SettableClock(now_s=5.0, wall_ns=2_000_000_000)
    clock.jump_wall(-1)
    assert (clock.now_s(), clock.wall_ns()) == (5.0, 1_000_000_000)


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="positive"):
        SettableClock().advance(-1)
