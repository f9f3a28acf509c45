"""The anthropic package on Messages."""

from typing import Any

import anthropic
from pydantic import BaseModel
from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, KEY, URL, serve

client = anthropic.Anthropic(api_key=KEY, base_url=URL, max_retries=0, timeout=DEADLINE_S)
TOOL: Any = {"name": "get_weather", "description": "the weather", "input_schema": CITY_SCHEMA}


class Form(BaseModel):
    name: str
    population: int


def _says(content: Any) -> Any:
    return [{"role": "user", "content": content}]


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def chat(model: str, prompt: str, limit: int) -> Any:
    message = client.messages.create(model=model, messages=_says(prompt), max_tokens=limit)
    return {"text": _text(message), "input": message.usage.input_tokens, "output": message.usage.output_tokens}


def stream(model: str, prompt: str, limit: int) -> Any:
    with client.messages.stream(model=model, messages=_says(prompt), max_tokens=limit) as streaming:
        pieces = list(streaming.text_stream)
        usage = streaming.get_final_message().usage
    return {"pieces": pieces, "input": usage.input_tokens, "output": usage.output_tokens}


def _turn(model: str, messages: Any, *, stream: bool) -> Any:
    if not stream:
        return client.messages.create(model=model, messages=messages, max_tokens=100, tools=[TOOL])
    with client.messages.stream(model=model, messages=messages, max_tokens=100, tools=[TOOL]) as streaming:
        return streaming.get_final_message()


def _calls(message: Any) -> list[Any]:
    return [[block.id, block.name, block.input] for block in message.content if block.type == "tool_use"]


def call(model: str, prompt: str, stream: bool) -> Any:
    message = _turn(model, _says(prompt), stream=stream)
    return {"calls": _calls(message), "text": _text(message)}


def loop(model: str, prompt: str) -> Any:
    messages, ran = _says(prompt), []
    while calls := _calls(message := _turn(model, messages, stream=False)):
        ran += [arguments["city"] for _, _, arguments in calls]
        results = [{"type": "tool_result", "tool_use_id": i, "content": DEGREES[arguments["city"]]} for i, _, arguments in calls]
        messages += [{"role": "assistant", "content": message.to_dict()["content"]}, {"role": "user", "content": results}]
    return {"text": _text(message), "ran": ran}


def structure(model: str, prompt: str) -> Any:
    parsed = client.messages.parse(model=model, messages=_says(prompt), max_tokens=100, output_format=Form).parsed_output
    return parsed and parsed.model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": image}}
    asked = _says([picture, {"type": "text", "text": prompt}])
    return {"text": _text(client.messages.create(model=model, messages=asked, max_tokens=100))}


serve(chat, stream, call, loop, structure, look)
