"""A unary messages answer, from bytes to nouns and back.

What no other dialect has is carried as it stands: blocks of tools that ran at the provider under their own type, members of the message
beside the content under `message.` and their name.
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Finish, Foreign, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.anthropic.answer_tool import ANSWER_TOOL
from setpoint.wire.anthropic.citations import citations_of, cited_blocks
from setpoint.wire.anthropic.facts import UsageShape, shape_of, usage_of
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.anthropic.signed_parts import redacted_block, thinking_block
from setpoint.wire.anthropic.words import finish_of, message_id, shown_tier, stop_reason
from setpoint.wire.bodies import as_object, unread_answer
from setpoint.wire.carried import carried
from setpoint.wire.signatures import marked, shown

Json = dict[str, object]
_NO_RAW = msgspec.Raw()


class Block(msgspec.Struct, gc=False):
    type: str
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NO_RAW
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    citations: msgspec.Raw = _NO_RAW


class StopDetails(msgspec.Struct, gc=False):
    explanation: str | None = None


class _Answer(msgspec.Struct, gc=False):
    type: str = ""
    id: str = ""
    model: str = ""
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: msgspec.Raw = _NO_RAW
    container: msgspec.Raw = _NO_RAW
    context_management: msgspec.Raw = _NO_RAW
    usage: UsageShape | None = None


_decode = msgspec.json.Decoder(_Answer).decode
block_of = msgspec.json.Decoder(Block).decode
_stop_details = msgspec.json.Decoder(StopDetails).decode
_encode = msgspec.json.Encoder().encode

MESSAGE_MEMBERS = ("container", "context_management", "stop_details")


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    try:
        answer = _decode(body)
        if answer.type == "error":
            return classify_anthropic_fault(0, {}, body, 0.0)
        if answer.type != "message":
            return unread_answer(ValueError("it is not a message"))
        parts = [_part(bytes(raw)) for raw in answer.content or ()]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    members = {name: bytes(getattr(answer, name)) for name in MESSAGE_MEMBERS}
    parts += [Foreign(f"message.{name}", "anthropic", carried(raw)) for name, raw in members.items() if raw not in {b"", b"null"}]
    if explanation := explanation_of(answer.stop_details):
        parts.append(Refusal(explanation))
    answered = ANSWER_TOOL.encode() in body and not any(isinstance(part, ToolCall) for part in parts)
    return ChatAnswer(
        answer.id,
        answer.model,
        tuple(parts),
        ended(finish_of(answer.stop_reason), answered),
        usage_of(answer.usage) if answer.usage is not None else None,
        answer.stop_sequence,
        service_tier=answer.usage.service_tier if answer.usage is not None else None,
    )


def explanation_of(raw: msgspec.Raw) -> str:
    if bytes(raw) in {b"", b"null"}:
        return ""
    try:
        return _stop_details(raw).explanation or ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""


def ended(finish: Finish, answered: bool) -> Finish:
    """The call of the answer tool, when it is the only one, is no call to anybody else."""
    return "stop" if finish == "tool_calls" and answered else finish


def _part(raw: bytes) -> Part:
    block = block_of(raw)
    if block.type == "text":
        return Text(block.text or "", citations=citations_of(block.citations))
    if block.type == "tool_use":
        arguments = bytes(block.input).decode("utf-8", "replace") or "{}"
        return Text(arguments) if block.name == ANSWER_TOOL else ToolCall(block.id or "", block.name or "", arguments)
    if block.type == "thinking":
        return Thinking(block.thinking or "", marked("anthropic", block.signature or ""))
    if block.type == "redacted_thinking":
        return Thinking("", redacted=marked("anthropic", block.data or ""))
    return Foreign(block.type[:64], "anthropic", carried(raw))


def encode_answer(answer: ChatAnswer, model: str, created_s: int) -> bytes:  # noqa: ARG001  the shape has no time
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    members = {
        part.kind.removeprefix("message."): msgspec.Raw(part.raw)
        for part in answer.parts
        if isinstance(part, Foreign) and part.dialect == "anthropic" and part.kind.startswith("message.")
    }
    usage = shape_of(answer.usage or Usage())
    if tier := shown_tier(answer.service_tier):
        usage["service_tier"] = tier
    body: Json = {
        "id": message_id(answer.id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block for part in answer.parts for block in _blocks(part, "stop_details" in members)],
        "stop_reason": stop_reason(answer.finish, refused),
        "stop_sequence": answer.stop_sequence,
        "usage": usage,
    }
    return _encode(body | members)


def _blocks(part: Part, explained: bool) -> list[object]:
    """`explained`: why the model refused is said in a member of the message."""
    if isinstance(part, Text):
        blocks: list[object] = list(cited_blocks(part))
        return [*blocks, redacted_block(part.signature)] if part.signature else blocks
    if isinstance(part, Refusal):
        return [] if explained else [{"type": "text", "text": part.text}]
    if isinstance(part, ToolCall):
        call: Json = {"type": "tool_use", "id": part.id, "name": part.name, "input": as_object(part.arguments)}
        return [thinking_block("", part.signature), call] if part.signature else [call]
    if isinstance(part, Thinking):
        if part.redacted:
            return [redacted_block(shown("anthropic", part.redacted))]
        return [thinking_block(part.text, shown("anthropic", part.signature))]
    if isinstance(part, Foreign) and part.dialect == "anthropic" and part.raw and not part.kind.startswith("message."):
        return [msgspec.Raw(part.raw)]
    return []
