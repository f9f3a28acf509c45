"""A streamGenerateContent answer of Gemini, to neutral events, from server-sent events or from the JSON list.

Every chunk is a whole answer with the parts that are new. A function call comes whole in one part, or, where a client asked for it, in
pieces. There is no terminal: the answer is whole when the stream ends after a finish reason, and usage may follow that reason.
"""

import msgspec

from setpoint.domain.chat import Foreign, Part, Text, Thinking
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
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.wire.carried import carried
from setpoint.wire.gemini import answer_shapes, shapes
from setpoint.wire.gemini.answer_parts import read_call
from setpoint.wire.gemini.citations import places
from setpoint.wire.gemini.facts import UsageShape, merged, usage_of
from setpoint.wire.gemini.faults import classify_gemini_fault
from setpoint.wire.gemini.frames_in import AnswerFrames
from setpoint.wire.gemini.part_in import content_part
from setpoint.wire.gemini.partial_call import PartialArguments
from setpoint.wire.gemini.signed import NAME
from setpoint.wire.gemini.words import created_s, finish_of
from setpoint.wire.sse import EVENT_BYTES_MAX


class GeminiStreamDecoder:
    __slots__ = (
        "_calls",
        "_ended",
        "_frames",
        "_growing",
        "_reason",
        "_refused",
        "_response_id",
        "_seen",
        "_shape",
        "_started",
        "_text",
    )

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._frames = AnswerFrames(event_bytes_max)
        self._started = False
        self._ended = False
        self._response_id = ""
        self._reason: str | int | None = None
        self._refused = False
        self._shape: UsageShape | None = None
        self._calls = 0
        self._growing: PartialArguments | None = None
        self._text: list[str] = []
        self._seen: set[object] = set()

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._frames.feed(data))

    def finish(self) -> list[StreamEvent]:
        out = self._read(self._frames.finish())
        if self._ended:
            return out
        self._ended = True
        if self._reason or self._refused:
            self._close_growing(out)
            finish = "content_filter" if self._refused else finish_of(self._reason, self._calls > 0)
            out.append(Finished(finish, None, self._shape.service_tier if self._shape is not None else None))
        else:
            out.append(Failed(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete.")))
        return out

    def _read(self, frames: list[bytes]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for frame in frames:
            if not self._ended and frame != b"[DONE]":
                self._frame(frame, out)
        if self._frames.overflowed and not self._ended:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent an event that is too long."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _frame(self, frame: bytes, out: list[StreamEvent]) -> None:
        try:
            chunk = answer_shapes.decode(frame)
            if shapes.given(chunk.error):
                self._fail(classify_gemini_fault(0, {}, frame, 0.0), out)
            else:
                self._chunk(chunk, out)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent an event that could not be read: {str(error)[:300]}."), out)

    def _chunk(self, chunk: answer_shapes.Answer, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            self._response_id = chunk.response_id or ""
            out.append(Started(self._response_id, chunk.model_version or "", created_s(chunk.create_time)))
        candidate = answer_shapes.first_candidate(chunk)
        if candidate is not None:
            self._candidate(candidate, out)
        if refusal := answer_shapes.blocked(chunk) or (answer_shapes.filtered(candidate) if candidate is not None else ""):
            self._refused = True
            out.append(RefusalDelta(refusal))
        if chunk.usage_metadata is not None:
            self._shape = merged(self._shape, chunk.usage_metadata)
            if (usage := usage_of(self._shape)) is not None:
                out.append(UsageReported(usage))

    def _candidate(self, candidate: answer_shapes.Candidate, out: list[StreamEvent]) -> None:
        for raw in shapes.items(candidate.content.parts) if candidate.content is not None else ():
            part = shapes.decode_part(raw)
            if part.function_call is None:
                self._other(content_part(part, raw), raw, out)
            else:
                self._call(part, part.function_call, out)
        if tokens := answer_shapes.tokens_of(candidate.logprobs_result):
            out.append(LogprobsReported(tokens))
        if candidate.grounding_metadata is not None or candidate.citation_metadata is not None:
            self._cite(candidate, out)
        self._reason = candidate.finish_reason or self._reason

    def _other(self, part: Part | None, raw: bytes, out: list[StreamEvent]) -> None:
        if isinstance(part, Text):
            self._text.append(part.text)
            out.append(TextDelta(part.text, part.signature))
            if part.signature:
                self._text = []
        elif isinstance(part, Thinking):
            self._text = []
            out.append(ThinkingDelta(redacted=part.redacted) if part.redacted else ThinkingDelta(part.text, part.signature))
        elif part is not None:
            # A stream has no event for files, so an image made by the model goes on as what only this dialect can say.
            self._text = []
            kind = part.kind if isinstance(part, Foreign) else type(part).__name__.lower()
            out.append(ForeignShown(Foreign(kind, NAME, carried(raw))))

    def _cite(self, candidate: answer_shapes.Candidate, out: list[StreamEvent]) -> None:
        """Chunks may repeat what an earlier one cited; within a chunk equal citations are of different passages."""
        cited = [place.citation for place in places(candidate.grounding_metadata, candidate.citation_metadata, [(-1, "".join(self._text))])]
        out += [Cited(citation) for citation in cited if citation not in self._seen]
        self._seen.update(cited)

    # ---------------------------------------------------------------- function calls

    def _call(self, part: shapes.Part, call: shapes.FunctionCall, out: list[StreamEvent]) -> None:
        if call.name:
            self._close_growing(out)
            self._text = []
            whole = read_call(part, self._response_id, self._calls)
            out.append(ToolCallStarted(self._calls, whole.id, whole.name, whole.signature))
            self._calls += 1
            if not call.will_continue and not call.partial_args:
                out.append(ToolCallDelta(self._calls - 1, whole.arguments))
                return
            self._growing = PartialArguments()
        if self._growing is None:
            return
        for piece in call.partial_args or ():
            self._growing.add(piece)
        if not call.will_continue:
            self._close_growing(out)

    def _close_growing(self, out: list[StreamEvent]) -> None:
        if self._growing is not None:
            out.append(ToolCallDelta(self._calls - 1, self._growing.json()))
            self._growing = None
