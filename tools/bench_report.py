"""What was seen inside of Setpoint, as figures with their goals, and as text for a person. Plain functions."""

from collections.abc import Iterable, Sequence

from tools.bench_figures import Figure, Goal, number
from tools.bench_inside import Backlog, Cost, Ingest, Inside
from tools.bench_procs import WORKER, Memory
from tools.bench_traces import TraceSet

MEGABYTE = 1_000_000
CROSSED = {
    "messages → OpenAI": "chat",
    "messages stream → OpenAI": "chat stream",
    "chat → Anthropic": "messages",
}
"""Kind of request whose dialect is translated → the kind with the same upstream that is not."""
CROSS_GOAL = Goal(0.5)
WORKER_START_S, TREE_START_S = Goal(1.0), Goal(3.0)
WORKER_BYTES, TREE_BYTES = Goal(60.0), Goal(300.0)
STREAMS_BYTES = Goal(80.0)
IDLE_CPU_PERCENT = Goal(2.0)
HEALTH_MS, METRICS_MS = Goal(10.0), Goal(50.0)
NONE = Goal(0.0)


def figures_of(seen: Inside) -> list[Figure]:
    """Everything that has a goal, and the ratios between kinds of requests."""
    return [*_crossed(seen.costs, seen.ingest), *_starts(seen), *_idle(seen), *_traces(seen.traces)]


def _crossed(costs: Sequence[Cost], ingest: Ingest | None) -> list[Figure]:
    """To each request its own path, and the mean cost of storing a trace."""
    stored_us = ingest.each_us if ingest else 0.0
    rates = {cost.name: 1e6 / (cost.path_us + stored_us) for cost in costs if cost.requests and cost.path_us}
    return [
        Figure(kind, "requests per CPU-second", rates[kind], "higher", f"own {plain}", rates[plain], CROSS_GOAL)
        for kind, plain in CROSSED.items()
        if kind in rates and plain in rates
    ]


def _starts(seen: Inside) -> list[Figure]:
    return [
        Figure("start, worker", "s to the first answer", _middle(seen.worker_s), "lower", goal=WORKER_START_S),
        Figure("start, tree", "s to every service running", _middle(seen.tree_s), "lower", goal=TREE_START_S),
    ]


def _idle(seen: Inside) -> list[Figure]:
    worker = [size for size in seen.idle if size.name == WORKER]
    measure = f"MB idle, {'PSS' if proportional(seen.idle) else 'RSS'}"
    return [
        Figure("memory, worker", measure, megabytes(worker), "lower", goal=WORKER_BYTES),
        Figure("memory, tree", measure, megabytes(seen.idle), "lower", goal=TREE_BYTES),
        Figure("idle, tree", "% of a core", sum(seen.idle_cpu.values()) * 100, "lower", goal=IDLE_CPU_PERCENT),
        Figure("/health", "ms, p50", seen.health_ms, "lower", goal=HEALTH_MS),
        Figure("/metrics", "ms, p50", seen.metrics_ms, "lower", goal=METRICS_MS),
    ]


def _traces(traces: TraceSet | None) -> list[Figure]:
    if traces is None:
        return []
    wrong = traces.missing + traces.extra + traces.doubled + traces.without_id
    return [Figure("traces", f"ids not equal, of {traces.answered}", wrong, "lower", goal=NONE)]


def streams_figure(streams: int, worker: Memory) -> Figure:
    """Memory of a worker that holds `streams` streams."""
    measure = f"MB in the worker, {'PSS' if worker.pss is not None else 'RSS'}"
    return Figure(f"{streams} open streams", measure, megabytes([worker]), "lower", goal=STREAMS_BYTES)


def proportional(sizes: Iterable[Memory]) -> bool:
    """Whether the kernel told the proportional size of all of them."""
    return all(size.pss is not None for size in sizes)


def megabytes(sizes: Sequence[Memory]) -> float:
    """Sum of the PSS where it is known of all, else of the RSS, which counts shared pages more than once."""
    whole = sum(size.pss or 0 for size in sizes) if proportional(sizes) else sum(size.rss for size in sizes)
    return whole / MEGABYTE


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def sound(traces: TraceSet | None) -> bool:
    """Whether every answer was good, and every trace is there, once, and no other."""
    return traces is None or (
        traces.failed + traces.missing + traces.extra + traces.doubled + traces.without_id == 0 and traces.answered > 0
    )


def told(seen: Inside) -> str:
    """Where the CPU goes, what a load leaves behind, and the traces, in words and one table."""
    return "\n".join(
        [
            *_cost_lines(seen.costs),
            "",
            *_idle_lines(seen),
            *_backlog_lines(seen.backlog),
            *_ingest_lines(seen.ingest),
            *_trace_lines(seen.traces),
        ]
    )


def _cost_lines(costs: Sequence[Cost]) -> list[str]:
    lines = ["CPU µs per request by process: while driven + put off until the load had ended (the upstream is not counted)"]
    for cost in costs:
        parts = [
            f"{name.removeprefix('setpoint-')} {during:.0f}+{after:.0f}"
            for name, (during, after) in cost.by_process_us().items()
            if during + after >= 0.5
        ]
        rate = cost.requests / cost.seconds if cost.seconds else 0.0
        failures = f", {cost.failed} FAILED" if cost.failed else ""
        lines.append(
            f"  {cost.name:<26}{cost.cpu_us:>6.0f}  = {', '.join(parts)}  ({rate:.0f}/s, idle after {max(cost.settle_s):.1f} s{failures})"
        )
        lines += [f"      {example.splitlines()[0]}" for example in cost.examples[:1] if example]
    return lines


def _idle_lines(seen: Inside) -> list[str]:
    sizes = sorted(seen.idle, key=lambda size: -(size.pss or size.rss))
    memory = ", ".join(f"{size.name.removeprefix('setpoint-')} {megabytes([size]):.0f}" for size in sizes)
    cpu = ", ".join(f"{name.removeprefix('setpoint-')} {share * 100:.1f} %" for name, share in seen.idle_cpu.items() if share > 0)
    return [f"memory when idle, MB: {memory}", f"CPU when idle: {cpu or 'none'}"]


def _backlog_lines(backlog: Backlog | None) -> list[str]:
    if backlog is None:
        return []
    read = "not within the time allowed" if backlog.readable_s is None else f"after {backlog.readable_s:.1f} s"
    spooled = number(backlog.spool_bytes / MEGABYTE)
    return [
        f"at the end of a load: {backlog.traces_unread} traces not yet read from the spool ({spooled} MB waiting); all read {read},",
        f"    {backlog.traces_unsealed} traces not sealed; the tree idle after {backlog.idle_s:.1f} s",
    ]


def _ingest_lines(ingest: Ingest | None) -> list[str]:
    if ingest is None or not ingest.traces:
        return []
    sealed = f"{ingest.sealed} of {ingest.traces} sealed meanwhile; the others cost some more later"
    return [f"ingest over all loads: {ingest.each_us:.0f} CPU µs per trace read, {sealed}"]


def _trace_lines(traces: TraceSet | None) -> list[str]:
    if traces is None:
        return []
    wrong = f"{traces.missing} missing, {traces.extra} extra, {traces.doubled} doubled, {traces.without_id} answers without an id"
    return [
        f"traces: {traces.answered} answers, {traces.equal} ids equal, {wrong}, {traces.failed} requests failed;",
        f"    compared {traces.seconds:.1f} s after the load",
    ]
