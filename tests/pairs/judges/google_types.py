"""Google judges a request: the types of its SDK, which refuse members they do not know.

The SDK's own configuration object is flat; on the wire it is a GenerationConfig beside tools and instructions
(https://ai.google.dev/api/generate-content#request-body), so those types are put together here.
"""

import warnings

from google.genai import types
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel
from tests.pairs.judges.walking import RefusedError


class _Request(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", val_json_bytes="base64")

    contents: list[types.Content]
    system_instruction: types.Content | None = None
    tools: list[types.Tool] | None = None
    tool_config: types.ToolConfig | None = None
    safety_settings: list[types.SafetySetting] | None = None
    generation_config: types.GenerationConfig | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    service_tier: str | None = None


_BESIDE = {"thought", "thought_signature", "video_metadata", "media_resolution", "part_metadata"}


def judge(request: bytes, stream: bool) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a word that no enumeration has is a warning: it may have come later. The server refuses it
            asked = _Request.model_validate_json(request)
    except (ValidationError, UserWarning) as error:
        raise RefusedError(str(error)[:2_000]) from None
    if not asked.contents:
        raise RefusedError("contents is empty")
    for content in asked.contents:
        _turn(content)
    for tool in asked.tools or ():
        for function in tool.function_declarations or ():
            if not function.name:
                raise RefusedError("a function has no name")


def _turn(content: types.Content) -> None:
    """What the server checks and the types do not: a known role, at least one part, exactly one kind of data in each."""
    if content.role not in {"user", "model", "function"}:
        raise RefusedError(f"there is no role {content.role}")
    if not content.parts:
        raise RefusedError("a content has no parts")
    for part in content.parts:
        kinds = {name for name in part.model_fields_set if getattr(part, name) is not None} - _BESIDE
        if len(kinds) != 1:
            raise RefusedError(f"a part has {sorted(kinds) or 'no data'}")
