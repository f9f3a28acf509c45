"""A unary chat answer, from bytes to nouns and back.

Parts come in this order: thinking, text with its citations, refusal, calls, then what only this dialect has.
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Citation, Foreign, Image, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unread_answer
from setpoint.wire.carried import carried
from setpoint.wire.openai_chat.citations import annotations_of, references_of, sources_of, written
from setpoint.wire.openai_chat.data_urls import data_url, data_url_of
from setpoint.wire.openai_chat.logprobs import logprobs_of
from setpoint.wire.openai_chat.logprobs import shape_of as logprobs_shape
from setpoint.wire.openai_chat.shapes import NO_RAW, ContentPart, Said, arguments_of, google_signature, has_something, items, made_up_id
from setpoint.wire.openai_chat.thinking import add_thinking, in_blocks, thoughts_of
from setpoint.wire.openai_chat.words import WRITTEN, finish_of, shown_id, shown_tier
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import UsageShape, shape_of, usage_of
from setpoint.wire.signatures import marked, own

Json = dict[str, object]


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = NO_RAW


class _Answer(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None
    service_tier: str | None = None
    citations: msgspec.Raw = NO_RAW
    search_results: msgspec.Raw = NO_RAW


class _ImageUrl(msgspec.Struct, gc=False):
    url: str = ""


class _Image(msgspec.Struct, gc=False):
    image_url: _ImageUrl | None = None


_decode = msgspec.json.Decoder(_Answer).decode
_image = msgspec.json.Decoder(_Image).decode
_encode = msgspec.json.Encoder().encode

MESSAGE_MEMBERS = ("audio", "executed_tools")
"""Members of a message that no other dialect has; a part only this dialect can say is named after its member."""


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
    parts = _parts(choice.message or Said(), answer)
    called = any(isinstance(part, ToolCall) for part in parts)
    return ChatAnswer(
        answer.id or "",
        answer.model or "",
        parts,
        finish_of(choice.finish_reason, called),
        usage_of(answer.usage) if answer.usage is not None else None,
        created_s=int(answer.created or 0),
        logprobs=logprobs_of(choice.logprobs),
        service_tier=answer.service_tier or None,
    )


def _parts(said: Said, answer: _Answer) -> tuple[Part, ...]:
    text, thought, citations = text_of(said.content)
    thoughts = in_blocks(thoughts_of(said))
    if thought:
        thoughts.append(Thinking(thought))
    found, annotations = annotations_of(said.annotations, len(text))
    citations += found or sources_of(answer.citations, answer.search_results)
    calls = calls_of(said, answer.id or "")
    signature = marked("gemini", google_signature(said.extra_content))
    if signature and not text and calls and isinstance(first := calls[0], ToolCall) and not first.signature:
        calls[0] = msgspec.structs.replace(first, signature=signature)
        signature = ""
    parts: list[Part] = list(thoughts)
    if text or citations or signature:
        parts.append(Text(text, citations=tuple(citations), signature=signature))
    parts += images_of(said.images)
    if said.refusal:
        parts.append(Refusal(said.refusal))
    parts += calls
    parts += annotations
    parts += foreign_of(said, not text)
    return tuple(parts)


def text_of(content: str | list[ContentPart] | None) -> tuple[str, str, list[Citation]]:
    """Text, thinking and citations of a content, which is nearly always a string."""
    if content is None or isinstance(content, str):
        return content or "", "", []
    texts: list[str] = []
    thoughts: list[str] = []
    citations: list[Citation] = []
    for part in content:
        if part.thinking is not None:
            thoughts += [part.thinking] if isinstance(part.thinking, str) else [inner.text or "" for inner in part.thinking]
        elif part.reference_ids:
            citations += references_of(part.reference_ids)
        else:
            texts.append(part.text or "")
    return "".join(texts), "".join(thoughts), citations


def calls_of(said: Said, answer_id: str) -> list[Part]:
    calls: list[Part] = []
    for no, call in enumerate(said.tool_calls or ()):
        call_id = call.id or made_up_id(answer_id, no)
        function = call.function
        if function is None and call.custom is not None:
            calls.append(custom_call(call_id, call.custom.name or "", call.custom.input or ""))
            continue
        signature = marked("gemini", google_signature(call.extra_content))
        arguments = arguments_of(function) if function is not None else ""
        calls.append(ToolCall(call_id, (function and function.name) or "", arguments, signature=signature))
    legacy = said.function_call
    if legacy is not None and legacy.name:
        calls.append(ToolCall(f"call_{legacy.name}", legacy.name, arguments_of(legacy)))
    return calls


def custom_call(call_id: str, name: str, text: str) -> Foreign:
    """Only a request in this dialect can declare a custom tool, so only its client meets this part."""
    raw = _encode({"id": call_id, "type": "custom", "custom": {"name": name, "input": text}})
    return Foreign("custom_tool_call", "openai_chat", raw)


def images_of(raw: msgspec.Raw) -> list[Part]:
    """Images that a model made, as OpenRouter gives them."""
    images: list[Part] = []
    for item in items(raw):
        try:
            given = _image(item).image_url
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if given is not None and given.url:
            media_type, data = data_url(given.url)
            images.append(Image(url=given.url) if data is None else Image(data=data, media_type=media_type))
    return images


class _Audio(msgspec.Struct, gc=False):
    id: str | None = None
    data: str | None = None
    transcript: str | None = None


_audio = msgspec.json.Decoder(_Audio).decode


def foreign_of(said: Said, silent: bool) -> list[Text | Foreign]:
    """What only this dialect has. What is said in spoken form is text for everybody else, unless there is text already."""
    parts: list[Text | Foreign] = []
    if has_something(said.audio):
        try:
            audio = _audio(said.audio)
        except (msgspec.DecodeError, UnicodeDecodeError):
            audio = _Audio()
        if silent and audio.transcript:
            parts.append(Text(audio.transcript))
        if audio.data or audio.id:
            parts.append(Foreign("audio", "openai_chat", carried(said.audio)))
    if has_something(said.executed_tools):
        parts.append(Foreign("executed_tools", "openai_chat", carried(said.executed_tools)))
    return parts


def encode_answer(answer: ChatAnswer, model: str, created_s: int) -> bytes:
    message = _Message(answer.parts).written()
    refused = message["content"] is None and message["refusal"] is not None
    logprobs = logprobs_shape(answer.logprobs, refused) if answer.logprobs else None
    body: Json = {
        "id": shown_id(answer.id),
        "object": "chat.completion",
        "created": answer.created_s or created_s,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": WRITTEN[answer.finish]}],
    }
    if answer.usage is not None:
        body["usage"] = shape_of(answer.usage)
    if tier := shown_tier(answer.service_tier):
        body["service_tier"] = tier
    return _encode(body)


class _Message:
    """One message on its way out."""

    __slots__ = ("annotations", "calls", "chars", "message", "parts", "texts", "thoughts")

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.parts = parts
        self.message: Json = {"role": "assistant", "content": None, "refusal": None}
        self.texts: list[str] = []
        self.chars = 0
        self.annotations: list[object] = []
        self.calls: list[object] = []
        self.thoughts: list[Thinking] = []

    def written(self) -> Json:
        for part in self.parts:
            self.add(part)
        message = self.message
        if self.texts:
            message["content"] = "".join(self.texts)
        elif not self.calls and message["refusal"] is None:
            message["content"] = ""
        if self.annotations:
            message["annotations"] = self.annotations
        if self.calls:
            message["tool_calls"] = self.calls
        if self.thoughts:
            add_thinking(message, self.thoughts)
        return message

    def add(self, part: Part) -> None:
        if isinstance(part, Text):
            self.add_text(part)
        elif isinstance(part, ToolCall):
            self.calls.append(_call(part))
        elif isinstance(part, Thinking):
            self.thoughts.append(part)
        elif isinstance(part, Refusal):
            self.message["refusal"] = part.text
        elif isinstance(part, Image):
            images = self.message.setdefault("images", [])
            assert isinstance(images, list)
            images.append({"type": "image_url", "image_url": {"url": data_url_of(part)}})
        elif isinstance(part, Foreign) and part.dialect == "openai_chat":
            self.add_foreign(part)

    def add_text(self, part: Text) -> None:
        chars = len(part.text)
        self.annotations += [written(citation, self.chars, chars) for citation in part.citations]
        self.texts.append(part.text)
        self.chars += chars
        if signature := own("gemini", part.signature):
            self.message["extra_content"] = {"google": {"thought_signature": signature}}

    def add_foreign(self, part: Foreign) -> None:
        raw = msgspec.Raw(part.raw)
        if part.kind == "custom_tool_call":
            self.calls.append(raw)
        elif part.kind == "annotation":
            self.annotations.append(raw)
        elif part.kind in MESSAGE_MEMBERS:
            self.message[part.kind] = raw
        elif part.kind == "reasoning.encrypted":
            details = self.message.setdefault("reasoning_details", [])
            assert isinstance(details, list)
            details.append(raw)


def _call(part: ToolCall) -> Json:
    call: Json = {"id": part.id, "type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}
    if signature := own("gemini", part.signature):
        call["extra_content"] = {"google": {"thought_signature": signature}}
    return call
