"""The fault wall before Setpoint: what comes of a fault follows from its class, on every surface, at every provider, streamed or not."""

from collections import Counter

import pytest
from tests.faults.wall import asked

from setpoint.testing.fault_wall.cells import Cell, cells
from setpoint.testing.fault_wall.modes import LEAVING, MODE_OF, MODES, FaultClass
from setpoint.testing.fault_wall.own import SPOKEN
from setpoint.testing.fault_wall.report import shown_misses
from setpoint.testing.fault_wall.rules import RULES
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES, SURFACES, pairs
from setpoint.testing.fault_wall.upstreams import SAID

THINNED = 3
"""Of a rule with many modes, each is asked for at a third of the pairs of surface and dialect, another third each time;
`setpoint bench faults --self --every-pair` asks for all."""
MODES_ALL_ASKED = 5
"""Rules with no more modes than this are asked for in full."""
ALL = tuple(cells(MODES, SURFACE_NAMES, SPOKEN))


def of_rule(name: FaultClass) -> list[Cell]:
    mine = [cell for cell in ALL if cell.fault_class == name]
    modes = sorted({cell.mode.name for cell in mine})
    if len(modes) <= MODES_ALL_ASKED:
        return mine
    return [
        cell
        for cell in mine
        if (modes.index(cell.mode.name) + SURFACE_NAMES.index(cell.surface) + SPOKEN.index(cell.dialect)) % THINNED == 0
    ]


@pytest.mark.parametrize("name", RULES)
def test_a_fault_ends_as_the_rule_of_its_class_says(name: FaultClass) -> None:
    results, unended = asked(of_rule(name))
    assert not shown_misses(results)
    assert not unended


def test_after_content_setpoint_makes_no_other_call_and_says_so_in_an_error_event() -> None:
    """Stricter than the rule, which lets a gateway hold content back: Setpoint forwards it at once."""
    results, _ = asked(of_rule("broken_off"))
    assert Counter((result.ending, result.broken_calls, result.spare_calls) for result in results) == {("event", 1, 0): len(results)}


def test_a_client_that_leaves_lets_go_of_the_provider_within_a_second() -> None:
    results, unended = asked(cells(LEAVING, SURFACE_NAMES, SPOKEN))
    assert not shown_misses(results)
    assert not unended
    assert {result.cell.surface for result in results} == set(SURFACE_NAMES)


def test_with_a_healthy_spare_every_fault_before_content_ends_in_a_whole_answer() -> None:
    """By the rules themselves: a class whose faults come before content and are not the client's own goes elsewhere."""
    before_content = {name for name, rule in RULES.items() if rule.ends == ("status",)}
    assert {name for name in before_content if RULES[name].again not in ("elsewhere", "again")} == {"refused"}


def test_every_surface_meets_every_dialect_under_every_rule() -> None:
    wanted = {(surface, dialect) for surface in SURFACE_NAMES for dialect in SPOKEN if pairs(surface, dialect)}
    for name in RULES:
        met = {(cell.surface, cell.dialect) for cell in of_rule(name)}
        assert met >= {pair for pair in wanted if pair[0] != "embeddings"}, name
    assert {mode.name for mode in MODES} == {cell.mode.name for name in RULES for cell in of_rule(name)}


def test_the_wall_knows_every_surface_that_streams_or_embeds() -> None:
    assert set(SURFACES) == set(SURFACE_NAMES)
    assert len(ALL) > 10_000
    assert Counter(cell.spared for cell in ALL)[True] == len(ALL) // 2
    assert MODE_OF["healthy"].fault is None
    assert len(SAID.pieces) == 3, "a first content, one in the middle to break, and a last one"
