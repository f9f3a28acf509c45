"""Processes of a tree as the kernel accounts for them: CPU time and memory by process, and how to end them. Linux only.

CPU time is user and system time in ticks of 10 ms, with that of children that ended and were waited for. Memory is the proportional set
size (PSS), which counts a page shared by n processes 1/n times in each, so that the sizes of a tree may be added up. Reading it of a
process that hides its memory takes root; without that right it is None.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
STOP_S = 30.0
WORKER = "setpoint-w0"


@dataclass(frozen=True)
class Usage:
    """CPU seconds so far of one process."""

    name: str
    cpu_s: float


@dataclass(frozen=True)
class Memory:
    """Bytes. `pss` is None where the kernel does not tell."""

    name: str
    rss: int
    pss: int | None


def family(pid: int) -> list[int]:
    """The process and all its descendants."""
    pids = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                pids += family(int(child))
    except OSError:
        pass  # it ended meanwhile
    return pids


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def cpu_by_pid(pid: int) -> dict[int, Usage]:
    """Every process of the tree, by pid."""
    found = {}
    for member in family(pid):
        try:
            fields = Path(f"/proc/{member}/stat").read_text().rsplit(")", 1)[1].split()
            found[member] = Usage(name_of(member), sum(map(int, fields[11:15])) / TICKS_PER_S)
        except OSError:
            continue
    return found


def spent(before: dict[int, Usage], after: dict[int, Usage]) -> dict[str, float]:
    """CPU seconds by name of process between two readings."""
    by_name: dict[str, float] = {}
    for pid, usage in after.items():
        earlier = before.get(pid)
        by_name[usage.name] = by_name.get(usage.name, 0.0) + usage.cpu_s - (earlier.cpu_s if earlier else 0.0)
    return by_name


def memory_of(pid: int) -> list[Memory]:
    """Every process of the tree."""
    found = []
    for member in family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
            found.append(Memory(name_of(member), _kilobytes(status, "VmRSS:"), _pss(member)))
        except OSError:
            continue
    return found


def _pss(pid: int) -> int | None:
    try:
        return _kilobytes(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss:")
    except PermissionError:
        return None


def _kilobytes(text: str, name: str) -> int:
    line = next((line for line in text.splitlines() if line.startswith(name)), "x 0 kB")
    return int(line.split()[1]) * 1024


def settle(pid: int, limit_s: float, pause_s: float = 0.25) -> float:
    """Waits until the tree is idle (under a tick each 100 ms), or for `limit_s`. Returns the seconds until it became idle."""
    began_s = time.monotonic()
    before = cpu_by_pid(pid)
    while (waited_s := time.monotonic() - began_s) < limit_s:
        time.sleep(pause_s)
        after = cpu_by_pid(pid)
        if sum(spent(before, after).values()) <= pause_s * 0.1:
            return waited_s
        before = after
    return limit_s


class Sampler:
    """The greatest memory of a worker and of its tree, looked at in a thread while something else drives the load."""

    def __init__(self, find_pid: Callable[[], int | None], pause_s: float = 0.3) -> None:
        self._find_pid, self._pause_s = find_pid, pause_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.worker = Memory(WORKER, 0, None)
        self.tree_pss = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(self._pause_s):
            pid = self._find_pid()
            sizes = memory_of(pid) if pid else []
            self.tree_pss = max(self.tree_pss, sum(size.pss or 0 for size in sizes))
            for size in sizes:
                if size.name == WORKER and size.rss > self.worker.rss:
                    self.worker = size


def stop(process: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, and after `STOP_S` SIGKILL to what is left of the tree."""
    if process.poll() is not None:
        return
    members = family(process.pid)
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        for pid in members:
            _kill(pid)
        process.wait(STOP_S)


def stop_stray(pid: int, mark: str) -> None:
    """Ends a tree whose starter is gone, if `pid` still is the process with `mark` in its command line."""
    try:
        if mark.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return
    except OSError:
        return
    for member in family(pid):
        _kill(member)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself
