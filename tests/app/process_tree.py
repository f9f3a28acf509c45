"""A real process tree for tests: starts it, finds its processes, sends it requests, and sees that it is gone at the end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from setpoint.app.ctl_client import SupervisorGoneError, ask

HERE = Path(__file__).parent
PROGRAM = HERE / "tree_program.py"
SRC = HERE.parents[1] / "src"
PATIENCE_S = 15.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of `condition`, or a failure that says what never came."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        if found := condition():
            return found
        time.sleep(0.005)
    raise AssertionError(f"never came: {what}")


class ProcessTree:
    """A running supervisor and what can be asked about it."""

    def __init__(self, data_dir: Path, **options: Any) -> None:
        self.data_dir = data_dir
        (data_dir / "snapshots").mkdir(parents=True, exist_ok=True)
        if options.pop("published", True):
            (data_dir / "snapshots" / "CURRENT").touch()
        self.port = options.setdefault("port", free_port())
        self.log = data_dir.parent / f"{data_dir.name}.log"
        given = json.dumps({"data_dir": str(data_dir), **options})
        environment = {**os.environ, "PYTHONPATH": f"{SRC}{os.pathsep}{HERE}"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), given], stdout=subprocess.DEVNULL, stderr=log, env=environment, start_new_session=True
            )

    def status(self) -> dict[str, Any] | None:
        try:
            return ask(self.data_dir, "status", 5)
        except SupervisorGoneError:
            return None

    def service(self, name: str) -> dict[str, Any]:
        status = self.status()
        return next((s for s in status["services"] if s["name"] == name), {}) if status else {}

    def pid(self, name: str) -> int | None:
        """Only of a service that is running."""
        service = self.service(name)
        return service["pid"] if service.get("state") == "Running" else None

    def pid_of(self, name: str) -> int:
        """Waits until it runs."""
        return int(until(lambda: self.pid(name), f"{name} running"))

    def all_running(self) -> bool:
        status = self.status()
        return status is not None and all(s["state"] == "Running" for s in status["services"])

    def wait_running(self) -> None:
        until(lambda: self.all_running() or self.process.poll() is not None, "every service running")
        assert self.process.poll() is None, self.log.read_text()

    def kill(self, name: str) -> int:
        """kill -9 of a service; returns the pid it had."""
        pid = self.pid_of(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def pids(self) -> set[int]:
        status = self.status()
        return {s["pid"] for s in status["services"] if s["pid"]} if status else set()

    def get(self) -> int:
        """One request on a new connection; the answer of the stub is its pid."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
            answer = b"".join(iter(lambda: sock.recv(65_536), b""))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), answer
        return int(body)

    def end(self) -> None:
        pids = self.pids() if self.process.poll() is None else set()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        until(lambda: not any(is_alive(pid) for pid in pids), "the end of every process")


@contextmanager
def process_tree(data_dir: Path, **options: Any) -> Iterator[ProcessTree]:
    """A tree whose services all run; killed at the end."""
    tree = ProcessTree(data_dir, **options)
    try:
        tree.wait_running()
        yield tree
    finally:
        tree.end()


def is_alive(pid: int) -> bool:
    """Zombies do not count: in a container nobody may reap them."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
