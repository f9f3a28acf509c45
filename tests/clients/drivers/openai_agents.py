"""openai-agents: Chat Completions, or Responses (its default) when asked to by the environment."""

import asyncio
import os
from typing import Any

import agents  # type: ignore[import-not-found]
import openai
from pydantic import BaseModel
from tests.clients.drivers.driving import DEADLINE_S, DEGREES, KEY, URL, serve

agents.set_tracing_disabled(True)
KIND = agents.OpenAIResponsesModel if os.environ.get("SETPOINT_RESPONSES") == "1" else agents.OpenAIChatCompletionsModel


class Form(BaseModel):
    name: str
    population: int


def _agent(model: str, limit: int | None = None, **members: Any) -> Any:
    client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0, timeout=DEADLINE_S)
    settings = agents.ModelSettings(include_usage=True, max_tokens=limit)
    return agents.Agent(name="weather", model=KIND(model=model, openai_client=client), model_settings=settings, **members)


def _used(result: Any) -> dict[str, int]:
    usage = result.context_wrapper.usage
    return {"input": usage.input_tokens, "output": usage.output_tokens}


def chat(model: str, prompt: str, limit: int) -> Any:
    result = agents.Runner.run_sync(_agent(model, limit), prompt)
    return {"text": result.final_output, **_used(result)}


def stream(model: str, prompt: str, limit: int) -> Any:
    async def run() -> Any:
        result = agents.Runner.run_streamed(_agent(model, limit), prompt)
        raw = [event.data async for event in result.stream_events() if event.type == "raw_response_event"]
        return {"pieces": [event.delta for event in raw if event.type == "response.output_text.delta"], **_used(result)}

    return asyncio.run(run())


def loop(model: str, prompt: str) -> Any:
    ran = []

    @agents.function_tool  # type: ignore[untyped-decorator]
    def get_weather(city: str) -> str:
        """The weather."""
        ran.append(city)
        return DEGREES[city]

    result = agents.Runner.run_sync(_agent(model, tools=[get_weather]), prompt)
    return {"text": result.final_output, "ran": sorted(ran)}


def structure(model: str, prompt: str) -> Any:
    return agents.Runner.run_sync(_agent(model, output_type=Form), prompt).final_output.model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{image}", "detail": "auto"}
    asked = [{"role": "user", "content": [{"type": "input_text", "text": prompt}, picture]}]
    return {"text": agents.Runner.run_sync(_agent(model), asked).final_output}


serve(chat, stream, loop, structure, look)
