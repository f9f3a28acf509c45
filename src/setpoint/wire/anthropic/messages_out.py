"""The messages of a request for Anthropic.

Turns alternate, the first is the user's, and no text is empty. Results of tools come in the user turn right after the calls, ahead of
other content, all of them together.
"""

import msgspec

from setpoint.domain.chat import (
    CacheMark,
    ChatRequest,
    Citation,
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
from setpoint.wire.anthropic.citations import said_again
from setpoint.wire.anthropic.request_in import CITATIONS, CONTEXT
from setpoint.wire.anthropic.words import call_id
from setpoint.wire.bodies import as_object, wrong
from setpoint.wire.report import Report
from setpoint.wire.signatures import own

Json = dict[str, object]

_contexts = msgspec.json.Decoder(list[str | None]).decode


class _Kind(msgspec.Struct, gc=False):
    type: str = ""


_kind = msgspec.json.Decoder(_Kind).decode
_SOURCES = {"search_result", "document"}


class MessagesWriter:
    """The messages and instructions of one request."""

    __slots__ = ("contexts", "documents", "report", "request")

    def __init__(self, request: ChatRequest, report: Report) -> None:
        self.request = request
        self.report = report
        self.contexts = _contexts(given) if (given := request.extras.get(CONTEXT)) else []
        self.documents = 0

    def messages(self) -> list[Json]:
        turns: list[tuple[str, list[object]]] = []
        for message in self.request.messages:
            if message.role == "system" and not only_here(message):
                continue
            role = message.role if message.role in {"assistant", "system"} else "user"
            blocks = self.blocks(message)
            if message.role == "user":
                self.check(message)
            if message.name is not None:
                self.report.lose("messages.name")
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            elif blocks:
                turns.append((role, blocks))
        if not turns and not any(text.text for text in self.request.system):
            self.report.fail(wrong("messages", "no message has content."))
            return []
        if not turns or turns[0][0] == "assistant":
            self.report.lose("messages (a user turn was put first)")
            turns.insert(0, ("user", [{"type": "text", "text": "(the conversation begins)"}]))
        _strip_prefill(turns)
        return [{"role": role, "content": _content(blocks)} for role, blocks in turns]

    def check(self, message: Message) -> None:
        """What a user says must not be left out."""
        for part in message.parts:
            if isinstance(part, Foreign) and part.dialect != "anthropic":
                self.report.refuse("messages.content", f"a part of type {part.kind} cannot be sent to this provider.")

    def blocks(self, message: Message) -> list[object]:
        blocks: list[object] = []
        for part in message.parts:
            block = self.block(part)
            if block is not None:
                blocks.append(block)
        return blocks

    def block(self, part: Part) -> object | None:
        if isinstance(part, Text):
            return self.text(part)
        if isinstance(part, ToolCall):
            call: Json = {"type": "tool_use", "id": call_id(part.id), "name": part.name, "input": as_object(part.arguments)}
            return marked_block(call, part.cache)
        if isinstance(part, ToolResult):
            return self.result(part)
        if isinstance(part, Image):
            return self.image(part)
        if isinstance(part, Document):
            return self.document(part)
        if isinstance(part, Thinking):
            return self.thinking_block(part)
        if isinstance(part, Refusal):
            return {"type": "text", "text": part.text} if part.text else None
        if isinstance(part, Foreign) and part.dialect == "anthropic" and part.raw:
            return msgspec.Raw(part.raw)
        if isinstance(part, Foreign):
            self.report.lose(part.kind)
        else:
            self.report.refuse("messages.content.input_audio", "this provider takes no audio.")
        return None

    def text(self, part: Text) -> object | None:
        """A source given with the prompt goes back as it came; an empty text is refused, so it is left out."""
        for citation in part.citations:
            if citation.dialect == "anthropic" and citation.raw and _is_source(citation):
                return msgspec.Raw(citation.raw)
        if not part.text or part.text.isspace():
            return None
        block: Json = {"type": "text", "text": part.text}
        citations = said_again(part.citations)
        if citations:
            block["citations"] = citations
        if len(citations) < len(part.citations):
            self.report.lose("citations (of earlier turns)")
        return marked_block(block, part.cache)

    def result(self, result: ToolResult) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": call_id(result.call_id)}
        inner = [made for part in result.parts if (made := self.block(part)) is not None]
        if inner:
            block["content"] = _content(inner)
        if result.is_error:
            block["is_error"] = True
        return marked_block(block, result.cache)

    def image(self, image: Image) -> Json:
        if image.detail not in {None, "auto"}:
            self.report.lose("image_url.detail")
        if image.data is not None:
            source: Json = {"type": "base64", "media_type": image.media_type or "image/png", "data": image.data}
        elif image.file_id is not None:
            source = {"type": "file", "file_id": image.file_id}
        else:
            source = {"type": "url", "url": image.url}
        return marked_block({"type": "image", "source": source}, image.cache)

    def document(self, document: Document) -> Json:
        if document.text is not None:
            source: Json = {"type": "text", "media_type": "text/plain", "data": document.text}
        elif document.data is not None:
            if document.media_type not in {None, "application/pdf"}:
                self.report.refuse("messages.content.file", "this provider takes files as PDF only, other documents as plain text.")
            source = {"type": "base64", "media_type": "application/pdf", "data": document.data}
        elif document.url is not None:
            source = {"type": "url", "url": document.url}
        else:
            source = {"type": "file", "file_id": document.file_id}
        block: Json = {"type": "document", "source": source}
        if document.name is not None:
            block["title"] = document.name
        if CITATIONS in self.request.extras:
            block["citations"] = {"enabled": True}
        if self.documents < len(self.contexts) and (context := self.contexts[self.documents]) is not None:
            block["context"] = context
        self.documents += 1
        return marked_block(block, document.cache)

    def thinking_block(self, part: Thinking) -> Json | None:
        """Only what Claude thought and signed is taken back."""
        if data := own("anthropic", part.redacted):
            return {"type": "redacted_thinking", "data": data}
        if signature := own("anthropic", part.signature):
            return {"type": "thinking", "thinking": part.text, "signature": signature}
        signed = part.signature or part.redacted
        self.report.lose(f"reasoning_content (of earlier turns, {'signed by another provider' if signed else 'without a signature'})")
        return None


def marked_block(block: Json, cache: CacheMark | None) -> Json:
    if cache is not None:
        block["cache_control"] = {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}
    return block


def _content(blocks: list[object]) -> object:
    """One plain text is written as a string."""
    if len(blocks) == 1 and isinstance(only := blocks[0], dict) and only["type"] == "text" and len(only) == 2:
        return only["text"]
    return blocks


def _strip_prefill(turns: list[tuple[str, list[object]]]) -> None:
    """A last assistant turn is continued, and must not end in white space."""
    role, blocks = turns[-1]
    last = blocks[-1]
    if role == "assistant" and isinstance(last, dict) and last["type"] == "text":
        last["text"] = str(last["text"]).rstrip()


def _is_source(citation: Citation) -> bool:
    return _kind(citation.raw).type in _SOURCES


def only_here(message: Message) -> bool:
    """Instructions between turns that only Anthropic has, such as a tool that joins: they stay where they are."""
    return any(isinstance(part, Foreign) and part.dialect == "anthropic" for part in message.parts)


def calls_without_thinking(messages: tuple[Message, ...]) -> bool:
    """Whether the conversation stands at results of calls whose turn has no thinking that Claude signed."""
    if not messages or messages[-1].role != "tool":
        return False
    last = next((message for message in reversed(messages) if message.role == "assistant"), None)
    return last is not None and not any(
        isinstance(part, Thinking) and (own("anthropic", part.signature) or own("anthropic", part.redacted)) for part in last.parts
    )
