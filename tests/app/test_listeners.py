"""Binding, waiting for a port, and sockets that systemd passes."""

import os
import socket
import subprocess
import sys
import threading

import pytest

from setpoint.app.listeners import ListenError, activated, listen
from setpoint.runtime.log import Log


def test_port_0_takes_a_free_one_and_says_which() -> None:
    bound = listen("127.0.0.1", 0, "main", Log("t", write=lambda line: None))
    assert bound.port == bound.sock.getsockname()[1] > 0
    bound.sock.close()


def test_a_taken_port_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    owner = socket.create_server(("127.0.0.1", 0))
    port = owner.getsockname()[1]
    lines: list[str] = []

    def told(line: str) -> None:
        lines.append(line)
        threading.Thread(target=owner.close).start()

    bound = listen("127.0.0.1", port, "main", Log("t", write=told))
    assert bound.port == port
    assert len(lines) == 1
    bound.sock.close()


def test_a_port_that_stays_taken_is_explained() -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner, pytest.raises(ListenError, match=r"in use.*server\.metrics_port"):
        listen("127.0.0.1", owner.getsockname()[1], "metrics", Log("t", write=lambda line: None), wait_s=0)


def test_a_host_that_is_not_here_is_explained() -> None:
    with pytest.raises(ListenError, match=r"cannot listen on 192\.0\.2\.1"):
        listen("192.0.2.1", 0, "main", Log("t", write=lambda line: None), wait_s=0)


def test_sockets_of_systemd_are_taken_by_their_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as passed:
        program = (
            "import os; os.dup2(int(os.environ['FD']), 3); "
            "from setpoint.app.listeners import activated; found = activated(); "
            "print(*found, *[s.get_inheritable() for s in found.values()], 'LISTEN_FDS' in os.environ)"
        )
        environment = {**os.environ, "FD": str(passed.fileno()), "LISTEN_FDS": "1"}
        ran = subprocess.run([sys.executable, "-c", program], pass_fds=(passed.fileno(),), env=environment, capture_output=True, text=True)
        assert ran.stdout.split() == [str(passed.getsockname()[1]), "False", "False"], ran.stderr


@pytest.mark.parametrize(("count", "pid"), [("0", ""), ("x", ""), ("1", "1")])
def test_sockets_meant_for_another_process_are_left_alone(monkeypatch: pytest.MonkeyPatch, count: str, pid: str) -> None:
    monkeypatch.setenv("LISTEN_FDS", count)
    monkeypatch.setenv("LISTEN_PID", pid)
    assert activated() == {}
