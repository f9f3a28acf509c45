"""pydantic-ai's OpenAI models: Chat Completions, or Responses when asked to by the environment."""

import base64
import os
from typing import Any

import openai
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, NativeOutput, models  # type: ignore[import-not-found]
from pydantic_ai.direct import model_request_stream_sync, model_request_sync  # type: ignore[import-not-found]
from pydantic_ai.messages import ModelRequest, ToolCallPart  # type: ignore[import-not-found]
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel  # type: ignore[import-not-found]
from pydantic_ai.providers.openai import OpenAIProvider  # type: ignore[import-not-found]
from pydantic_ai.tools import ToolDefinition  # type: ignore[import-not-found]
from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, KEY, URL, serve

KIND = OpenAIResponsesModel if os.environ.get("SETPOINT_RESPONSES") == "1" else OpenAIChatModel
TOOLS = models.ModelRequestParameters(function_tools=[ToolDefinition(name="get_weather", parameters_json_schema=CITY_SCHEMA)])


class Form(BaseModel):
    name: str
    population: int


def _model(model: str) -> Any:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0, timeout=DEADLINE_S)
    return KIND(model, provider=OpenAIProvider(openai_client=client))


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = Agent(_model(model), model_settings={"max_tokens": limit}).run_sync(prompt)
    return {"text": answer.output, "input": _used(answer).input_tokens, "output": _used(answer).output_tokens}


def stream(model: str, prompt: str, limit: int) -> Any:
    answer = Agent(_model(model), model_settings={"max_tokens": limit}).run_stream_sync(prompt)
    pieces = [piece for piece in answer.stream_text(delta=True, debounce_by=None) if piece]
    return {"pieces": pieces, "input": _used(answer).input_tokens, "output": _used(answer).output_tokens}


def _used(answer: Any) -> Any:
    return answer.usage() if callable(answer.usage) else answer.usage


def call(model: str, prompt: str, stream: bool) -> Any:
    asked = [ModelRequest.user_text_prompt(prompt)]
    if stream:
        with model_request_stream_sync(_model(model), asked, model_request_parameters=TOOLS) as streaming:
            for _ in streaming:
                pass
            answer = streaming.response
    else:
        answer = model_request_sync(_model(model), asked, model_request_parameters=TOOLS)
    made = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    return {"calls": [[part.tool_call_id, part.tool_name, part.args_as_dict()] for part in made], "text": answer.text}


def loop(model: str, prompt: str) -> Any:
    ran = []

    def get_weather(city: str) -> str:
        """The weather."""
        ran.append(city)
        return DEGREES[city]

    return {"text": Agent(_model(model), tools=[get_weather]).run_sync(prompt).output, "ran": sorted(ran)}


def structure(model: str, prompt: str) -> Any:
    return Agent(_model(model), output_type=NativeOutput(Form)).run_sync(prompt).output.model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    parts = [prompt, BinaryContent(base64.b64decode(image), media_type="image/png")]
    return {"text": Agent(_model(model)).run_sync(parts).output}


serve(chat, stream, call, loop, structure, look)
