"""A gateway with a fake provider of each dialect behind it, and the real clients in front of it, a process each."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.clients.clients import CLIENTS, INSTALL, Client, ClientProcess

from setpoint.domain.plan import DialectName
from setpoint.testing.certificates import self_signed
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, TestKey, running_gateway
from setpoint.testing.plans import fake, plan, route

MODELS: dict[DialectName, str] = {
    "openai_chat": "gpt-4.1",
    "openai_responses": "gpt-4.1",
    "anthropic": "claude-sonnet-4-5",
    "gemini": "gemini-2.5-flash",
    "bedrock_converse": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "cohere": "command-a-03-2025",
    "ollama": "qwen3",
}
"""A model at the provider of each dialect."""
BASE_PATHS: dict[DialectName, str] = {"gemini": "/v1beta", "bedrock_converse": "", "cohere": "", "ollama": ""}
KEY = TestKey(1)


def model_for(dialect: DialectName) -> str:
    """The name a client asks for. Google's package treats any name with its model's in it in its own way."""
    return "to-google" if dialect == "gemini" else f"to-{dialect}"


class Scene:
    """The gateway, a second one that speaks TLS, and the fake providers of both, by dialect."""

    def __init__(self, gateway: RunningGateway, on_tls: RunningGateway, upstreams: dict[DialectName, FakeUpstream]) -> None:
        self.gateway = gateway
        self.on_tls = on_tls
        self.upstreams = upstreams

    def reset(self) -> None:
        for up in self.upstreams.values():
            up.forget()


@pytest.fixture(scope="session")
def running_scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        upstreams = {dialect: stack.enter_context(FakeUpstream()) for dialect in MODELS}
        listed = tuple(fake(up, name, name, base_path=BASE_PATHS.get(name, "/v1")) for name, up in upstreams.items())
        served = plan(listed, tuple(route(model_for(name), name, target_model=MODELS[name]) for name in upstreams))
        on_tls = stack.enter_context(running_gateway(served, KEY, certificate=self_signed()))
        yield Scene(stack.enter_context(running_gateway(served, KEY)), on_tls, upstreams)


@pytest.fixture
def scene(running_scene: Scene) -> Scene:
    running_scene.reset()
    return running_scene


@pytest.fixture(scope="session")
def processes() -> Iterator[dict[str, ClientProcess]]:
    """The clients that run, by name: they take a second to start and are asked many things."""
    running: dict[str, ClientProcess] = {}
    yield running
    for process in running.values():
        process.end()


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def client(
    request: pytest.FixtureRequest, running_scene: Scene, processes: dict[str, ClientProcess], tmp_path_factory: pytest.TempPathFactory
) -> ClientProcess:
    asked: Client = request.param
    needs_installed(asked)
    if asked.name not in processes:
        models, folder = [model_for(dialect) for dialect in running_scene.upstreams], tmp_path_factory.mktemp(asked.name)
        gateway = running_scene.on_tls if asked.tls else running_scene.gateway
        ca_file = gateway.certificate.write_ca(folder) if gateway.certificate else ""
        processes[asked.name] = ClientProcess(asked, gateway.url, gateway.key, models, folder, ca_file)
    return processes[asked.name]


def needs_installed(client: Client) -> None:
    """A test without its client skips, and says what to do."""
    if not client.is_installed:
        pytest.skip(f"the {'Node' if client.is_node else 'Python'} clients are not installed: {INSTALL}")
