"""The simulated models behind a gateway, over their Unix socket, as a first-time user meets them."""

import socket
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import jsonschema
import msgspec
import openai
import pytest

from setpoint.adapters.sim import server
from setpoint.adapters.sim.models import find_model, prices
from setpoint.domain.plan import PriceBook, Upstream
from setpoint.testing.gateway import RunningGateway, running_gateway
from setpoint.testing.plans import NEVER_OPEN, plan, route

HI: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    path = str(Path(tmp_path_factory.mktemp("sim")) / "sim.sock")
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=server.run, args=(path, theirs), daemon=True)
    thread.start()
    assert ours.recv(16) == b"ready\n"
    endpoint: Any = {"host": "localhost", "port": 0, "tls": False, "base_path": "/v1", "auth": "none", "unix_path": path}
    sim = Upstream("sim", "sim", "openai_chat", breaker=NEVER_OPEN, **endpoint)
    with running_gateway(plan((sim,), (route("sim/*", "sim"),), prices=PriceBook("sim", {"sim": prices()}))) as running:
        yield running
    ours.close()
    thread.join(5)
    theirs.close()


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=gateway.key, base_url=gateway.url + "/v1", max_retries=0) as made:
        yield made


def test_a_chat_costs_what_the_table_says(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="sim/echo", messages=HI)
    answer = raw.parse()
    assert answer.choices[0].message.content == "hello there"
    model = find_model("sim/echo")
    assert model is not None
    assert answer.usage is not None
    cost_picousd = answer.usage.prompt_tokens * model.price.input + answer.usage.completion_tokens * model.price.output
    assert Decimal(raw.headers["x-setpoint-cost-usd"]) == (Decimal(cost_picousd) / 1000).quantize(Decimal(1)) / 10**9
    assert raw.headers["x-simulated"] == "true"


def test_a_stream_says_the_same(client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(model="sim/fast", messages=HI, stream=True, max_tokens=8)
    unary = client.chat.completions.create(model="sim/fast", messages=HI, max_tokens=8)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).startswith("Simulated answer")
    assert (unary.choices[0].message.content or "").startswith("Simulated answer")


def test_an_anthropic_client_gets_tools_and_text(gateway: RunningGateway) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool: Any = {"name": "get_weather", "input_schema": schema}
    asked: Any = [{"role": "user", "content": "call get_weather with city=Oslo"}]
    with anthropic.Anthropic(api_key=gateway.key, base_url=gateway.url, max_retries=0) as client:
        block = client.messages.create(model="sim/fast", messages=asked, max_tokens=99, tools=[tool]).content[0]
        assert block.type == "tool_use"
        assert block.input == {"city": "Oslo"}
        with client.messages.stream(model="sim/echo", messages=HI, max_tokens=99) as stream:
            assert "".join(stream.text_stream) == "hello there"


def test_structured_output_conforms(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = client.chat.completions.create(model="sim/fast", messages=HI, response_format=form)
    jsonschema.validate(msgspec.json.decode(answer.choices[0].message.content or ""), schema)


def test_embeddings_come_in_the_encoding_the_sdk_asks_for(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(model="sim/embed", input=["a", "b"]).data[1].embedding) == 256


def test_a_flaky_model_fails_as_stated_and_the_sdk_sees_which_way(client: openai.OpenAI) -> None:
    statuses = [_status(client, f"number {i}") for i in range(40)]
    assert set(statuses) <= {200, 429, 502, 503}
    assert 1 <= sum(status != 200 for status in statuses) <= 20


def _status(client: openai.OpenAI, prompt: str) -> int:
    try:
        client.chat.completions.create(model="sim/flaky", messages=[{"role": "user", "content": prompt}], max_tokens=1)
    except openai.APIStatusError as error:
        return error.status_code
    return 200
