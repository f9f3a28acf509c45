"""What a model's answer looks like while it comes: a sequence of events, the same for every dialect.

A good stream is Started, any number of the middle events, then Finished. A bad one ends in Failed. UsageReported may come several
times; each is the whole count so far. Tool calls are numbered from 0 in the order they start; deltas name the number, because some
providers send the arguments of parallel calls interleaved. A ThinkingDelta with a signature closes a block of thinking.
"""

import msgspec

from setpoint.domain.chat import ChatAnswer, Finish, Part, Refusal, Text, Thinking, ToolCall
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage


class Started(msgspec.Struct, frozen=True, gc=False, tag="started"):
    """`id` and `model` are the provider's; `created_s` is 0 when it gave none."""

    id: str = ""
    model: str = ""
    created_s: int = 0


class TextDelta(msgspec.Struct, frozen=True, gc=False, tag="text"):
    text: str


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


class ToolCallDelta(msgspec.Struct, frozen=True, gc=False, tag="tool_delta"):
    """A piece of the JSON text of the arguments."""

    index: int
    arguments: str


class UsageReported(msgspec.Struct, frozen=True, gc=False, tag="usage"):
    usage: Usage


class Finished(msgspec.Struct, frozen=True, gc=False, tag="finished"):
    finish: Finish
    stop_sequence: str | None = None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    fault: Fault


StreamEvent = Started | TextDelta | ThinkingDelta | RefusalDelta | ToolCallStarted | ToolCallDelta | UsageReported | Finished | Failed


class Fold:
    """Collects events into the answer they tell. Text that comes in a row becomes one part."""

    __slots__ = ("_calls", "_finish", "_parts", "_started", "_stop_sequence", "_usage", "fault")

    def __init__(self) -> None:
        self._started = Started()
        self._parts: list[list[object]] = []
        self._calls: dict[int, list[str]] = {}
        self._usage: Usage | None = None
        self._finish: Finish = "unknown"
        self._stop_sequence: str | None = None
        self.fault: Fault | None = None

    def add(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            self._open("text").append(event.text)
        elif isinstance(event, ToolCallDelta):
            self._calls[event.index].append(event.arguments)
        elif isinstance(event, ToolCallStarted):
            self._calls[event.index] = []
            self._parts.append(["tool", event])
        elif isinstance(event, ThinkingDelta):
            self._add_thinking(event)
        elif isinstance(event, RefusalDelta):
            self._open("refusal").append(event.text)
        elif isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, Finished):
            self._finish, self._stop_sequence = event.finish, event.stop_sequence
        elif isinstance(event, Failed):
            self.fault = event.fault
        else:
            self._started = event

    def answer(self) -> ChatAnswer:
        parts = [part for kind, *rest in self._parts if (part := self._part(kind, rest)) is not None]
        return ChatAnswer(
            self._started.id,
            self._started.model,
            tuple(parts),
            self._finish,
            self._usage,
            self._stop_sequence,
            self._started.created_s,
        )

    def _open(self, kind: str) -> list[object]:
        if not self._parts or self._parts[-1][0] != kind:
            self._parts.append([kind])
        return self._parts[-1]

    def _add_thinking(self, event: ThinkingDelta) -> None:
        if event.redacted:
            self._parts.append(["redacted", event.redacted])
            return
        self._open("thinking").append(event.text)
        if event.signature:
            self._parts[-1][0] = "signed"
            self._parts[-1].append(event.signature)

    def _part(self, kind: object, rest: list[object]) -> Part | None:
        if kind == "tool":
            call = rest[0]
            assert isinstance(call, ToolCallStarted)
            return ToolCall(call.id, call.name, "".join(self._calls[call.index]))
        if kind == "redacted":
            return Thinking("", redacted=str(rest[0]))
        if kind == "signed":
            return Thinking("".join(map(str, rest[:-1])), str(rest[-1]))
        text = "".join(map(str, rest))
        if not text:
            return None
        return Text(text) if kind == "text" else Refusal(text) if kind == "refusal" else Thinking(text)


def fold(events: list[StreamEvent]) -> ChatAnswer | Fault:
    """The answer that a whole stream tells, or the fault it ended in."""
    folded = Fold()
    for event in events:
        folded.add(event)
    return folded.fault or folded.answer()
