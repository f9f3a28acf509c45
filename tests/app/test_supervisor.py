"""The process tree with real processes: what dies comes back, and nobody outside notices."""

import asyncio
import base64
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.app.process_tree import ProcessTree, is_alive, process_tree, until

from setpoint.app.ctl_client import ask, ask_async


class Load:
    """Requests one after the other until told to stop. `failures` are those that were refused or cut."""

    def __init__(self, tree: ProcessTree) -> None:
        self.tree = tree
        self.answered = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.tree.get()
                self.answered += 1
            except (OSError, AssertionError) as error:
                self.failures.append(repr(error))

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            until(lambda: self.answered or self.failures, "the first answer")
            yield
        finally:
            self._stop.set()
            self._thread.join()


def test_every_service_runs_at_its_place_in_the_machine(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", engine=True) as tree:
        nice = {name: os.getpriority(os.PRIO_PROCESS, tree.pid_of(name)) for name in ("worker-0", "worker-1", "engine", "ingest")}
        assert nice == {"worker-0": 0, "worker-1": 0, "engine": 10, "ingest": 19}
        scores = {name: int(Path(f"/proc/{tree.pid(name)}/oom_score_adj").read_text()) for name in ("worker-0", "engine", "ingest")}
        assert scores["worker-0"] < scores["engine"] < scores["ingest"]
        assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "data" / "run" / "engine.sock").stat().st_mode & 0o077 == 0


