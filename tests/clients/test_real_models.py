"""Every real client at a whole gateway with nothing configured: its simulated models and, if installed, the local one."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.app.process_tree import until
from tests.clients.clients import CLIENTS, Client, ClientProcess
from tests.clients.conftest import needs_installed
from tools.clients.run_langchain_tests import run_suite

from setpoint.app import local_model
from setpoint.app.ctl_client import SupervisorGoneError, ask

KEY = "sk-sp-clients00000-" + "c" * 43
LOCAL = "local/smollm2"
MODELS = ["sim/echo", "sim/fast", "sim/embed", LOCAL]
PLAIN = [client for client in CLIENTS if not client.tls]
"""The others want a certificate, which a gateway without configuration has not."""

ONE_A_SURFACE = ("openai", "openai-responses", "anthropic", "google-genai", "cohere", "ollama")
"""A small model on a busy machine says some words a second, so not every client is made to wait for it."""

LOCAL_PASSED_MIN = 17
"""Of LangChain's suite: the model is too small for tools and forms. A ratchet: it may only go up."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway of one worker; gone afterwards."""
    folder = tmp_path_factory.mktemp("whole")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = [f"server.port={port}", "server.metrics_port=null", "server.workers=1", f"storage.data_dir={folder / 'data'}"]
    argv = [sys.executable, "-m", "setpoint", "serve", *(word for one in given for word in ("--set", one))]
    environ = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_API_BASE"))} | {"SETPOINT_KEYS__ADMIN": KEY}
    with (folder / "log").open("wb") as log, subprocess.Popen(argv, cwd=folder, env=environ, stdout=log, stderr=log) as serving:
        try:
            until(lambda: is_whole(folder / "data") or serving.poll() is not None, "a whole tree")
            assert serving.poll() is None, (folder / "log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            serving.terminate()
            serving.wait(30)


def is_whole(data_dir: Path) -> bool:
    try:
        return all(service["state"] == "Running" for service in ask(data_dir, "status", 5)["services"])
    except SupervisorGoneError:
        return False


@pytest.fixture(scope="module", params=PLAIN, ids=lambda client: client.name)
def at(request: pytest.FixtureRequest, url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientProcess]:
    asked: Client = request.param
    needs_installed(asked)
    process = ClientProcess(asked, url, KEY, MODELS, tmp_path_factory.mktemp(asked.name))
    yield process
    process.end()


def test_simulated_models_chat_and_stream(at: ClientProcess) -> None:
    assert at.do("chat", model="sim/echo", prompt="Zoë 🙂", limit=99)["text"] == "Zoë 🙂"
    gave = at.do("stream", model="sim/fast", prompt="hello", limit=99)
    assert "".join(gave["pieces"]).startswith("Simulated answer")
    assert len(gave["pieces"]) > 5
    assert gave["output"] > 5


def test_a_simulated_model_calls_a_tool_and_hears_what_it_said(at: ClientProcess) -> None:
    gave = at.do("loop", model="sim/fast", prompt="call get_weather with city=Oslo")
    assert gave["ran"] == ["Oslo"]
    assert "12 degrees" in gave["text"]


def test_a_simulated_model_answers_in_a_form(at: ClientProcess) -> None:
    gave = at.do("structure", model="sim/fast", prompt="a city")
    assert (type(gave["name"]), type(gave["population"])) == (str, int)


def test_a_simulated_model_embeds(at: ClientProcess) -> None:
    if "embed" in at.client.cannot:
        assert "embed" not in at.deeds
    else:
        assert [len(vector) for vector in at.do("embed", model="sim/embed", texts=["a", "b"])] == [256, 256]


@pytest.mark.skipif(not local_model.is_installed(), reason="run `setpoint local install` first")
@pytest.mark.parametrize("at", [c for c in PLAIN if c.name in ONE_A_SURFACE], ids=lambda client: client.name, indirect=True, scope="module")
def test_the_local_model_chats_and_streams(at: ClientProcess) -> None:
    unary = at.do("chat", model=LOCAL, prompt="Say hello.", limit=8)
    streamed = at.do("stream", model=LOCAL, prompt="Say hello.", limit=8)
    assert unary["text"].strip()
    assert "".join(streamed["pieces"]).strip()
    assert min(unary["input"], unary["output"], streamed["input"], streamed["output"]) > 0


@pytest.mark.skipif(not local_model.is_installed(), reason="run `setpoint local install` first")
def test_langchains_suite_passes_on_the_local_model(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    needs_installed(next(client for client in CLIENTS if client.name == "langchain"))
    result = run_suite(url, KEY, (LOCAL, None), responses=False, able=(), max_tokens=8)
    with capsys.disabled():
        print(f"\nlangchain-tests {LOCAL}: {result}")
    assert not result.failed, result.output[-8000:]
    assert result.passed >= LOCAL_PASSED_MIN
