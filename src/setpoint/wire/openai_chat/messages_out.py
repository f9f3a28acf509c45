"""The messages of a request for an OpenAI-like upstream."""

import msgspec

from setpoint.domain.capabilities import Capabilities
from setpoint.domain.chat import (
    Audio,
    CacheMark,
    ChatRequest,
    Document,
    Foreign,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from setpoint.wire.openai_chat.call_ids import call_id
from setpoint.wire.openai_chat.data_urls import data_url_of
from setpoint.wire.openai_chat.thinking import blocks_back, details_of
from setpoint.wire.report import Report
from setpoint.wire.signatures import own

Json = dict[str, object]


class _Input(msgspec.Struct):
    input: str = ""


_input = msgspec.json.Decoder(_Input).decode


def write_messages(request: ChatRequest, can: Capabilities, report: Report, asked_in_words: str) -> list[Json]:
    """`asked_in_words` goes to the end of the instructions."""
    return _MessagesWriter(request, can, report).write(asked_in_words)


class _MessagesWriter:
    __slots__ = ("can", "customs", "report", "request")

    def __init__(self, request: ChatRequest, can: Capabilities, report: Report) -> None:
        self.request = request
        self.can = can
        self.report = report
        self.customs = {tool.name for tool in request.tools if tool.foreign == "custom" and tool.dialect == "openai_chat"}

    def write(self, asked_in_words: str) -> list[Json]:
        written: list[Json] = []
        system = (*self.request.system, Text(asked_in_words)) if asked_in_words else self.request.system
        if system:
            written.append({"role": "system", "content": self.content(system)})
        for message in self.request.messages:
            if message.role == "tool":
                self.tool_message(message, written)
            elif message.role == "assistant":
                written.append(self.assistant_message(message))
            else:
                written.append(self.plain_message(message))
        if self.can.turns == "alternate":
            written = _alternating(written)
        if self.request.messages and self.request.messages[-1].role == "assistant":
            self.prefill(written)
        return written

    def prefill(self, written: list[Json]) -> None:
        if self.can.prefill == "no":
            self.report.lose("prefill (the model answers the last assistant turn instead of continuing it)")
        elif self.can.prefill != "continue":
            written[-1][self.can.prefill] = True

    def name(self, message: Message, written: Json) -> Json:
        if message.name is not None and self.can.names:
            written["name"] = message.name
        elif message.name is not None:
            self.report.lose("messages.name")
        return written

    def plain_message(self, message: Message) -> Json:
        for part in message.parts:
            if isinstance(part, Foreign) and part.dialect != "openai_chat" and message.role == "user":
                self.report.refuse("messages.content", f"a part of type {part.kind} cannot be sent to this provider.")
        return self.name(message, {"role": message.role, "content": self.content(message.parts)})

    # ---------------------------------------------------------------- content

    def content(self, parts: tuple[Part, ...]) -> str | list[object]:
        if len(parts) == 1 and isinstance(only := parts[0], Text) and (only.cache is None or self.can.cache_marks == "no"):
            self.mark({}, only.cache)
            return only.text
        if self.can.content == "text":
            return self.only_text(parts)
        return [part for given in parts if (part := self.part(given)) is not None] or ""

    def only_text(self, parts: tuple[Part, ...]) -> str:
        texts = []
        for part in parts:
            made = self.part(part)
            if isinstance(made, dict) and made["type"] == "text":
                texts.append(str(made["text"]))
            elif made is not None:
                self.report.refuse("messages.content", "this provider takes text only.")
        return "\n\n".join(texts)

    def part(self, part: Part) -> object | None:
        if isinstance(part, Text):
            return self.mark({"type": "text", "text": part.text}, part.cache)
        if isinstance(part, Image):
            return self.image(part)
        if isinstance(part, Document):
            return self.document(part)
        if isinstance(part, Audio):
            if not self.can.audio:
                self.report.refuse("messages.content.input_audio", "this provider takes no audio.")
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text}
        if isinstance(part, Foreign) and part.dialect == "openai_chat" and part.raw:
            return msgspec.Raw(part.raw)
        self.report.lose(part.kind if isinstance(part, Foreign) else "content")
        return None

    def mark(self, made: Json, cache: CacheMark | None) -> Json:
        if cache is None:
            return made
        if self.can.cache_marks == "cache_control":
            made["cache_control"] = {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}
        elif self.can.cache_marks == "prompt_cache_breakpoint":
            made["prompt_cache_breakpoint"] = {"mode": "explicit"}
        else:
            self.report.lose("cache_control")
        return made

    def image(self, image: Image) -> Json | None:
        if self.can.images == "no":
            self.report.refuse("messages.content.image_url", "this provider takes no images.")
            return None
        url = data_url_of(image)
        if url is None:
            self.report.refuse("messages.content.source", "an image stored at another provider cannot be sent here; send base64 or a URL.")
            return None
        if image.data is None and self.can.images == "data":
            self.report.refuse("messages.content.image_url", "this provider loads no images; send base64.")
            return None
        given: Json = {"url": url}
        if image.detail is not None:
            given["detail"] = image.detail
        return self.mark({"type": "image_url", "image_url": given}, image.cache)

    def document(self, document: Document) -> Json | None:
        if document.text is not None:
            self.report.lose("document (plain text became a text part)")
            title = f"{document.name}\n\n" if document.name else ""
            return self.mark({"type": "text", "text": title + document.text}, document.cache)
        if self.can.files == "no":
            self.report.refuse("messages.content.file", "this provider takes no documents.")
            return None
        if document.file_id is not None:
            return self.mark({"type": "file", "file": {"file_id": document.file_id}}, document.cache)
        if document.data is None and not self.can.file_urls:
            self.report.refuse("messages.content.source", "a document by URL cannot be sent to this provider; send it as base64.")
            return None
        return self.mark(self.file(document), document.cache)

    def file(self, document: Document) -> Json:
        url = document.url if document.data is None else f"data:{document.media_type};base64,{document.data}"
        if self.can.files == "document_url":
            return {"type": "document_url", "document_url": url}
        if self.can.files == "file_url":
            return {"type": "file_url", "file_url": {"url": document.data or url}, "file_name": document.name or "document.pdf"}
        return {"type": "file", "file": {"file_data": url, "filename": document.name or "document.pdf"}}

    # ---------------------------------------------------------------- turns

    def assistant_message(self, message: Message) -> Json:
        texts: list[str] = []
        marked: list[object] = []
        refusals: list[str] = []
        calls: list[Json] = []
        thoughts: list[Thinking] = []
        written: Json = {"role": "assistant", "content": None}
        for part in message.parts:
            if isinstance(part, Text):
                texts.append(part.text)
                marked.append(self.part(part))
                self.text_of_assistant(part, written)
            elif isinstance(part, ToolCall):
                calls.append(self.call(part))
            elif isinstance(part, Refusal):
                (refusals if self.can.refusals else texts).append(part.text)
                marked += [] if self.can.refusals else [{"type": "text", "text": part.text}]
            elif isinstance(part, Thinking):
                thoughts.append(part)
            elif not self.own_member(part, written):
                self.report.lose(part.kind if isinstance(part, Foreign) else "content of the assistant that is not text")
        if texts or not (calls or refusals):
            in_parts = self.can.cache_marks != "no" and any(isinstance(part, Text) and part.cache for part in message.parts)
            written["content"] = marked if in_parts else "".join(texts)
        if calls:
            written["tool_calls"] = calls
        if refusals:
            written["refusal"] = "".join(refusals)
        self.thinking(thoughts, written)
        return self.name(message, written)

    def text_of_assistant(self, part: Text, written: Json) -> None:
        if part.citations:
            self.report.lose("citations (of earlier turns)")
        if self.can.signatures == "google" and (proof := own("gemini", part.signature)):
            written["extra_content"] = {"google": {"thought_signature": proof}}

    def own_member(self, part: Part, written: Json) -> bool:
        """What only this dialect has and takes back: the audio it said, encrypted thinking of a kind nobody else knows."""
        if not isinstance(part, Foreign) or part.dialect != "openai_chat":
            return False
        if part.kind == "audio":
            written["audio"] = msgspec.Raw(part.raw)
            return True
        if part.kind == "reasoning.encrypted" and self.can.thinking_back == "reasoning_details":
            details = written.setdefault("reasoning_details", [])
            assert isinstance(details, list)
            details.append(msgspec.Raw(part.raw))
            return True
        return False

    def call(self, part: ToolCall) -> Json:
        made: Json = {"id": call_id(part.id, self.can.call_ids)}
        if part.name in self.customs:
            return {**made, "type": "custom", "custom": {"name": part.name, "input": _custom_input(part.arguments)}}
        made |= {"type": "function", "function": {"name": part.name, "arguments": part.arguments or "{}"}}
        if self.can.signatures == "google" and (proof := own("gemini", part.signature)):
            made["extra_content"] = {"google": {"thought_signature": proof}}
        return made

    def thinking(self, thoughts: list[Thinking], written: Json) -> None:
        """Thinking of an earlier turn, in the form the vendor takes back."""
        if not thoughts:
            return
        form, text = self.can.thinking_back, "".join(thought.text for thought in thoughts)
        if form in {"reasoning_content", "reasoning"} and text:
            written[form] = text
        elif form == "reasoning_details" and (details := details_of(thoughts)):
            known = written.get("reasoning_details", [])
            assert isinstance(known, list)
            written["reasoning_details"] = [*details, *known]
        elif form == "thinking_blocks" and (blocks := blocks_back(thoughts)):
            written["thinking_blocks"] = blocks
        elif form == "thinking_parts" and text:
            said = [{"type": "text", "text": written["content"]}] if written["content"] else []
            written["content"] = [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}, *said]
        else:
            self.report.lose("thinking (of earlier turns)")

    def tool_message(self, message: Message, written: list[Json]) -> None:
        """One message for each result; what is not text follows in a user message, since results here are text only."""
        shown: list[object] = []
        for result in message.parts:
            if not isinstance(result, ToolResult):
                continue
            if result.is_error:
                self.report.lose("tool_result.is_error")
            if result.cache is not None and self.can.cache_marks == "no":
                self.report.lose("cache_control")
            texts = tuple(part for part in result.parts if isinstance(part, Text))
            others = [made for part in result.parts if not isinstance(part, Text) and (made := self.part(part)) is not None]
            if others:
                self.report.lose("tool_result (files moved to a user message)")
                shown += [{"type": "text", "text": f"Files of the result of {result.call_id}:"}, *others]
            answer: Json = {"role": "tool", "tool_call_id": call_id(result.call_id, self.can.call_ids)}
            answer["content"] = self.content(texts) if texts else ""
            written.append(answer)
        if shown:
            written.append({"role": "user", "content": shown})


def _custom_input(arguments: str) -> str:
    try:
        return _input(arguments).input
    except (msgspec.DecodeError, UnicodeDecodeError):
        return arguments


def _alternating(messages: list[Json]) -> list[Json]:
    """Turns of the same speaker in a row become one."""
    made: list[Json] = []
    for message in messages:
        last = made[-1] if made else None
        if (
            last is not None
            and last["role"] == message["role"] in {"user", "assistant"}
            and not {"tool_calls"} & (set(last) | set(message))
        ):
            last["content"] = _joined(last["content"], message["content"])
        else:
            made.append(dict(message))
    return made


def _joined(first: object, second: object) -> object:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    return [*_as_parts(first), *_as_parts(second)]


def _as_parts(content: object) -> list[object]:
    return content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
