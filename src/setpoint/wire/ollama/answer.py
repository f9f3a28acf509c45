"""An answer, whole or a piece of a stream, from bytes to nouns and back: both have one shape.

{"model": "m", "created_at": "...", "message": {"role": "assistant", "content": "Hi"}, "done": true, "done_reason": "stop",
 "prompt_eval_count": 26, "eval_count": 259}
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import as_object, unread_answer
from setpoint.wire.ollama.faults import classify_ollama_fault
from setpoint.wire.ollama.logprobs import TokenShape, read_logprobs, write_logprobs
from setpoint.wire.ollama.times import call_id, id_of, seconds_of, time_of
from setpoint.wire.ollama.words import WRITTEN, finish_of

Json = dict[str, object]
_NO_RAW = msgspec.Raw()


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = _NO_RAW


class Call(msgspec.Struct, gc=False):
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Piece(msgspec.Struct, gc=False):
    """A whole answer, or one line of a stream."""

    model: str | None = None
    created_at: str | None = None
    message: Said | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    logprobs: list[TokenShape] | None = None
    error: msgspec.Raw = _NO_RAW


decode_piece = msgspec.json.Decoder(Piece).decode
_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str).decode


def usage_of(piece: Piece) -> Usage | None:
    """Old servers leave the prompt's count out when they had it in their cache."""
    if piece.prompt_eval_count is None and piece.eval_count is None:
        return None
    return Usage(input=piece.prompt_eval_count or 0, output=piece.eval_count or 0)


def counts_of(usage: Usage) -> Json:
    return {"prompt_eval_count": usage.prompt_total, "eval_count": usage.completion_total}


def arguments_of(raw: msgspec.Raw) -> str:
    """Arguments are an object; some models' templates give the text of one."""
    given = bytes(raw)
    if given.startswith(b'"'):
        try:
            return _text(given) or "{}"
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # raw members are not checked for UTF-8 when they are set aside
    return "{}" if given in {b"", b"null"} else given.decode("utf-8", "replace")


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """A good status with an error inside is a fault."""
    try:
        answer = decode_piece(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    if bytes(answer.error) not in {b"", b"null"}:
        return classify_ollama_fault(0, {}, body, 0.0)
    if answer.message is None:
        return unread_answer(ValueError("it has no message"))
    created_at = answer.created_at or ""
    parts = parts_of(answer.message, created_at)
    called = any(isinstance(part, ToolCall) for part in parts)
    return ChatAnswer(
        id_of(created_at),
        answer.model or "",
        parts,
        finish_of(answer.done_reason, called),
        usage_of(answer),
        created_s=seconds_of(created_at),
        logprobs=read_logprobs(answer.logprobs),
    )


def parts_of(said: Said, created_at: str) -> tuple[Part, ...]:
    parts: list[Part] = []
    if said.thinking:
        parts.append(Thinking(said.thinking))
    if said.content:
        parts.append(Text(said.content))
    for no, call in enumerate(said.tool_calls or ()):
        function = call.function or Function()
        parts.append(ToolCall(call.id or call_id(created_at, no), function.name or "", arguments_of(function.arguments)))
    return tuple(parts)


def encode_answer(answer: ChatAnswer, model: str, created_s: int) -> bytes:
    body: Json = {"model": model, "created_at": time_of(answer.id, answer.created_s or created_s)}
    body["message"] = {"role": "assistant", **message_of(answer.parts)}
    body |= {"done": True, "done_reason": WRITTEN[answer.finish]}
    if answer.usage is not None:
        body |= counts_of(answer.usage)
    if answer.logprobs:
        body["logprobs"] = write_logprobs(answer.logprobs)
    return _encode(body)


def message_of(parts: tuple[Part, ...]) -> Json:
    """The members of an assistant's message."""
    message: Json = {"content": "".join(part.text for part in parts if isinstance(part, Text | Refusal))}
    if thoughts := "".join(part.text for part in parts if isinstance(part, Thinking)):
        message["thinking"] = thoughts
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = [call_shape(no, call.id, call.name, call.arguments) for no, call in enumerate(calls)]
    return message


def call_shape(no: int, given_id: str, name: str, arguments: str) -> Json:
    return {"id": given_id, "function": {"index": no, "name": name, "arguments": as_object(arguments)}}
