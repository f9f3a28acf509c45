"""The fake upstream speaks every dialect well enough for the vendors' own SDKs, and reads what they ask."""

import contextlib
from collections.abc import Iterator
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.session
import cohere
import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import types

from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.replies import SIGNATURE, Reply, call, several, status, text
from setpoint.testing.sensible import sensible
from setpoint.testing.wire_faults import WireFault

THOUGHT = Reply(("hel", "lo"), (), 7, 5, 2, thinking="let me see", thinking_tokens=3)
TWO = several(call("get_weather", "call_a", city="Oslo"), call("get_weather", "call_b", city="Zürich"), text="both")
CITY: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def running() -> Iterator[FakeUpstream]:
    with FakeUpstream() as up:
        yield up


@pytest.fixture
def up(running: FakeUpstream) -> FakeUpstream:
    running.forget()
    return running


@pytest.fixture
def gemini(up: FakeUpstream) -> Iterator[genai.Client]:
    with genai.Client(api_key="k", http_options=types.HttpOptions(base_url=up.base_url)) as client:
        yield client


@pytest.fixture
def responses(up: FakeUpstream) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key="k", base_url=up.base_url + "/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def bedrock(up: FakeUpstream) -> Iterator[Any]:
    session = botocore.session.Session()
    session.set_credentials("AKIDEXAMPLE", "example")
    config = botocore.config.Config(retries={"total_max_attempts": 1})
    client = session.create_client("bedrock-runtime", region_name="us-east-1", endpoint_url=up.base_url, config=config)
    yield client
    client.close()


@pytest.fixture
def cohere_client(up: FakeUpstream) -> Iterator[cohere.ClientV2]:
    with httpx.Client() as http:
        yield cohere.ClientV2(api_key="k", base_url=up.base_url, httpx_client=http)


@pytest.fixture
def ollama_client(up: FakeUpstream) -> Iterator[ollama.Client]:
    client = ollama.Client(host=up.base_url)
    yield client
    client._client.close()


# Gemini


def test_gemini_answers_with_thoughts_calls_and_usage(up: FakeUpstream, gemini: genai.Client) -> None:
    up.says(THOUGHT, TWO)
    answer = gemini.models.generate_content(model="fake-1", contents="hi")
    assert answer.text == "hello"
    assert answer.usage_metadata is not None
    used = answer.usage_metadata
    assert (used.prompt_token_count, used.candidates_token_count, used.thoughts_token_count, used.total_token_count) == (7, 2, 3, 12)
    called = gemini.models.generate_content(model="fake-1", contents="hi").function_calls or []
    assert [(c.id, c.name, c.args) for c in called] == [
        ("call_a", "get_weather", {"city": "Oslo"}),
        ("call_b", "get_weather", {"city": "Zürich"}),
    ]


def test_gemini_streams(up: FakeUpstream, gemini: genai.Client) -> None:
    up.says(THOUGHT)
    chunks = list(gemini.models.generate_content_stream(model="fake-1", contents="hi"))
    assert [chunk.text for chunk in chunks if chunk.text] == ["hel", "lo"]
    assert [bool(chunk.candidates and chunk.candidates[0].finish_reason) for chunk in chunks] == [False, False, True]


def test_gemini_refuses_counts_and_embeds(up: FakeUpstream, gemini: genai.Client) -> None:
    assert gemini.models.count_tokens(model="fake-1", contents="hi").total_tokens == 7
    assert [e.values for e in gemini.models.embed_content(model="fake-1", contents=["a", "b"]).embeddings or []][1:] == [[0.6, 0.8, 1.0]]
    up.says(status(429, "slow down"))
    with pytest.raises(genai.errors.ClientError, match="slow down") as caught:
        gemini.models.generate_content(model="fake-1", contents="hi")
    assert caught.value.status == "RESOURCE_EXHAUSTED"


# Responses


def test_responses_answers_with_thoughts_calls_and_usage(up: FakeUpstream, responses: openai.OpenAI) -> None:
    up.says(THOUGHT, TWO, text("cut", ending="length"))
    answer = responses.responses.create(model="fake-1", input="hi")
    assert answer.output_text == "hello"
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens_details.reasoning_tokens) == (7, 3)
    made = [item for item in responses.responses.create(model="fake-1", input="hi").output if item.type == "function_call"]
    assert [(c.call_id, c.arguments) for c in made] == [("call_a", '{"city":"Oslo"}'), ("call_b", '{"city":"Zürich"}')]
    assert responses.responses.create(model="fake-1", input="hi").status == "incomplete"


def test_responses_stream_is_put_together_by_the_sdk(up: FakeUpstream, responses: openai.OpenAI) -> None:
    up.says(THOUGHT, TWO)
    with responses.responses.stream(model="fake-1", input="hi") as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert deltas == ["hel", "lo"]
    assert final.output_text == "hello"
    with responses.responses.stream(model="fake-1", input="hi") as stream:
        made = [item for item in stream.get_final_response().output if item.type == "function_call"]
    assert [c.arguments for c in made] == ['{"city":"Oslo"}', '{"city":"Zürich"}']


