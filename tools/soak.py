"""Setpoint for a long time: `python -m tools.soak memory --requests 1000000`, `python -m tools.soak sustained --seconds 600 --rate 1000`.

memory: mixed requests (one in ten a stream, one call in fifty goes wrong at the provider), as fast as they are answered, while the memory
of every process of the tree is measured. It must not grow: the interval of the slope behind the warm-up must reach down to zero.
sustained: the same requests at a steady rate and a provider in good health. No request may fail, and the 95th percentile of what the
gateway adds must be below 50 ms.
Both: the ids of the traces that clients were told are those that are stored, each once. The tree is the one that `setpoint init` sets up,
with every default on. The exit code is 1 when a goal is missed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from tools.bench_load import Ask
from tools.bench_running import Running, on_core, running
from tools.bench_traces import stored_ids
from tools.soak_load import Soak, Tally, drive
from tools.soak_trend import Trend, trend

from tools import bench_ours, bench_procs

OVERHEAD_P95_MS = 50.0
FAULTS = 20
"""Calls in a thousand that go wrong at the provider, in the soak of memory."""
STREAM_EVERY = 10
SAMPLES = 240
STORED_S = 120.0


@dataclass
class Report:
    """Everything that was seen."""

    tally: Tally
    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    stored: int = 0
    missing: int = 0
    extra: int = 0
    doubled: int = 0
    steady: bool = False
    rate: float = 0.0

    def trends(self) -> dict[str, Trend]:
        """By process, in bytes a second; those that lived long enough to tell."""
        found = {}
        for name, samples in sorted(self.memory.items()):
            try:
                found[name] = trend([at_s for at_s, _ in samples], [value for _, value in samples])
            except ValueError:
                continue
        return found

    def misses(self) -> list[str]:
        """Which goals were missed, in words."""
        tally = self.tally
        wrong = [f"{tally.failed} requests ended in no honest way"] if tally.failed else []
        if self.missing or self.extra or self.doubled or tally.without_id:
            wrong.append(f"of the traces {self.missing} are missing, {self.extra} nobody was told of, {self.doubled} are double")
        if self.steady:
            if tally.told:
                wrong.append(f"{tally.told} requests failed")
            if tally.sent < 0.99 * self.rate * tally.seconds:
                wrong.append(f"{tally.sent / tally.seconds:.0f} requests a second were sent, not {self.rate:g}")
            if not tally.overhead_ms or quantile(tally.overhead_ms, 0.95) >= OVERHEAD_P95_MS:
                wrong.append(f"the 95th percentile of the overhead is not below {OVERHEAD_P95_MS:g} ms")
        else:
            trends = self.trends()
            wrong += [f"{name} grows by {each.slope:.0f} bytes a second" for name, each in trends.items() if each.grows]
            if not trends:
                wrong.append("the run was too short to tell whether memory grows")
        return wrong

    def lines(self) -> Iterator[str]:
        """For people."""
        tally = self.tally
        rate = tally.sent / max(tally.seconds, 0.001)
        ends = f"{tally.whole} whole, {tally.told} explicit errors, {tally.failed} failed"
        yield f"requests   {tally.sent} in {tally.seconds:.0f} s ({rate:.0f}/s): {ends}"
        compared = f"{self.missing} missing, {self.extra} extra, {self.doubled} double"
        yield f"traces     {self.stored} stored of {len(tally.trace_ids)} told; {compared}"
        for name, values, unit in (("overhead", tally.overhead_ms, "ms"), ("latency", [1e3 * each for each in tally.latency_s], "ms")):
            if values:
                shown = ", ".join(f"P{100 * q:g} {quantile(values, q):.2f}" for q in (0.5, 0.95, 0.99))
                yield f"{name:<11}{shown} {unit} ({len(values)})"
        yield f"{'process':<22}{'MB at the end':>14}{'KB/min':>10}{'95 % from':>12}{'to':>10}{'p':>8}"
        for name, each in self.trends().items():
            per_minute = [60 * value / 1024 for value in (each.slope, each.low, each.high)]
            last = self.memory[name][-1][1] / 1e6
            yield f"{name:<22}{last:>14.1f}{per_minute[0]:>10.1f}{per_minute[1]:>12.1f}{per_minute[2]:>10.1f}{each.p:>8.3f}"
        yield from (f"example    {text}" for text in tally.examples if tally.failed or self.steady)


def quantile(values: Sequence[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


class Watch:
    """Measures the memory of every process of a tree, by name and pid, in a thread."""

    def __init__(self, pid: int, pause_s: float) -> None:
        self._pid, self._pause_s = pid, pause_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.samples: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._pause_s):
            for size in bench_procs.memory_of(self._pid):
                self.samples[size.name].append((time.monotonic(), float(size.rss if size.pss is None else size.pss)))


@contextmanager
def provider(faults: int, core: int) -> Iterator[str]:
    """The provider of the soak, as a process of its own. Gives its URL."""
    argv = ["taskset", "-c", str(core), sys.executable, "-m", "tools.soak_upstream", "--faults", str(faults)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parent.parent)
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        if not port.isdigit():
            sys.exit("the provider did not start")
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        bench_procs.stop(process)


def mix(session: str) -> list[Ask]:
    """One request in STREAM_EVERY is a stream; of those, and of the others, every second comes in Anthropic's dialect."""
    headers = {"x-setpoint-session-id": session}
    model = "openai/gpt-4o-mini"
    chat = Ask("chat", "/v1/chat/completions", model, b'"usage"', headers=headers)
    messages = Ask("messages → OpenAI", "/v1/messages", model, b'"stop_reason"', headers=headers)
    streams = (
        replace(chat, name="chat stream", expect=b"[DONE]", stream=True),
        replace(messages, name="messages stream → OpenAI", expect=b"message_stop", stream=True),
    )
    whole = [chat, messages] * STREAM_EVERY
    return [*whole[: STREAM_EVERY - 1], streams[0], *whole[: STREAM_EVERY - 1], streams[1]]


