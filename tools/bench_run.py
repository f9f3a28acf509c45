"""The steps of a benchmark in their order, the profiles that say how long each takes, and the end: table, file, exit status."""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tools.bench_figures import Figure
from tools.bench_inside import Inside, look_inside
from tools.bench_kit import Kit

from tools import bench_figures, bench_kit, bench_ours, bench_procs, bench_report

CACHE_HEADER = "x-setpoint-cache: ttl=600"
CORES = (0, 1)
"""The gateway's and the load's."""
PEERS = ("nginx", "tensorzero")


@dataclass(frozen=True)
class Profile:
    """How much is measured. Seconds are lengths of one window; rounds come after one that warms up."""

    seconds: int
    rounds: int
    cells: tuple[tuple[str, str], ...]
    """Cases and numbers of connections that are run together."""
    streams: str
    stream_peers: tuple[str, ...]
    stream_seconds: int
    cpu_peers: tuple[str, ...]
    starts: int
    inside_rounds: int
    inside_seconds: float


QUICK = Profile(2, 1, (("unary,stream,cachehit", "32"),), "3000", (), 3, ("nginx",), 1, 1, 1.0)
FULL = Profile(
    2, 3, (("unary,stream,cachehit,messages,embeddings", "1,32,128"),), "1000,3000", ("nginx",), 8, ("nginx", "tensorzero"), 3, 3, 2.0
)
LITELLM = ("unary,stream", "1,32")
STEP_LIMIT_S = 900


@dataclass
class Outcome:
    """What a whole run found."""

    figures: list[Figure] = field(default_factory=list)
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    inside: Inside | None = None
    failed: int = 0

    def take(self, step: str, rows: list[dict[str, Any]], metrics: Sequence[str]) -> None:
        """Rows of the kit, as figures too."""
        self.rows[step] = rows
        self.figures += bench_figures.ratios(rows, metrics)
        self.failed += bench_figures.failed(rows)


def main(root: Path, about: str) -> int:
    options = _options(root, about)
    raise_limits()
    profile = QUICK if options.quick else FULL
    work: Path = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    ours = bench_ours.prepare(work / f"ours-{os.getpid()}")
    began_s = time.monotonic()
    outcome = Outcome()
    try:
        print(f"{bench_ours.described(ours)}\n", flush=True)
        kit = _kit(root, work, ours, options)
        if kit is not None:
            _beside_peers(kit, profile, outcome, litellm=options.with_litellm)
        _say("inside of Setpoint: start, memory, CPU by process, translated requests, traces")
        outcome.inside = look_inside(ours, work if kit else None, profile.starts, profile.inside_rounds, profile.inside_seconds, CORES)
        outcome.figures += bench_report.figures_of(outcome.inside)
        outcome.failed += sum(cost.failed for cost in outcome.inside.costs)
    finally:
        shutil.rmtree(ours.folder, ignore_errors=True)
    print(f"\n{bench_report.told(outcome.inside)}\n\n{bench_figures.render(outcome.figures)}\n\n{time.monotonic() - began_s:.0f} s in all")
    if options.output:
        options.output.write_text(json.dumps(_document(outcome, ours, options), indent=1) + "\n")
    return verdict(outcome, options.baseline, options.tolerance, strict=options.strict)


def _options(root: Path, about: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about two minutes: fewer cases and one round; good for a first look")
    parser.add_argument("--with-litellm", action="store_true", help="LiteLLM too: some more minutes, and a large installation")
    parser.add_argument("--work", type=Path, default=root / ".bench", help="folder on a disk for peers, data and logs (default .bench)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write everything as JSON")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="an earlier output; compare the ratios with it")
    parser.add_argument("--tolerance", type=float, default=0.1, help="how much worse a ratio may be than the baseline's (default 0.1)")
    parser.add_argument("--strict", action="store_true", help="compare ratios of wall time too, not only of CPU time; on a quiet machine")
    options = parser.parse_args()
    if options.baseline and not options.baseline.is_file():
        parser.error(f"there is no {options.baseline}; write one with -o")
    if (os.cpu_count() or 1) < len(CORES):
        parser.error("this machine has one core; gateway and load need one each")
    return options


