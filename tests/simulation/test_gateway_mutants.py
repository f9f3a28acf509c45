"""Bugs that are planted into the gateway are found: what the simulation says of the gateway, it says because it looked."""

import pytest
from tools.mutants import MUTANTS, Mutant, NotApplicable, hunted, mutated, source_of

SCHEDULES = 1_500


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    mutated(source_of(mutant), mutant)
    caught, how = hunted(mutant, SCHEDULES)
    assert caught, how
    assert how.startswith("schedule ")


def test_a_mutant_whose_place_is_gone_is_told() -> None:
    gone = Mutant("", "setpoint.gateway.turn", "nobody wrote this", "")
    with pytest.raises(NotApplicable, match="0 times"):
        mutated(source_of(gone), gone)
