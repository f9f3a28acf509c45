"""The messages of a request for Cohere, and the documents that go beside them."""

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
from setpoint.wire.cohere.answer import message_of
from setpoint.wire.cohere.citations import NAME, Json
from setpoint.wire.cohere.documents import text_of, write_document
from setpoint.wire.cohere.model_facts import thinks

NO_CONTENT = "(no content)"
"""What an empty result of a tool says, since it has to say something."""


class MessagesWriter:
    """`documents`, after writing: the request's documents, which the model may cite.

    With tools, or a form for the answer, there can be no documents (`with_documents` is false); theirs is then text of the message.
    """

    __slots__ = ("_losses", "_model", "_request", "_with_documents", "documents", "fault")

    def __init__(self, request: ChatRequest, model: str, losses: dict[str, None], with_documents: bool) -> None:
        self._request = request
        self._model = model
        self._losses = losses
        self._with_documents = with_documents
        self.documents: list[Json] = []
        self.fault: Fault | None = None

    def write(self, more_instructions: str) -> list[Json]:
        """`more_instructions`, if any, end the system prompt."""
        written: list[Json] = []
        system = (*self._request.system, Text(more_instructions)) if more_instructions else self._request.system
        if system:
            self._add(written, {"role": "system", "content": self._content(system)})
        for message in self._request.messages:
            if message.name is not None:
                self._lose("messages.name")
            if message.role == "tool":
                self._tool_message(message, written)
            elif message.role == "assistant":
                self._add(written, {"role": "assistant", **self._assistant(message.parts)})
            else:
                if message.role == "user" and (foreign := next((part for part in message.parts if isinstance(part, Foreign)), None)):
                    self._refuse("messages.content", f"a part of type {foreign.kind} cannot be sent to this provider.")
                self._add(written, {"role": message.role, "content": self._content(message.parts)})
        if self._request.messages and self._request.messages[-1].role == "assistant":
            self._lose("prefill (the model answers the last assistant turn instead of continuing it)")
        return written

    def _add(self, written: list[Json], message: Json) -> None:
        """Messages without content are refused there."""
        if message.get("content") or message.get("tool_calls"):
            written.append(message)
        else:
            self._lose("messages (one that says nothing was left out)")

    def _lose(self, what: str) -> None:
        self._losses[what] = None

    def _refuse(self, param: str, message: str) -> None:
        self.fault = self.fault or unsupported(param, message)

    # ---------------------------------------------------------------- user and system

    def _content(self, parts: tuple[Part, ...]) -> object:
        as_text = all(isinstance(part, Document) for part in parts)
        written = [made for part in parts if (made := self._part(part, as_text)) is not None]
        if len(written) == 1 and written[0].get("type") == "text":
            return written[0]["text"]
        return written or ""

    def _part(self, part: Part, as_text: bool = True) -> Json | None:
        """`as_text`: a document is written here, because its message would say nothing without it."""
        if isinstance(part, Text | Image | Document) and part.cache is not None:
            self._lose("cache_control")
        if isinstance(part, Text | Refusal):
            return {"type": "text", "text": part.text}
        if isinstance(part, Image):
            return self._image(part)
        if isinstance(part, Document):
            return self._document(part, as_text)
        if isinstance(part, Audio):
            self._refuse("messages.content.input_audio", "this provider takes no audio.")
        elif isinstance(part, Foreign):
            self._lose(part.kind)
        return None

    def _image(self, image: Image) -> Json | None:
        url = image.url if image.data is None else f"data:{image.media_type or 'image/png'};base64,{image.data}"
        if url is None:
            self._refuse("messages.content.source", "an image stored at another provider cannot be sent here; send base64 or a URL.")
            return None
        given: Json = {"url": url}
        if image.detail in {"auto", "low", "high"}:
            given["detail"] = image.detail
        elif image.detail is not None:
            self._lose("image_url.detail")
        return {"type": "image_url", "image_url": given}

    def _document(self, document: Document, as_text: bool) -> Json | None:
        text = text_of(document)
        if text is None:
            self._refuse("messages.content.file", "this provider takes documents as plain text only.")
            return None
        if self._with_documents and not as_text:
            self.documents.append(write_document(document.name, text))
            return None
        self._lose("document (plain text became a text part)")
        return {"type": "text", "text": f"{document.name}\n\n{text}" if document.name else text}

    # ---------------------------------------------------------------- assistant and tool

    def _assistant(self, parts: tuple[Part, ...]) -> Json:
        """What was thought ahead of calls is their plan, for models that do not think in blocks."""
        plan: list[str] = []
        kept: list[Part] = []
        calls = any(isinstance(part, ToolCall) for part in parts)
        for part in parts:
            if isinstance(part, Thinking) and not thinks(self._model):
                if calls and part.text:
                    plan.append(part.text)
                else:
                    self._lose("thinking (of earlier turns)")
            elif isinstance(part, Thinking) and part.redacted:
                self._lose("thinking (of earlier turns)")
            elif isinstance(part, Foreign) and part.dialect != NAME:
                self._lose(part.kind)
            elif isinstance(part, Image | Document | Audio):
                self._lose("content of the assistant that is not text")
            else:
                kept.append(self._without_extras(part))
        message = message_of(tuple(kept))
        if plan:
            message["tool_plan"] = "\n".join(plan)
        return message

    def _without_extras(self, part: Part) -> Part:
        """Citations of other dialects are of no use in the history."""
        if isinstance(part, Text | ToolCall) and part.cache is not None:
            self._lose("cache_control")
        if isinstance(part, Text) and any(citation.dialect != NAME for citation in part.citations):
            self._lose("citations (of earlier turns)")
            return Text(part.text)
        return part

    def _tool_message(self, message: Message, written: list[Json]) -> None:
        """One message for each result; images follow in a user message, since results hold text and documents."""
        shown: list[Json] = []
        for result in message.parts:
            if not isinstance(result, ToolResult):
                continue
            if result.is_error:
                self._lose("tool_result.is_error")
            if result.cache is not None:
                self._lose("cache_control")
            content: list[Json] = []
            images: list[Json] = []
            for part in result.parts:
                if isinstance(part, Document):
                    content += self._cited_result(part)
                elif (made := self._part(part)) is not None:
                    (images if isinstance(part, Image) else content).append(made)
            if images:
                self._lose("tool_result (files moved to a user message)")
                shown += [{"type": "text", "text": f"Files of the result of {result.call_id}:"}, *images]
            if not content or content == [{"type": "text", "text": ""}]:
                content = [{"type": "text", "text": NO_CONTENT}]
                self._lose("tool_result (an empty one says so)")
            only = content[0].get("text") if len(content) == 1 else None
            written.append({"role": "tool", "tool_call_id": result.call_id, "content": content if only is None else only})
        if shown:
            written.append({"role": "user", "content": shown})

    def _cited_result(self, document: Document) -> list[Json]:
        text = text_of(document)
        if text is None:
            self._refuse("messages.content.file", "this provider takes documents as plain text only.")
            return []
        return [{"type": "document", "document": write_document(document.name, text)}]