def raise_limits() -> None:
    """As many open files as allowed, and an exception instead of a sudden end on SIGTERM, so that children are stopped."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped by SIGTERM"))


def _kit(root: Path, work: Path, ours: bench_ours.Ours, options: argparse.Namespace) -> Kit | None:
    """The kit with its peers installed, None when there is no way to it."""
    folder = bench_kit.find_kit(os.environ, root)
    if folder is None:
        _say("there is no comparison kit (SETPOINT_SHARED names the folder that holds `bench`): Setpoint is measured alone, beside itself")
        return None
    kit = Kit(folder, work, ours, work / "kit.log")
    kit.log.write_bytes(b"")
    wanted = [*PEERS, *(["litellm"] if options.with_litellm else [])]
    absent = bench_kit.missing(work, wanted)
    if absent:
        _say(f"the kit installs {', '.join(wanted)} into {work} (once; {kit.log} tells more)")
        kit.setup(wanted)
    if not (work / "upstream").exists():
        _say(f"the kit could not be set up ({kit.log}): Setpoint is measured alone, beside itself")
        return None
    return kit


def _beside_peers(kit: Kit, profile: Profile, outcome: Outcome, *, litellm: bool) -> None:
    peers = [peer for peer in PEERS if not bench_kit.missing(kit.work, [peer])]
    pace = ["--rounds", str(profile.rounds), "--seconds", str(profile.seconds)]
    cache = ["--ours-cache-header", CACHE_HEADER]
    _say("one connection, beside the direct way")
    rows = kit.compare("run", ["direct", *peers], STEP_LIMIT_S, "--cases", "unary", "--connections", "1", *pace)
    outcome.rows["direct"] = rows
    outcome.figures += bench_figures.added_latency(rows)
    for cases, connections in profile.cells:
        _say(f"{cases} at {connections} connections, beside {', '.join(peers)}")
        rows = kit.compare("run", peers, STEP_LIMIT_S, "--cases", cases, "--connections", connections, *pace, *cache)
        outcome.take("run", rows, ("rps", "per_cpu_s"))
        outcome.figures += bench_figures.cache_ratios(rows)
    if litellm:
        _say("unary and streams, beside LiteLLM")
        cases, connections = LITELLM
        rows = kit.compare("run", ["litellm"], STEP_LIMIT_S, "--cases", cases, "--connections", connections, *pace)
        outcome.take("litellm", rows, ("rps", "per_cpu_s"))
    cpu_peers = [peer for peer in profile.cpu_peers if peer in peers]
    _say(f"CPU per request, beside {', '.join(cpu_peers)}")
    outcome.take("cpu", kit.compare("cpu", cpu_peers, STEP_LIMIT_S, "--cases", "unary,stream", *pace), ("cpu_us",))
    _say("start")
    rows = kit.compare("startup", peers, STEP_LIMIT_S, "--rounds", str(profile.starts), "--seconds", "1")
    outcome.take("startup", rows, ("start_s", "idle_rss_mb"))
    _streams(kit, profile, outcome)


def _streams(kit: Kit, profile: Profile, outcome: Outcome) -> None:
    """Many slow streams, while a thread looks at the memory of the worker; the greatest number comes last."""
    _say(f"{profile.streams} open streams")
    with bench_procs.Sampler(kit.ours.pid) as sampler:
        options = ("--connections", profile.streams, "--seconds", str(profile.stream_seconds))
        rows = kit.compare("streams", profile.stream_peers, STEP_LIMIT_S, *options)
    outcome.take("streams", rows, ("cpu_pct",))
    served = max((row["streams"] and row["c"] for row in rows if row["gateway"] == "ours"), default=0)
    if served:
        outcome.figures.append(bench_report.streams_figure(served, sampler.worker))


def _document(outcome: Outcome, ours: bench_ours.Ours, options: argparse.Namespace) -> dict[str, Any]:
    return {
        "profile": "quick" if options.quick else "full",
        "machine": {"python": platform.python_version(), "kernel": platform.release(), "cores": os.cpu_count()},
        "configuration": list(ours.settings),
        "ratios": bench_figures.ratios_by_key(outcome.figures),
        "figures": bench_figures.as_json(outcome.figures),
        "inside": asdict(outcome.inside) if outcome.inside else None,
        "rows": outcome.rows,
    }


def verdict(outcome: Outcome, baseline: Path | None, tolerance: float, *, strict: bool = False) -> int:
    """Exit status 0, or 1 with the reasons said."""
    reasons = [] if outcome.inside and bench_report.sound(outcome.inside.traces) else ["the trace ids told and stored differ"]
    if outcome.failed:
        reasons.append(f"{outcome.failed} requests failed")
    if baseline:
        before = json.loads(baseline.read_text())["ratios"]
        worse = bench_figures.regressions(outcome.figures, before, tolerance, strict=strict)
        reasons += [f"worse than in {baseline}: {line}" for line in worse]
        print(f"{len(worse)} ratios are worse than in {baseline} by more than {tolerance:.0%}")
    for reason in reasons:
        print(f"FAILED: {reason}", file=sys.stderr)
    return 1 if reasons else 0


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)