def test_responses_stream_breaks_with_its_own_error(up: FakeUpstream, responses: openai.OpenAI) -> None:
    up.breaks(WireFault("error_event", after_pieces=2))
    *_, last = responses.responses.create(model="fake-1", input="hi", stream=True)
    assert last.type == "error"
    assert "mid-stream" in last.message


def test_the_older_completions_stream(up: FakeUpstream, responses: openai.OpenAI) -> None:
    up.says(text("hel", "lo"))
    assert responses.completions.create(model="fake-1", prompt="hi").choices[0].text == "hello"
    assert [c.choices[0].text for c in responses.completions.create(model="fake-1", prompt="hi", stream=True)] == ["hel", "lo", ""]
    assert up.seen[0].asked.prompt == "hi"


# Bedrock

HI: Any = [{"role": "user", "content": [{"text": "hi"}]}]


def streamed(stream: Any) -> list[Any]:
    """All events; botocore leaves its socket open otherwise."""
    with contextlib.closing(stream):
        return list(stream)


def test_converse_answers_with_thoughts_calls_and_usage(up: FakeUpstream, bedrock: Any) -> None:
    up.says(THOUGHT, TWO)
    answer = bedrock.converse(modelId="fake-1", messages=HI)
    assert [list(block) for block in answer["output"]["message"]["content"]] == [["reasoningContent"], ["text"]]
    assert (answer["usage"]["inputTokens"], answer["usage"]["cacheReadInputTokens"], answer["usage"]["outputTokens"]) == (5, 2, 5)
    called = bedrock.converse(modelId="fake-1", messages=HI)
    assert called["stopReason"] == "tool_use"
    assert called["output"]["message"]["content"][2]["toolUse"] == {
        "toolUseId": "call_b",
        "name": "get_weather",
        "input": {"city": "Zürich"},
    }


def test_converse_streams_frames(up: FakeUpstream, bedrock: Any) -> None:
    up.says(THOUGHT, TWO)
    events = streamed(bedrock.converse_stream(modelId="fake-1", messages=HI)["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert deltas[1:] == [{"reasoningContent": {"signature": SIGNATURE}}, {"text": "hel"}, {"text": "lo"}]
    assert events[-2]["messageStop"]["stopReason"] == "end_turn"
    called = streamed(bedrock.converse_stream(modelId="fake-1", messages=HI)["stream"])
    parts = [e["contentBlockDelta"] for e in called if "contentBlockDelta" in e]
    assert "".join(p["delta"]["toolUse"]["input"] for p in parts if p["contentBlockIndex"] == 2) == '{"city":"Zürich"}'


def test_bedrock_refuses_in_its_header_and_in_its_frames(up: FakeUpstream, bedrock: Any) -> None:
    up.says(status(429, "slow down"), text("a", "b"))
    with pytest.raises(bedrock.exceptions.ThrottlingException, match="slow down"):
        bedrock.converse(modelId="fake-1", messages=HI)
    up.breaks(WireFault("error_event", after_pieces=2))
    with pytest.raises(botocore.exceptions.EventStreamError, match="mid-stream"):
        streamed(bedrock.converse_stream(modelId="fake-1", messages=HI)["stream"])


def test_bedrock_frames_what_a_model_says_in_its_own_dialect(up: FakeUpstream, bedrock: Any) -> None:
    up.says(text("hel", "lo"))
    stream = bedrock.invoke_model_with_response_stream(modelId="fake-1", body=b'{"messages":[{"role":"user","content":"hi"}]}')["body"]
    assert b'"text_delta","text":"hel"' in b"".join(event["chunk"]["bytes"] for event in streamed(stream))
    assert up.seen[0].asked.prompt == "hi"


# Cohere


def test_cohere_answers_streams_and_embeds(up: FakeUpstream, cohere_client: cohere.ClientV2) -> None:
    hi: Any = [{"role": "user", "content": "hi"}]
    up.says(THOUGHT, TWO, TWO)
    answer = cohere_client.chat(model="fake-1", messages=hi)
    assert [block.type for block in answer.message.content or []] == ["thinking", "text"]
    assert answer.usage is not None
    assert answer.usage.tokens is not None
    assert answer.usage.tokens.input_tokens == 7
    called = cohere_client.chat(model="fake-1", messages=hi)
    assert called.finish_reason == "TOOL_CALL"
    assert [c.id for c in called.message.tool_calls or []] == ["call_a", "call_b"]
    events: list[Any] = list(cohere_client.chat_stream(model="fake-1", messages=hi))
    parts = [e.delta.message.tool_calls.function.arguments for e in events if e.type == "tool-call-delta" and e.index == 1]
    assert "".join(parts) == '{"city":"Zürich"}'
    assert events[-1].delta.finish_reason == "TOOL_CALL"
    vectors = cohere_client.embed(model="fake-1", texts=["a", "b"], input_type="search_query", embedding_types=["float"])
    assert (vectors.embeddings.float_ or [])[1] == [0.6, 0.8, 1.0]


# Ollama


def test_ollama_answers_streams_embeds_and_refuses(up: FakeUpstream, ollama_client: ollama.Client) -> None:
    hi: Any = [{"role": "user", "content": "hi"}]
    up.says(THOUGHT, TWO, THOUGHT)
    answer = ollama_client.chat(model="fake-1", messages=hi)
    assert (answer.message.thinking, answer.message.content, answer.prompt_eval_count) == ("let me see", "hello", 7)
    called = ollama_client.chat(model="fake-1", messages=hi)
    assert [c.function.arguments for c in called.message.tool_calls or []] == [{"city": "Oslo"}, {"city": "Zürich"}]
    lines = list(ollama_client.chat(model="fake-1", messages=hi, stream=True))
    assert [line.message.content for line in lines] == ["", "hel", "lo", ""]
    assert lines[-1].done_reason == "stop"
    assert list(ollama_client.embed(model="fake-1", input=["a", "b"]).embeddings[1]) == [0.6, 0.8, 1.0]
    up.says(status(404, "no such model"))
    with pytest.raises(ollama.ResponseError, match="no such model"):
        ollama_client.chat(model="fake-1", messages=hi)
    up.says(text("a", "b"))
    up.breaks(WireFault("error_event", after_pieces=1))
    with pytest.raises(ollama.ResponseError, match="mid-stream"):
        list(ollama_client.chat(model="fake-1", messages=hi, stream=True))


# What is asked, read in every dialect


def test_what_gemini_asks_is_read(up: FakeUpstream, gemini: genai.Client) -> None:
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", parameters_json_schema=CITY)])
    mode = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.ANY))
    with contextlib.suppress(genai.errors.ClientError):
        gemini.models.generate_content(
            model="fake-1",
            contents=["weather?", types.Part.from_bytes(data=b"png", mime_type="image/png")],
            config=types.GenerateContentConfig(tools=[tool], tool_config=mode, system_instruction="be brief", stop_sequences=["END"]),
        )
    read = up.seen[0].asked
    assert (read.prompt, read.system, read.forced, read.stop) == ("weather?", "be brief", "", ("END",))
    assert [tool.name for tool in read.tools] == ["get_weather"]
    assert read.images == ("cG5n",)


