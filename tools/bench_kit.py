"""The comparison kit: a folder `bench` outside of this repository that runs gateways in turn against one mock upstream.

It installs peers into a work folder (`setup`) and measures them beside ours (`run`, `cpu`, `startup`, `streams`): ours on one core, load
and upstream on another, in rounds of rotating order. The kit is a program with a command line; this module finds it and calls it. It is
named by `SETPOINT_SHARED`, and looked for beside the checkout otherwise.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import bench_ours, bench_procs

STOP_S = 60.0
LOG_TAIL_CHARS = 1500


def find_kit(environ: Mapping[str, str], root: Path) -> Path | None:
    """The folder of the kit, None when there is none."""
    shared = Path(environ.get("SETPOINT_SHARED") or root.parent / "shared")
    folder = (shared / "bench").resolve()
    return folder if (folder / "compare.py").is_file() else None


def missing(work: Path, peers: Sequence[str]) -> list[str]:
    """The peers that `setup` has still to install; `upstream` when not even the mock upstream is there."""
    marks = {"nginx": work / "upstream", "portkey": work / "portkey/node_modules"}
    absent = [peer for peer in peers if not marks.get(peer, work / peer / "venv/bin/python").exists()]
    return absent if (work / "upstream").exists() else ["upstream", *absent]


@dataclass
class Kit:
    """`ours` is started by the kit. Every call is bounded in time, and leaves no process behind."""

    folder: Path
    work: Path
    ours: bench_ours.Ours
    log: Path

    def compare(self, command: str, peers: Sequence[str], limit_s: int, *options: str) -> list[dict[str, Any]]:
        """The rows of one command. Empty when it failed, which is said."""
        result = self.work / f"{command}.json"
        result.unlink(missing_ok=True)
        argv = [command, "--work", str(self.work), "--limit", str(limit_s), "--peers", ",".join(peers), "-o", str(result)]
        argv += ["--ours-cmd", self.ours.command, "--ours-key", bench_ours.KEY, "--upstream-port", "0", *options]
        code = self._call(argv, limit_s + STOP_S)
        if pid := self.ours.pid():
            bench_procs.stop_stray(pid, str(self.ours.folder))
        self.ours.clear()
        rows: list[dict[str, Any]] = json.loads(result.read_text())["rows"] if result.exists() else []
        if code or not rows:
            tail = self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
            print(f"the kit's '{command}' ended with {code}; the end of {self.log}:\n{tail}", file=sys.stderr)
        return rows

    def setup(self, peers: Sequence[str], limit_s: int = 1800) -> bool:
        """Install what is missing. Needs a network; without success the peers that are there are still there."""
        return self._call(["setup", "--work", str(self.work), "--peers", ",".join(peers)], limit_s) == 0

    def _call(self, argv: Sequence[str], limit_s: float) -> int:
        with self.log.open("ab") as log:
            log.write(f"\n$ compare.py {shlex.join(argv)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                [sys.executable, str(self.folder / "compare.py"), *argv], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=bench_ours.clean_environment(os.environ) | {"PYTHONDONTWRITEBYTECODE": "1"},
            )  # fmt: skip
            try:
                return process.wait(limit_s)
            except subprocess.TimeoutExpired:
                return -int(signal.SIGALRM)
            finally:
                bench_procs.stop(process)  # it ends its own children
