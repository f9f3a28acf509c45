"""Plays schedules: `python -m tests.simulation.run --schedules 10000`, or one again: `--seed 17 --without ask2,event0`.

Each schedule is a worker with its upstreams, clients and everything that goes wrong between them, in virtual time, drawn from its seed. The
first that does not hold is made as small as it goes and printed with the command that plays it again.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Collection

import msgspec
from tests.simulation.drawing import draw
from tests.simulation.schedule import Schedule
from tests.simulation.story import told
from tests.simulation.verdict import verdict


def play(schedule: Schedule, tally: Counter[str] | None = None) -> list[str]:
    """What was wrong."""
    with told(schedule) as story:
        wrong = verdict(story)
        if tally is not None:
            tally["requests"] += sum(1 for _ in story.told)
            tally["calls"] += len(story.upstreams.calls)
            tally.update(each.ended for each in story.told)
            tally.update(call.play.name for call in story.upstreams.calls)
        return wrong


def shrink(schedule: Schedule) -> tuple[str, ...]:
    """Parts that can be left out while something still is wrong."""
    gone: tuple[str, ...] = ()
    again = True
    while again:
        again = False
        for part in schedule.without(gone).parts():
            if part not in gone and play(schedule.without((*gone, part))):
                gone, again = (*gone, part), True
    whole = set(schedule.parts())
    return tuple(part for no, part in enumerate(gone) if part in schedule.without(gone[:no]).parts() and part in whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--without", default="")
    parser.add_argument("--go-on", action="store_true", help="list every seed that fails, unshrunk")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return one(arguments.seed, [part for part in arguments.without.split(",") if part])
    began_s, tally, failed = time.monotonic(), Counter[str](), 0
    for seed in range(arguments.first, arguments.first + arguments.schedules):
        if wrong := play(draw(seed), tally):
            failed += 1
            print(f"seed {seed}: {wrong[0]}", flush=True)
            if not arguments.go_on:
                return tell(seed)
    took_s = time.monotonic() - began_s
    print(
        f"{arguments.schedules} schedules, {tally['requests']} requests, {tally['calls']} upstream calls in {took_s:.0f} s; {failed} failed"
    )
    print(dict(tally.most_common(12)))
    return 1 if failed else 0


def one(seed: int, without: Collection[str]) -> int:
    schedule = draw(seed).without(without)
    print(*describe(schedule), sep="\n")
    wrong = play(schedule)
    print(*wrong or ["it holds"], sep="\n")
    return 1 if wrong else 0


def describe(schedule: Schedule) -> list[str]:
    """The schedule as far as it differs from the plainest one."""
    setting = schedule.setting
    lines = [
        f"upstreams {setting.upstreams}, at most {setting.connections_max} connections, {setting.in_flight_max} requests; {setting.breaker}"
    ]
    for route in setting.routes:
        if any(ask.route == route.model for ask in schedule.asks):
            settings = " ".join(_plain(each) for each in (route.timeouts, route.retries, route.cache))
            lines.append(f"{route.model}: {[target.upstream for target in route.targets]} {route.strategy} {settings}")
    for session in schedule.sessions:
        lines.append(f"session {_plain(msgspec.structs.replace(session, asks=()))}")
        lines += [
            f"  ask {_plain(msgspec.structs.replace(ask, plays=()))}: {', '.join(_plain(play) for play in ask.plays)}"
            for ask in session.asks
        ]
    return [*lines, *(_plain(event) for event in schedule.events)]


def _plain(said: msgspec.Struct) -> str:
    """Members that are not as usual."""
    fields = msgspec.structs.fields(said)
    return " ".join(f"{field.name}={value!r}" for field in fields if (value := getattr(said, field.name)) != field.default and value != ())


def command(seed: int, gone: Collection[str]) -> str:
    """What plays it again."""
    return f"python -m tests.simulation.run --seed {seed}" + (f" --without {','.join(gone)}" if gone else "")


def tell(seed: int) -> int:
    gone = shrink(draw(seed))
    print("smaller:", command(seed, gone))
    one(seed, gone)
    return 1


if __name__ == "__main__":
    sys.exit(main())
