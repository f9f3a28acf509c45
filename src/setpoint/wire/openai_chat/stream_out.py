"""Neutral events, to the chat stream an OpenAI client expects.

One chunk an event: the role first, the finish reason after the last delta, then usage (when asked for) in a chunk without choices, then
[DONE]. Everything but the delta is the same in all chunks of a stream, so it is encoded once.
"""

import msgspec

from setpoint.domain.chat import Finish
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Cited,
    Failed,
    Finished,
    ForeignShown,
    LogprobsReported,
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
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import pieces
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.openai_chat.answer import thinking_block
from setpoint.wire.openai_chat.words import WRITTEN, shown_id
from setpoint.wire.openai_faults import render_openai_stream_fault
from setpoint.wire.openai_shapes import shape_of

_encode = msgspec.json.Encoder().encode


class ChatStreamRenderer:
    __slots__ = ("_before_choices", "_created_s", "_head", "_include_usage", "_model", "_over", "_tail", "_usage")

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        self._model = model
        self._created_s = created_s
        self._include_usage = include_usage
        self._head = b""
        self._before_choices = b""
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._usage: Usage | None = None
        self._over = False

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._over = True
            return render_openai_stream_fault(event.fault, "")
        if isinstance(event, Started):
            return self._start(event) if not self._head else b""
        if isinstance(event, Cited | TextEnded | ForeignShown | LogprobsReported):
            return b""
        opening = b"" if self._head else self._start(Started())
        return opening + (self._end(event) if isinstance(event, Finished) else self._delta(event))

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_openai_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _start(self, event: Started) -> bytes:
        shared = {
            "id": shown_id(event.id),
            "object": "chat.completion.chunk",
            "created": event.created_s or self._created_s,
            "model": self._model,
        }
        self._before_choices = b"data: " + _encode(shared)[:-1] + b',"choices":['
        self._head = self._before_choices + b'{"index":0,"delta":'
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}')

    def _chunk(self, delta: bytes, finish: Finish | None = None) -> bytes:
        word = b'"' + WRITTEN[finish].encode() + b'"' if finish else b"null"
        return self._head + delta + b',"logprobs":null,"finish_reason":' + word + b"}]" + self._tail

    def _delta(self, event: TextDelta | ThinkingDelta | RefusalDelta | ToolCallStarted | ToolCallDelta) -> bytes:
        if isinstance(event, TextDelta):
            return self._texts(b'{"content":', event.text)
        if isinstance(event, ToolCallDelta):
            before = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % event.index
            return b"".join(self._chunk(before + _encode(piece) + b"}}]}") for piece in pieces(event.arguments, DELTA_BYTES_MAX))
        if isinstance(event, ToolCallStarted):
            call = {"index": event.index, "id": event.id, "type": "function", "function": {"name": event.name, "arguments": ""}}
            return self._chunk(_encode({"tool_calls": [call]}))
        if isinstance(event, RefusalDelta):
            return self._texts(b'{"refusal":', event.text)
        shown = self._texts(b'{"reasoning_content":', event.text) if event.text else b""
        if event.signature or event.redacted:
            shown += self._chunk(_encode({"thinking_blocks": [thinking_block("", event.signature, event.redacted)]}))
        return shown

    def _texts(self, before: bytes, text: str) -> bytes:
        return b"".join([self._chunk(before + _encode(piece) + b"}") for piece in pieces(text, DELTA_BYTES_MAX)])

    def _end(self, event: Finished) -> bytes:
        self._over = True
        end = self._chunk(b"{}", event.finish)
        if self._include_usage:
            end += self._before_choices + b'],"usage":' + _encode(shape_of(self._usage or Usage())) + b"}\n\n"
        return end + b"data: [DONE]\n\n"
