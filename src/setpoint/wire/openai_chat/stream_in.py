"""A chat stream of an OpenAI-like provider, to neutral events.

    {role} → {content, tool_calls, reasoning_content}* → {finish_reason} → {usage, no choices}? → [DONE]

The end is [DONE]. Servers that forget it have at least sent a finish reason; a stream that ends with neither was cut. Tool calls are told
apart by `index`; some servers leave it out, or send every call as index 0 with a new id. Only the first choice is read: more than one
is never asked for when a stream is translated.
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
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.openai_chat.answer import Call, Function, Said, arguments_of, made_up_id, text_of
from setpoint.wire.openai_chat.words import finish_of
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import UsageShape, usage_of
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder, SseEvent


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Said | None = None
    finish_reason: str | None = None


class _Groq(msgspec.Struct, gc=False):
    usage: UsageShape | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None
    x_groq: _Groq | None = None
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Chunk).decode


class ChatStreamDecoder:
    __slots__ = ("_call_ids", "_call_numbers", "_calls", "_ended", "_finish", "_id", "_sse", "_started")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._sse = SseDecoder(event_bytes_max)
        self._started = False
        self._ended = False
        self._finish: str | None = None
        self._id = ""
        self._calls = 0
        self._call_numbers: dict[int, int] = {}
        self._call_ids: dict[int, str] = {}

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._sse.feed(data))

    def finish(self) -> list[StreamEvent]:
        rest = self._sse.finish()
        out = self._read([event for event in rest if event.data == b"[DONE]" or is_complete_json(event.data)])
        if not self._ended:
            self._ended = True
            if self._finish is not None:
                out.append(Finished(finish_of(self._finish, self._calls > 0)))
            else:
                out.append(Failed(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete.")))
        return out

    def _read(self, events: list[SseEvent]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for event in events:
            if not self._ended:
                self._event(event, out)
        if self._sse.overflowed and not self._ended:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent an event that is too long."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _event(self, event: SseEvent, out: list[StreamEvent]) -> None:
        if event.data == b"[DONE]":
            self._done(out)
            return
        try:
            chunk = _decode(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent an event that could not be read: {str(error)[:300]}."), out)
            return
        if event.name == b"error" or bytes(chunk.error) not in (b"", b"null"):
            self._fail(classify_openai_fault(0, {}, event.data, 0.0), out)
            return
        self._chunk(chunk, out)

    def _done(self, out: list[StreamEvent]) -> None:
        self._ended = True
        if self._started:
            out.append(Finished(finish_of(self._finish or "stop", self._calls > 0)))
        else:
            out.append(Failed(Fault(FaultKind.upstream_cut, "The provider's stream ended without an answer.")))

    def _chunk(self, chunk: _Chunk, out: list[StreamEvent]) -> None:
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            self._id = chunk.id or ""
            out.append(Started(self._id, chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.delta is not None:
                self._delta(choice.delta, out)
            if choice.finish_reason:
                self._finish = choice.finish_reason
        usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
        if usage is not None:
            out.append(UsageReported(usage_of(usage)))

    def _delta(self, delta: Said, out: list[StreamEvent]) -> None:
        if delta.thinking_blocks:
            self._thinking(delta, out)
        elif text := delta.reasoning_content or delta.reasoning:
            out.append(ThinkingDelta(text))
        if delta.content:
            text, thought = text_of(delta.content)
            if thought:
                out.append(ThinkingDelta(thought))
            if text:
                out.append(TextDelta(text))
        if delta.refusal:
            out.append(RefusalDelta(delta.refusal))
        for call in delta.tool_calls or ():
            self._call(call, out)
        if delta.function_call is not None:
            self._call(Call(0, None, delta.function_call), out)

    def _thinking(self, delta: Said, out: list[StreamEvent]) -> None:
        """Blocks repeat the text of `reasoning_content` beside them; only one of the two is read."""
        for block in delta.thinking_blocks or ():
            text = block.thinking or ""
            if text or block.signature or block.data:
                out.append(ThinkingDelta(text, block.signature or "", block.data or ""))

    def _call(self, call: Call, out: list[StreamEvent]) -> None:
        function = call.function or Function()
        key = call.index if call.index is not None else self._key_without_index(function)
        number = self._call_numbers.get(key)
        if number is None or (call.id and self._call_ids[number] and call.id != self._call_ids[number]):
            number = self._calls
            self._calls += 1
            self._call_numbers[key] = number
            self._call_ids[number] = call.id or ""
            out.append(ToolCallStarted(number, call.id or made_up_id(self._id, number), function.name or ""))
        arguments = arguments_of(function)
        if arguments:
            out.append(ToolCallDelta(number, arguments))

    def _key_without_index(self, function: Function) -> int:
        """A new call announces itself by a name; everything else goes on with the last one."""
        if self._calls and not function.name:
            return max(self._call_numbers, key=lambda key: self._call_numbers[key])
        return len(self._call_numbers)
