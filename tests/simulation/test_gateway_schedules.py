"""Ten minutes of everything going wrong, a thousand times over: every request ends whole, or in an explicit error, and is recorded once.

`python -m tests.simulation.run` plays more of them.
"""

from collections import Counter
from typing import get_args

import pytest
from tests.simulation.drawing import draw
from tests.simulation.run import command, play, shrink
from tests.simulation.schedule import OwnPlay, Schedule
from tests.simulation.story import told

from setpoint.domain.faults import FaultKind
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.testing.fault_wall.modes import MODES
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES

SCHEDULES = 1_500
PARTS = 10


@pytest.mark.parametrize("part", range(PARTS))
def test_every_request_ends_honestly_and_is_recorded_once(part: int) -> None:
    for seed in range(part, SCHEDULES, PARTS):
        if wrong := play(draw(seed)):
            pytest.fail("\n".join([*wrong, "again:", command(seed, shrink(draw(seed)))]))


def records_of(schedule: Schedule) -> list[object]:
    with told(schedule) as story:
        return [(filed.at_s, filed.record) for listed in story.book.by_ask.values() for filed in listed]


def test_a_seed_always_goes_the_same_way() -> None:
    for seed in range(20):
        assert records_of(draw(seed)) == records_of(draw(seed))


def test_the_schedules_bring_about_what_they_are_to_prove() -> None:
    """Every surface, every way to break, every way to end; or the invariant would be kept by nobody."""
    plays: Counter[str] = Counter()
    ended: Counter[str] = Counter()
    faults: Counter[int] = Counter()
    outcomes: Counter[int] = Counter()
    surfaces: Counter[str] = Counter()
    hits = retried = choked = 0
    for seed in range(SCHEDULES // 2):
        with told(draw(seed)) as story:
            plays.update(call.play.name for call in story.upstreams.calls)
            ended.update(each.ended for each in story.told)
            surfaces.update(each.ask.surface for each in story.told)
            choked += sum(link.choked_times for link in story.client_links)
            for ask in {each.ask.no for each in story.told}:
                for filed in story.book.of(ask, RecordKind.end):
                    head = filed.record.head
                    faults[head.fault] += 1
                    outcomes[head.outcome] += 1
                    hits += head.cache == 2
                    retried += head.attempts > 1
    breaking = {mode.name for mode in MODES if "recovers" not in (mode.unary, mode.stream)} | set(get_args(OwnPlay))
    assert not breaking - set(plays)
    assert set(surfaces) == set(SURFACE_NAMES)
    assert {"answered", "left", "never asked"} <= set(ended)
    assert set(outcomes) == {Outcome.ok, Outcome.fault, Outcome.client_gone}
    assert min(hits, retried, choked) > 50
    assert set(faults) >= {
        FaultKind.bad_request, FaultKind.unauthenticated, FaultKind.unknown_model, FaultKind.client_gone, FaultKind.no_target,
        FaultKind.overloaded, FaultKind.draining, FaultKind.upstream_auth, FaultKind.upstream_rate, FaultKind.upstream_overloaded,
        FaultKind.upstream_server, FaultKind.upstream_refused, FaultKind.upstream_unreachable, FaultKind.upstream_timeout,
        FaultKind.upstream_cut,
    }  # fmt: skip


def test_a_schedule_without_some_of_its_parts_is_smaller_and_can_be_played() -> None:
    schedule = next(each for each in map(draw, range(100)) if len(each.sessions) > 2 and each.events)
    parts = [part for part in schedule.parts() if part.startswith(("session1", "event", "play"))]
    smaller = schedule.without(parts)
    assert len(smaller.sessions) == len(schedule.sessions) - 1
    assert not smaller.events
    assert not play(smaller)
