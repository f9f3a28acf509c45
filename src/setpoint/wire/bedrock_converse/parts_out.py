"""Turns of a conversation for Converse, from nouns to blocks, with a list of what got lost.

What Converse insists on, and other dialects do not:
  - turns alternate, the first is the user's, and no text is blank;
  - results of tools come in the user turn right after the calls, all of them together, and no result is empty;
  - a document stands beside a text, has a name of few characters, and no two have the same one;
  - images and documents come as bytes, or from S3; nothing is fetched from the web.
"""

from base64 import b64encode

import msgspec

from setpoint.domain.chat import Audio, CacheMark, Document, Foreign, Image, Message, Part, Refusal, Text, Thinking, ToolCall, ToolResult
from setpoint.domain.faults import Fault
from setpoint.wire.bedrock_converse import model_facts
from setpoint.wire.bedrock_converse.blocks import redacted_bytes
from setpoint.wire.bedrock_converse.citations import written
from setpoint.wire.bedrock_converse.words import (
    DIALECT,
    DOCUMENT_FORMATS,
    IMAGE_FORMATS,
    SIGNER,
    call_id,
    document_name,
    tool_name,
)
from setpoint.wire.bodies import as_object, unsupported, wrong
from setpoint.wire.signatures import own

Json = dict[str, object]
Blocks = list[msgspec.Raw | Json]