def test_what_bedrock_asks_is_read(up: FakeUpstream, bedrock: Any) -> None:
    turns = [
        *HI,
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_a", "name": "get_weather", "input": {}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "call_a", "content": [{"text": "12 degrees"}]}}]},
    ]
    tools = {
        "tools": [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": CITY}}}],
        "toolChoice": {"tool": {"name": "get_weather"}},
    }
    bedrock.converse(modelId="fake-1", messages=turns, toolConfig=tools, system=[{"text": "be brief"}])
    read = up.seen[0].asked
    assert (read.prompt, read.system, read.forced) == ("hi", "be brief", "get_weather")
    assert [(result.call_id, result.text) for result in read.results] == [("call_a", "12 degrees")]
    assert read.tools[0].schema == CITY


def test_what_responses_asks_is_read(up: FakeUpstream, responses: openai.OpenAI) -> None:
    items: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "weather?"}, {"type": "input_image", "image_url": "data:x"}]},
        {"type": "function_call", "call_id": "call_a", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_a", "output": "12 degrees"},
    ]
    form: Any = {"format": {"type": "json_schema", "name": "x", "schema": CITY}}
    responses.responses.create(model="fake-1", input=items, instructions="be brief", text=form, tool_choice="required")
    read = up.seen[0].asked
    assert (read.prompt, read.system, read.forced, read.images) == ("weather?", "be brief", "", ("data:x",))
    assert [(result.call_id, result.text) for result in read.results] == [("call_a", "12 degrees")]
    assert read.schema == CITY


# Sensible answers


def test_a_sensible_model_calls_tools_once_and_tells_what_they_said(up: FakeUpstream, responses: openai.OpenAI) -> None:
    up.says(sensible)
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": CITY}]
    asked: list[Any] = [{"role": "user", "content": "what is the weather in 'Zürich'?"}]
    called = responses.responses.create(model="fake-1", input=asked, tools=tools).output[0]
    assert called.type == "function_call"
    assert called.arguments == '{"city":"Zürich"}'
    asked += [called.to_dict(), {"type": "function_call_output", "call_id": called.call_id, "output": "12 degrees"}]
    assert "12 degrees" in responses.responses.create(model="fake-1", input=asked, tools=tools).output_text


def test_a_sensible_model_fills_a_schema_and_minds_stops(up: FakeUpstream, ollama_client: ollama.Client) -> None:
    up.says(sensible)
    hi: Any = [{"role": "user", "content": "one two three"}]
    assert ollama_client.chat(model="fake-1", messages=hi, format=CITY).message.content == '{"city":"simulated"}'
    assert ollama_client.chat(model="fake-1", messages=hi, options={"stop": ["two"]}).message.content == "You said: one "
