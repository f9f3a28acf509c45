"""What the ledger and the tap read of OpenAI chat answers; nothing else is decoded."""

import msgspec

from setpoint.domain.usage import Usage
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_shapes import UsageShape, usage_of


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None


class DeltaFacts(msgspec.Struct, gc=False):
    """Raw, because vendors put strings, lists and null here; what counts is whether there is anything."""

    content: msgspec.Raw = msgspec.Raw()
    reasoning_content: msgspec.Raw = msgspec.Raw()
    reasoning: msgspec.Raw = msgspec.Raw()
    refusal: msgspec.Raw = msgspec.Raw()
    tool_calls: msgspec.Raw = msgspec.Raw()
    function_call: msgspec.Raw = msgspec.Raw()
    audio: msgspec.Raw = msgspec.Raw()


class _ChunkChoice(msgspec.Struct, gc=False):
    delta: DeltaFacts | None = None
    finish_reason: str | None = None
    text: str | None = None


class _Groq(msgspec.Struct, gc=False):
    usage: UsageShape | None = None


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_ChunkChoice] | None = None
    usage: UsageShape | None = None
    x_groq: _Groq | None = None
    error: msgspec.Raw = msgspec.Raw()


_answer = msgspec.json.Decoder(_Answer).decode
chunk_facts = msgspec.json.Decoder(_Chunk).decode
_EMPTY = (b"", b"null", b'""', b"[]", b"{}")
_NOTHING = AnswerFacts(None, "", "")


def read_usage(body: bytes) -> AnswerFacts:
    """Usage, model and finish of a unary answer; empty facts when the body is not one."""
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NOTHING
    finish = answer.choices[0].finish_reason if answer.choices else None
    return AnswerFacts(usage_of(answer.usage) if answer.usage is not None else None, answer.model or "", finish or "")


def chunk_usage(chunk: _Chunk) -> Usage | None:
    """The usage of a chunk; Groq puts it into a member of its own."""
    shape = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
    return None if shape is None else usage_of(shape)


def has_content(chunk: _Chunk) -> bool:
    return any(choice.text or (choice.delta is not None and _says_something(choice.delta)) for choice in chunk.choices or ())


def _says_something(delta: DeltaFacts) -> bool:
    return any(
        bytes(raw) not in _EMPTY
        for raw in (
            delta.content,
            delta.reasoning_content,
            delta.reasoning,
            delta.refusal,
            delta.tool_calls,
            delta.function_call,
            delta.audio,
        )
    )
