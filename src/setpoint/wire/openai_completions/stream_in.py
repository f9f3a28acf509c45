"""A completion stream of an upstream, to neutral events.

    {text}* → {text, finish_reason} → {usage, no choices}? → [DONE]

The end is [DONE]; a finish reason will do, since some servers forget the terminal. A stream with neither was cut.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import Failed, Finished, LogprobsReported, Started, StreamEvent, TextDelta, UsageReported
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.openai_completions.answer import Completion, decode_completion, text_of
from setpoint.wire.openai_completions.logprobs import read_logprobs
from setpoint.wire.openai_completions.words import finish_of
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import usage_of
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder, SseEvent

DONE = b"[DONE]"


class CompletionStreamDecoder:
    __slots__ = ("_ended", "_finish", "_sse", "_started")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._sse = SseDecoder(event_bytes_max)
        self._started = False
        self._ended = False
        self._finish: str | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._sse.feed(data))

    def finish(self) -> list[StreamEvent]:
        rest = self._sse.finish()
        out = self._read([event for event in rest if event.data == DONE or is_complete_json(event.data)])
        if not self._ended:
            self._ended = True
            if self._finish is not None:
                out.append(Finished(finish_of(self._finish)))
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
        if event.data == DONE:
            self._done(out)
            return
        try:
            chunk = decode_completion(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent an event that could not be read: {str(error)[:300]}."), out)
            return
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
