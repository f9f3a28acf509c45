"""The openai package on Chat Completions and embeddings."""

import json
from typing import Any

import openai
from pydantic import BaseModel
from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, KEY, URL, serve

client = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0, timeout=DEADLINE_S)
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "the weather", "parameters": CITY_SCHEMA}}


class Form(BaseModel):
    name: str
    population: int


def _says(content: Any) -> Any:
    return [{"role": "user", "content": content}]


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = client.chat.completions.create(model=model, messages=_says(prompt), max_completion_tokens=limit)
    assert answer.usage
    return {"text": answer.choices[0].message.content, "input": answer.usage.prompt_tokens, "output": answer.usage.completion_tokens}


def stream(model: str, prompt: str, limit: int) -> Any:
    usage: Any = {"include_usage": True}
    asked: Any = {"model": model, "messages": _says(prompt), "max_completion_tokens": limit}
    chunks: Any = list(client.chat.completions.create(**asked, stream=True, stream_options=usage))
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert chunks[-1].usage
    return {"pieces": pieces, "input": chunks[-1].usage.prompt_tokens, "output": chunks[-1].usage.completion_tokens}


def _turn(model: str, messages: Any, *, stream: bool) -> Any:
    if not stream:
        return client.chat.completions.create(model=model, messages=messages, tools=[TOOL]).choices[0].message
    with client.chat.completions.stream(model=model, messages=messages, tools=[TOOL]) as streaming:
        return streaming.get_final_completion().choices[0].message


def _calls(message: Any) -> list[Any]:
    return [[call.id, call.function.name, json.loads(call.function.arguments)] for call in message.tool_calls or []]


def call(model: str, prompt: str, stream: bool) -> Any:
    message = _turn(model, _says(prompt), stream=stream)
    return {"calls": _calls(message), "text": message.content}


def loop(model: str, prompt: str) -> Any:
    messages, ran = _says(prompt), []
    while calls := _calls(message := _turn(model, messages, stream=False)):
        messages.append(message.to_dict())
        for call_id, _, arguments in calls:
            ran.append(arguments["city"])
            messages.append({"role": "tool", "tool_call_id": call_id, "content": DEGREES[arguments["city"]]})
    return {"text": message.content, "ran": ran}


def structure(model: str, prompt: str) -> Any:
    parsed = client.chat.completions.parse(model=model, messages=_says(prompt), response_format=Form).choices[0].message.parsed
    return parsed and parsed.model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    parts = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]
    return {"text": client.chat.completions.create(model=model, messages=_says(parts)).choices[0].message.content}


def embed(model: str, texts: list[str]) -> Any:
    return [vector.embedding for vector in client.embeddings.create(model=model, input=texts).data]


serve(chat, stream, call, loop, structure, look, embed)
