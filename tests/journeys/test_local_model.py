"""The official clients against a real model: a whole process tree, the local model behind it, both dialects in front."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest
from tests.app.process_tree import until

from setpoint.app import local_model
from setpoint.app.ctl_client import SupervisorGoneError, ask

pytestmark = pytest.mark.skipif(not local_model.is_installed(), reason="run `setpoint local install` first")

KEY = "sk-sp-journey00000-" + "j" * 43
MODEL = "local/smollm2"


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A gateway of one worker with nothing configured; gone afterwards."""
    folder = tmp_path_factory.mktemp("local")
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


def test_the_openai_client_chats_streams_and_embeds(base_url: str) -> None:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key=KEY) as client:
        answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Say hello."}], max_tokens=12)
        assert answer.choices[0].message.content
        assert answer.usage is not None
        assert answer.usage.completion_tokens > 0
        chunks = list(
            client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "Count to three."}], max_tokens=12, stream=True
            )
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert all(chunk.choices for chunk in chunks), "usage was not asked for, so its chunk must not be seen"
        vectors = client.embeddings.create(model=MODEL, input=["one", "two"]).data
        assert len(vectors) == 2
        assert vectors[0].embedding != vectors[1].embedding
        assert MODEL in [model.id for model in client.models.list()]


def test_the_anthropic_client_gets_and_streams_messages(base_url: str) -> None:
    with anthropic.Anthropic(base_url=base_url, api_key=KEY) as client:
        message = client.messages.create(model=MODEL, max_tokens=12, messages=[{"role": "user", "content": "Say hello."}])
        assert message.usage.output_tokens > 0
        assert message.stop_reason in ("end_turn", "max_tokens")
        with client.messages.stream(model=MODEL, max_tokens=12, messages=[{"role": "user", "content": "Say hello."}]) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert text
        assert final.usage.output_tokens > 0
