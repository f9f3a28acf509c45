"""Neutral events, to the completion stream an OpenAI client expects: text only, in chunks of one shape, then [DONE]."""

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
    UsageReported,
)
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import pieces
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.openai_completions.logprobs import LogprobsWriter
from setpoint.wire.openai_completions.words import WRITTEN, shown_id
from setpoint.wire.openai_faults import render_openai_stream_fault
from setpoint.wire.openai_shapes import shape_of

_encode = msgspec.json.Encoder().encode


class CompletionStreamRenderer:
    __slots__ = ("_created_s", "_head", "_include_usage", "_logprobs", "_model", "_over", "_tail", "_usage")

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        self._model = model
        self._created_s = created_s
        self._include_usage = include_usage
        self._head = b""
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._logprobs = LogprobsWriter()
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
        if not self._head:
            self._begin(event if isinstance(event, Started) else Started())
        if isinstance(event, TextDelta | RefusalDelta):
            return b"".join([self._chunk(_encode(piece)) for piece in pieces(event.text, DELTA_BYTES_MAX)]) if event.text else b""
        if isinstance(event, LogprobsReported):
            return self._chunk(b'""', _encode(self._logprobs.write(event.tokens)))
        return self._end(event) if isinstance(event, Finished) else b""

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_openai_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _begin(self, event: Started) -> None:
        shared = {
            "id": shown_id(event.id),
            "object": "text_completion",
            "created": event.created_s or self._created_s,
            "model": self._model,
        }
        self._head = b"data: " + _encode(shared)[:-1] + b',"choices":['

    def _chunk(self, text: bytes, logprobs: bytes = b"null", finish: bytes = b"null") -> bytes:
        return b"".join(
            (self._head, b'{"text":', text, b',"index":0,"logprobs":', logprobs, b',"finish_reason":', finish, b"}]", self._tail)
        )

    def _end(self, event: Finished) -> bytes:
        self._over = True
        end = self._chunk(b'""', finish=_encode(WRITTEN[event.finish]))
        if self._include_usage:
            end += self._head + b'],"usage":' + _encode(shape_of(self._usage or Usage())) + b"}\n\n"
        return end + b"data: [DONE]\n\n"
