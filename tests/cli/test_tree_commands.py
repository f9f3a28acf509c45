"""`reload` and `stop` wait for what they asked for, and say by their exit code what came of it; on a real tree with the real engine."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.process_tree import ProcessTree, is_alive, process_tree, until
from tests.cli.test_main import run

from setpoint.app.ctl_client import ask
from setpoint.app.data_directory import is_locked


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[ProcessTree]:
    with process_tree(tmp_path / "data", engine=True, workers=1) as tree:
        yield tree


def cli(tree: ProcessTree, command: str) -> subprocess.CompletedProcess[str]:
    return run(tree.data_dir.parent, command, "--set", f"storage.data_dir={tree.data_dir}")


def test_a_reload_says_which_version_counts(tree: ProcessTree) -> None:
    ran = cli(tree, "reload")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "version 1" in ran.stderr


def test_a_reload_while_the_engine_is_away_fails(tmp_path: Path) -> None:
    with process_tree(tmp_path / "data", workers=1) as tree:
        ran = cli(tree, "reload")
    assert ran.returncode == 1
    assert "engine is not running" in ran.stderr


def test_a_configuration_that_is_refused_ends_with_4_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "setpoint.yaml"
    path.write_text("service: {environment: development}\n")
    with process_tree(tmp_path / "data", engine=True, workers=1, config=str(path)) as tree:
        path.write_text("routes: {fast: nowhere/x}\n")
        ran = cli_with(tree, path, "reload", tmp_path)
        assert ran.returncode == 4
        assert "nowhere" in ran.stderr
        path.write_text("service: {environment: development}\nlimits: {in_flight_max: 77}\nserver: {workers: 3}\n")
        ran = cli_with(tree, path, "reload", tmp_path)
        assert (ran.returncode, "version 2" in ran.stderr, "server" in ran.stderr) == (0, True, True)


def cli_with(tree: ProcessTree, path: Path, command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """The file as it is now may be wrong, so the command is told of the directory alone."""
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir(exist_ok=True)
    return run(elsewhere, command, "--set", f"storage.data_dir={tree.data_dir}")


def test_a_stop_returns_when_the_tree_is_gone(tree: ProcessTree) -> None:
    pids = tree.pids()
    with socket.create_connection(("127.0.0.1", tree.port), timeout=10) as half_asked:
        half_asked.sendall(b"GET / HTTP/1.1\r\n")
        ended: list[subprocess.CompletedProcess[str]] = []
        stopping = threading.Thread(target=lambda: ended.append(cli(tree, "stop")))
        stopping.start()
        until(lambda: "stopping" in tree.log.read_text(), "the stop")
        assert not ended, "an exchange is still open"
        half_asked.sendall(b"host: test\r\n\r\n")
        assert half_asked.recv(100).startswith(b"HTTP/1.1 200")
    stopping.join(20)
    assert [ran.returncode for ran in ended] == [0]
    assert not is_locked(tree.data_dir)
    until(lambda: not any(is_alive(pid) for pid in pids), "the end of every process")


def test_a_reload_by_signal_needs_nobody_who_waits(tree: ProcessTree) -> None:
    os.kill(tree.process.pid, signal.SIGHUP)
    until(lambda: "configuration read again" in tree.log.read_text(), "the reload")
    assert ask(tree.data_dir, "reload", 10)["version"] == 1
