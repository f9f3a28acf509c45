"""Neutral events, to the lines an Ollama client expects. Arguments of calls are objects there, so calls wait until they are whole."""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Failed,
    Finished,
    LogprobsReported,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import pieces
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.ollama.answer import call_shape, counts_of
from setpoint.wire.ollama.faults import render_ollama_stream_fault
from setpoint.wire.ollama.logprobs import write_logprobs
from setpoint.wire.ollama.ndjson import as_line
from setpoint.wire.ollama.times import time_of
from setpoint.wire.ollama.words import WRITTEN

_encode = msgspec.json.Encoder().encode


class ChatStreamRenderer:
    __slots__ = ("_arguments", "_calls", "_created_s", "_head", "_model", "_over", "_usage", "_written")

    def __init__(self, model: str, created_s: int) -> None:
        self._model = model
        self._created_s = created_s
        self._head = b""
        self._over = False
        self._calls: list[ToolCallStarted] = []
        self._arguments: dict[int, list[str]] = {}
        self._written = 0
        self._usage: Usage | None = None

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._over = True
            return render_ollama_stream_fault(event.fault, "")
        if not self._head:
            self._begin(event if isinstance(event, Started) else Started())
        return self._content(event)

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_ollama_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _begin(self, event: Started) -> None:
        shared = {"model": self._model, "created_at": time_of(event.id, event.created_s or self._created_s)}
        self._head = _encode(shared)[:-1] + b',"message":{"role":"assistant","content":'

    def _content(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta | RefusalDelta):
            return self._waiting() + self._texts(b"", event.text, b"}") if event.text else b""
        if isinstance(event, ThinkingDelta):
            return self._waiting() + self._texts(b'"","thinking":', event.text, b"}") if event.text else b""
        if isinstance(event, ToolCallStarted):
            self._calls.append(event)
            self._arguments[event.index] = []
        elif isinstance(event, ToolCallDelta):
            self._arguments.setdefault(event.index, []).append(event.arguments)
        elif isinstance(event, LogprobsReported):
            return self._line(b'""}', b',"logprobs":' + _encode(write_logprobs(event.tokens)))
        elif isinstance(event, Finished):
            return self._end(event)
        return b""

    def _texts(self, before: bytes, text: str, after: bytes) -> bytes:
        return b"".join([self._line(before + _encode(piece) + after) for piece in pieces(text, DELTA_BYTES_MAX)])

    def _line(self, message: bytes, more: bytes = b"") -> bytes:
        return as_line(b"".join((self._head, message, more, b',"done":false}')))

    def _waiting(self) -> bytes:
        """Calls not written yet, one a line; what follows them in the stream comes after them here too."""
        lines = []
        for call in self._calls[self._written :]:
            shape = call_shape(self._written, call.id, call.name, "".join(self._arguments[call.index]))
            lines.append(self._line(b'"","tool_calls":' + _encode([shape]) + b"}"))
            self._written += 1
        return b"".join(lines)

    def _end(self, event: Finished) -> bytes:
        self._over = True
        last: dict[str, object] = {"done": True, "done_reason": WRITTEN[event.finish]}
        if self._usage is not None:
            last |= counts_of(self._usage)
        return self._waiting() + as_line(b"".join((self._head, b'""},', _encode(last)[1:])))
