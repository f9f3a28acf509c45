"""The first minute of a new user, as a journey: the demonstration from an empty folder, with real processes and sockets."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from setpoint.app import local_model

DEADLINE_S = 120.0
WITHOUT_VENDORS = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_API_BASE"))}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


# A shell's background jobs are born with SIGINT ignored, and so would be the demonstration when the tests run in one.
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from setpoint.cli.main import main
main()
"""


def command(folder: Path, port: int, *arguments: str) -> list[str]:
    demo = [sys.executable, "-c", PROGRAM, "demo", "--folder", str(folder)]
    return [*demo, "--port", str(port), "--metrics-port", str(free_port()), *arguments]


def demonstrate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = command(folder, free_port(), "--once", *arguments)
    return subprocess.run(argv, env=WITHOUT_VENDORS, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--simulated",), id="simulated"),
        pytest.param((), id="local", marks=pytest.mark.skipif(not local_model.is_installed(), reason="run `setpoint local install` first")),
    ],
)
def test_without_any_key_an_answer_its_cost_and_its_trace_are_shown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    folder = tmp_path / "data"
    done = demonstrate(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 3, "no answer was shown"
    assert re.search(r"http://127\.0\.0\.1:\d+/v1", done.stderr)
    key = (folder / "demo.key").read_text().strip()
    assert f"Bearer {key}" in done.stderr
    assert re.search(r"^It cost [\d.]+ USD and left this trace:$", done.stderr, re.MULTILINE), done.stderr
    assert re.search(r"^ +output_tokens +[1-9]", done.stderr, re.MULTILINE), done.stderr


def test_a_second_demonstration_goes_on_with_the_same_key_and_data(tmp_path: Path) -> None:
    first, second = (demonstrate(tmp_path, "--simulated") for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    keys = [re.findall(r"its key is (\S+)", run.stderr) for run in (first, second)]
    assert keys[0] == keys[1] != []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM], ids=lambda end: end.name)
def test_it_serves_until_it_is_told_to_end_and_leaves_nothing_behind(tmp_path: Path, end: signal.Signals) -> None:
    port = free_port()
    argv = command(tmp_path, port, "--simulated")
    with subprocess.Popen(argv, env=WITHOUT_VENDORS, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        heard = ""
        while not heard.startswith("Serving at"):
            heard = running.stderr.readline()
            assert heard, "it ended before it served"
        socket.create_connection(("127.0.0.1", port)).close()
        running.send_signal(end)
        rest = running.communicate(timeout=DEADLINE_S)[1]
    assert running.returncode == 0, rest
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
