"""Turns, to the `input` of a request."""

from typing import Protocol

import msgspec

from setpoint.domain.chat import (
    CacheMark,
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
from setpoint.wire.openai_responses.custom_tools import input_of
from setpoint.wire.openai_responses.items_out import message_item, output_part, summary_part
from setpoint.wire.openai_responses.model_facts import takes_cache_breakpoints, thinks_openly
from setpoint.wire.openai_responses.thoughts import own_item
from setpoint.wire.openai_responses.words import NAME, call_id

Json = dict[str, object]


class Ledger(Protocol):
    """Where an encoder notes what it cannot say."""

    model: str

    def lose(self, what: str) -> None: ...

    def refuse(self, param: str, message: str) -> None: ...


class InputWriter:
    __slots__ = ("_custom", "_items", "_ledger")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._items: list[Json | msgspec.Raw] = []
        self._custom: set[str] = set()

    def write(self, instructions: tuple[Text, ...], messages: tuple[Message, ...]) -> list[Json | msgspec.Raw]:
        """`instructions` are those that do not fit into the member of that name."""
        if instructions:
            self._items.append({"role": "system", "content": self._content(instructions)})
        for message in messages:
            if message.name is not None:
                self._ledger.lose("messages.name")
            if message.role == "assistant":
                self._assistant(message.parts)
            elif message.role == "tool":
                self._results(message.parts)
            else:
                self._plain(message)
        if messages and messages[-1].role == "assistant":
            self._ledger.lose("prefill (the model answers the last assistant turn instead of continuing it)")
        return self._items

    def _plain(self, message: Message) -> None:
        """A message of the user, or instructions between turns. Items that are the user's own stand among the messages."""
        said = tuple(part for part in message.parts if not isinstance(part, Foreign))
        for part in message.parts:
            if isinstance(part, Foreign):
                if part.dialect == NAME and part.raw:
                    self._items.append(msgspec.Raw(part.raw))
                else:
                    self._ledger.refuse("input.content", f"a part of type {part.kind} cannot be sent to this provider.")
        if said:
            self._items.append({"role": message.role, "content": self._content(said)})

    # ---------------------------------------------------------------- content

    def _content(self, parts: tuple[Part, ...]) -> str | list[Json]:
        if len(parts) == 1 and isinstance(only := parts[0], Text) and only.cache is None:
            return only.text
        return [made for part in parts if (made := self._part(part)) is not None]

    def _part(self, part: Part) -> Json | None:
        if isinstance(part, Text):
            return self._marked({"type": "input_text", "text": part.text}, part.cache)
        if isinstance(part, Refusal):
            return {"type": "input_text", "text": part.text}
        if isinstance(part, Image):
            return self._image(part)
        if isinstance(part, Document):
            return self._document(part)
        if isinstance(part, Foreign):
            self._ledger.lose(part.kind)
        else:
            self._ledger.refuse("input.content.input_audio", "this provider takes no audio in this API.")
        return None

    def _image(self, image: Image) -> Json:
        made: Json = {"type": "input_image", "detail": image.detail or "auto"}
        if image.data is not None:
            made["image_url"] = f"data:{image.media_type or 'image/png'};base64,{image.data}"
        elif image.url is not None:
            made["image_url"] = image.url
        else:
            made["file_id"] = image.file_id
        return self._marked(made, image.cache)

    def _document(self, document: Document) -> Json:
        if document.text is not None:
            self._ledger.lose("document (plain text became a text part)")
            title = f"{document.name}\n\n" if document.name else ""
            return self._marked({"type": "input_text", "text": title + document.text}, document.cache)
        made: Json = {"type": "input_file"}
        if document.data is not None:
            made["filename"] = document.name or "document.pdf"
            made["file_data"] = f"data:{document.media_type or 'application/pdf'};base64,{document.data}"
        elif document.url is not None:
            made["file_url"] = document.url
        else:
            made["file_id"] = document.file_id
        if document.name is not None and document.data is None:
            self._ledger.lose("document.name")
        return self._marked(made, document.cache)

    def _marked(self, part: Json, cache: CacheMark | None) -> Json:
        if cache is not None:
            if takes_cache_breakpoints(self._ledger.model):
                part["prompt_cache_breakpoint"] = {"mode": "explicit"}
                if cache.ttl is not None:
                    self._ledger.lose("cache_control.ttl")
            else:
                self._ledger.lose("cache_control")
        return part

    # ---------------------------------------------------------------- the assistant

    def _assistant(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            if isinstance(part, Text):
                self._assistant_text(part)
            elif isinstance(part, ToolCall):
                self._call(part)
            elif isinstance(part, Thinking):
                self._thinking(part)
            elif isinstance(part, Refusal):
                self._items.append(message_item(f"msg_{len(self._items)}", [output_part(part)]))
            elif isinstance(part, Foreign) and part.dialect == NAME and part.raw:
                self._items.append(msgspec.Raw(part.raw))
            else:
                self._ledger.lose(part.kind if isinstance(part, Foreign) else "content of the assistant that is not text")

    def _assistant_text(self, text: Text) -> None:
        if text.cache is not None:
            self._ledger.lose("cache_control")
        if text.citations:
            self._items.append(message_item(f"msg_{len(self._items)}", [output_part(text)]))
        elif text.text:
            self._items.append({"role": "assistant", "content": text.text})

    def _call(self, call: ToolCall) -> None:
        if call.cache is not None:
            self._ledger.lose("cache_control")
        given = call_id(call.id)
        custom = input_of(call.arguments)
        if custom is None:
            self._items.append({"type": "function_call", "call_id": given, "name": call.name, "arguments": call.arguments or "{}"})
        else:
            self._custom.add(given)
            self._items.append({"type": "custom_tool_call", "call_id": given, "name": call.name, "input": custom})

    def _thinking(self, part: Thinking) -> None:
        """What this dialect's provider signed itself is taken back; open models, which sign nothing, take the plain text."""
        own_id, proof = own_item(part.signature)
        if proof:
            item: Json = {"type": "reasoning", "summary": [summary_part(part.text)] if part.text else [], "encrypted_content": proof}
            if own_id:
                item["id"] = own_id
            self._items.append(item)
        elif part.text and not part.signature and thinks_openly(self._ledger.model):
            plain = [{"type": "reasoning_text", "text": part.text}]
            self._items.append({"type": "reasoning", "id": f"rs_{len(self._items)}", "summary": [], "content": plain})
        else:
            self._ledger.lose("thinking (of earlier turns)")

    # ---------------------------------------------------------------- results of tools

    def _results(self, results: tuple[Part, ...]) -> None:
        for result in results:
            if not isinstance(result, ToolResult):
                continue
            if result.is_error:
                self._ledger.lose("tool_result.is_error")
            if result.cache is not None:
                self._ledger.lose("cache_control")
            given = call_id(result.call_id)
            kind = "custom_tool_call_output" if given in self._custom else "function_call_output"
            output = self._content(result.parts) if result.parts else ""
            self._items.append({"type": kind, "call_id": given, "output": output})
