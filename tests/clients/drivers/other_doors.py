"""The same packages at the other doors they know: Azure's, Vertex's, older completions; and their lists of models and counts of tokens."""

from typing import Any

import anthropic
import google.auth.credentials
import openai
from google import genai
from google.genai import types
from tests.clients.drivers.driving import DEADLINE_S, DEGREES, KEY, URL, serve

azure = openai.AzureOpenAI(azure_endpoint=URL, api_key=KEY, api_version="2024-10-21", max_retries=0, timeout=DEADLINE_S)
azure_v1 = openai.OpenAI(api_key=KEY, base_url=f"{URL}/openai/v1", max_retries=0, timeout=DEADLINE_S)
plain = openai.OpenAI(api_key=KEY, base_url=f"{URL}/v1", max_retries=0, timeout=DEADLINE_S)
claude = anthropic.Anthropic(api_key=KEY, base_url=URL, max_retries=0, timeout=DEADLINE_S)
OPTIONS = types.HttpOptions(base_url=URL, retry_options=types.HttpRetryOptions(attempts=1))
gemini = genai.Client(api_key=KEY, http_options=OPTIONS)
express = genai.Client(vertexai=True, api_key=KEY, http_options=OPTIONS)


class Token(google.auth.credentials.Credentials):
    """The gateway's key where Google's token would be."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.token = KEY

    def refresh(self, request: Any) -> None:
        """It does not expire."""


project = genai.Client(vertexai=True, project="p", location="us-central1", credentials=Token(), http_options=OPTIONS)


def _says(prompt: str) -> Any:
    return [{"role": "user", "content": prompt}]


def azure_chat(model: str, prompt: str) -> Any:
    return azure.chat.completions.create(model=model, messages=_says(prompt)).choices[0].message.content


def azure_stream(model: str, prompt: str) -> Any:
    chunks = list(azure.chat.completions.create(model=model, messages=_says(prompt), stream=True))
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def azure_responses(model: str, prompt: str) -> Any:
    return azure_v1.responses.create(model=model, input=prompt).output_text


def completions(model: str, prompt: str) -> Any:
    return plain.completions.create(model=model, prompt=prompt, max_tokens=77).choices[0].text


def completions_stream(model: str, prompt: str) -> Any:
    return "".join(chunk.choices[0].text for chunk in plain.completions.create(model=model, prompt=prompt, stream=True))


def anthropic_beta(model: str, prompt: str) -> Any:
    blocks = claude.beta.messages.create(model=model, messages=_says(prompt), max_tokens=77, betas=["x-2025-01-01"]).content
    return "".join(block.text for block in blocks if block.type == "text")


def vertex_express(model: str, prompt: str) -> Any:
    return express.models.generate_content(model=model, contents=prompt).text


def vertex_express_stream(model: str, prompt: str) -> Any:
    return "".join(chunk.text or "" for chunk in express.models.generate_content_stream(model=model, contents=prompt))


def vertex_project(model: str, prompt: str) -> Any:
    return project.models.generate_content(model=model, contents=prompt).text


def google_chat(model: str, prompt: str) -> Any:
    """Two turns; the package keeps the conversation."""
    conversation = gemini.chats.create(model=model)
    conversation.send_message("first")
    return conversation.send_message(prompt).text


def google_calling(model: str, prompt: str) -> Any:
    """The package itself calls the function."""

    def get_weather(city: str) -> str:
        """The weather."""
        return DEGREES[city]

    conversation = gemini.chats.create(model=model, config=types.GenerateContentConfig(tools=[get_weather]))
    return conversation.send_message(prompt).text


def count_anthropic(model: str, prompt: str) -> Any:
    return claude.messages.count_tokens(model=model, messages=_says(prompt)).input_tokens


def count_google(model: str, prompt: str) -> Any:
    return gemini.models.count_tokens(model=model, contents=prompt).total_tokens


def count_vertex(model: str, prompt: str) -> Any:
    return project.models.count_tokens(model=model, contents=prompt).total_tokens


def models() -> Any:
    lists: list[list[str | None]] = [[m.id for m in plain.models.list()], [m.id for m in claude.models.list()]]
    return [*lists, [m.name and m.name.removeprefix("models/") for m in gemini.models.list()]]


def one_model(model: str) -> Any:
    found = gemini.models.get(model=model).name
    return [plain.models.retrieve(model).id, claude.models.retrieve(model).id, found and found.removeprefix("models/")]


serve(
    azure_chat, azure_stream, azure_responses, completions, completions_stream, anthropic_beta, vertex_express, vertex_express_stream,
    vertex_project, google_chat, google_calling, count_anthropic, count_google, count_vertex, models, one_model,
)  # fmt: skip
