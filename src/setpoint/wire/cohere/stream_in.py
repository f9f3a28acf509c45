"""A chat stream of Cohere, to neutral events.

    message-start → tool-plan-delta* → (content-start → content-delta* → content-end)*
    → (tool-call-start → tool-call-delta* → tool-call-end)* → message-end → [DONE]?

Citations come between or behind the deltas of the text they are of. The end is `message-end`, which also says what went wrong.
"""

import msgspec

from setpoint.domain.chat import Foreign
from setpoint.domain.stream import (
    Cited,
    Finished,
    ForeignShown,
    LogprobsReported,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.wire.carried import carried
from setpoint.wire.cohere.answer import Call, Content, Function, arguments_of, made_up_id
from setpoint.wire.cohere.citations import NAME, read_citation
from setpoint.wire.cohere.faults import classify_cohere_fault, failed_generation
from setpoint.wire.cohere.logprobs import LogprobItem, read_logprobs
from setpoint.wire.cohere.usage import UsageShape, usage_of
from setpoint.wire.cohere.words import ended_badly, finish_of, kind_of
from setpoint.wire.sse import EVENT_BYTES_MAX, SseEvent
from setpoint.wire.sse_stream import DONE, SseStreamDecoder

_NULL = "null"


class _Message(msgspec.Struct, gc=False):
    """What a delta is of; raw where the shape hangs on the kind of the event (in `message-start` all are lists)."""

    content: msgspec.Raw = msgspec.Raw()
    tool_plan: str | None = None
    tool_calls: msgspec.Raw = msgspec.Raw()
    citations: msgspec.Raw = msgspec.Raw()


class _Delta(msgspec.Struct, gc=False):
    message: _Message | None = None
    error: str | None = None
    finish_reason: str | None = None
    usage: UsageShape | None = None


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    id: str | None = None
    index: int | None = None
    delta: _Delta | None = None
    logprobs: LogprobItem | None = None


_decode = msgspec.json.Decoder(_Event).decode
_content = msgspec.json.Decoder(Content | None).decode
_call = msgspec.json.Decoder(Call | None).decode
_citations = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _OpenCall:
    """A call that is not over. `held` is kept back while the arguments may still turn out to be `null`, which means none."""

    __slots__ = ("held", "number", "sent")

    def __init__(self, number: int) -> None:
        self.number = number
        self.held = ""
        self.sent = False


class ChatStreamDecoder(SseStreamDecoder):
    __slots__ = ("_calls", "_id", "_open_calls", "_said", "_started", "_text_blocks")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        super().__init__(event_bytes_max)
        self._started = False
        self._said = False
        self._id = ""
        self._calls = 0
        self._open_calls: dict[int, _OpenCall] = {}
        self._text_blocks = 0

    def _event(self, event: SseEvent, out: list[StreamEvent]) -> None:
        if event.data == DONE:
            return
        self._known(_decode(event.data), event, out)

    def _known(self, event: _Event, received: SseEvent, out: list[StreamEvent]) -> None:
        delta = event.delta or _Delta()
        message = delta.message or _Message()
        kind = kind_of(event.type, received.name)
        if kind in {"content-delta", "content-start"}:
            self._content(event, message, kind == "content-start", out)
        elif kind == "tool-plan-delta":
            self._think(message.tool_plan, out)
        elif kind in {"tool-call-start", "tool-call-delta"}:
            self._call(event.index or 0, message, kind == "tool-call-start", out)
        elif kind == "tool-call-end":
            self._close(event.index or 0, out)
        elif kind == "citation-start":
            self._cite(message, out)
        elif kind == "message-start":
            self._start(event.id, out)
        elif kind == "message-end":
            self._end(delta, out)
        elif kind is None:
            self._fail(classify_cohere_fault(0, {}, received.data, 0.0), out)

    def _start(self, given_id: str | None, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            self._id = given_id or ""
            out.append(Started(self._id))

    def _content(self, event: _Event, message: _Message, begins: bool, out: list[StreamEvent]) -> None:
        """Text of a second block is a part of its own."""
        content = (_content(message.content) if bytes(message.content) else None) or Content()
        if begins and (content.type == "text" or content.text is not None):
            if self._text_blocks:
                out.append(TextEnded())
            self._text_blocks += 1
        if content.text:
            self._said = True
            self._text_blocks = max(1, self._text_blocks)
            out.append(TextDelta(content.text))
        elif content.thinking:
            self._think(content.thinking, out)
        elif begins and content.text is None and content.thinking is None and content.type not in {None, "text", "thinking"}:
            out.append(ForeignShown(Foreign((content.type or "")[:64], NAME, carried(message.content))))
        if tokens := read_logprobs([event.logprobs] if event.logprobs is not None else None):
            out.append(LogprobsReported(tokens))

    def _think(self, text: str | None, out: list[StreamEvent]) -> None:
        if text:
            self._said = True
            out.append(ThinkingDelta(text))

    def _cite(self, message: _Message, out: list[StreamEvent]) -> None:
        raw = bytes(message.citations)
        if not self._text_blocks or raw in {b"", b"null"}:
            return
        for one in _citations(raw) if raw.startswith(b"[") else [msgspec.Raw(raw)]:
            out += [Cited(citation) for citation in read_citation(one).citations]

    # ---------------------------------------------------------------- tool calls

    def _call(self, index: int, message: _Message, begins: bool, out: list[StreamEvent]) -> None:
        given = (_call(message.tool_calls) if bytes(message.tool_calls) else None) or Call()
        function = given.function or Function()
        call = self._open_calls.get(index)
        if call is None or begins:
            call = self._open_calls[index] = _OpenCall(self._calls)
            self._said = True
            out.append(ToolCallStarted(call.number, given.id or made_up_id(self._id, call.number), function.name or ""))
            self._calls += 1
        text = call.held + (function.arguments or "")
        call.held = ""
        if not call.sent and _NULL.startswith(text):
            call.held = text
        elif text:
            call.sent = True
            out.append(ToolCallDelta(call.number, text))

    def _close(self, index: int, out: list[StreamEvent]) -> None:
        call = self._open_calls.pop(index, None)
        if call is not None and not call.sent:
            out.append(ToolCallDelta(call.number, arguments_of(call.held)))

    def _end(self, delta: _Delta, out: list[StreamEvent]) -> None:
        usage = usage_of(delta.usage)
        if ended_badly(delta.finish_reason, delta.error, self._said or usage is not None):
            self._fail(failed_generation(delta.finish_reason, delta.error), out)
            return
        self._ended = True
        for index in list(self._open_calls):
            self._close(index, out)
        if usage is not None:
            out.append(UsageReported(usage))
        out.append(Finished(finish_of(delta.finish_reason, self._calls > 0)))
