"""The messages of a request for Ollama: one text each, images beside it."""

from setpoint.domain.chat import (
    Audio,
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
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unsupported
from setpoint.wire.ollama.answer import Json, message_of


class MessagesWriter:
    __slots__ = ("_losses", "_names", "fault")

    def __init__(self, losses: dict[str, None]) -> None:
        self._losses = losses
        self._names: dict[str, str] = {}
        self.fault: Fault | None = None

    def write(self, request: ChatRequest) -> list[Json]:
        written: list[Json] = []
        for text in request.system:
            written.append({"role": "system", "content": text.text})
            self._cache(text)
        for message in request.messages:
            if message.name is not None:
                self._lose("messages.name")
            if message.role == "tool":
                self._tool_message(message, written)
            elif message.role == "assistant":
                written.append({"role": "assistant", **self._assistant(message.parts)})
            else:
                if message.role == "user" and (foreign := next((part for part in message.parts if isinstance(part, Foreign)), None)):
                    self._refuse("messages.content", f"a part of type {foreign.kind} cannot be sent to this provider.")
                written.append({"role": message.role, **self._plain(message.parts)})
        return written

    def _lose(self, what: str) -> None:
        self._losses[what] = None

    def _refuse(self, param: str, message: str) -> None:
        self.fault = self.fault or unsupported(param, message)

    def _cache(self, part: Part) -> None:
        if isinstance(part, Text | Image | Document | ToolCall | ToolResult) and part.cache is not None:
            self._lose("cache_control")

    def _plain(self, parts: tuple[Part, ...]) -> Json:
        """Several texts of one message are put on lines of their own."""
        texts: list[str] = []
        images: list[str] = []
        for part in parts:
            self._cache(part)
            if isinstance(part, Text | Refusal):
                texts.append(part.text)
            elif isinstance(part, Image):
                images += self._image(part)
            elif isinstance(part, Document):
                texts += self._document(part)
            elif isinstance(part, Audio):
                self._refuse("messages.content.input_audio", "this provider takes no audio.")
            elif isinstance(part, Foreign):
                self._lose(part.kind)
        written: Json = {"content": "\n".join(texts)}
        if images:
            written["images"] = images
        return written

    def _image(self, image: Image) -> list[str]:
        if image.data is None:
            self._refuse("messages.content.image_url", "this provider takes images as base64 only, not by URL.")
            return []
        if image.detail not in {None, "auto"}:
            self._lose("image_url.detail")
        return [image.data]

    def _document(self, document: Document) -> list[str]:
        if document.text is None:
            self._refuse("messages.content.file", "this provider takes documents as plain text only.")
            return []
        self._lose("document (plain text became a text part)")
        return [f"{document.name}\n\n{document.text}" if document.name else document.text]

    def _assistant(self, parts: tuple[Part, ...]) -> Json:
        kept: list[Part] = []
        for part in parts:
            self._cache(part)
            if isinstance(part, ToolCall):
                self._names[part.id] = part.name
            if isinstance(part, Thinking) and part.redacted:
                self._lose("thinking (of earlier turns)")
            elif isinstance(part, Foreign):
                self._lose(part.kind)
            elif isinstance(part, Image | Document | Audio):
                self._lose("content of the assistant that is not text")
            else:
                if isinstance(part, Text) and part.citations:
                    self._lose("citations (of earlier turns)")
                kept.append(part)
        return message_of(tuple(kept))

    def _tool_message(self, message: Message, written: list[Json]) -> None:
        """One message for each result, named after its call; images follow in a user message."""
        shown: list[str] = []
        about: list[str] = []
        for result in message.parts:
            if not isinstance(result, ToolResult):
                continue
            self._cache(result)
            if result.is_error:
                self._lose("tool_result.is_error")
            said = self._plain(result.parts)
            images = said.pop("images", None)
            if isinstance(images, list):
                self._lose("tool_result (files moved to a user message)")
                shown += images
                about.append(f"Files of the result of {result.call_id}:")
            named = {"tool_name": self._names[result.call_id]} if result.call_id in self._names else {}
            written.append({"role": "tool", **said, **named, "tool_call_id": result.call_id})
        if shown:
            written.append({"role": "user", "content": "\n".join(about), "images": shown})