class PartsWriter:
    """Writes messages. `losses` is a dict because it keeps order and drops repeats; `fault` is the first thing that cannot be said."""

    __slots__ = ("_names", "fault", "losses", "model")

    def __init__(self, model: str) -> None:
        self.model = model
        self.losses: dict[str, None] = {}
        self.fault: Fault | None = None
        self._names: dict[str, int] = {}

    def lose(self, what: str) -> None:
        self.losses[what] = None

    def refuse(self, fault: Fault) -> None:
        self.fault = self.fault or fault

    def messages(self, messages: tuple[Message, ...], instructed: bool) -> list[Json]:
        """`instructed`: there are instructions, which may stand without a message."""
        turns: list[tuple[str, Blocks]] = []
        for message in messages:
            if message.role == "system":
                continue
            role = "assistant" if message.role == "assistant" else "user"
            blocks = self._blocks(message)
            if message.name is not None:
                self.lose("messages.name")
            if turns and turns[-1][0] == role:
                turns[-1][1].extend(blocks)
            elif blocks:
                turns.append((role, blocks))
        if not turns and not instructed:
            self.refuse(wrong("messages", "no message has content."))
            return []
        if not turns or (turns[0][0] == "assistant" and not model_facts.begins_with_assistant(self.model)):
            self.lose("messages (a user turn was put first)")
            turns.insert(0, ("user", [{"text": "(the conversation begins)"}]))
        self._finish(turns)
        return [{"role": role, "content": blocks} for role, blocks in turns]

    def _finish(self, turns: list[tuple[str, Blocks]]) -> None:
        for role, blocks in turns:
            kinds = [next(iter(block), "") if isinstance(block, dict) else "" for block in blocks]
            if role == "user" and "document" in kinds and "text" not in kinds:
                self.lose("messages (a text was put beside a document)")
                blocks.insert(kinds.index("document"), {"text": "(see the document)"})
        role, blocks = turns[-1]
        last = blocks[-1]
        if role == "assistant" and isinstance(last, dict) and "text" in last:
            last["text"] = str(last["text"]).rstrip()  # a last assistant turn is continued, and must not end in white space

    def _blocks(self, message: Message) -> Blocks:
        blocks: Blocks = []
        for part in message.parts:
            if isinstance(part, Foreign) and message.role == "user" and not _is_ours(part):
                self.refuse(unsupported("messages.content", f"a part of type {part.kind} cannot be sent to this provider."))
            block = self._block(part)
            if block is not None:
                blocks.append(block)
            if isinstance(part, Text | Image | Document | ToolCall | ToolResult) and part.cache is not None and _may_be_marked(blocks):
                blocks += self.cache_point(part.cache)
        return blocks

    def cache_point(self, mark: CacheMark | None, in_tools: bool = False) -> Blocks:
        """The block that marks what came before; none where the model keeps no prompts."""
        if mark is None:
            return []
        takes = model_facts.takes_cache_points_in_tools(self.model) if in_tools else model_facts.takes_cache_points(self.model)
        if not takes:
            self.lose("cache_control")
            return []
        point: Json = {"type": "default"}
        if mark.ttl is not None and (mark.ttl == "5m" or model_facts.takes_cache_ttl(self.model)) and mark.ttl in {"5m", "1h"}:
            point["ttl"] = mark.ttl
        elif mark.ttl is not None:
            self.lose("cache_control.ttl")
        return [{"cachePoint": point}]

    def _block(self, part: Part) -> msgspec.Raw | Json | None:
        if isinstance(part, Text | ToolCall) and part.signature:
            self.lose("thinking.signature (of another provider)")
        if isinstance(part, Text):
            return self._text(part)
        if isinstance(part, ToolCall):
            name, call = tool_name(part.name), call_id(part.id)
            return {"toolUse": {"toolUseId": call, "name": name, "input": as_object(part.arguments)}}
        if isinstance(part, ToolResult):
            return self._result(part)
        if isinstance(part, Image):
            return self._image(part)
        if isinstance(part, Document):
            return self._document(part)
        if isinstance(part, Thinking):
            return self._thinking(part)
        if isinstance(part, Refusal):
            return self._text(Text(part.text))
        if isinstance(part, Foreign):
            if _is_ours(part):
                return msgspec.Raw(part.raw)
            self.lose(part.kind)
            return None
        return self._audio(part)

    def _text(self, part: Text) -> Json | None:
        if not part.text or part.text.isspace():
            return None
        if not part.citations:
            return {"text": part.text}
        return {"citationsContent": {"content": [{"text": part.text}], "citations": [written(one) for one in part.citations]}}

    def _result(self, result: ToolResult) -> Json:
        content: Blocks = []
        for part in result.parts:
            block = self._block(Text(part.text) if isinstance(part, Text) else part)  # citations have no place here
            if block is not None:
                content.append(block)
            if isinstance(part, Text | Image | Document) and part.cache is not None:
                self.lose("cache_control (inside a tool result)")
        if not content:
            self.lose("tool results (an empty one is said in words)")
            content.append({"text": "(empty)"})
        made: Json = {"toolUseId": call_id(result.call_id), "content": content}
        if result.is_error:
            made["status"] = "error"
        return {"toolResult": made}

    def _image(self, image: Image) -> Json | None:
        if image.detail not in {None, "auto"}:
            self.lose("image_url.detail")
        if image.data is None:
            self.refuse(unsupported("messages.content.image", "this provider takes images as data only, not by URL or id."))
            return None
        kind = IMAGE_FORMATS.get(image.media_type or "image/png")
        if kind is None:
            self.refuse(unsupported("messages.content.image", "this provider takes PNG, JPEG, GIF and WebP."))
            return None
        return {"image": {"format": kind, "source": {"bytes": image.data}}}

    def _document(self, document: Document) -> Json | None:
        if document.text is not None:
            kind = DOCUMENT_FORMATS.get(document.media_type or "text/plain", "txt")
            data = b64encode(document.text.encode("utf-8", "replace")).decode()
        elif document.data is not None:
            kind = DOCUMENT_FORMATS.get(document.media_type or "application/pdf", "")
            data = document.data
        else:
            self.refuse(unsupported("messages.content.file", "this provider takes files as data only, not by URL or id."))
            return None
        if not kind:
            self.refuse(unsupported("messages.content.file", "this provider takes PDF, Word, Excel, CSV, HTML, Markdown and plain text."))
            return None
        if not data:
            self.lose("an empty document")
            return None
        return {"document": {"format": kind, "name": self._name(document.name), "source": {"bytes": data}}}

    def _name(self, given: str | None) -> str:
        """A name that is allowed and not given yet."""
        base = document_name(given)
        self._names[base] = count = self._names.get(base, 0) + 1
        name = base
        while count > 1 and name in self._names:
            name = f"{base[:190]} {count}"
            count += 1
        self._names.setdefault(name, 1)
        if given is not None and name != given:
            self.lose("names of documents (changed to what this provider allows)")
        return name

    def _thinking(self, part: Thinking) -> Json | None:
        if redacted := own(SIGNER, part.redacted):
            return {"reasoningContent": {"redactedContent": redacted_bytes(redacted)}}
        if signature := own(SIGNER, part.signature):
            return {"reasoningContent": {"reasoningText": {"text": part.text, "signature": signature}}}
        if part.text and not part.redacted and model_facts.takes_unsigned_thinking(self.model):
            return {"reasoningContent": {"reasoningText": {"text": part.text}}}
        if part.signature or part.redacted:
            self.lose("reasoning_content (of earlier turns, signed by another provider)")
        else:
            self.lose("reasoning_content (of earlier turns, without a signature)")
        return None

    def _audio(self, audio: Audio) -> Json | None:
        if not model_facts.takes_audio(self.model):
            self.refuse(unsupported("messages.content.input_audio", "this model takes no audio."))
            return None
        return {"audio": {"format": audio.format, "source": {"bytes": audio.data}}}


def _may_be_marked(blocks: Blocks) -> bool:
    """A mark of a part that is left out goes to the one before it."""
    last = blocks[-1] if blocks else None
    return last is not None and not (isinstance(last, dict) and "cachePoint" in last)


def _is_ours(part: Foreign) -> bool:
    return part.dialect == DIALECT and bool(part.raw)
