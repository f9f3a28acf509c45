"""What a model's answer looks like while it comes: a sequence of events, the same for every dialect.

A good stream is Started, any number of the middle events, then Finished. A bad one ends in Failed. UsageReported may come several
times; each is the whole count so far. Tool calls are numbered from 0 in the order they start; deltas name the number, because some
providers send the arguments of parallel calls interleaved. A ThinkingDelta with a signature closes a block of thinking.
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Citation, Finish, Foreign, Part, Refusal, Text, Thinking, TokenLogprob, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage


class Started(msgspec.Struct, frozen=True, gc=False, tag="started"):
    """`id` and `model` are the provider's; `created_s` is 0 when it gave none."""

    id: str = ""
    model: str = ""
    created_s: int = 0


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """A `signature` ends the part of text it stands with; see `Text`."""

    text: str
    signature: str = ""


class Cited(msgspec.Struct, frozen=True, gc=False, tag="cited"):
    """A citation of the text that came last; it belongs to the part that text is in."""

    citation: Citation


class TextEnded(msgspec.Struct, frozen=True, gc=False, tag="text_end"):
    """The part of text is whole; text that follows begins another one. Sent where parts matter: citations belong to theirs."""


class ThinkingDelta(msgspec.Struct, frozen=True, gc=False, tag="thinking"):
    """`redacted` is thinking the provider shows only encrypted; it comes whole, without text."""

    text: str = ""
    signature: str = ""
    redacted: str = ""


class RefusalDelta(msgspec.Struct, frozen=True, gc=False, tag="refusal"):
    text: str


class ToolCallStarted(msgspec.Struct, frozen=True, gc=False, tag="tool"):
    index: int
    id: str
    name: str
    signature: str = ""


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False, tag="tool_delta"):
    """A piece of the JSON text of the arguments."""

    index: int
    arguments: str


class ForeignShown(msgspec.Struct, frozen=True, gc=False, tag="foreign"):
    """A whole part that only the dialect it came in can say."""

    part: Foreign


class LogprobsReported(msgspec.Struct, frozen=True, gc=False, tag="logprobs"):
    """The tokens of the text that came last, in order."""

    tokens: tuple[TokenLogprob, ...]


class UsageReported(msgspec.Struct, frozen=True, gc=False, tag="usage"):
    usage: Usage


class Finished(msgspec.Struct, frozen=True, gc=False, tag="finished"):
    finish: Finish
    stop_sequence: str | None = None
    service_tier: str | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    fault: Fault


StreamEvent = (
    Started
    | TextDelta
    | Cited
    | TextEnded
    | ThinkingDelta
    | RefusalDelta
    | ToolCallStarted
    | ToolCallDelta
    | ForeignShown
    | LogprobsReported
    | UsageReported
    | Finished
    | Failed
)


class _TextSoFar:
    """A part of text while it grows."""

    __slots__ = ("citations", "ended", "pieces", "signature")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.citations: list[Citation] = []
        self.signature = ""
        self.ended = False

    def part(self) -> Text | None:
        text = "".join(self.pieces)
        if not text and not self.citations and not self.signature:
            return None
        return Text(text, citations=tuple(self.citations), signature=self.signature)


class _ThoughtSoFar:
    """A block of thinking while it grows; with a signature it is closed."""

    __slots__ = ("pieces", "signature")

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.signature = ""

    def part(self) -> Thinking | None:
        text = "".join(self.pieces)
        return Thinking(text, self.signature) if text or self.signature else None


class _RefusalSoFar:
    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: list[str] = []

    def part(self) -> Refusal | None:
        text = "".join(self.pieces)
        return Refusal(text) if text else None


class _CallSoFar:
    __slots__ = ("pieces", "started")

    def __init__(self, started: ToolCallStarted) -> None:
        self.started = started
        self.pieces: list[str] = []

    def part(self) -> ToolCall:
        started = self.started
        return ToolCall(started.id, started.name, "".join(self.pieces), signature=started.signature)


class _Whole:
    """A part that comes in one piece."""

    __slots__ = ("_part",)

    def __init__(self, part: Part) -> None:
        self._part = part

    def part(self) -> Part:
        return self._part


_SoFar = _TextSoFar | _ThoughtSoFar | _RefusalSoFar | _CallSoFar | _Whole


class Fold:
    """Collects events into the answer they tell. Text that comes in a row becomes one part."""

    __slots__ = ("_calls", "_finished", "_logprobs", "_parts", "_started", "_usage", "fault")

    def __init__(self) -> None:
        self._started = Started()
        self._parts: list[_SoFar] = []
        self._calls: dict[int, _CallSoFar] = {}
        self._logprobs: list[TokenLogprob] = []
        self._usage: Usage | None = None
        self._finished = Finished("unknown")
        self.fault: Fault | None = None

    def add(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            self._add_text(event)
        elif isinstance(event, ToolCallDelta):
            self._calls[event.index].pieces.append(event.arguments)
        elif isinstance(event, ThinkingDelta):
            self._add_thinking(event)
        elif isinstance(event, RefusalDelta):
            last = self._parts[-1] if self._parts else None
            if not isinstance(last, _RefusalSoFar):
                last = _RefusalSoFar()
                self._parts.append(last)
            last.pieces.append(event.text)
        else:
            self._add_rare(event)

    def _add_rare(
        self,
        event: Started | Cited | TextEnded | ToolCallStarted | ForeignShown | LogprobsReported | UsageReported | Finished | Failed,
    ) -> None:
        if isinstance(event, ToolCallStarted):
            self._calls[event.index] = call = _CallSoFar(event)
            self._parts.append(call)
        elif isinstance(event, Cited):
            self._text().citations.append(event.citation)
        elif isinstance(event, LogprobsReported):
            self._logprobs += event.tokens
        elif isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, Finished):
            self._finished = event
        elif isinstance(event, Failed):
            self.fault = event.fault
        elif isinstance(event, ForeignShown):
            self._parts.append(_Whole(event.part))
        elif isinstance(event, TextEnded):
            self._end_text()
        else:
            self._started = event

    def answer(self) -> ChatAnswer:
        started, finished = self._started, self._finished
        return ChatAnswer(
            started.id,
            started.model,
            tuple(part for grown in self._parts if (part := grown.part()) is not None),
            finished.finish,
            self._usage,
            finished.stop_sequence,
            started.created_s,
            tuple(self._logprobs),
            finished.service_tier,
        )

    def _text(self) -> _TextSoFar:
        """The part that text goes to now: the last one if it is open text."""
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _TextSoFar) and not last.ended:
            return last
        new = _TextSoFar()
        self._parts.append(new)
        return new

    def _end_text(self) -> None:
        last = self._parts[-1] if self._parts else None
        if isinstance(last, _TextSoFar):
            last.ended = True

    def _add_text(self, event: TextDelta) -> None:
        part = self._text()
        part.pieces.append(event.text)
        if event.signature:
            part.signature = event.signature
            part.ended = True

    def _add_thinking(self, event: ThinkingDelta) -> None:
        if event.redacted:
            self._parts.append(_Whole(Thinking("", redacted=event.redacted)))
            return
        last = self._parts[-1] if self._parts else None
        if not isinstance(last, _ThoughtSoFar) or last.signature:
            last = _ThoughtSoFar()
            self._parts.append(last)
        last.pieces.append(event.text)
        last.signature = event.signature


def fold(events: list[StreamEvent]) -> ChatAnswer | Fault:
    """The answer that a whole stream tells, or the fault it ended in."""
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded.fault or folded.answer()
