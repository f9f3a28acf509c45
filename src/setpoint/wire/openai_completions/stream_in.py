"""A completion stream of an upstream, to neutral events.

    {text}* → {text, finish_reason} → {usage, no choices}? → [DONE]

The end is [DONE]; a finish reason will do, since some servers forget the terminal. A stream with neither was cut.
"""

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Finished, LogprobsReported, Started, StreamEvent, TextDelta, UsageReported
from setpoint.wire.openai_completions.answer import Completion, decode_completion, text_of
from setpoint.wire.openai_completions.logprobs import read_logprobs
from setpoint.wire.openai_completions.words import finish_of
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import usage_of
from setpoint.wire.sse import EVENT_BYTES_MAX, SseEvent
from setpoint.wire.sse_stream import DONE, SseStreamDecoder


class CompletionStreamDecoder(SseStreamDecoder):
    __slots__ = ("_finish", "_started")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        super().__init__(event_bytes_max)
        self._started = False
        self._finish: str | None = None

    def _cut(self, out: list[StreamEvent]) -> None:
        if self._finish is None:
            super()._cut(out)
        else:
            self._ended = True
            out.append(Finished(finish_of(self._finish)))

    def _event(self, event: SseEvent, out: list[StreamEvent]) -> None:
        if event.data == DONE:
            self._done(out)
            return
        chunk = decode_completion(event.data)
        if event.name == b"error" or bytes(chunk.error) not in (b"", b"null"):
            self._fail(classify_openai_fault(0, {}, event.data, 0.0), out)
            return
        self._chunk(chunk, out)

    def _done(self, out: list[StreamEvent]) -> None:
        if self._started:
            self._ended = True
            out.append(Finished(finish_of(self._finish or "stop")))
        else:
            self._fail(Fault(FaultKind.upstream_cut, "The provider's stream ended without an answer."), out)

    def _chunk(self, chunk: Completion, out: list[StreamEvent]) -> None:
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            out.append(Started(chunk.id or "", chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if text := text_of(choice):
                out.append(TextDelta(text))
            if tokens := read_logprobs(choice.logprobs):
                out.append(LogprobsReported(tokens))
            if choice.finish_reason:
                self._finish = choice.finish_reason
        if chunk.usage is not None:
            out.append(UsageReported(usage_of(chunk.usage)))
