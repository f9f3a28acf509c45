"""A messages stream of Anthropic, to neutral events (https://docs.anthropic.com/en/docs/build-with-claude/streaming).

    message_start → ( content_block_start → content_block_delta* → content_block_stop )* → message_delta → message_stop

Blocks are told apart by index and may, in theory, interleave. The end is message_stop; a stop reason before the stream ends is taken
for an end too, since all content has come by then. Blocks of tools that ran at the provider are collected and shown whole. A
message_start in the middle (a provider that fell back to another model) goes on with the same answer under new block numbers.
"""

import msgspec

from setpoint.domain.chat import Foreign
from setpoint.domain.stream import (
    Cited,
    Finished,
    ForeignShown,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.wire.anthropic.answer import MESSAGE_MEMBERS, Block, block_of, ended, explanation_of
from setpoint.wire.anthropic.answer_tool import ANSWER_TOOL
from setpoint.wire.anthropic.citations import citation_of, citations_of
from setpoint.wire.anthropic.facts import UsageShape, merged, usage_of
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.anthropic.words import finish_of
from setpoint.wire.bodies import as_object, is_complete_json
from setpoint.wire.carried import carried
from setpoint.wire.signatures import marked
from setpoint.wire.sse import EVENT_BYTES_MAX, SseEvent
from setpoint.wire.sse_stream import SseStreamDecoder

_NO_RAW = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""
    container: msgspec.Raw = _NO_RAW
    usage: UsageShape | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: msgspec.Raw = _NO_RAW
    content: msgspec.Raw = _NO_RAW
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: msgspec.Raw = _NO_RAW
    container: msgspec.Raw = _NO_RAW


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: msgspec.Raw = _NO_RAW
    delta: _Delta | None = None
    context_management: msgspec.Raw = _NO_RAW
    usage: UsageShape | None = None


class _Call:
    """A tool call that is open: its number, whether arguments came, and those given at the start. The answer tool has no number."""

    __slots__ = ("arguments", "number", "streamed")

    def __init__(self, number: int, arguments: str) -> None:
        self.number = number
        self.arguments = arguments
        self.streamed = False


class _ForeignSoFar:
    """A block that only this dialect has, while it grows: by pieces of the JSON of its input, or by its content."""

    __slots__ = ("kind", "pieces", "raw")

    def __init__(self, kind: str, raw: bytes) -> None:
        self.kind = kind
        self.raw = raw
        self.pieces: list[str] = []

    def set(self, member: str, value: msgspec.Raw) -> None:
        self.raw = _encode({**_members(self.raw), member: value})

    def part(self) -> Foreign:
        if text := "".join(self.pieces):
            self.set("input", as_object(text))
        return Foreign(self.kind, "anthropic", carried(self.raw))


_decode = msgspec.json.Decoder(_Event).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class MessagesStreamDecoder(SseStreamDecoder):
    __slots__ = (
        "_after_text",
        "_answered",
        "_calls",
        "_foreign",
        "_members",
        "_open_calls",
        "_started",
        "_stop_reason",
        "_stop_sequence",
        "_usage",
    )

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        super().__init__(event_bytes_max)
        self._started = False
        self._calls = 0
        self._open_calls: dict[int, _Call] = {}
        self._foreign: dict[int, _ForeignSoFar] = {}
        self._after_text = False
        self._answered = False
        self._members: dict[str, bytes] = {}
        self._usage: UsageShape | None = None
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None

    def _is_whole(self, data: bytes) -> bool:
        return is_complete_json(data)

    def _cut(self, out: list[StreamEvent]) -> None:
        if self._stop_reason is not None:
            self._stop(out)
        else:
            super()._cut(out)

    def _stop(self, out: list[StreamEvent]) -> None:
        self._ended = True
        for index in list(self._open_calls):
            self._close(index, out)
        named = [(f"message.{name}", raw) for name in MESSAGE_MEMBERS if (raw := self._members.get(name))]
        out += [ForeignShown(Foreign(kind, "anthropic", carried(raw))) for kind, raw in named]
        if explanation := explanation_of(msgspec.Raw(self._members.get("stop_details", b""))):
            out.append(RefusalDelta(explanation))
        tier = self._usage.service_tier if self._usage is not None else None
        out.append(Finished(ended(finish_of(self._stop_reason), self._answered and not self._calls), self._stop_sequence, tier))

    def _event(self, event: SseEvent, out: list[StreamEvent]) -> None:
        self._read_event(_decode(event.data), event.data, out)

    def _read_event(self, event: _Event, data: bytes, out: list[StreamEvent]) -> None:
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta, out)
        elif kind == "content_block_start" and bytes(event.content_block) not in {b"", b"null"}:
            self._open(event.index, bytes(event.content_block), out)
        elif kind == "content_block_stop":
            self._close(event.index, out)
        elif kind == "message_start" and event.message is not None:
            self._start(event.message, out)
        elif kind == "message_delta":
            self._message_delta(event, out)
        elif kind == "message_stop":
            self._stop(out)
        elif kind == "error":
            self._fail(classify_anthropic_fault(0, {}, data, 0.0), out)

    def _start(self, message: _Message, out: list[StreamEvent]) -> None:
        self._open_calls.clear()
        self._foreign.clear()
        self._after_text = False
        self._keep("container", message.container)
        if not self._started:
            self._started = True
            out.append(Started(message.id, message.model))
        if message.usage is not None:
            self._usage = message.usage
            out.append(UsageReported(usage_of(message.usage)))

    def _keep(self, member: str, raw: msgspec.Raw) -> None:
        """Members of the message may come more than once; the last one counts."""
        if (given := bytes(raw)) not in {b"", b"null"}:
            self._members[member] = given

    def _message_delta(self, event: _Event, out: list[StreamEvent]) -> None:
        delta = event.delta or _Delta()
        self._stop_reason = delta.stop_reason or self._stop_reason
        self._stop_sequence = delta.stop_sequence or self._stop_sequence
        self._keep("stop_details", delta.stop_details)
        self._keep("container", delta.container)
        self._keep("context_management", event.context_management)
        if event.usage is not None:
            self._usage = merged(self._usage, event.usage)
            out.append(UsageReported(usage_of(self._usage)))

    def _open(self, index: int, raw: bytes, out: list[StreamEvent]) -> None:
        block = block_of(raw)
        if block.type == "text":
            self._open_text(block, out)
            return
        self._after_text = False
        if block.type == "tool_use":
            given = bytes(block.input).decode("utf-8", "replace")
            number = -1 if block.name == ANSWER_TOOL else self._calls
            self._answered = self._answered or number < 0
            self._open_calls[index] = _Call(number, "" if given == "null" else given)
            if number >= 0:
                out.append(ToolCallStarted(number, block.id or "", block.name or ""))
                self._calls += 1
        elif block.type == "thinking":
            if block.thinking or block.signature:
                out.append(ThinkingDelta(block.thinking or "", marked("anthropic", block.signature or "")))
        elif block.type == "redacted_thinking":
            out.append(ThinkingDelta(redacted=marked("anthropic", block.data or "")))
        else:
            self._foreign[index] = _ForeignSoFar(block.type[:64], raw)

    def _open_text(self, block: Block, out: list[StreamEvent]) -> None:
        """Blocks of text that follow each other stay apart: each has citations of its own."""
        if self._after_text:
            out.append(TextEnded())
        self._after_text = True
        out += [Cited(citation) for citation in citations_of(block.citations)]
        if block.text:
            out.append(TextDelta(block.text))

    def _delta(self, index: int, delta: _Delta, out: list[StreamEvent]) -> None:
        if delta.text:
            out.append(TextDelta(delta.text))
        elif delta.partial_json is not None:
            self._json(index, delta.partial_json, out)
        elif delta.thinking:
            out.append(ThinkingDelta(delta.thinking))
        elif delta.signature:
            out.append(ThinkingDelta(signature=marked("anthropic", delta.signature)))
        elif bytes(delta.citation) not in {b"", b"null"}:
            if (citation := citation_of(bytes(delta.citation))) is not None:
                out.append(Cited(citation))
        elif (foreign := self._foreign.get(index)) is not None and bytes(delta.content):
            foreign.set("content", delta.content)

    def _json(self, index: int, piece: str, out: list[StreamEvent]) -> None:
        call = self._open_calls.get(index)
        if call is None:
            if (foreign := self._foreign.get(index)) is not None:
                foreign.pieces.append(piece)
        elif piece:
            call.streamed = True
            out.append(ToolCallDelta(call.number, piece) if call.number >= 0 else TextDelta(piece))

    def _close(self, index: int, out: list[StreamEvent]) -> None:
        """A call without a delta has the arguments its block began with, `{}` as a rule."""
        foreign = self._foreign.pop(index, None)
        if foreign is not None:
            out.append(ForeignShown(foreign.part()))
            return
        call = self._open_calls.pop(index, None)
        if call is not None and not call.streamed:
            arguments = call.arguments or "{}"
            out.append(ToolCallDelta(call.number, arguments) if call.number >= 0 else TextDelta(arguments))
