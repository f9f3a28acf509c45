"""A whole answer told as a stream: the inverse of `stream.Fold`."""

from collections.abc import Iterator

from setpoint.domain.chat import ChatAnswer, Foreign, Refusal, Text, Thinking, ToolCall
from setpoint.domain.stream import (
    Cited,
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


def unfold(answer: ChatAnswer) -> Iterator[StreamEvent]:
    """The events that fold to `answer`. Parts that no stream can tell, such as images, are shown as what only their dialect has."""
    yield Started(answer.id, answer.model, answer.created_s)
    calls = 0
    for part in answer.parts:
        if isinstance(part, Text):
            yield from _text(part)
        elif isinstance(part, Thinking):
            yield ThinkingDelta(part.text, part.signature, part.redacted)
        elif isinstance(part, ToolCall):
            yield ToolCallStarted(calls, part.id, part.name, part.signature)
            if part.arguments:
                yield ToolCallDelta(calls, part.arguments)
            calls += 1
        elif isinstance(part, Refusal):
            yield RefusalDelta(part.text)
        elif isinstance(part, Foreign):
            yield ForeignShown(part)
        else:
            yield ForeignShown(Foreign(type(part).__name__.lower()))
    if answer.logprobs:
        yield LogprobsReported(answer.logprobs)
    if answer.usage is not None:
        yield UsageReported(answer.usage)
    yield Finished(answer.finish, answer.stop_sequence, answer.service_tier)


def _text(part: Text) -> Iterator[StreamEvent]:
    yield TextDelta(part.text, "" if part.citations else part.signature)
    for citation in part.citations:
        yield Cited(citation)
    if part.citations and part.signature:
        yield TextDelta("", part.signature)
    yield TextEnded()
