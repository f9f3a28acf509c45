"""langchain-openai on Chat Completions, or on Responses when asked to by the environment."""

import os
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage  # type: ignore[import-not-found]
from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # type: ignore[import-not-found]
from pydantic import BaseModel, SecretStr
from tests.clients.drivers.driving import DEADLINE_S, DEGREES, KEY, URL, serve

ON_RESPONSES = os.environ.get("SETPOINT_RESPONSES") == "1"


class Form(BaseModel):
    """A city."""

    name: str
    population: int


def get_weather(city: str) -> str:
    """The weather."""
    return DEGREES[city]


def _model(model: str, **members: Any) -> Any:
    given = {"base_url": f"{URL}/v1", "api_key": SecretStr(KEY), "max_retries": 0, "timeout": DEADLINE_S}
    return ChatOpenAI(model=model, use_responses_api=ON_RESPONSES, **given, **members)


def _used(message: Any) -> dict[str, int]:
    return {"input": message.usage_metadata["input_tokens"], "output": message.usage_metadata["output_tokens"]}


def chat(model: str, prompt: str, limit: int) -> Any:
    message = _model(model, max_tokens=limit).invoke(prompt)
    return {"text": message.text, **_used(message)}


def stream(model: str, prompt: str, limit: int) -> Any:
    chunks = list(_model(model, stream_usage=True, max_tokens=limit).stream(prompt))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {"pieces": [chunk.text for chunk in chunks if chunk.text], **_used(whole)}


def call(model: str, prompt: str, stream: bool) -> Any:
    message = _model(model, streaming=stream).bind_tools([get_weather]).invoke(prompt)
    return {"calls": [[made["id"], made["name"], made["args"]] for made in message.tool_calls], "text": message.text}


def loop(model: str, prompt: str) -> Any:
    bound, messages, ran = _model(model).bind_tools([get_weather]), [HumanMessage(prompt)], []
    while (message := bound.invoke(messages)).tool_calls:
        messages.append(message)
        for made in message.tool_calls:
            ran.append(made["args"]["city"])
            messages.append(ToolMessage(DEGREES[made["args"]["city"]], tool_call_id=made["id"]))
    return {"text": message.text, "ran": ran}


def structure(model: str, prompt: str) -> Any:
    return _model(model).with_structured_output(Form, method="json_schema").invoke(prompt).model_dump()


def look(model: str, prompt: str, image: str) -> Any:
    parts = [{"type": "text", "text": prompt}, {"type": "image", "base64": image, "mime_type": "image/png"}]
    return {"text": _model(model).invoke([HumanMessage(parts)]).text}


def embed(model: str, texts: list[str]) -> Any:
    given = {"base_url": f"{URL}/v1", "api_key": SecretStr(KEY), "max_retries": 0}
    return OpenAIEmbeddings(model=model, check_embedding_ctx_length=False, **given).embed_documents(texts)


serve(chat, stream, call, loop, structure, look, *(() if ON_RESPONSES else (embed,)))
