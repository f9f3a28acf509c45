"""A unary completion, from bytes to nouns and back. Only text can be said: thinking and calls of tools have no place here."""

import msgspec

from setpoint.domain.chat import ChatAnswer, Refusal, Text
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unread_answer
from setpoint.wire.openai_completions.logprobs import LogprobsWriter, read_logprobs
from setpoint.wire.openai_completions.words import WRITTEN, finish_of, shown_id
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import UsageShape, shape_of, usage_of


class _Said(msgspec.Struct, gc=False):
    """Prompt services at this path answer with a chat message (Portkey)."""

    content: str | None = None


class Choice(msgspec.Struct, gc=False):
    """A choice of an answer, or of a chunk of a stream."""

    index: int | None = None
    text: str | None = None
    message: _Said | None = None
    logprobs: msgspec.Raw = msgspec.Raw()
    finish_reason: str | None = None


class Completion(msgspec.Struct, gc=False):
    """An answer, or a chunk of a stream: both have one shape."""

    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[Choice] | None = None
    usage: UsageShape | None = None
    error: msgspec.Raw = msgspec.Raw()


decode_completion = msgspec.json.Decoder(Completion).decode
_encode = msgspec.json.Encoder().encode


def text_of(choice: Choice) -> str:
    return choice.text or (choice.message.content if choice.message is not None else None) or ""


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """The first choice of an answer. A good status with an error inside, or no choice, is a fault."""
    try:
        answer = decode_completion(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    if not answer.choices:
        if b'"error"' in body or b'"message"' in body:
            return classify_openai_fault(0, {}, body, 0.0)
        return unread_answer(ValueError("it has no choices"))
    choice = answer.choices[0]
    text = text_of(choice)
    return ChatAnswer(
        answer.id or "",
        answer.model or "",
        (Text(text),) if text else (),
        finish_of(choice.finish_reason),
        usage_of(answer.usage) if answer.usage is not None else None,
        created_s=int(answer.created or 0),
        logprobs=read_logprobs(choice.logprobs),
    )


def encode_answer(answer: ChatAnswer, model: str, created_s: int) -> bytes:
    text = "".join(part.text for part in answer.parts if isinstance(part, Text | Refusal))
    choice = {
        "text": text,
        "index": 0,
        "logprobs": LogprobsWriter().write(answer.logprobs) if answer.logprobs else None,
        "finish_reason": WRITTEN[answer.finish],
    }
    body: dict[str, object] = {
        "id": shown_id(answer.id),
        "object": "text_completion",
        "created": answer.created_s or created_s,
        "model": model,
        "choices": [choice],
    }
    if answer.usage is not None:
        body["usage"] = shape_of(answer.usage)
    return _encode(body)