def soak(enough: Callable[[Tally], bool], expected_s: float, faults: int, connections: int, rate: float, work: Path) -> Report:
    """Start it all, drive it, and compare the traces."""
    cores = sorted(os.sched_getaffinity(0))
    session = f"soak-{time.time_ns()}"
    ours = bench_ours.prepare(work / "soak")
    with provider(faults, cores[-1]) as url, running(ours, url, cores[0]) as setpoint, on_core(cores[-1]):
        kinds = mix(session)
        setpoint.first_answer_s(kinds[0])
        setpoint.whole_tree_s()
        warm = set(map(bytes.fromhex, stored_ids(setpoint, session)))
        load = Soak(setpoint.port, bench_ours.KEY, kinds, connections, rate)
        with Watch(setpoint.pid, max(0.25, expected_s / SAMPLES)) as watch:
            tally = drive(load, enough)
        report = Report(tally, dict(watch.samples), steady=bool(rate), rate=rate)
        _compare(report, setpoint, session, warm)
        return report


def _compare(report: Report, setpoint: Running, session: str, warm: set[bytes]) -> None:
    """Wait until the traces are there, or time is up."""
    told = set(report.tally.trace_ids)
    until_s = time.monotonic() + STORED_S
    stored: list[bytes] = []
    while time.monotonic() < until_s:
        stored = [each for each in map(bytes.fromhex, stored_ids(setpoint, session)) if each not in warm]
        if told <= set(stored):
            break
        time.sleep(0.5)
    kept = set(stored)
    report.stored, report.doubled = len(stored), len(stored) - len(kept)
    report.missing, report.extra = len(told - kept), len(kept - told)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("mode", choices=("memory", "sustained"))
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=1_000.0)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--work", type=Path, help="a folder on a disk; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="setpoint-soak-", dir=arguments.work) as folder:
        if arguments.mode == "memory":
            expected_s, wanted = arguments.requests / 2_000, arguments.requests
            report = soak(lambda tally: tally.sent >= wanted, expected_s, FAULTS, arguments.connections, 0.0, Path(folder))
        else:
            clock = _Stopwatch(arguments.seconds)
            report = soak(clock.over, arguments.seconds, 0, arguments.connections, arguments.rate, Path(folder))
    print(*report.lines(), sep="\n")
    misses = report.misses()
    print(*(f"MISSED: {miss}" for miss in misses), sep="\n")
    return 1 if misses else 0


class _Stopwatch:
    """Runs from the first look."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began_s = 0.0

    def over(self, _: Tally) -> bool:
        self._began_s = self._began_s or time.monotonic()
        return time.monotonic() - self._began_s >= self._seconds


if __name__ == "__main__":
    sys.exit(main())
