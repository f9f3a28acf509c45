"""The chat dialects, each with its oracle: how the vendor's SDK reads an answer, how its schema judges a request, what the recorded
JSON says, and what of an answer the API has a place for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import cast

from tests.pairs.judges import anthropic_types, aws_model, cohere_types, google_types, ollama_types, openai_schema
from tests.pairs.said import Said, refusal_as_text
from tests.pairs.told import anthropic_json, bedrock_json, cohere_json, gemini_json, ollama_json, openai_json
from tests.pairs.vendors import anthropic_sdk, botocore_sdk, cohere_sdk, google_sdk, ollama_sdk, openai_sdk

from setpoint.wire.dialect import Dialect

Reader = Callable[[bytes], Said]


def _as_it_is(said: Said) -> Said:
    return said


def _never(said: Said) -> None:
    return None


@dataclass(frozen=True, eq=False)
class Surface:
    """One dialect and those who know it.

    `stops` gives for each word of `domain.chat.Finish` what the API can say of it, as its SDK's reader names it; a word that is absent
    stays itself. `place` is what the API has a place for in an answer. `cannot` names why an answer cannot be said at all, so that it is
    counted and not tried.
    """

    name: str
    model: str
    read_answer: Reader
    read_stream: Reader
    told_answer: Reader
    told_stream: Reader
    judge: Callable[[bytes, bool], None]
    stops: Mapping[str, frozenset[str]]
    place: Callable[[Said], Said] = _as_it_is
    cannot: Callable[[Said], str | None] = _never

    @property
    def dialect(self) -> Dialect:
        return cast("Dialect", getattr(import_module(f"setpoint.wire.{self.name}.dialect"), self.name.upper()))

    def stops_for(self, stop: str) -> frozenset[str]:
        return self.stops.get(stop, frozenset({stop}))


def _only(**words: str) -> dict[str, frozenset[str]]:
    return {word: frozenset(said.split("|")) for word, said in words.items()}


def _no_calls(said: Said) -> str | None:
    return "legacy completions cannot say tool calls" if said.calls else None


def _filter_message(said: Said) -> Said:
    """Gemini says in a message of its own why it filtered; a model that refuses says so in its text."""
    return said if said.stop in {"content_filter", "refusal"} else refusal_as_text(said)


def _text_only(said: Said) -> Said:
    return replace(refusal_as_text(said), thinking="")


SURFACES = {
    surface.name: surface
    for surface in (
        Surface(
            "openai_chat",
            "gpt-4o",
            openai_sdk.read_chat,
            openai_sdk.read_chat_stream,
            openai_json.chat,
            openai_json.chat_stream,
            openai_schema.judge_chat,
            _only(stop_sequence="stop", refusal="content_filter", pause="stop", unknown="stop"),
        ),
        Surface(
            "anthropic",
            "claude-sonnet-4-5",
            anthropic_sdk.read,
            anthropic_sdk.read_stream,
            anthropic_json.message,
            anthropic_json.stream,
            anthropic_types.judge,
            _only(content_filter="refusal", unknown="stop"),
            refusal_as_text,
        ),
        Surface(
            "openai_responses",
            "gpt-4o",
            openai_sdk.read_response,
            openai_sdk.read_response_stream,
            openai_json.response,
            openai_json.response_stream,
            openai_schema.judge_response,
            _only(stop_sequence="stop", refusal="content_filter|stop", pause="stop", unknown="stop"),
        ),
        Surface(
            "gemini",
            "gemini-2.5-flash",
            google_sdk.read,
            google_sdk.read_stream,
            gemini_json.answer,
            gemini_json.stream,
            google_types.judge,
            _only(stop_sequence="stop", refusal="content_filter|stop", pause="stop|unknown", unknown="stop|unknown"),
            _filter_message,
        ),
        Surface(
            "bedrock_converse",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            botocore_sdk.read,
            botocore_sdk.read_stream,
            bedrock_json.answer,
            bedrock_json.stream,
            aws_model.judge,
            _only(refusal="content_filter", pause="stop", unknown="stop"),
            refusal_as_text,
        ),
        Surface(
            "cohere",
            "command-a-03-2025",
            cohere_sdk.read,
            cohere_sdk.read_stream,
            cohere_json.answer,
            cohere_json.stream,
            cohere_types.judge,
            _only(refusal="stop|content_filter", content_filter="stop|content_filter", pause="stop", unknown="stop"),
            refusal_as_text,
        ),
        Surface(
            "ollama",
            "qwen3",
            ollama_sdk.read,
            ollama_sdk.read_stream,
            ollama_json.answer,
            ollama_json.stream,
            ollama_types.judge,
            _only(stop_sequence="stop", refusal="stop", content_filter="stop", pause="stop", unknown="stop"),
            refusal_as_text,
        ),
        Surface(
            "openai_completions",
            "gpt-3.5-turbo-instruct",
            openai_sdk.read_completions,
            openai_sdk.read_completions_stream,
            openai_json.completions,
            openai_json.completions_stream,
            openai_schema.judge_completions,
            _only(stop_sequence="stop", refusal="content_filter|stop", pause="stop", unknown="stop"),
            _text_only,
            _no_calls,
        ),
    )
}


def differences(told: Said, read: Said, surface: Surface) -> list[str]:
    """Where what the SDK of `surface` read differs from what the source told, as far as the API has a place for it."""
    wanted = surface.place(told)
    found = [
        f"{name}: {getattr(wanted, name)!r} became {getattr(read, name)!r}"
        for name in ("text", "refusal", "thinking")
        if getattr(wanted, name) != getattr(read, name)
    ]
    found += _calls_differ(wanted, read)
    if read.stop not in surface.stops_for(wanted.stop):
        found.append(f"stop: {wanted.stop} became {read.stop}")
    for name in ("prompt_tokens", "completion_tokens"):
        if (getattr(wanted, name) or 0) != (getattr(read, name) or 0):
            found.append(f"{name}: {getattr(wanted, name)} became {getattr(read, name)}")
    return found


def _calls_differ(wanted: Said, read: Said) -> list[str]:
    """A call that came without an id gets one; it must be there and be its own."""
    if len(wanted.calls) != len(read.calls):
        return [f"calls: {wanted.calls} became {read.calls}"]
    found = []
    for (call_id, *call), (read_id, *read_call) in zip(wanted.calls, read.calls, strict=True):
        if call != read_call or (call_id and call_id != read_id):
            found.append(f"call: {(call_id, *call)} became {(read_id, *read_call)}")
    ids = [call_id for call_id, *_ in read.calls]
    made_up = [ids[no] for no, (call_id, *_) in enumerate(wanted.calls) if not call_id]
    if not all(ids) or any(ids.count(call_id) > 1 for call_id in made_up):
        found.append(f"ids: {ids}")
    return found
