"""A unary messages answer, from bytes to nouns and back."""

import msgspec

from setpoint.domain.chat import ChatAnswer, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.facts import UsageShape, shape_of, usage_of
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.anthropic.words import finish_of, message_id, stop_reason
from setpoint.wire.bodies import as_object, unread_answer

Json = dict[str, object]


class Block(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class StopDetails(msgspec.Struct, gc=False):
    explanation: str | None = None


class _Answer(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    model: str = ""
    content: list[Block] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None
    usage: UsageShape | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """Blocks of tools that ran at the provider are left out: no other dialect can show them."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    if answer.type == "error":
        return classify_anthropic_fault(0, {}, body, 0.0)
    if answer.type != "message":
        return unread_answer(ValueError("it is not a message"))
    parts = [part for block in answer.content if (part := _part(block)) is not None]
    if answer.stop_details is not None and answer.stop_details.explanation:
        parts.append(Refusal(answer.stop_details.explanation))
    usage = usage_of(answer.usage) if answer.usage is not None else None
    return ChatAnswer(answer.id, answer.model, tuple(parts), finish_of(answer.stop_reason), usage, answer.stop_sequence)


def _part(block: Block) -> Part | None:
    if block.type == "text":
        return Text(block.text or "")
    if block.type == "tool_use":
        return ToolCall(block.id or "", block.name or "", bytes(block.input).decode("utf-8", "replace") or "{}")
    if block.type == "thinking":
        return Thinking(block.thinking or "", block.signature or "")
    if block.type == "redacted_thinking":
        return Thinking("", redacted=block.data or "")
    return None


def encode_answer(answer: ChatAnswer, model: str, created_s: int) -> bytes:  # noqa: ARG001  the shape has no time
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    return _encode(
        {
            "id": message_id(answer.id),
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": [block for part in answer.parts if (block := _block(part)) is not None],
            "stop_reason": stop_reason(answer.finish, refused),
            "stop_sequence": answer.stop_sequence,
            "usage": shape_of(answer.usage or Usage()),
        }
    )


def _block(part: Part) -> Json | None:
    if isinstance(part, Text | Refusal):
        return {"type": "text", "text": part.text}
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": as_object(part.arguments)}
    if isinstance(part, Thinking):
        if part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}
    return None
