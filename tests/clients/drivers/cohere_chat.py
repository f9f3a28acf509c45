"""The cohere package, second version of the API."""

import json
from typing import Any

import cohere
from tests.clients.drivers.driving import CITY_SCHEMA, DEADLINE_S, DEGREES, FORM_SCHEMA, KEY, URL, serve

client = cohere.ClientV2(api_key=KEY, base_url=URL, timeout=DEADLINE_S)
ONCE: Any = {"max_retries": 0}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "description": "the weather", "parameters": CITY_SCHEMA}}


def _says(content: Any) -> Any:
    return [{"role": "user", "content": content}]


def _text(message: Any) -> str:
    return "".join(block.text for block in message.content or [] if block.type == "text")


def _used(usage: Any) -> dict[str, int]:
    return {"input": int(usage.tokens.input_tokens), "output": int(usage.tokens.output_tokens)}


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = client.chat(model=model, messages=_says(prompt), max_tokens=limit, request_options=ONCE)
    return {"text": _text(answer.message), **_used(answer.usage)}


def stream(model: str, prompt: str, limit: int) -> Any:
    events: list[Any] = list(client.chat_stream(model=model, messages=_says(prompt), max_tokens=limit, request_options=ONCE))
    pieces = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    return {"pieces": pieces, **_used(events[-1].delta.usage)}


def _calls(message: Any) -> list[Any]:
    return [[made.id, made.function.name, json.loads(made.function.arguments)] for made in message.tool_calls or []]


def call(model: str, prompt: str, stream: bool) -> Any:
    if not stream:
        message = client.chat(model=model, messages=_says(prompt), tools=[TOOL], request_options=ONCE).message
        return {"calls": _calls(message), "text": _text(message)}
    made: dict[int, list[str]] = {}
    text = ""
    for event in client.chat_stream(model=model, messages=_says(prompt), tools=[TOOL], request_options=ONCE):
        said: Any = event
        if said.type == "tool-call-start":
            started = said.delta.message.tool_calls
            made[said.index] = [started.id, started.function.name, started.function.arguments or ""]
        elif said.type == "tool-call-delta":
            made[said.index][2] += said.delta.message.tool_calls.function.arguments
        elif said.type == "content-delta":
            text += said.delta.message.content.text
    return {"calls": [[i, name, json.loads(arguments)] for i, name, arguments in made.values()], "text": text}


def loop(model: str, prompt: str) -> Any:
    messages, ran = _says(prompt), []
    while calls := _calls(message := client.chat(model=model, messages=messages, tools=[TOOL], request_options=ONCE).message):
        messages.append(message)
        for call_id, _, arguments in calls:
            ran.append(arguments["city"])
            messages.append({"role": "tool", "tool_call_id": call_id, "content": DEGREES[arguments["city"]]})
    return {"text": _text(message), "ran": ran}


def structure(model: str, prompt: str) -> Any:
    form: Any = {"type": "json_object", "json_schema": FORM_SCHEMA}
    return json.loads(_text(client.chat(model=model, messages=_says(prompt), response_format=form, request_options=ONCE).message))


def look(model: str, prompt: str, image: str) -> Any:
    parts = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}]
    return {"text": _text(client.chat(model=model, messages=_says(parts), request_options=ONCE).message)}


def embed(model: str, texts: list[str]) -> Any:
    kinds: Any = ["float"]
    answer = client.embed(model=model, texts=texts, input_type="search_document", embedding_types=kinds, request_options=ONCE)
    return answer.embeddings.float_


serve(chat, stream, call, loop, structure, look, embed)
