"""The simulated models' server, over its Unix socket, with the real SDK."""

import math
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx2
import jsonschema
import msgspec
import openai
import pytest

from setpoint.adapters.sim import server
from setpoint.adapters.sim.http import Heard
from setpoint.adapters.sim.models import SIM_MODELS, find_model
from setpoint.adapters.sim.speech import failure_of, tokens_of

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    path = str(tmp_path_factory.mktemp("sim") / "sim.sock")
    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=server.run, args=(path, theirs), daemon=True)
    thread.start()
    assert ours.recv(16) == b"ready\n"
    with (
        httpx2.Client(transport=httpx2.HTTPTransport(uds=path)) as http,
        openai.OpenAI(api_key="none", base_url="http://sim/v1", http_client=http, max_retries=0) as client,
    ):
        yield client
    ours.close()
    thread.join(5)
    theirs.close()
    assert not thread.is_alive(), "the end of ctl must end the server"


def user(text: str) -> list[openai.types.chat.ChatCompletionMessageParam]:
    return [{"role": "user", "content": text}]


def play(body: Mapping[str, object], path: str = "/v1/chat/completions") -> server.Play:
    return server.decide(Heard("POST", path, [], msgspec.json.encode(body)), 0)


def test_echo_repeats_the_last_user_message(sim: openai.OpenAI) -> None:
    answer = sim.chat.completions.create(model="sim/echo", messages=user("good  day, Zoë\n"))
    assert answer.choices[0].message.content == "good  day, Zoë\n"
    assert answer.system_fingerprint == "simulated"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_stream_says_what_the_unary_answer_says_and_its_usage(sim: openai.OpenAI) -> None:
    unary = sim.chat.completions.create(model="sim/fast", messages=user("tell me"))
    stream = sim.chat.completions.create(model="sim/echo", messages=user("a b c"), stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "a b c"
    assert chunks[-1].usage is not None
    assert "Simulated answer" in (unary.choices[0].message.content or "")


def test_the_model_name_is_accepted_without_its_provider(sim: openai.OpenAI) -> None:
    assert sim.chat.completions.create(model="echo", messages=user("x")).model == "sim/echo"


def test_a_stream_calls_the_tool_that_the_prompt_names() -> None:
    streamed = play({"model": "sim/echo", "messages": user("use get_weather with city=Oslo"), "tools": [WEATHER], "stream": True})
    events = [msgspec.json.decode(piece.removeprefix(b"data: ")) for piece in streamed.pieces[:-1]]
    deltas = [event["choices"][0]["delta"] for event in events]
    calls = [delta["tool_calls"][0]["function"] for delta in deltas if delta.get("tool_calls")]
    assert calls[0]["name"] == "get_weather"
    assert msgspec.json.decode("".join(call["arguments"] for call in calls))["city"] == "Oslo"
    assert events[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_result_is_worked_into_the_answer(sim: openai.OpenAI) -> None:
    asked = [*user("get_weather"), {"role": "assistant", "tool_calls": []}, {"role": "tool", "content": "12 degrees", "tool_call_id": "c"}]
    answer = msgspec.json.decode(play({"model": "sim/fast", "messages": asked, "tools": [WEATHER]}).pieces[0])
    assert "12 degrees" in answer["choices"][0]["message"]["content"]


def test_structured_output_conforms_to_its_schema() -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "minLength": 12}, "kind": {"enum": ["a", "b"]},
                       "n": {"type": "integer", "minimum": 3, "maximum": 4},
                       "more": {"type": "array", "items": {"$ref": "#/$defs/leaf"}, "minItems": 2}},
        "required": ["name", "kind", "n", "more"], "additionalProperties": False,
        "$defs": {"leaf": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"next": {"$ref": "#/$defs/leaf"}}}]}},
    }  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = msgspec.json.decode(play({"model": "sim/smart", "messages": user("go"), "response_format": form}).pieces[0])
    jsonschema.validate(msgspec.json.decode(answer["choices"][0]["message"]["content"]), schema)


def test_the_same_request_always_gets_the_same_answer() -> None:
    body = {"model": "sim/flaky", "messages": user("again")}
    assert play(body) == play(body)


def test_flaky_fails_its_stated_share_of_requests() -> None:
    flaky = find_model("sim/flaky")
    assert flaky is not None
    failed = sum(play({"model": "sim/flaky", "messages": user(f"number {i}")}).status != 200 for i in range(1000))
    assert abs(failed / 10 - flaky.failures_percent) < 5
    assert {failure_of(flaky, seed) for seed in range(1000)} == {None, 429, 500, 503}


def test_a_dearer_model_is_right_more_often() -> None:
    def right(model: str) -> int:
        answers = [play({"model": model, "messages": user(f"What is {i} + 5?")}).pieces[0] for i in range(300)]
        return sum(msgspec.json.decode(a)["choices"][0]["message"]["content"] == str(i + 5) for i, a in enumerate(answers))

    assert right("sim/smart") > right("sim/slow") > right("sim/fast") > 150


def test_max_tokens_cuts_the_answer_and_says_so() -> None:
    answer = msgspec.json.decode(play({"model": "sim/fast", "messages": user("hi"), "max_tokens": 3}).pieces[0])
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 3


def test_embeddings_are_unit_vectors_and_near_for_texts_that_share_words(sim: openai.OpenAI) -> None:
    a, b, c = (e.embedding for e in sim.embeddings.create(model="sim/embed", input=["red apple pie", "apple pie red", "steel bridge"]).data)
    assert math.isclose(sum(x * x for x in a), 1.0, rel_tol=1e-5)
    assert sum(x * y for x, y in zip(a, b, strict=True)) > 0.99
    assert abs(sum(x * y for x, y in zip(a, c, strict=True))) < 0.5


def test_errors_have_the_shape_the_sdk_knows(sim: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        sim.chat.completions.create(model="sim/none", messages=user("x"))
    with pytest.raises(openai.BadRequestError):
        sim.chat.completions.create(model="sim/echo", messages=[])


def test_the_list_of_models_names_every_one(sim: openai.OpenAI) -> None:
    assert [model.id for model in sim.models.list()] == [model.name for model in SIM_MODELS]


def test_timing_is_planned_from_the_stated_figures() -> None:
    slow = play({"model": "sim/slow", "messages": user("x"), "stream": True})
    assert (slow.first_s, slow.gap_s) == (0.8, 1 / 20)


def test_tokens_join_to_the_text_again() -> None:
    for text in ("", " ", "a", "incomprehensible  words, \n\n and trailing  ", "Zoë 🙂"):
        assert "".join(tokens_of(text)) == text


def test_the_documentation_states_every_model_as_the_table_does() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sim-models.md").read_text()
    for m in SIM_MODELS:
        price = f"${m.price.input / 1e6:.2f} / ${m.price.output / 1e6:.2f}"
        pace = str(m.tokens_per_s) if m.tokens_per_s else "no pacing"
        assert f"| `{m.name}` | {m.ttft_ms} ms | {pace} | {price} | {m.failures_percent} % | {m.right_percent} % |" in page, m.name
