"""What a comparison found, as rows: ours, theirs, their ratio, the goal and whether it is met. Plain functions of the measured figures.

Absolute figures of a shared machine move by half from one run to the next, so what is compared with an earlier run (`regressions`) are
the ratios that were measured side by side in one run, never the figures themselves; and of these, unless asked for all, those of CPU time:
wall-clock ratios still move by a third when something else wants the cores.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Better = Literal["higher", "lower"]
Rows = Sequence[Mapping[str, Any]]
UNARY_RELAYS = ("unary", "messages", "embeddings")
_TO_THE_RIGHT = (2, 4, 5, 6)
MEASURES: dict[str, tuple[str, Better]] = {
    "rps": ("requests/s", "higher"),
    "per_cpu_s": ("requests per CPU-second", "higher"),
    "cpu_us": ("CPU µs per request", "lower"),
    "cpu_pct": ("CPU % while streams are open", "lower"),
    "start_s": ("s to the first answer", "lower"),
    "idle_rss_mb": ("MB resident, idle, all processes added up", "lower"),
}


STEADY = frozenset({MEASURES["per_cpu_s"][0], MEASURES["cpu_us"][0]})


@dataclass(frozen=True)
class Goal:
    """At least `bound` where higher is better, at most where lower is. Between `floor` and `bound` a figure is acceptable, not good."""

    bound: float
    floor: float | None = None


@dataclass(frozen=True)
class Figure:
    """One row. With `theirs` it is a ratio, ours / theirs, measured in one run; without, `ours` speaks for itself."""

    subject: str
    measure: str
    ours: float
    better: Better
    against: str = ""
    theirs: float | None = None
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        return self.ours / self.theirs if self.theirs else None

    @property
    def key(self) -> str:
        return " | ".join(filter(None, (self.subject, self.measure, self.against)))

    @property
    def verdict(self) -> str:
        """`met`, `above the floor`, `missed`, or nothing when there is no goal."""
        if self.goal is None:
            return ""
        if not _worse(self._judged, self.goal.bound, self.better):
            return "met"
        if self.goal.floor is not None and not _worse(self._judged, self.goal.floor, self.better):
            return "above the floor"
        return "missed"

    @property
    def _judged(self) -> float:
        return self.ours if self.ratio is None else self.ratio


def _worse(value: float, bound: float, better: Better) -> bool:
    return value < bound if better == "higher" else value > bound


def goal_of(case: str, metric: str, peer: str) -> Goal | None:
    """The goal of the ratio ours / peer of one cell."""
    if metric == "rps" and case in UNARY_RELAYS:
        return {"nginx": Goal(1.0, floor=0.5), "tensorzero": Goal(4.0), "portkey": Goal(20.0), "litellm": Goal(200.0)}.get(peer)
    if metric == "per_cpu_s" and case in ("stream", "messages-stream") and peer == "nginx":
        return Goal(0.8)
    return None


def ratios(rows: Rows, metrics: Iterable[str]) -> list[Figure]:
    """Ours beside each peer, cell by cell, from the rows of the comparison kit. Cells that one of them does not have are left out."""
    wanted = list(metrics)
    found: list[Figure] = []
    for mine in (row for row in rows if row["gateway"] == "ours"):
        where = (mine.get("case"), mine.get("c"))
        peers = [row for row in rows if row["gateway"] not in ("ours", "direct") and (row.get("case"), row.get("c")) == where]
        found += [_beside(mine, peer, metric) for metric in wanted for peer in peers if mine.get(metric) and peer.get(metric)]
    return found


def _beside(mine: Mapping[str, Any], peer: Mapping[str, Any], metric: str) -> Figure:
    measure, better = MEASURES[metric]
    goal = goal_of(str(mine.get("case")), metric, peer["gateway"])
    return Figure(subject_of(mine), measure, mine[metric], better, peer["gateway"], peer[metric], goal)


def subject_of(row: Mapping[str, Any]) -> str:
    """`unary c=32`, or what the row is about when it has no case."""
    return f"{row['case']} c={row['c']}" if "case" in row else "start"


def cache_ratios(rows: Rows) -> list[Figure]:
    """A cache hit beside the relay path, both ours, at the same number of connections."""
    relays = {row["c"]: row["rps"] for row in rows if row["gateway"] == "ours" and row["case"] == "unary"}
    hits = [row for row in rows if row["gateway"] == "ours" and row["case"] == "cachehit" and row["c"] in relays]
    return [Figure(subject_of(hit), "requests/s", hit["rps"], "higher", "own relay", relays[hit["c"]], Goal(1.5)) for hit in hits]


def added_latency(rows: Rows) -> list[Figure]:
    """What each gateway adds to the direct way at one connection: median minus median."""
    p50 = {row["gateway"]: row["p50"] for row in rows if row.get("case") == "unary" and row.get("c") == 1}
    if not {"ours", "direct"} <= p50.keys():
        return []
    added = {name: value - p50["direct"] for name, value in p50.items() if name != "direct" and value > p50["direct"]}
    if "ours" not in added:
        return []
    goals = {"nginx": Goal(2.0)}
    return [
        Figure("unary c=1", "ms added to the direct way, p50", added["ours"], "lower", peer, added[peer], goals.get(peer))
        for peer in added
        if peer != "ours"
    ]


def failed(rows: Rows) -> int:
    """Requests to ours that were not answered well, over all rows of a run."""
    return sum(row.get("non2xx", 0) + row.get("errors", 0) for row in rows if row["gateway"] == "ours")


def regressions(now: Iterable[Figure], before: Mapping[str, float], tolerance: float, *, strict: bool = False) -> list[str]:
    """Ratios that are worse than in an earlier run by more than `tolerance` (0.1 is 10 %), to print. `strict`: of wall time too."""
    lines = []
    for figure in now:
        ratio, was = figure.ratio, before.get(figure.key)
        if ratio is None or not was or not (strict or figure.measure in STEADY):
            continue
        bound = was * (1 - tolerance) if figure.better == "higher" else was * (1 + tolerance)
        if _worse(ratio, bound, figure.better):
            lines.append(f"{figure.key}: {ratio:.3f}, was {was:.3f} ({(ratio / was - 1) * 100:+.0f} %)")
    return lines


def ratios_by_key(figures: Iterable[Figure]) -> dict[str, float]:
    """What a later run compares itself with."""
    return {figure.key: round(figure.ratio, 4) for figure in figures if figure.ratio is not None}


def as_json(figures: Iterable[Figure]) -> list[dict[str, Any]]:
    return [asdict(figure) | {"ratio": figure.ratio, "verdict": figure.verdict} for figure in figures]


def render(figures: Iterable[Figure]) -> str:
    """All of it as one aligned table."""
    head = ("what", "measure", "ours", "against", "theirs", "ratio", "goal", "")
    lines = [head, *(_cells(figure) for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(_line(cells, widths) for cells in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    columns = enumerate(zip(cells, widths, strict=True))
    return "  ".join(cell.rjust(width) if n in _TO_THE_RIGHT else cell.ljust(width) for n, (cell, width) in columns).rstrip()


def _cells(figure: Figure) -> tuple[str, ...]:
    theirs = "" if figure.theirs is None else number(figure.theirs)
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    return (figure.subject, figure.measure, number(figure.ours), figure.against, theirs, ratio, _goal_text(figure), figure.verdict)


def _goal_text(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    return f"{'≥' if figure.better == 'higher' else '≤'} {figure.goal.bound:g}"


def number(value: float) -> str:
    """Three figures that mean something, without an exponent."""
    magnitude = abs(value)
    if magnitude >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"
