"""Prints how many simulated crashes traces survive: `python tools/crash_harness.py --seeds 2000`.

Two parts. *Every call*: one story is told again and again, and each time exactly one system call or SQL statement of ingest, then of a
worker, fails (full disk, I/O error, short write, an error reported for a call that worked) or is the last one the process makes (before
it, after it, in the middle of a write). *By chance*: worlds of several workers in which all of that happens at random. After each, the
account must balance: `setpoint.testing.crash_world`. Exit code 1 and the seed when one does not.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Literal

from setpoint.testing.crash_points import FAILURES, KILLS
from setpoint.testing.crash_world import Broken, Toll, live_by_chance, live_one_event

CALLS_MAX = 10_000
Whose = Literal["ingest", "worker"]
WHOSE: tuple[Whose, ...] = ("ingest", "worker")


def every_call(folder: Path, whose: Whose, toll: Toll, *, stride: int = 1) -> int:
    """Strikes each call of the story with each event (with `stride`, a different one in so many); returns the number of calls."""
    for call in range(CALLS_MAX):
        for at, event in enumerate(FAILURES + KILLS):
            chosen = (call + at) % stride == 0
            if chosen and not live_one_event(folder / f"{whose}-{call}-{event}", whose, call, event, toll):
                return call
    return CALLS_MAX


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=500)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    toll, begun_s = Toll(), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        calls = {}
        for whose in WHOSE:
            calls[whose] = every_call(Path(scratch), whose, toll)
        counted = ", ".join(f"{whose} {n}" for whose, n in calls.items())
        print(f"every call: {counted}, each with {len(FAILURES + KILLS)} events: {toll.worlds} worlds", flush=True)
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            try:
                live_by_chance(Path(scratch) / str(seed), seed, toll)
            except Broken as broken:
                print(f"seed {seed}: {broken}", file=sys.stderr)
                return 1
    print(f"by chance: {arguments.seeds} worlds")
    print(
        f"together: {toll.acknowledged} ENDs acknowledged, all of them stored once; {toll.stored} traces stored; "
        f"{toll.deaths} processes died; {time.monotonic() - begun_s:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
