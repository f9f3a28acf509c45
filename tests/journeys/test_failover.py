"""Providers that fall ill in turn: clients do not notice. `tools/failover_drill.py` does it for five minutes, with stricter goals."""

import pytest
from tools.failover_drill import NAMES, Figures, Goals, Phase, detections, ill_in, returns, run

SECONDS, RATE, PHASE_S = 14.0, 25.0, 3.5
LOOSE = Goals(success=0.99, calls=1.35, detect_s=3.0, back_s=2.0)


def test_clients_do_not_notice_providers_that_fall_ill_and_recover() -> None:
    figures = run(SECONDS, RATE, PHASE_S)
    assert figures.requests == SECONDS * RATE
    assert figures.phases >= 2
    assert figures.misses(LOOSE) == []


def test_every_provider_is_ill_in_every_way_and_never_all_at_once() -> None:
    phases = [ill_in(no) for no in range(36)]
    assert {each for ill in phases for each in ill.items()} == {(name, kind) for name in NAMES for kind in ("slow", "dead", "garbage")}
    assert {len(ill) for ill in phases} == {1, 2}


def test_the_drill_sees_who_was_called_too_long_and_who_came_back_too_late() -> None:
    phases = [Phase(0.0, 5.0, {"one": "slow"}), Phase(5.0, 10.0, {"two": "dead"})]
    calls = {"one": [0.1, 0.9, 2.9, 6.0, 6.1], "two": [5.1, 6.0, 7.0, 8.0, 9.0, 12.0, 12.6]}
    assert detections(phases, calls) == pytest.approx([0.9, 5.0])
    assert returns(phases, calls) == pytest.approx([1.1, 2.6])


def test_a_missed_goal_is_told() -> None:
    figures = Figures(1_000, ("12 cut", "13 cut"), 1_300, 999, 3, (2.5,), (4.0,))
    assert len(figures.misses(Goals())) == 5
    assert Figures(1_000, ("12 cut",), 1_100, 1_000, 3, (1.5,), (2.0,)).misses(Goals()) == []
