"""Run every test and report coverage room by room; then, without coverage, the gate on CPU time per request.

Coverage is collected in child processes too, because most of Setpoint runs in children of the supervisor. A tracer costs CPU time, so the
gate skips itself under coverage and has a run of its own.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_GATE = "tests/gateway/test_cpu_per_request.py"


def coverage_by_room(report: dict[str, object]) -> dict[str, tuple[int, int]]:
    """(lines covered, lines) of each room, from coverage.py's JSON report."""
    rooms: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    files = report["files"]
    assert isinstance(files, dict)
    for name, entry in files.items():
        parts = Path(name).parts
        inside = parts[parts.index("setpoint") + 1 :]
        room = inside[0] if len(inside) > 1 else "."
        covered, total = rooms[room]
        rooms[room] = covered + entry["summary"]["covered_lines"], total + entry["summary"]["num_statements"]
    return dict(rooms)


def render(rooms: dict[str, tuple[int, int]]) -> str:
    covered, total = (sum(column) for column in zip(*rooms.values(), strict=True))
    rows = [(room, *lines) for room, lines in sorted(rooms.items()) if lines[1]]
    lines = [f"{room:<12}{hit:>6} of {of:<6}{100 * hit / max(of, 1):6.1f} %" for room, hit, of in [*rows, ("all", covered, total)]]
    return "\n".join(["coverage by room (lines)", *lines])


def coverage(*arguments: str, environ: dict[str, str]) -> int:
    return subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, env=environ, check=False).returncode


def cpu_gate() -> int:
    """Prints the figures. Not 0 when a request or a chunk costs more CPU than allowed, or when nothing was measured."""
    print(f"\nCPU per request, without coverage ({CPU_GATE})", flush=True)
    ended = subprocess.run([sys.executable, "-m", "pytest", "-q", "-s", CPU_GATE], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    print(ended.stdout, flush=True)
    measured = re.search(r"^\d+ passed", ended.stdout, re.MULTILINE) and "skipped" not in ended.stdout
    return ended.returncode or (0 if measured else 1)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="setpoint-coverage-") as folder:
        environ = {**os.environ, "COVERAGE_FILE": str(Path(folder) / "coverage")}
        code = coverage("run", "-m", "pytest", *sys.argv[1:], environ=environ)
        report = Path(folder) / "report.json"
        coverage("combine", "--quiet", environ=environ)
        if coverage("json", "--quiet", "-o", str(report), environ=environ) == 0:
            print(render(coverage_by_room(json.loads(report.read_text()))))
    return code if sys.argv[1:] else code or cpu_gate()


if __name__ == "__main__":
    raise SystemExit(main())
