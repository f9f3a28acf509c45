"""Three providers that fall ill in turn, at steady load: `python -m tools.failover_drill --seconds 300 --rate 60`.

Every few seconds another of them becomes slow (it answers after the deadline), dies (it resets every connection) or answers garbage (a web
page with status 200); in every fourth phase two are ill at once, when the third is back. A real worker on real sockets serves unary
requests and streams meanwhile. Told are: how many requests were answered whole, how many upstream calls a request cost, how soon an ill
provider was left alone, and how soon one that is well again was used again. The exit code is 1 when a goal is missed.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Literal

import msgspec

from setpoint.domain.plan import BreakerLimits, Plan, Retries, Timeouts
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.fault_wall.client import Gateway, ask
from setpoint.testing.fault_wall.judge import Got, judge
from setpoint.testing.fault_wall.surfaces import SURFACES, request
from setpoint.testing.gateway import RunningGateway, TestKey, running_gateway
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.replies import text
from setpoint.testing.wire_faults import WireFault

Illness = Literal["slow", "dead", "garbage"]
FAULTS: dict[Illness, WireFault] = {
    "slow": WireFault("slow_drip", drip_s=3.0),
    "dead": WireFault("early_reset"),
    "garbage": WireFault("html_error", code=200),
}
KINDS: tuple[Illness, ...] = ("slow", "dead", "garbage")
NAMES = ("one", "two", "three")
SAID = "all is well"
PHASE_S = 5.0
BREAKER_OPEN_S = 1.5
REST_S = BREAKER_OPEN_S + 1.5
"""Before two fall ill at once the third gets time to come back: while its circuit is open, nobody would be left to ask."""
BREAKER = BreakerLimits(failures=3, open_s=BREAKER_OPEN_S, successes=1)
TIMEOUTS = Timeouts(connect_s=0.8, first_byte_s=0.8, idle_s=2.0, unary_total_s=10.0, stream_total_s=10.0)
RETRIES = Retries(attempts=3, base_s=0.05, factor=2.0, cap_s=0.5)
STREAM_EVERY = 3
PATIENCE_S = 15.0
NO_LIMIT = 1_000_000_000


class Goals(msgspec.Struct, frozen=True):
    """`back_s` comes on top of the time a circuit stays open."""

    success: float = 0.999
    calls: float = 1.2
    detect_s: float = 2.0
    back_s: float = 1.0


class Phase(msgspec.Struct, frozen=True):
    """Who was ill, and when, in monotonic seconds."""

    begins_s: float
    ends_s: float
    ill: dict[str, Illness]


class Figures(msgspec.Struct, frozen=True):
    """`detected_s` and `back_s` have an entry for each illness that lasted long enough to tell."""

    requests: int
    failed: tuple[str, ...]
    calls: int
    recorded: int
    phases: int
    detected_s: tuple[float, ...]
    back_s: tuple[float, ...]

    @property
    def success(self) -> float:
        return 1 - len(self.failed) / max(1, self.requests)

    def misses(self, goals: Goals) -> list[str]:
        """Which goals were missed, in words."""
        wrong = [] if self.success >= goals.success else [f"{self.success:.4%} were answered whole: {', '.join(self.failed[:5])}"]
        if self.calls > goals.calls * self.requests:
            wrong.append(f"{self.calls / self.requests:.3f} calls a request")
        if self.recorded != self.requests:
            wrong.append(f"{self.recorded} traces of {self.requests} requests")
        if not self.detected_s or max(self.detected_s) > goals.detect_s:
            wrong.append(f"an ill provider was left alone after {max(self.detected_s, default=0):.2f} s")
        if not self.back_s or max(self.back_s) > BREAKER.open_s + goals.back_s:
            wrong.append(f"one that was well again was used after {max(self.back_s, default=0):.2f} s")
        return wrong

    def lines(self) -> list[str]:
        """For people."""
        return [
            f"requests            {self.requests}, {len(self.failed)} not answered whole: {self.success:.3%} success",
            f"upstream calls      {self.calls}, {self.calls / max(1, self.requests):.3f} a request",
            f"traces              {self.recorded}",
            f"illnesses           {len(self.detected_s)} in {self.phases} phases",
            f"left alone after    {max(self.detected_s, default=0):.2f} s at most",
            f"used again after    {max(self.back_s, default=0):.2f} s at most (a circuit stays open for {BREAKER.open_s:g} s)",
        ]


def ill_in(phase: int) -> dict[str, Illness]:
    """Who is ill in a phase: each provider in each way, one after another."""
    ill = {NAMES[phase % 3]: KINDS[(phase // 3 + phase) % 3]}
    if phase % 4 == 3:
        ill[NAMES[(phase + 1) % 3]] = KINDS[(phase // 3 + phase + 1) % 3]
    return ill


def drill_plan(upstreams: dict[str, FakeUpstream]) -> Plan:
    listed = tuple(fake(up, name, breaker=BREAKER) for name, up in upstreams.items())
    routes = (route("drill", *upstreams, target_model="fake-1", strategy="round_robin", timeouts=TIMEOUTS, retries=RETRIES),)
    return plan(listed, routes)


def run(seconds: float, rate: float, phase_s: float = PHASE_S) -> Figures:
    """A drill of so many seconds, at `rate` requests a second."""
    with ExitStack() as open_ones:
        upstreams = {name: open_ones.enter_context(FakeUpstream()) for name in NAMES}
        for up in upstreams.values():
            up.says(text("all is ", "well"))
        gateway = open_ones.enter_context(running_gateway(drill_plan(upstreams), TestKey(1, rpm=NO_LIMIT, burst=NO_LIMIT)))
        failed, requests, phases = asyncio.run(_drill(gateway, upstreams, seconds, rate, phase_s))
        gateway.wait_for_ends(requests)
        calls = {name: [seen.at_ns / 1e9 for seen in up.seen] for name, up in upstreams.items()}
        return Figures(
            requests, tuple(failed), sum(map(len, calls.values())), len({record.head.request_id for record in gateway.ends()}), len(phases),
            tuple(detections(phases, calls)), tuple(returns(phases, calls)),
        )  # fmt: skip


async def _drill(
    gateway: RunningGateway, upstreams: dict[str, FakeUpstream], seconds: float, rate: float, phase_s: float
) -> tuple[list[str], int, list[Phase]]:
    client = Gateway.at(gateway.url, gateway.key)
    failed: list[str] = []
    began_s = time.monotonic()
    changing = asyncio.get_running_loop().create_task(_change(upstreams, began_s + seconds, phase_s))
    sent: set[asyncio.Task[None]] = set()
    count = 0
    while (due_s := began_s + count / rate) < began_s + seconds:
        await asyncio.sleep(max(0.0, due_s - time.monotonic()))
        task = asyncio.get_running_loop().create_task(_ask(client, count, failed))
        sent.add(task)
        task.add_done_callback(sent.discard)
        count += 1
    phases = await changing
    await asyncio.gather(*sent)
    return failed, count, phases


async def _change(upstreams: dict[str, FakeUpstream], until_s: float, phase_s: float) -> list[Phase]:
    """Let them fall ill and recover; the last phase is a healthy one."""
    phases: list[Phase] = []
    while time.monotonic() + REST_S + 2 * phase_s <= until_s or not phases:
        ill = ill_in(len(phases))
        if len(ill) > 1:
            await asyncio.sleep(REST_S)
        begins_s = time.monotonic()
        for name, kind in ill.items():
            upstreams[name].breaks(FAULTS[kind])
        await asyncio.sleep(phase_s)
        for name in ill:
            upstreams[name].breaks(None)
        phases.append(Phase(begins_s, time.monotonic(), ill))
    return phases


async def _ask(client: Gateway, no: int, failed: list[str]) -> None:
    streamed = no % STREAM_EVERY == 0
    sent = request(SURFACES["chat"], "gw.test", "drill", f"request {no}", client.key, streamed=streamed)
    began_s = time.monotonic()
    got: Got = await ask(client, sent, PATIENCE_S)
    heard = judge("chat", got, frozenset({SAID}), streamed=streamed)
    if heard.ending != "whole":
        failed.append(f"{no} after {time.monotonic() - began_s:.1f} s: {heard.ending} {got.status} {heard.why or got.body[:120]!r}")


def detections(phases: Sequence[Phase], calls: dict[str, list[float]]) -> list[float]:
    """For each illness: when the last call reached the provider before it was left alone for as long as a circuit stays open."""
    found = []
    for phase in phases:
        for name in phase.ill:
            during = [at_s for at_s in calls[name] if phase.begins_s <= at_s < phase.ends_s]
            quiet = (before for before, after in pairwise([*during, phase.ends_s]) if after - before >= 0.8 * BREAKER.open_s)
            found.append(next(quiet, phase.ends_s) - phase.begins_s if during else 0.0)
    return found


def returns(phases: Sequence[Phase], calls: dict[str, list[float]]) -> list[float]:
    """For each illness that was not followed by another one of the same provider: when it got ordinary calls again, which come behind
    the one that probes.
    """
    found = []
    for phase, after in zip(phases, [*phases[1:], None], strict=True):
        for name in phase.ill:
            if after is not None and name in after.ill:
                continue
            since = [at_s - phase.ends_s for at_s in calls[name] if at_s >= phase.ends_s]
            found.append(since[BREAKER.successes] if len(since) > BREAKER.successes else PHASE_S)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=60.0)
    arguments = parser.parse_args()
    figures = run(arguments.seconds, arguments.rate)
    print(*figures.lines(), sep="\n")
    misses = figures.misses(Goals())
    print(*(f"MISSED: {miss}" for miss in misses), sep="\n")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
