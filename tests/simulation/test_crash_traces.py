"""No trace is lost and none is stored twice, whatever call of worker or ingest fails or is its last. `tools/crash_harness.py` does more
of it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from setpoint.testing.crash_points import FAILURES, KILLS, CrashPoints, Event
from setpoint.testing.crash_world import Broken, CrashWorld, Toll, live_by_chance, live_one_event

EVENTS = FAILURES + KILLS
SEEDS = 500
CALLS_MAX = 5_000
MEMORY = Path("/dev/shm")


@pytest.fixture
def scratch() -> Iterator[Path]:
    """In memory where that can be: a process dies without losing what the kernel has, so the disk only makes these tests slow."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def test_every_call_of_ingest_may_fail_or_be_the_last(scratch: Path) -> None:
    """Each call meets one of the events, in turn; the tool meets all of them at each."""
    toll = Toll()
    for call in range(CALLS_MAX):
        if not live_one_event(scratch / str(call), "ingest", call, EVENTS[call % len(EVENTS)], toll):
            break
    assert toll.calls == toll.worlds - 1 > 200
    assert toll.stored >= toll.acknowledged > 0


@pytest.mark.parametrize("event", EVENTS)
def test_every_call_of_a_worker_may_fail_or_be_the_last(scratch: Path, event: Event) -> None:
    toll = Toll()
    for call in range(CALLS_MAX):
        if not live_one_event(scratch / str(call), "worker", call, event, toll):
            break
    assert toll.calls == toll.worlds - 1 > 8
    assert toll.stored >= toll.acknowledged > 0


def test_worlds_full_of_errors_and_deaths_balance(scratch: Path) -> None:
    toll = Toll()
    for seed in range(SEEDS):
        live_by_chance(scratch / str(seed), seed, toll)
    assert toll.worlds == SEEDS
    assert toll.deaths > SEEDS
    assert toll.stored >= toll.acknowledged > 20 * SEEDS


def world_with_one_trace(folder: Path) -> CrashWorld:
    world = CrashWorld(folder, Random(1))
    world.start_worker(0, CrashPoints())
    for _ in range(5):
        world.write(0)
    world.settle()
    return world


def test_the_account_notices_a_trace_that_was_lost(scratch: Path) -> None:
    world = world_with_one_trace(scratch)
    world.account.acknowledged.add(bytes(16))
    with pytest.raises(Broken, match="not stored"):
        world.check()


def test_the_account_notices_a_trace_that_nobody_wrote(scratch: Path) -> None:
    world = world_with_one_trace(scratch)
    gone = world.account.acknowledged.pop()
    world.account.began.discard(gone)
    world.account.may_have_begun.discard(gone)
    del world.account.tried[gone]
    with pytest.raises(Broken, match="nobody wrote"):
        world.check()
