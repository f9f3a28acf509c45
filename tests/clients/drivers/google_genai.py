"""google-genai on the Gemini API."""

import base64
from typing import Any

from google import genai
from google.genai import types
from pydantic import BaseModel
from tests.clients.drivers.driving import CITY_SCHEMA, DEGREES, KEY, URL, serve

client = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, retry_options=types.HttpRetryOptions(attempts=1)))
TOOL = types.Tool(function_declarations=[types.FunctionDeclaration(name="get_weather", parameters_json_schema=CITY_SCHEMA)])


class Form(BaseModel):
    name: str
    population: int


def _used(answer: Any) -> dict[str, int]:
    usage = answer.usage_metadata
    return {"input": usage.prompt_token_count, "output": usage.total_token_count - usage.prompt_token_count}


def chat(model: str, prompt: str, limit: int) -> Any:
    answer = client.models.generate_content(model=model, contents=prompt, config=types.GenerateContentConfig(max_output_tokens=limit))
    return {"text": answer.text, **_used(answer)}


def stream(model: str, prompt: str, limit: int) -> Any:
    config = types.GenerateContentConfig(max_output_tokens=limit)
    chunks = list(client.models.generate_content_stream(model=model, contents=prompt, config=config))
    return {"pieces": [chunk.text for chunk in chunks if chunk.text], **_used(chunks[-1])}


def _turn(model: str, contents: Any, *, stream: bool) -> list[Any]:
    """The parts of the answer."""
    automatic = types.AutomaticFunctionCallingConfig(disable=True)
    config = types.GenerateContentConfig(tools=[TOOL], automatic_function_calling=automatic)
    if stream:
        answers = list(client.models.generate_content_stream(model=model, contents=contents, config=config))
    else:
        answers = [client.models.generate_content(model=model, contents=contents, config=config)]
    return [part for answer in answers for part in answer.parts or []]


def call(model: str, prompt: str, stream: bool) -> Any:
    parts = _turn(model, prompt, stream=stream)
    made = [part.function_call for part in parts if part.function_call]
    return {"calls": [[c.id, c.name, c.args] for c in made], "text": "".join(part.text or "" for part in parts)}


def loop(model: str, prompt: str) -> Any:
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=prompt)])]
    ran = []
    parts = _turn(model, contents, stream=False)
    while made := [part.function_call for part in parts if part.function_call]:
        ran += [c.args["city"] for c in made]
        results = [types.FunctionResponse(id=c.id, name=c.name, response={"result": DEGREES[c.args["city"]]}) for c in made]
        contents.append(types.Content(role="model", parts=parts))
        contents.append(types.Content(role="user", parts=[types.Part(function_response=result) for result in results]))
        parts = _turn(model, contents, stream=False)
    return {"text": "".join(part.text or "" for part in parts), "ran": ran}


def structure(model: str, prompt: str) -> Any:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Form)
    parsed: Any = client.models.generate_content(model=model, contents=prompt, config=config).parsed
    return parsed and parsed.model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    contents: Any = [prompt, types.Part.from_bytes(data=base64.b64decode(image), mime_type="image/png")]
    return {"text": client.models.generate_content(model=model, contents=contents).text}


def embed(model: str, texts: list[str]) -> Any:
    contents: Any = texts
    return [embedding.values for embedding in client.models.embed_content(model=model, contents=contents).embeddings or []]


def count(model: str, prompt: str) -> Any:
    return client.models.count_tokens(model=model, contents=prompt).total_tokens


serve(chat, stream, call, loop, structure, look, embed, count)
