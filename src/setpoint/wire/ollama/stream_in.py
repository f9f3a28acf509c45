"""A chat stream of Ollama, to neutral events: a line for each piece, the last one with `done` and the counts.

Calls of tools come whole. An error in mid-stream is a line of its own.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Failed,
    Finished,
    LogprobsReported,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.ollama.answer import Call, Function, Piece, Said, arguments_of, decode_piece, usage_of
from setpoint.wire.ollama.faults import classify_ollama_fault
from setpoint.wire.ollama.logprobs import read_logprobs
from setpoint.wire.ollama.ndjson import LineDecoder
from setpoint.wire.ollama.times import call_id, id_of, seconds_of
from setpoint.wire.ollama.words import finish_of
from setpoint.wire.sse import EVENT_BYTES_MAX


class ChatStreamDecoder:
    __slots__ = ("_calls", "_created_at", "_ended", "_lines", "_started")

    def __init__(self, line_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._lines = LineDecoder(line_bytes_max)
        self._started = False
        self._ended = False
        self._created_at = ""
        self._calls = 0

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._lines.feed(data))

    def finish(self) -> list[StreamEvent]:
        out = self._read([line for line in self._lines.finish() if is_complete_json(line)])
        if not self._ended:
            self._fail(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete."), out)
        return out

    def _read(self, lines: list[bytes]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for line in lines:
            if not self._ended:
                self._line(line, out)
        if self._lines.overflowed and not self._ended:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent a line that is too long."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _line(self, line: bytes, out: list[StreamEvent]) -> None:
        try:
            piece = decode_piece(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent a line that could not be read: {str(error)[:300]}."), out)
            return
        if bytes(piece.error) not in (b"", b"null"):
            self._fail(classify_ollama_fault(0, {}, line, 0.0), out)
            return
        self._piece(piece, out)

    def _piece(self, piece: Piece, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            self._created_at = piece.created_at or ""
            out.append(Started(id_of(self._created_at), piece.model or "", seconds_of(self._created_at)))
        said = piece.message or Said()
        if said.thinking:
            out.append(ThinkingDelta(said.thinking))
        if said.content:
            out.append(TextDelta(said.content))
        for call in said.tool_calls or ():
            self._call(call, out)
        if tokens := read_logprobs(piece.logprobs):
            out.append(LogprobsReported(tokens))
        if piece.done:
            self._ended = True
            if (usage := usage_of(piece)) is not None:
                out.append(UsageReported(usage))
            out.append(Finished(finish_of(piece.done_reason, self._calls > 0)))

    def _call(self, call: Call, out: list[StreamEvent]) -> None:
        function = call.function or Function()
        out.append(ToolCallStarted(self._calls, call.id or call_id(self._created_at, self._calls), function.name or ""))
        out.append(ToolCallDelta(self._calls, arguments_of(function.arguments)))
        self._calls += 1
