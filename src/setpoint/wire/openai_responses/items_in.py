"""Output items, to parts of an answer."""

import msgspec

from setpoint.domain.chat import Foreign, Part, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.wire.carried import carried
from setpoint.wire.openai_responses.citations import citations_of
from setpoint.wire.openai_responses.custom_tools import arguments_of
from setpoint.wire.openai_responses.logprobs import LogprobShape, tokens_of
from setpoint.wire.openai_responses.thoughts import OF_LAST, OF_NEXT, ReasoningItem, thinking_of
from setpoint.wire.openai_responses.words import NAME

KIND_CHARS_MAX = 64
_NO_RAW = msgspec.Raw()


class Kind(msgspec.Struct, gc=False):
    type: str | None = None


class OutputPart(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    annotations: list[msgspec.Raw] | None = None
    logprobs: list[LogprobShape] | None = None


class MessageItem(msgspec.Struct, gc=False):
    content: list[OutputPart | None] | str | None = None


class CallItem(msgspec.Struct, gc=False):
    """Arguments are text, but some servers send the object itself. `input` is that of a custom call."""

    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: msgspec.Raw = _NO_RAW
    input: str | None = None


kind_of = msgspec.json.Decoder(Kind).decode
message_item = msgspec.json.Decoder(MessageItem).decode
call_item = msgspec.json.Decoder(CallItem).decode
reasoning_item = msgspec.json.Decoder(ReasoningItem).decode
_text = msgspec.json.Decoder(str).decode


class Parts:
    """Parts in the order of their items. Signatures that travel in reasoning items of their own find their part here."""

    __slots__ = ("_signature", "logprobs", "parts")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.logprobs: list[TokenLogprob] = []
        self._signature = ""

    def add_item(self, raw: msgspec.Raw) -> None:
        """Raises msgspec.DecodeError for an item of a known type that is not built like one."""
        kind = kind_of(raw).type or ""
        if kind == "message":
            self._add_message(message_item(raw))
        elif kind in {"function_call", "custom_tool_call"}:
            self.add(call_of(call_item(raw), kind))
        elif kind == "reasoning":
            self.add_reasoning(reasoning_item(raw))
        else:
            self.add(Foreign(kind[:KIND_CHARS_MAX], NAME, carried(raw)))

    def add(self, part: Part) -> None:
        if self._signature and isinstance(part, Text | ToolCall):
            part = msgspec.structs.replace(part, signature=self._signature)
            self._signature = ""
        self.parts.append(part)

    def add_reasoning(self, item: ReasoningItem) -> None:
        proof = item.encrypted_content or ""
        if proof.startswith(OF_NEXT):
            self._signature = proof[len(OF_NEXT) :]
        elif proof.startswith(OF_LAST):
            self._sign_last(proof[len(OF_LAST) :])
        elif (thinking := thinking_of(item)) is not None:
            self.add(thinking)

    def close(self) -> list[Part]:
        """All parts; a signature whose part never came stands by itself."""
        if self._signature:
            self.parts.append(Thinking("", self._signature))
            self._signature = ""
        return self.parts

    def _sign_last(self, signature: str) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Text):
            self.parts[-1] = msgspec.structs.replace(last, signature=signature)
        else:
            self.parts.append(Text("", signature=signature))

    def _add_message(self, item: MessageItem) -> None:
        if isinstance(item.content, str):
            if item.content:
                self.add(Text(item.content))
            return
        for part in item.content or ():
            if part is None:
                continue
            if part.type == "refusal":
                if part.refusal:
                    self.add(Refusal(part.refusal))
            elif part.text or part.annotations:
                self.add(Text(part.text or "", citations=citations_of(part.annotations)))
            self.logprobs += tokens_of(part.logprobs)


def call_of(item: CallItem, kind: str) -> ToolCall:
    arguments = arguments_of(item.input or "") if kind == "custom_tool_call" else arguments_text(item.arguments)
    return ToolCall(item.call_id or item.id or "", item.name or "", arguments)


def arguments_text(arguments: msgspec.Raw) -> str:
    raw = bytes(arguments)
    if raw in {b"", b"null"}:
        return ""
    if raw.startswith(b'"'):
        try:
            return _text(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # raw members are not checked for UTF-8 when they are set aside
    return raw.decode("utf-8", "replace")
