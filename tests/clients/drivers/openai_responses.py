"""The openai package on Responses."""

import json
from typing import Any

import openai
from pydantic import BaseModel
from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, KEY, URL, serve

client = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0, timeout=DEADLINE_S)
TOOL: Any = {"type": "function", "name": "get_weather", "description": "the weather", "parameters": CITY_SCHEMA, "strict": False}


class Form(BaseModel):
    name: str
    population: int


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = client.responses.create(model=model, input=prompt, max_output_tokens=limit)
    assert answer.usage
    return {"text": answer.output_text, "input": answer.usage.input_tokens, "output": answer.usage.output_tokens}


def stream(model: str, prompt: str, limit: int) -> Any:
    """Without the package's own putting together, which takes an answer that met its limit for none."""
    events = list(client.responses.create(model=model, input=prompt, max_output_tokens=limit, stream=True))
    pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete"), last
    assert last.response.usage
    return {"pieces": pieces, "input": last.response.usage.input_tokens, "output": last.response.usage.output_tokens}


def _turn(model: str, items: Any, *, stream: bool) -> Any:
    if not stream:
        return client.responses.create(model=model, input=items, tools=[TOOL])
    with client.responses.stream(model=model, input=items, tools=[TOOL]) as streaming:
        return streaming.get_final_response()


def _calls(answer: Any) -> list[Any]:
    return [[item.call_id, item.name, json.loads(item.arguments)] for item in answer.output if item.type == "function_call"]


def call(model: str, prompt: str, stream: bool) -> Any:
    answer = _turn(model, prompt, stream=stream)
    return {"calls": _calls(answer), "text": answer.output_text}


def loop(model: str, prompt: str) -> Any:
    items: list[Any] = [{"role": "user", "content": prompt}]
    ran = []
    while calls := _calls(answer := _turn(model, items, stream=False)):
        items += [item.to_dict() for item in answer.output]
        for call_id, _, arguments in calls:
            ran.append(arguments["city"])
            items.append({"type": "function_call_output", "call_id": call_id, "output": DEGREES[arguments["city"]]})
    return {"text": answer.output_text, "ran": ran}


def structure(model: str, prompt: str) -> Any:
    parsed = client.responses.parse(model=model, input=prompt, text_format=Form).output_parsed
    return parsed and parsed.model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{image}", "detail": "auto"}
    asked: Any = [{"role": "user", "content": [{"type": "input_text", "text": prompt}, picture]}]
    return {"text": client.responses.create(model=model, input=asked).output_text}


serve(chat, stream, call, loop, structure, look)
