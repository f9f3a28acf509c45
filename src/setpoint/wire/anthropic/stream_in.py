"""A messages stream of Anthropic, to neutral events (https://docs.anthropic.com/en/docs/build-with-claude/streaming).

    message_start → ( content_block_start → content_block_delta* → content_block_stop )* → message_delta → message_stop

Blocks are told apart by index and may, in theory, interleave. The end is message_stop; a stop reason before the stream ends is taken
for an end too, since all content has come by then. Blocks of tools that ran at the provider are left out. A message_start in the middle
(a provider that fell back to another model) goes on with the same answer under new block numbers.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Failed,
    Finished,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.wire.anthropic.answer import Block, StopDetails
from setpoint.wire.anthropic.facts import UsageShape, merged, usage_of
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.anthropic.words import finish_of
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder, SseEvent


class _Message(msgspec.Struct, gc=False):
    id: str = ""
    model: str = ""
    usage: UsageShape | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: StopDetails | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    message: _Message | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: UsageShape | None = None


class _Call:
    """A tool call that is open: its number, whether arguments came, and those given at the start."""

    __slots__ = ("arguments", "number", "streamed")

    def __init__(self, number: int, arguments: str) -> None:
        self.number = number
        self.arguments = arguments
        self.streamed = False


_decode = msgspec.json.Decoder(_Event).decode


class MessagesStreamDecoder:
    __slots__ = ("_calls", "_ended", "_open_calls", "_sse", "_started", "_stop_reason", "_stop_sequence", "_usage")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._sse = SseDecoder(event_bytes_max)
        self._started = False
        self._ended = False
        self._calls = 0
        self._open_calls: dict[int, _Call] = {}
        self._usage: UsageShape | None = None
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._sse.feed(data))

    def finish(self) -> list[StreamEvent]:
        out = self._read([event for event in self._sse.finish() if is_complete_json(event.data)])
        if not self._ended and self._stop_reason is not None:
            self._stop(out)
        elif not self._ended:
            self._fail(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete."), out)
        return out

    def _read(self, events: list[SseEvent]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for event in events:
            if not self._ended:
                self._event(event.data, out)
        if self._sse.overflowed and not self._ended:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent an event that is too long."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _stop(self, out: list[StreamEvent]) -> None:
        self._ended = True
        for index in list(self._open_calls):
            self._close(index, out)
        out.append(Finished(finish_of(self._stop_reason), self._stop_sequence))

    def _event(self, data: bytes, out: list[StreamEvent]) -> None:
        try:
            event = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent an event that could not be read: {str(error)[:300]}."), out)
            return
        kind = event.type
        if kind == "content_block_delta" and event.delta is not None:
            self._delta(event.index, event.delta, out)
        elif kind == "content_block_start" and event.content_block is not None:
            self._open(event.index, event.content_block, out)
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
        if not self._started:
            self._started = True
            out.append(Started(message.id, message.model))
        if message.usage is not None:
            self._usage = message.usage
            out.append(UsageReported(usage_of(message.usage)))

    def _message_delta(self, event: _Event, out: list[StreamEvent]) -> None:
        delta = event.delta or _Delta()
        self._stop_reason = delta.stop_reason or self._stop_reason
        self._stop_sequence = delta.stop_sequence or self._stop_sequence
        if delta.stop_details is not None and delta.stop_details.explanation:
            out.append(RefusalDelta(delta.stop_details.explanation))
        if event.usage is not None:
            self._usage = merged(self._usage, event.usage)
            out.append(UsageReported(usage_of(self._usage)))

    def _open(self, index: int, block: Block, out: list[StreamEvent]) -> None:
        if block.type == "tool_use":
            given = bytes(block.input).decode("utf-8", "replace")
            self._open_calls[index] = _Call(self._calls, "" if given == "null" else given)
            out.append(ToolCallStarted(self._calls, block.id or "", block.name or ""))
            self._calls += 1
        elif block.type == "text" and block.text:
            out.append(TextDelta(block.text))
        elif block.type == "thinking" and (block.thinking or block.signature):
            out.append(ThinkingDelta(block.thinking or "", block.signature or ""))
        elif block.type == "redacted_thinking":
            out.append(ThinkingDelta(redacted=block.data or ""))

    def _delta(self, index: int, delta: _Delta, out: list[StreamEvent]) -> None:
        if delta.text:
            out.append(TextDelta(delta.text))
        elif delta.partial_json is not None:
            call = self._open_calls.get(index)
            if call is not None and delta.partial_json:
                call.streamed = True
                out.append(ToolCallDelta(call.number, delta.partial_json))
        elif delta.thinking:
            out.append(ThinkingDelta(delta.thinking))
        elif delta.signature:
            out.append(ThinkingDelta(signature=delta.signature))

    def _close(self, index: int, out: list[StreamEvent]) -> None:
        """A call without a delta has the arguments its block began with, `{}` as a rule."""
        call = self._open_calls.pop(index, None)
        if call is not None and not call.streamed:
            out.append(ToolCallDelta(call.number, call.arguments or "{}"))
