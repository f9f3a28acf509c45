"""A unary chat answer, from bytes to nouns and back.

Thinking has no place in OpenAI's own shape. Its text is written as `reasoning_content`, as DeepSeek and vLLM do, and its proof as
`thinking_blocks`, as LiteLLM does, so that a client that sends the message back keeps both.
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unread_answer
from setpoint.wire.openai_chat.words import WRITTEN, finish_of, shown_id
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import UsageShape, shape_of, usage_of

_NO_RAW = msgspec.Raw()
Json = dict[str, object]


class Function(msgspec.Struct, gc=False):
    """Arguments are text, but some servers send the object itself."""

    name: str | None = None
    arguments: msgspec.Raw = _NO_RAW


class Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class ContentPart(msgspec.Struct, gc=False):
    """Mistral's content is a list when the model thinks."""

    type: str = "text"
    text: str | None = None
    thinking: "list[ContentPart] | None" = None


class ThinkingBlock(msgspec.Struct, gc=False):
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class Said(msgspec.Struct, gc=False):
    """A message, or a delta of one."""

    content: str | list[ContentPart] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    thinking_blocks: list[ThinkingBlock] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    message: Said | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str).decode


def decode_answer(body: bytes) -> ChatAnswer | Fault:
    """The first choice of an answer. A good status with an error inside, or no choice, is a fault."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return unread_answer(error)
    if not answer.choices or answer.choices[0].message is None:
        if b'"error"' in body or b'"message"' in body:
            return classify_openai_fault(0, {}, body, 0.0)
        return unread_answer(ValueError("it has no choices"))
    choice = answer.choices[0]
    parts = _parts(choice.message or Said(), answer.id or "")
    called = any(isinstance(part, ToolCall) for part in parts)
    usage = usage_of(answer.usage) if answer.usage is not None else None
    created_s = int(answer.created or 0)
    return ChatAnswer(answer.id or "", answer.model or "", parts, finish_of(choice.finish_reason, called), usage, None, created_s)


def _parts(said: Said, answer_id: str) -> tuple[Part, ...]:
    parts: list[Part] = list(thinking_of(said))
    text, thought = text_of(said.content)
    if thought:
        parts.append(Thinking(thought))
    if text:
        parts.append(Text(text))
    if said.refusal:
        parts.append(Refusal(said.refusal))
    for no, call in enumerate(said.tool_calls or ()):
        function = call.function or Function()
        parts.append(ToolCall(call.id or made_up_id(answer_id, no), function.name or "", arguments_of(function)))
    if said.function_call is not None:
        name = said.function_call.name or ""
        parts.append(ToolCall(f"call_{name}", name, arguments_of(said.function_call)))
    return tuple(parts)


def made_up_id(answer_id: str, no: int) -> str:
    """For servers that give calls no id; it must not come again in the next turn."""
    return f"call_{answer_id}_{no}"


def thinking_of(said: Said) -> list[Thinking]:
    if said.thinking_blocks:
        return [Thinking(block.thinking or "", block.signature or "", block.data or "") for block in said.thinking_blocks]
    text = said.reasoning_content or said.reasoning
    return [Thinking(text)] if text else []


def text_of(content: str | list[ContentPart] | None) -> tuple[str, str]:
    """Text and thinking of a content, which is nearly always a string."""
    if content is None or isinstance(content, str):
        return content or "", ""
    text = "".join(part.text or "" for part in content if part.thinking is None)
    return text, "".join(inner.text or "" for part in content for inner in part.thinking or ())


def arguments_of(function: Function) -> str:
    raw = bytes(function.arguments)
    if raw in {b"", b"null"}:
        return ""
    if raw.startswith(b'"'):
        try:
            return _text(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # raw members are not checked for UTF-8 when they are set aside
    return raw.decode("utf-8", "replace")


def encode_answer(answer: ChatAnswer, model: str, created_s: int) -> bytes:
    body: Json = {
        "id": shown_id(answer.id),
        "object": "chat.completion",
        "created": answer.created_s or created_s,
        "model": model,
        "choices": [{"index": 0, "message": _message(answer.parts), "logprobs": None, "finish_reason": WRITTEN[answer.finish]}],
    }
    if answer.usage is not None:
        body["usage"] = shape_of(answer.usage)
    return _encode(body)


def _message(parts: tuple[Part, ...]) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None}
    texts: list[str] = []
    calls: list[Json] = []
    thoughts: list[Thinking] = []
    for part in parts:
        if isinstance(part, Text):
            texts.append(part.text)
        elif isinstance(part, ToolCall):
            calls.append({"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}})
        elif isinstance(part, Thinking):
            thoughts.append(part)
        elif isinstance(part, Refusal):
            message["refusal"] = part.text
    if texts:
        message["content"] = "".join(texts)
    elif not calls and message["refusal"] is None:
        message["content"] = ""
    if calls:
        message["tool_calls"] = calls
    if thoughts:
        _add_thinking(message, thoughts)
    return message


def _add_thinking(message: Json, thoughts: list[Thinking]) -> None:
    if text := "".join(thought.text for thought in thoughts):
        message["reasoning_content"] = text
    if any(thought.signature or thought.redacted for thought in thoughts):
        message["thinking_blocks"] = [thinking_block(thought.text, thought.signature, thought.redacted) for thought in thoughts]


def thinking_block(text: str, signature: str, redacted: str) -> Json:
    if redacted:
        return {"type": "redacted_thinking", "data": redacted}
    return {"type": "thinking", "thinking": text, "signature": signature}
