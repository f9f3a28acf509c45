"""A gateway with a fake provider of each dialect behind it, and the real clients in front of it, one process at a time."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.clients.clients import CLIENTS, INSTALL, Client, ClientProcess

from setpoint.domain.plan import DialectName
from setpoint.gateway.dialects import DIALECTS
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
"""A model at the provider of each dialect; a client asks for `to-DIALECT`."""
BASE_PATHS: dict[DialectName, str] = {"gemini": "/v1beta", "bedrock_converse": "", "cohere": "", "ollama": ""}
KEY = TestKey(1)


class Scene:
    """The gateway and the fake providers, by dialect."""

    def __init__(self, gateway: RunningGateway, upstreams: dict[DialectName, FakeUpstream]) -> None:
        self.gateway = gateway
        self.upstreams = upstreams

    def reset(self) -> None:
        for up in self.upstreams.values():
            up.forget()


@pytest.fixture(scope="session")
def running_scene() -> Iterator[Scene]:
    with ExitStack() as stack:
        upstreams = {dialect: stack.enter_context(FakeUpstream()) for dialect in MODELS if dialect in DIALECTS}
        listed = tuple(fake(up, name, name, base_path=BASE_PATHS.get(name, "/v1")) for name, up in upstreams.items())
        routes = tuple(route(f"to-{name}", name, target_model=MODELS[name]) for name in upstreams)
        yield Scene(stack.enter_context(running_gateway(plan(listed, routes), KEY)), upstreams)


@pytest.fixture
def scene(running_scene: Scene) -> Scene:
    running_scene.reset()
    return running_scene


@pytest.fixture(scope="module", params=CLIENTS, ids=lambda client: client.name)
def client(request: pytest.FixtureRequest, running_scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientProcess]:
    asked: Client = request.param
    needs_installed(asked)
    if asked.dialect not in DIALECTS:
        pytest.skip(f"the gateway does not speak {asked.dialect}")
    models = [f"to-{dialect}" for dialect in running_scene.upstreams]
    gateway = running_scene.gateway
    process = ClientProcess(asked, gateway.url, gateway.key, models, tmp_path_factory.mktemp(asked.name))
    yield process
    process.end()


def needs_installed(client: Client) -> None:
    """A test without its client skips, and says what to do."""
    if not client.is_installed:
        pytest.skip(f"the {'Node' if client.is_node else 'Python'} clients are not installed: {INSTALL}")
