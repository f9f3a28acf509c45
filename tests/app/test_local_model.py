"""The local model as a child of the supervisor. The parts that need its packages are skipped where they are not installed."""

import http.client
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from setpoint.app import local_model
from setpoint.app.data_directory import socket_path
from setpoint.app.launching import fresh
from setpoint.app.service_context import ServiceContext
from setpoint.app.tree import LOCAL_MODEL, ConfigSource, TreeOptions
from setpoint.runtime.log import Log

DEADLINE_S = 60.0
QUESTION: dict[str, Any] = {
    "model": "smollm2", "max_tokens": 20, "temperature": 0,
    "messages": [{"role": "user", "content": "Tell me in one sentence what a thermostat does."}],
}  # fmt: skip
needs_packages = pytest.mark.skipif(not local_model.is_installed(), reason="run `setpoint local install` first")


@pytest.mark.parametrize(("lines", "answers"), [(b"ping\nstop 3\nping\n", b"pong\n"), (b"reload\nping\n", b"pong\n"), (b"", b"")])
def test_it_obeys_until_stop_or_end_of_file(tmp_path: Path, lines: bytes, answers: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(lines)
        ours.shutdown(socket.SHUT_WR)
        local_model.obey(ServiceContext(LOCAL_MODEL, tmp_path, theirs, 0, ConfigSource(), Log("local")))
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(100) == answers


class OverUnix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("local", timeout=DEADLINE_S)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The path of the socket of a local model under way; when the test's end of the control socket closes it must go by itself."""
    data_dir = tmp_path_factory.mktemp("data")
    (data_dir / "run").mkdir()
    ours, theirs = socket.socketpair()
    ours.settimeout(DEADLINE_S)
    with theirs:
        born = fresh(LOCAL_MODEL, TreeOptions(data_dir), 0, -1)(theirs)
    assert born.pid is not None
    try:
        ours.sendall(f"{born.first_line}\n".encode())
        assert ours.recv(100) == b"ready\n"
        yield socket_path(data_dir, local_model.SOCKET)
        ours.close()
        assert ended(born.pid), "it outlived its supervisor"
    finally:
        ours.close()
        if not ended(born.pid, 0):
            os.kill(born.pid, signal.SIGKILL)
            os.waitpid(born.pid, 0)


def ended(pid: int, within_s: float = DEADLINE_S) -> bool:
    deadline = time.monotonic() + within_s
    while True:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return True
        except ChildProcessError:
            return True
        if time.monotonic() >= deadline:
            return False
        os.sched_yield()


def ask(path: str, url: str, body: dict[str, Any]) -> bytes:
    connection = OverUnix(path)
    connection.request("POST", url, json.dumps(body), {"content-type": "application/json", "anthropic-version": "2023-06-01"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    assert response.status == 200, answer
    return answer


@needs_packages
def test_it_answers_a_chat_with_usage(serving: str) -> None:
    answer = json.loads(ask(serving, "/v1/chat/completions", QUESTION))
    assert "temperature" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 20


@needs_packages
def test_it_streams_a_chat_that_ends_with_usage_and_done(serving: str) -> None:
    stream = ask(serving, "/v1/chat/completions", QUESTION | {"stream": True, "stream_options": {"include_usage": True}})
    events = [line.removeprefix(b"data: ") for line in stream.splitlines() if line]
    assert events[-1] == b"[DONE]"
    assert json.loads(events[-2])["usage"]["completion_tokens"] == 20
    text = "".join(c["delta"].get("content") or "" for e in events[:-1] for c in json.loads(e)["choices"])
    assert "temperature" in text


@needs_packages
def test_it_speaks_anthropics_messages_unary_and_streamed(serving: str) -> None:
    assert json.loads(ask(serving, "/v1/messages", QUESTION))["stop_reason"] == "max_tokens"
    assert b"event: message_stop" in ask(serving, "/v1/messages", QUESTION | {"stream": True})


@needs_packages
def test_the_same_server_embeds(serving: str) -> None:
    answer = json.loads(ask(serving, "/v1/embeddings", {"model": "smollm2", "input": ["hot", "cold"]}))
    assert [len(entry["embedding"]) for entry in answer["data"]] == [576, 576]
