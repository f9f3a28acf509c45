"""Setpoint as a process of ours, started from a prepared folder on one core, and the mock upstream that it asks."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.bench_load import Ask

from tools import bench_ours, bench_procs

READY_S = 60.0
ANSWER_S = 10.0
PAUSE_S = 0.005
UPSTREAM_START_S = 10.0
LOG_TAIL_CHARS = 1500


class Running:
    """Setpoint as a process of ours, from spawn to stop."""

    def __init__(self, ours: bench_ours.Ours, upstream: str | None, core: int) -> None:
        self.port = bench_ours.free_port()
        environment = bench_ours.clean_environment(os.environ)
        if upstream:
            environment |= {"OPENAI_API_BASE": f"{upstream}/v1", "OPENAI_API_KEY": "sk-upstream"}
            environment |= {"ANTHROPIC_BASE_URL": upstream, "ANTHROPIC_API_BASE": upstream, "ANTHROPIC_API_KEY": "sk-upstream"}
        self.log = ours.folder / "inside.log"
        self.began_s = time.monotonic()
        with self.log.open("wb") as log:
            argv = ["taskset", "-c", str(core), str(ours.script), str(self.port)]
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def get(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        try:
            connection.request("GET", path, headers={"authorization": f"Bearer {bench_ours.KEY}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def post(self, ask: Ask) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_S)
        headers = {"authorization": f"Bearer {bench_ours.KEY}", "content-type": "application/json", "anthropic-version": "2023-06-01"}
        try:
            connection.request("POST", ask.path, ask.body("first"), headers | dict(ask.headers))
            answer = connection.getresponse()
            whole = answer.read()
            return answer.status if ask.expect in whole else 0
        finally:
            connection.close()

    def first_answer_s(self, ask: Ask) -> float:
        """Spawn to the first inference request that was answered well."""
        self._until(lambda: self.post(ask) == 200)
        return time.monotonic() - self.began_s

    def whole_tree_s(self) -> float:
        """Spawn to every service running and the management interface answering."""
        self._until(self._all_running)
        return time.monotonic() - self.began_s

    def counters(self) -> dict[str, float]:
        """The metrics without labels, by name."""
        lines = (line for line in self.get("/metrics")[1].decode().splitlines() if line and not line.startswith("#") and "{" not in line)
        return {name: float(value) for name, value in (line.split(" ")[:2] for line in lines)}

    def _all_running(self) -> bool:
        status, body = self.get("/api/v1/services")
        return status == 200 and all(service["state"] == "Running" for service in json.loads(body)["data"]) and self._readable()

    def _readable(self) -> bool:
        return self.get("/api/v1/traces?limit=1")[0] == 200

    def _until(self, condition: Callable[[], bool]) -> None:
        until_s = time.monotonic() + READY_S
        while time.monotonic() < until_s:
            if self.process.poll() is not None:
                break
            try:
                if condition():
                    return
            except (OSError, http.client.HTTPException):
                pass  # not listening yet
            time.sleep(PAUSE_S)
        tail = self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:]
        sys.exit(f"Setpoint did not become ready; the end of its log:\n{tail}")


@contextmanager
def upstream_of(work: Path | None, core: int) -> Iterator[str | None]:
    """The kit's mock upstream on a free port, one event each millisecond. Gives its URL, None without a kit."""
    if work is None:
        yield None
        return
    argv = ["taskset", "-c", str(core), str(work / "upstream"), "0", "1000"]
    log = work / "inside-upstream.log"
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + UPSTREAM_START_S
        while not (port := log.read_text().strip()).isdigit():
            if time.monotonic() > until_s or process.poll() is not None:
                sys.exit(f"the mock upstream did not start: {port}")
            time.sleep(PAUSE_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        bench_procs.stop(process)


@contextmanager
def running(ours: bench_ours.Ours, upstream: str | None, core: int) -> Iterator[Running]:
    """Setpoint, stopped at the end whatever happens."""
    setpoint = Running(ours, upstream, core)
    try:
        yield setpoint
    finally:
        bench_procs.stop(setpoint.process)
        ours.clear()


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """This process and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
