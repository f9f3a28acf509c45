"""Parts of an answer: read for any client, written for a Gemini client."""

import msgspec

from setpoint.domain.chat import Audio, Document, Foreign, Image, Part, Refusal, Text, Thinking, ToolCall
from setpoint.wire.bodies import as_object
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.part_in import content_part
from setpoint.wire.gemini.signed import NAME, for_client, read_signature
from setpoint.wire.gemini.words import call_id

Json = dict[str, object]


def read_call(part: shapes.Part, response_id: str, number: int) -> ToolCall:
    """A whole function call. `number` counts the calls of the answer from 0."""
    call = part.function_call or shapes.FunctionCall()
    given = shapes.given(call.args)
    signature, _ = read_signature(part.thought_signature or "")
    arguments = shapes.compact(given) if given else "{}"
    return ToolCall(call.id or call_id(response_id, number), call.name or "", arguments, signature=signature)


def read_other(part: shapes.Part, raw: bytes) -> list[Part]:
    """What a part says that is no function call. A signature at a file follows it, since files have none inside."""
    made = content_part(part, raw)
    if made is None:
        return []
    if isinstance(made, Image | Audio | Document) and part.thought_signature:
        return [made, Text("", signature=read_signature(part.thought_signature)[0])]
    return [made]


def written_part(part: Part) -> Json | msgspec.Raw | None:
    """A part of an answer for a client; None for what a Gemini client has no form for."""
    if isinstance(part, Text):
        return text_part(part.text, part.signature)
    if isinstance(part, ToolCall):
        call: Json = {"functionCall": {"id": part.id, "name": part.name, "args": as_object(part.arguments)}}
        return _signed(call, for_client(part.signature))
    if isinstance(part, Thinking):
        return thought_part(part.text, part.signature, part.redacted)
    if isinstance(part, Refusal):
        return text_part(part.text, "")
    if isinstance(part, Image) and part.data is not None:
        return {"inlineData": {"mimeType": part.media_type or "image/png", "data": part.data}}
    if isinstance(part, Image) and part.url is not None:
        return {"fileData": {"mimeType": part.media_type or "image/png", "fileUri": part.url}}
    if isinstance(part, Audio):
        return {"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}
    if isinstance(part, Foreign) and part.dialect == NAME and part.raw:
        return msgspec.Raw(part.raw)
    return None


def text_part(text: str, signature: str) -> Json:
    return _signed({"text": text}, for_client(signature))


def thought_part(text: str, signature: str = "", redacted: str = "") -> Json:
    return _signed({"text": text, "thought": True}, for_client(signature, redacted))


def _signed(part: Json, signature: str) -> Json:
    if signature:
        part["thoughtSignature"] = signature
    return part
