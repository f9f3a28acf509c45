"""A unary Converse answer, from bytes to nouns and back. It has no id, no time and no model's name."""

import msgspec

from setpoint.domain.chat import Audio, ChatAnswer, Foreign, Image, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.bedrock_converse.blocks import part_of, read_block, redacted_bytes
from setpoint.wire.bedrock_converse.citations import written
from setpoint.wire.bedrock_converse.facts import Tier, Trace, UsageShape, model_of, shape_of, usage_of
from setpoint.wire.bedrock_converse.faults import classify_bedrock_fault
from setpoint.wire.bedrock_converse.words import DIALECT, IMAGE_FORMATS, SIGNER, finish_of, stop_reason
from setpoint.wire.bodies import as_object, unread_answer
from setpoint.wire.signatures import shown

Json = dict[str, object]


class _Message(msgspec.Struct, gc=False):
    content: list[msgspec.Raw] | None = None


class _Output(msgspec.Struct, gc=False):
    message: _Message | None = None


class _Delta(msgspec.Struct, gc=False):
    stop_sequence: str | None = None


class MoreFields(msgspec.Struct, gc=False):
    """What a client, or `request_out`, asked for by additionalModelResponseFieldPaths."""

    stop_sequence: str | None = None
    delta: _Delta | None = None


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    output: _Output | None = None
    stop_reason: str | None = None
    usage: UsageShape | None = None
    trace: Trace | None = None
    service_tier: Tier | None = None
    additional_model_response_fields: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Answer).decode
_more = msgspec.json.Decoder(MoreFields | None).decode
_encode = msgspec.json.Encoder().encode


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    try:
        answer = _decode(body)
        message = answer.output.message if answer.output is not None else None
        if message is None:
            if b'"message"' in body or b'"Message"' in body:
                return classify_bedrock_fault(0, {}, body, 0.0)
            return unread_answer(ValueError("it has no message"))
        parts = tuple([part_of(read_block(raw), bytes(raw), {}) for raw in message.content or ()])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    finish = finish_of(answer.stop_reason)
    if finish == "tool_calls" and not any(isinstance(part, ToolCall) for part in parts):
        finish = "stop"  # the only call was of the tool that stands for an answer in JSON
    return ChatAnswer(
        "",
        model_of(answer.trace),
        parts,
        finish,
        usage_of(answer.usage) if answer.usage is not None else None,
        stop_sequence_of(answer.additional_model_response_fields),
        service_tier=answer.service_tier.type if answer.service_tier is not None else None,
    )


def stop_sequence_of(fields: msgspec.Raw) -> str | None:
    """Which sequence stopped the model, where the model says so."""
    if not fields:
        return None
    try:
        more = _more(fields)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if more is None:
        return None
    return more.stop_sequence or (more.delta.stop_sequence if more.delta is not None else None)


def encode_answer(answer: ChatAnswer) -> bytes:
    refused = any(isinstance(part, Refusal) for part in answer.parts)
    content = [block for part in answer.parts if (block := _block(part)) is not None]
    body: Json = {
        "metrics": {"latencyMs": 0},
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": stop_reason(answer.finish, refused),
        "usage": shape_of(answer.usage or Usage()),
    }
    if answer.stop_sequence is not None:
        body["additionalModelResponseFields"] = {"stop_sequence": answer.stop_sequence}
    if answer.service_tier in TIERS:
        body["serviceTier"] = {"type": answer.service_tier}
    return _encode(body)


TIERS = frozenset({"priority", "default", "flex", "reserved"})


def _block(part: Part) -> msgspec.Raw | Json | None:
    if isinstance(part, Text):
        return _text(part)
    if isinstance(part, Refusal):
        return {"text": part.text}
    if isinstance(part, ToolCall):
        return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": as_object(part.arguments)}}
    if isinstance(part, Thinking):
        return reasoning(part)
    if isinstance(part, Image):
        kind = IMAGE_FORMATS.get(part.media_type or "image/png")
        return {"image": {"format": kind, "source": {"bytes": part.data}}} if part.data is not None and kind is not None else None
    if isinstance(part, Audio):
        return {"audio": {"format": part.format, "source": {"bytes": part.data}}}
    if isinstance(part, Foreign) and part.dialect == DIALECT and part.raw:
        return msgspec.Raw(part.raw)
    return None


def _text(part: Text) -> Json:
    if not part.citations:
        return {"text": part.text}
    return {"citationsContent": {"content": [{"text": part.text}], "citations": [written(one) for one in part.citations]}}


def reasoning(part: Thinking) -> Json:
    """For a client of this dialect: redacted thinking of another provider travels marked, in base64 like all of it."""
    if part.redacted:
        return {"reasoningContent": {"redactedContent": redacted_bytes(shown(SIGNER, part.redacted))}}
    text: Json = {"text": part.text}
    if part.signature:
        text["signature"] = shown(SIGNER, part.signature)
    return {"reasoningContent": {"reasoningText": text}}
