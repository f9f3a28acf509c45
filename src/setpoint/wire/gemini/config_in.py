"""generationConfig, from JSON to nouns (https://ai.google.dev/api/generate-content#GenerationConfig)."""

import msgspec

from setpoint.domain.chat import Reasoning, ResponseFormat, Sampling
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.schema import json_schema


class _Thinking(msgspec.Struct, gc=False, rename="camel"):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class _Config(msgspec.Struct, gc=False, rename="camel"):
    temperature: float | None = None
    top_p: float | None = None
    top_k: float | None = None
    candidate_count: int | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    response_mime_type: str | None = None
    response_schema: msgspec.Raw = shapes.NO_RAW
    response_json_schema: msgspec.Raw = shapes.NO_RAW
    response_logprobs: bool | None = None
    logprobs: int | None = None
    thinking_config: _Thinking | None = None
    response_modalities: msgspec.Raw = shapes.NO_RAW


class Config(msgspec.Struct, frozen=True):
    """What of generationConfig has a noun."""

    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    n: int = 1
    logprobs: bool = False
    top_logprobs: int | None = None


_decode = msgspec.json.Decoder(_Config).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_any = msgspec.json.Decoder().decode

_NAMES = frozenset(field.encode_name for field in msgspec.structs.fields(_Config)) - {"responseModalities"}
_PLAIN_TYPES = {None, "", "text/plain", "application/json"}
_TIERS = {"standard": "default", "unspecified": None, "service_tier_unspecified": None}


def read_tier(given: str | None) -> str | None:
    word = (given or "").lower().removeprefix("service_tier_")
    return _TIERS.get(word, word) or None


def read_config(raw: msgspec.Raw, extras: dict[str, bytes]) -> Config:
    """Members without a noun go to `extras`, as `generationConfig.…`."""
    given = shapes.given(raw)
    if not given:
        return Config()
    asked = _decode(given)
    for name, value in _members(given).items():
        if name not in _NAMES and (found := shapes.given(value)) and not (name == "responseModalities" and _text_only(found)):
            extras[f"generationConfig.{name}"] = found
    stop = asked.stop_sequences or ()
    return Config(
        Sampling(
            asked.temperature,
            asked.top_p,
            None if asked.top_k is None else int(asked.top_k),
            asked.frequency_penalty,
            asked.presence_penalty,
            asked.seed,
        ),
        asked.max_output_tokens,
        (stop,) if isinstance(stop, str) else tuple(stop),
        _response_format(asked, extras),
        None if asked.thinking_config is None else _reasoning(asked.thinking_config),
        asked.candidate_count or 1,
        bool(asked.response_logprobs),
        asked.logprobs,
    )


def _text_only(modalities: bytes) -> bool:
    """The answer is text anyway; only other modalities are worth a word."""
    names = _any(modalities)
    return isinstance(names, list) and all(str(name).upper() in {"TEXT", "1"} for name in names)


def _response_format(asked: _Config, extras: dict[str, bytes]) -> ResponseFormat | None:
    native, google = shapes.given(asked.response_json_schema), shapes.given(asked.response_schema)
    if asked.response_mime_type not in _PLAIN_TYPES:
        extras["generationConfig.responseMimeType"] = msgspec.json.encode(asked.response_mime_type)
        if google:
            extras["generationConfig.responseSchema"] = google
        return None
    if native or google:
        return ResponseFormat("json_schema", shapes.compact(native).encode() if native else json_schema(google))
    return ResponseFormat("json_object") if asked.response_mime_type == "application/json" else None


def _reasoning(given: _Thinking) -> Reasoning | None:
    """Thoughts are shown only when asked for. A budget of 0 switches thinking off, -1 leaves it to the model."""
    show, budget = bool(given.include_thoughts), given.thinking_budget
    level = (given.thinking_level or "").lower()
    effort = level if level and level != "thinking_level_unspecified" else None
    if budget == 0 and effort is None:
        return Reasoning("disabled", show=show)
    if budget is not None and budget > 0:
        return Reasoning("enabled", effort, budget, show)
    if effort is not None:
        return Reasoning("enabled", effort, None, show)
    return Reasoning("adaptive", None, None, show) if show or budget is not None else None
