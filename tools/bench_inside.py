"""What only we can see of ourselves: which process spends the CPU, what is left to do when the load ends, whether every trace is there.

One Setpoint, pinned to one core, driven by our own load from another. With the kit's mock upstream it asks both dialects in both
directions, in turn, round after round; without it, it asks the simulated models of its own tree, whose CPU is then left out of the sums.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench_load import Ask
from tools.bench_procs import Memory
from tools.bench_running import Running, on_core, running, upstream_of
from tools.bench_traces import TraceSet, compare_traces

from tools import bench_load, bench_ours, bench_procs

SETTLE_S = 30.0
IDLE_S = 3.0
CONNECTIONS = 32
POLITE_ROUNDS = 30
WARM_S = 0.5
PAUSE_S = 0.1
SIM = "setpoint-sim"
INGEST = "setpoint-ingest"
KEPT_ANSWERS = {"x-setpoint-cache": "ttl=600"}


def asks(*, simulated: bool) -> list[Ask]:
    """The kinds of requests whose cost is compared. The simulated models speak one dialect, so they are crossed in one direction."""
    chat, claude = ("sim/echo", "") if simulated else ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5")
    kinds = [
        Ask("chat", "/v1/chat/completions", chat, b'"usage"'),
        Ask("chat stream", "/v1/chat/completions", chat, b"[DONE]", stream=True),
        Ask("cache hit", "/v1/chat/completions", chat, b'"usage"', unique=False, headers=KEPT_ANSWERS),
        Ask("messages → OpenAI", "/v1/messages", chat, b'"stop_reason"'),
        Ask("messages stream → OpenAI", "/v1/messages", chat, b"message_stop", stream=True),
    ]
    if not simulated:
        kinds.append(Ask("messages", "/v1/messages", claude, b'"stop_reason"'))
        kinds.append(Ask("messages stream", "/v1/messages", claude, b"message_stop", stream=True))
        kinds.append(Ask("chat → Anthropic", "/v1/chat/completions", claude, b'"usage"'))
    return kinds


@dataclass
class Cost:
    """Of one kind of request: CPU seconds by process while it was driven, and until the tree was idle again."""

    name: str
    requests: int = 0
    failed: int = 0
    seconds: float = 0.0
    during_s: dict[str, float] = field(default_factory=dict)
    after_s: dict[str, float] = field(default_factory=dict)
    settle_s: list[float] = field(default_factory=list)
    """Until the tree was idle, after each window."""
    examples: list[str] = field(default_factory=list)

    @property
    def cpu_us(self) -> float:
        """CPU µs per request of the whole tree, what was put off included; without the upstream."""
        whole = sum(self.during_s.values()) + sum(self.after_s.values())
        return whole * 1e6 / max(self.requests, 1)

    @property
    def path_us(self) -> float:
        """CPU µs per request of all but ingest, which stores traces of one load while another runs."""
        used = (cpu_s for sums in (self.during_s, self.after_s) for name, cpu_s in sums.items() if name != INGEST)
        return sum(used) * 1e6 / max(self.requests, 1)

    def by_process_us(self) -> dict[str, tuple[float, float]]:
        """(during, after) µs per request, dearest process first."""
        scale = 1e6 / max(self.requests, 1)
        pairs = {name: (self.during_s.get(name, 0.0) * scale, self.after_s.get(name, 0.0) * scale) for name in self.during_s | self.after_s}
        return dict(sorted(pairs.items(), key=lambda pair: -sum(pair[1])))


@dataclass(frozen=True)
class Backlog:
    """What ingest has still to do when a load ends. None where it was not done within `SETTLE_S`."""

    traces_unread: int
    traces_unsealed: int
    spool_bytes: int
    readable_s: float | None
    idle_s: float


@dataclass(frozen=True)
class Ingest:
    """CPU of the process that stores traces, over all loads: seals of earlier loads happen during later ones."""

    traces: int
    sealed: int
    cpu_s: float

    @property
    def each_us(self) -> float:
        return self.cpu_s * 1e6 / max(self.traces, 1)


@dataclass
class Inside:
    """Everything that was seen."""

    worker_s: list[float] = field(default_factory=list)
    tree_s: list[float] = field(default_factory=list)
    idle: list[Memory] = field(default_factory=list)
    idle_cpu: dict[str, float] = field(default_factory=dict)
    """CPU share by process while nobody asks anything; 0.02 is 2 %."""
    health_ms: float = 0.0
    metrics_ms: float = 0.0
    costs: list[Cost] = field(default_factory=list)
    backlog: Backlog | None = None
    ingest: Ingest | None = None
    traces: TraceSet | None = None


def look_inside(ours: bench_ours.Ours, work: Path | None, starts: int, rounds: int, seconds: float, cores: tuple[int, int]) -> Inside:
    """All of it. `work` holds the kit's mock upstream; `cores` are the gateway's and the load's."""
    seen, kinds = Inside(), asks(simulated=work is None)
    with on_core(cores[1]), upstream_of(work, cores[1]) as upstream:
        for n in range(starts):
            with running(ours, upstream, cores[0]) as setpoint:
                seen.worker_s.append(setpoint.first_answer_s(kinds[0]))
                seen.tree_s.append(setpoint.whole_tree_s())
                if n < starts - 1:
                    continue
                _watch_idle(setpoint, seen)
                before = _ingest(setpoint)
                seen.costs = _costs(setpoint, kinds, rounds, seconds)
                seen.backlog = _backlog(setpoint, kinds[0], seconds * 2)
                after = _ingest(setpoint)
                seen.ingest = Ingest(after.traces - before.traces, after.sealed - before.sealed, after.cpu_s - before.cpu_s)
                seen.traces = compare_traces(setpoint, kinds)
    return seen


