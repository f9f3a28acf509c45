"""Clients at the other doors they know, Azure's, Vertex's, older ones, to a provider of every dialect; models listed, tokens counted."""

from collections.abc import Iterator

import pytest
from tests.clients.clients import Client, ClientProcess
from tests.clients.conftest import MODELS, Scene, model_for, needs_installed

from setpoint.domain.plan import DialectName
from setpoint.testing.asked import Asked
from setpoint.testing.replies import Reply, call, calls, text

DOORS = (
    "azure_chat", "azure_stream", "azure_responses", "completions", "completions_stream", "anthropic_beta", "vertex_express",
    "vertex_express_stream", "vertex_project", "google_chat",
)  # fmt: skip
COUNTED_BY: dict[str, tuple[DialectName, ...]] = {
    "count_anthropic": ("anthropic", "gemini"),
    "count_google": ("anthropic", "gemini"),
    "count_vertex": ("anthropic", "gemini"),
}
"""Whose provider can be asked how many tokens a prompt has; for others the gateway estimates."""


@pytest.fixture(scope="module")
def doors(running_scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientProcess]:
    client = Client("other-doors", "other_doors", "openai_chat")
    needs_installed(client)
    gateway = running_scene.gateway
    process = ClientProcess(client, gateway.url, gateway.key, [], tmp_path_factory.mktemp("doors"))
    yield process
    process.end()


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("door", DOORS)
def test_a_provider_is_reached_by_every_door(doors: ClientProcess, scene: Scene, door: str, dialect: DialectName) -> None:
    up = scene.upstreams[dialect]
    up.says(text("good ", "day, ", "Zoë 🙂"))
    assert doors.do(door, model=model_for(dialect), prompt="Grüß Gott") == "good day, Zoë 🙂"
    assert up.seen[-1].asked.prompt == "Grüß Gott"


@pytest.mark.parametrize("dialect", MODELS)
def test_googles_package_calls_functions_by_itself(doors: ClientProcess, scene: Scene, dialect: DialectName) -> None:
    def answers(asked: Asked) -> Reply:
        return text(f"It has {asked.results[0].text}") if asked.results else Reply((), (call("get_weather", "call_7", city="Oslo"),))

    scene.upstreams[dialect].says(answers)
    assert "12 degrees" in doors.do("google_calling", model=model_for(dialect), prompt="weather?")


@pytest.mark.parametrize("dialect", MODELS)
@pytest.mark.parametrize("door", COUNTED_BY)
def test_tokens_are_counted(doors: ClientProcess, scene: Scene, door: str, dialect: DialectName) -> None:
    up = scene.upstreams[dialect]
    up.says(text("", input_tokens=1234))
    counted = doors.do(door, model=model_for(dialect), prompt="Grüß Gott")
    if dialect in COUNTED_BY[door]:
        assert counted == 1234
    else:
        assert 1 <= counted <= 20
        assert not up.seen, "an estimate asks nobody"


def test_every_package_lists_the_models(doors: ClientProcess) -> None:
    names = [model_for(dialect) for dialect in MODELS]
    for listed in doors.do("models"):
        assert set(names) <= set(listed)
    assert doors.do("one_model", model="to-anthropic") == ["to-anthropic"] * 3


def test_a_call_of_a_tool_goes_through_a_door_of_azure(doors: ClientProcess, scene: Scene) -> None:
    scene.upstreams["anthropic"].says(calls("get_weather", city="Oslo"), text("done"))
    assert doors.do("azure_chat", model="to-anthropic", prompt="hi") is None
