"""The set that the journeys are played on, once with a plain listener and once with TLS."""

from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest

from setpoint.testing.stage import Stage, stage

OpenAIClient = Callable[..., openai.OpenAI]
AnthropicClient = Callable[..., anthropic.Anthropic]


@pytest.fixture(scope="session", params=["plain", "tls"])
def running_stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stage(tls=request.param == "tls") as running:
        yield running


@pytest.fixture
def on(running_stage: Stage) -> Stage:
    running_stage.reset()
    return running_stage


@pytest.fixture
def openai_client(on: Stage) -> Iterator[OpenAIClient]:
    """Makes OpenAI clients; `key` is the name of a key of the stage, or None for none."""
    made: list[openai.OpenAI] = []

    def make(key: str = "developer", **options: Any) -> openai.OpenAI:
        verify: Any = on.gateway.client_tls or True
        http = openai.DefaultHttpxClient(verify=verify)
        token = on.keys.get(key, key)
        made.append(openai.OpenAI(api_key=token, base_url=on.gateway.url + "/v1", max_retries=0, timeout=10, http_client=http, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def anthropic_client(on: Stage) -> Iterator[AnthropicClient]:
    """Makes Anthropic clients; `key` as above."""
    made: list[anthropic.Anthropic] = []

    def make(key: str = "developer", **options: Any) -> anthropic.Anthropic:
        verify: Any = on.gateway.client_tls or True
        http = anthropic.DefaultHttpxClient(verify=verify)
        token = on.keys.get(key, key)
        made.append(anthropic.Anthropic(api_key=token, base_url=on.gateway.url, max_retries=0, timeout=10, http_client=http, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()