def test_the_engine_hurries_on_a_first_start_and_makes_room_once_it_is_ready(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", engine=True, published=False, workers=1) as tree:
        until(lambda: os.getpriority(os.PRIO_PROCESS, tree.pid_of("engine")) == 10, "the engine at its place")
        assert tree.get()


def test_workers_belong_to_the_supervisor_not_to_the_zygote(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data") as tree:
        parent = Path(f"/proc/{tree.pid('worker-0')}/stat").read_text().rpartition(")")[2].split()[1]
        assert int(parent) == tree.process.pid


@pytest.mark.parametrize("name", ["zygote", "engine", "ingest"])
def test_a_killed_service_comes_back_and_no_request_fails_meanwhile(tmp_path: Path, name: str) -> None:
    with process_tree(tmp_path / "data", engine=name == "engine") as tree:
        load = Load(tree)
        with load.running():
            old = tree.kill(name)
            until(lambda: tree.pid(name) not in (None, old), f"{name} back")
        assert load.failures == []
        assert tree.service(name)["restarts"] == 1


def test_a_killed_worker_comes_back_in_its_slot_and_connections_wait_in_the_queue(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", workers=1) as tree:
        old = tree.kill("worker-0")
        assert tree.get() != old  # no refused connection, although nobody may be there yet
        assert tree.service("worker-0")["restarts"] == 1
        assert not is_alive(old)


def test_a_worker_that_dies_while_the_zygote_is_dead_comes_back_after_it(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", workers=1) as tree:
        zygote, worker = tree.pid_of("zygote"), tree.pid_of("worker-0")
        os.kill(tree.process.pid, signal.SIGSTOP)
        os.kill(zygote, signal.SIGKILL)
        os.kill(worker, signal.SIGKILL)
        os.kill(tree.process.pid, signal.SIGCONT)
        assert tree.get() != worker


def test_sigterm_lets_open_exchanges_finish_and_ends_with_0(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data") as tree:
        pids = tree.pids()
        with socket.create_connection(("127.0.0.1", tree.port), timeout=10) as half_asked:
            half_asked.sendall(b"GET / HTTP/1.1\r\n")
            tree.process.send_signal(signal.SIGTERM)
            until(lambda: "stopping" in tree.log.read_text(), "the stop")
            half_asked.sendall(b"host: test\r\n\r\n")
            assert half_asked.recv(100).startswith(b"HTTP/1.1 200")
        assert tree.process.wait(10) == 0
        assert not any(is_alive(pid) for pid in pids)


def test_a_second_signal_ends_everything_at_once(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", stop_s=60, drain_s=50) as tree:
        pids = tree.pids()
        with socket.create_connection(("127.0.0.1", tree.port), timeout=10) as held:
            held.sendall(b"GET / HTTP/1.1\r\n")
            tree.process.send_signal(signal.SIGTERM)
            until(lambda: "stopping" in tree.log.read_text(), "the stop")
            tree.process.send_signal(signal.SIGTERM)
            assert tree.process.wait(10) == 1
        assert not any(is_alive(pid) for pid in pids)


def test_a_stop_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", stop_s=0.3, drain_s=0.2) as tree, socket.create_connection(("127.0.0.1", tree.port)) as held:
        held.sendall(b"GET / HTTP/1.1\r\n")
        tree.process.send_signal(signal.SIGTERM)
        assert tree.process.wait(10) == 1


def test_a_second_supervisor_is_refused_and_told_who_has_the_directory(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data") as tree:
        second = ProcessTree(tmp_path / "data")
        second.process.wait(10)
        assert second.process.returncode != 0
        assert f"process {tree.process.pid}" in second.log.read_text()
        assert tree.all_running()


def test_after_kill_9_of_the_supervisor_all_children_go_and_a_new_one_starts_at_once(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", engine=True) as tree:
        pids = tree.pids()
        assert len(pids) == 5
        tree.process.kill()
        with process_tree(tmp_path / "data", engine=True, port=tree.port) as successor:
            assert successor.get()
            until(lambda: not any(is_alive(pid) for pid in pids), "the end of the orphans")


def test_a_roll_replaces_every_worker_and_the_zygote_without_a_failed_request(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data") as tree:
        before = tree.pids()
        load = Load(tree)
        with load.running():
            assert ask(tree.data_dir, "roll") == {"rolled": 2, "error": None}
        assert load.failures == []
        until(tree.all_running, "every service running")
        kept = before & tree.pids()
        assert kept == {tree.pid("ingest")}
        assert tree.service("worker-0")["restarts"] == 0


def test_sigusr2_rolls_too(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", workers=1) as tree:
        old = tree.pid("worker-0")
        tree.process.send_signal(signal.SIGUSR2)
        until(lambda: tree.pid("worker-0") not in (None, old), "the successor")


def test_workers_wait_for_the_first_snapshot_when_there_is_none(tmp_path: Path) -> None:
    tree = ProcessTree(tmp_path / "data", published=False)
    try:
        until(lambda: tree.pid("zygote"), "the zygote")
        assert tree.service("worker-0")["state"] == "Initializing"
        (tmp_path / "data" / "snapshots" / "CURRENT").touch()
        tree.wait_running()
    finally:
        tree.end()


def test_a_publish_is_answered_with_who_serves_it(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data") as tree:
        assert ask(tree.data_dir, "publish 1-1") == {"acked": ["worker-0", "worker-1"], "refused": {}, "lagging": []}
        assert ask(tree.data_dir, "publish 1-2") == {"acked": [], "refused": {}, "lagging": ["worker-0", "worker-1"]}
        status: dict[str, Any] = asyncio.run(ask_async(tree.data_dir, "status"))
        assert status["state"] == "Running"


def test_health_checks_that_are_answered_change_nothing(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", check_interval_s=0.1) as tree:
        pids = tree.pids()
        until(lambda: tree.service("zygote").get("uptime_s", 0) > 0.8, "eight health checks")
        assert tree.pids() == pids


def test_a_worker_that_answers_no_health_check_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_WORKER", "deaf")
    with process_tree(tmp_path / "data", workers=1, check_interval_s=0.1) as tree:
        until(lambda: tree.service("worker-0").get("restarts"), "the replacement")
        assert "health check not answered" in tree.log.read_text()


def test_a_request_that_nobody_knows_is_answered_with_an_error(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", workers=1) as tree:
        assert "unknown request" in ask(tree.data_dir, "dance")["error"]


def test_keys_are_in_no_argument_and_no_variable_of_any_child(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", engine=True) as tree:
        kek = b"k" * 32
        for pid in tree.pids():
            seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            assert kek not in seen
            assert base64.b64encode(kek)[:40] not in seen


def test_log_lines_are_structured(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", workers=1) as tree:
        lines = [json.loads(line) for line in tree.log.read_text().splitlines()]
    assert lines
    assert all(set(line) == {"timestamp", "level", "target", "message", "fields"} for line in lines)
