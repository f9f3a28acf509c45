"""Google's own types as judges: what a Gemini client reads, and what a Gemini server takes. Members they do not know are refused."""

from typing import Any

import httpx
from google import genai
from google.genai import types
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

MODEL = "gemini-2.5-flash"


class _ServerConfig(types.GenerationConfig):
    """What the API takes beside the SDK's own list of members (https://ai.google.dev/api/generate-content#GenerationConfig)."""

    image_config: types.ImageConfig | None = None


class GenerateContentRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    contents: list[types.Content]
    system_instruction: types.Content | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    generation_config: _ServerConfig | None = None
    safety_settings: list[types.SafetySetting] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    service_tier: types.ServiceTier | None = None
    model_armor_config: types.ModelArmorConfig | None = None


def taken_by_server(body: bytes) -> GenerateContentRequest:
    """The request as Google's types read it; every content has parts, and every part is one thing."""
    request = GenerateContentRequest.model_validate_json(body)
    assert request.contents
    for content in request.contents:
        assert content.role in {"user", "model"}
        assert content.parts
        for part in content.parts:
            said = part.model_dump(exclude_none=True, exclude={"thought", "thought_signature", "video_metadata", "media_resolution"})
            assert len(said) == 1 or (not said and part.thought_signature), said
    return request


def client(status: int, body: bytes, kind: str = "application/json", seen: list[httpx.Request] | None = None) -> genai.Client:
    """Google's client, talking to something that always answers the same."""

    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(status, content=body, headers={"content-type": kind})

    options = types.HttpOptions(base_url="http://x.test", httpx_client=httpx.Client(transport=httpx.MockTransport(answer)))
    return genai.Client(api_key="k", http_options=options)


def answer_of(body: bytes) -> types.GenerateContentResponse:
    return client(200, body).models.generate_content(model=MODEL, contents="x")


def chunks_of(stream: bytes) -> list[types.GenerateContentResponse]:
    return list(client(200, stream, "text/event-stream").models.generate_content_stream(model=MODEL, contents="x"))


def said_by(chunks: list[types.GenerateContentResponse]) -> dict[str, Any]:
    """What a client makes of an answer: text, thoughts, calls, the finish and the tokens."""
    said: dict[str, Any] = {"text": "", "thoughts": "", "calls": [], "ids": [], "finish": None, "tokens": (0, 0)}
    for chunk in chunks:
        for candidate in (chunk.candidates or [])[:1]:
            said["finish"] = candidate.finish_reason.value if candidate.finish_reason else said["finish"]
            for part in (candidate.content.parts if candidate.content else None) or []:
                if part.function_call is not None:
                    said["calls"].append((part.function_call.name, part.function_call.args))
                    said["ids"].append(part.function_call.id)
                said["thoughts" if part.thought else "text"] += part.text or ""
        usage = chunk.usage_metadata
        if usage is not None:
            prompt = (usage.prompt_token_count or 0) + (usage.tool_use_prompt_token_count or 0)
            said["tokens"] = prompt, (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return said