def _watch_idle(setpoint: Running, seen: Inside) -> None:
    bench_procs.settle(setpoint.pid, SETTLE_S)
    seen.idle = bench_procs.memory_of(setpoint.pid)
    before = bench_procs.cpu_by_pid(setpoint.pid)
    time.sleep(IDLE_S)
    used = bench_procs.spent(before, bench_procs.cpu_by_pid(setpoint.pid))
    seen.idle_cpu = {name: cpu_s / IDLE_S for name, cpu_s in used.items()}
    seen.health_ms = _median_ms(setpoint, "/health")
    seen.metrics_ms = _median_ms(setpoint, "/metrics")


def _median_ms(setpoint: Running, path: str) -> float:
    times = []
    for _ in range(POLITE_ROUNDS):
        began_s = time.monotonic()
        setpoint.get(path)
        times.append((time.monotonic() - began_s) * 1000)
    return statistics.median(times)


def _costs(setpoint: Running, kinds: Sequence[Ask], rounds: int, seconds: float) -> list[Cost]:
    """Kind after kind, round after round, in rotating order; one short round before warms up."""
    costs = {ask.name: Cost(ask.name) for ask in kinds}
    for n in range(-1, rounds):
        first = max(n, 0) % len(kinds)
        for ask in [*kinds[first:], *kinds[:first]]:
            _window(setpoint, ask, costs[ask.name] if n >= 0 else Cost(ask.name), seconds if n >= 0 else min(seconds, WARM_S))
    return list(costs.values())


def _window(setpoint: Running, ask: Ask, cost: Cost, seconds: float) -> None:
    start = bench_procs.cpu_by_pid(setpoint.pid)
    counts = bench_load.drive(setpoint.port, bench_ours.KEY, [ask], CONNECTIONS, seconds)
    loaded = bench_procs.cpu_by_pid(setpoint.pid)
    cost.settle_s.append(bench_procs.settle(setpoint.pid, SETTLE_S))
    settled = bench_procs.cpu_by_pid(setpoint.pid)
    _add(cost.during_s, bench_procs.spent(start, loaded))
    _add(cost.after_s, bench_procs.spent(loaded, settled))
    cost.requests += counts.done
    cost.failed += counts.failed
    cost.seconds += counts.seconds
    cost.examples += counts.examples


def _add(sums: dict[str, float], more: dict[str, float]) -> None:
    for name, cpu_s in more.items():
        if name != SIM:
            sums[name] = sums.get(name, 0.0) + cpu_s


def _backlog(setpoint: Running, ask: Ask, seconds: float) -> Backlog:
    """After a load that keeps the core busy: what is not read, not sealed, and how long until it is."""
    before = setpoint.counters().get("setpoint_trace_records_total", 0.0)
    counts = bench_load.drive(setpoint.port, bench_ours.KEY, [ask], CONNECTIONS * 2, seconds)
    ended_s = time.monotonic()
    found = setpoint.counters()
    wanted = before + counts.done + counts.failed
    readable_s = _when_read(setpoint, wanted, ended_s)
    idle_s = time.monotonic() - ended_s + bench_procs.settle(setpoint.pid, SETTLE_S)
    unread = max(0, round(wanted - found.get("setpoint_trace_records_total", 0.0)))
    unsealed, spooled = found.get("setpoint_trace_unsealed", 0.0), found.get("setpoint_spool_backlog_bytes", 0.0)
    return Backlog(unread, round(unsealed), round(spooled), readable_s, idle_s)


def _ingest(setpoint: Running) -> Ingest:
    """Counters and CPU since the start."""
    counters = setpoint.counters()
    taken, sealed = counters.get("setpoint_trace_records_total", 0.0), counters.get("setpoint_trace_sealed_total", 0.0)
    cpu_s = sum(usage.cpu_s for usage in bench_procs.cpu_by_pid(setpoint.pid).values() if usage.name == INGEST)
    return Ingest(round(taken), round(sealed), cpu_s)


def _when_read(setpoint: Running, wanted: float, ended_s: float) -> float | None:
    """By the counter that ingest publishes once a second."""
    while time.monotonic() - ended_s < SETTLE_S:
        if setpoint.counters().get("setpoint_trace_records_total", 0.0) >= wanted:
            return time.monotonic() - ended_s
        time.sleep(PAUSE_S)
    return None
