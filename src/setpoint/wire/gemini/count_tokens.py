"""countTokens (https://ai.google.dev/api/tokens): how many tokens a prompt has, asked and answered."""

import msgspec

from setpoint.domain.chat import ChatRequest
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, unread_answer, utf8
from setpoint.wire.dialect import Encoded
from setpoint.wire.gemini import request_in, request_out, shapes
from setpoint.wire.gemini.faults import classify_gemini_fault
from setpoint.wire.gemini.spelling import camel_members


class _Question(msgspec.Struct, gc=False, rename="camel"):
    generate_content_request: msgspec.Raw = shapes.NO_RAW


class _Count(msgspec.Struct, gc=False, rename="camel"):
    total_tokens: int | None = None
    error: msgspec.Raw = shapes.NO_RAW


_question = msgspec.json.Decoder(_Question).decode
_count = msgspec.json.Decoder(_Count).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


def decode_count_request(body: bytes) -> ChatRequest | Fault:
    """A prompt is `contents` alone, or with its system instruction and tools as a whole `generateContentRequest`; Vertex takes these
    beside the contents."""
    try:
        inner = shapes.given(_question(camel_members(utf8(body))).generate_content_request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad_body(error)
    return request_in.decode_request(inner or body)


def encode_count_request(request: ChatRequest, model: str) -> Encoded | Fault:
    """Asked as a whole request, so that instructions and tools are counted. This is AI Studio's form; Vertex wants the members beside
    each other, as `encode_vertex_count_request` writes them."""
    encoded = request_out.encode_request(request, model)
    if isinstance(encoded, Fault):
        return encoded
    inner = {"model": msgspec.Raw(_encode(f"models/{model}")), **_members(encoded.body)}
    return Encoded(_encode({"generateContentRequest": inner}), encoded.losses)


def encode_vertex_count_request(request: ChatRequest, model: str) -> Encoded | Fault:
    """Vertex knows no `toolConfig` here (https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/count-tokens)."""
    encoded = request_out.encode_request(request, model)
    if isinstance(encoded, Fault):
        return encoded
    counted = {name: raw for name, raw in _members(encoded.body).items() if name in _COUNTED}
    return Encoded(_encode(counted), encoded.losses)


_COUNTED = frozenset({"contents", "systemInstruction", "tools", "generationConfig"})


def read_count(body: bytes) -> int | Fault:
    try:
        count = _count(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    if shapes.given(count.error):
        return classify_gemini_fault(0, {}, body, 0.0)
    return unread_answer(ValueError("it has no totalTokens")) if count.total_tokens is None else count.total_tokens


def encode_count(total: int) -> bytes:
    return _encode({"totalTokens": total, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": total}]})
