"""The ollama package."""

import json
from typing import Any

import ollama
from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, FORM_SCHEMA, KEY, URL, serve

client = ollama.Client(host=URL, headers={"Authorization": f"Bearer {KEY}"}, timeout=DEADLINE_S)
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "the weather", "parameters": CITY_SCHEMA}}


def _says(content: str) -> Any:
    return [{"role": "user", "content": content}]


def _used(answer: Any) -> dict[str, int]:
    return {"input": answer.prompt_eval_count, "output": answer.eval_count}


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = client.chat(model=model, messages=_says(prompt), options={"num_predict": limit})
    return {"text": answer.message.content, **_used(answer)}


def stream(model: str, prompt: str, limit: int) -> Any:
    lines = list(client.chat(model=model, messages=_says(prompt), options={"num_predict": limit}, stream=True))
    return {"pieces": [line.message.content for line in lines if line.message.content], **_used(lines[-1])}


def _calls(made: Any) -> list[Any]:
    """Ollama's package knows no ids."""
    return [[None, call.function.name, dict(call.function.arguments)] for call in made or []]


def call(model: str, prompt: str, stream: bool) -> Any:
    if not stream:
        message = client.chat(model=model, messages=_says(prompt), tools=[TOOL]).message
        return {"calls": _calls(message.tool_calls), "text": message.content}
    lines = list(client.chat(model=model, messages=_says(prompt), tools=[TOOL], stream=True))
    made = [call for line in lines for call in _calls(line.message.tool_calls)]
    return {"calls": made, "text": "".join(line.message.content or "" for line in lines)}


def loop(model: str, prompt: str) -> Any:
    messages, ran = _says(prompt), []
    while calls := _calls((message := client.chat(model=model, messages=messages, tools=[TOOL]).message).tool_calls):
        messages.append(message)
        for _, name, arguments in calls:
            ran.append(arguments["city"])
            messages.append({"role": "tool", "tool_name": name, "content": DEGREES[arguments["city"]]})
    return {"text": message.content, "ran": ran}


def structure(model: str, prompt: str) -> Any:
    return json.loads(client.chat(model=model, messages=_says(prompt), format=FORM_SCHEMA).message.content or "")


def look(model: str, prompt: str, image: str) -> Any:
    asked = [{"role": "user", "content": prompt, "images": [image]}]
    return {"text": client.chat(model=model, messages=asked).message.content}


def embed(model: str, texts: list[str]) -> Any:
    return [list(vector) for vector in client.embed(model=model, input=texts).embeddings]


serve(chat, stream, call, loop, structure, look, embed)
