"""Neutral events, to the stream of server-sent events a Gemini client expects.

Function calls come whole, in one part, as Gemini sends them: the pieces of arguments are collected until the call is complete, which is
when something else begins and the arguments are a whole JSON value, or at the end. Refusals wait for the end too, since the finish tells
whether they are the answer's text or the message of a filter. Citations and usage go with the last chunk.
"""

import msgspec

from setpoint.domain.chat import Citation, Thinking, TokenLogprob, ToolCall
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
from setpoint.wire.call_queue import LateArguments, QueuedCall
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.gemini.answer import BLOCK_REASON
from setpoint.wire.gemini.answer_parts import text_part, thought_part, written_part
from setpoint.wire.gemini.answer_shapes import logprobs_result
from setpoint.wire.gemini.citations import grounding_of, moved
from setpoint.wire.gemini.facts import shape_of
from setpoint.wire.gemini.faults import render_gemini_stream_fault
from setpoint.wire.gemini.words import create_time, finish_reason, shown_tier

_encode = msgspec.json.Encoder().encode
Json = dict[str, object]
Written = Json | msgspec.Raw


def _part(call: QueuedCall) -> Written | None:
    started = call.started
    return written_part(ToolCall(started.id, started.name, call.text(), signature=started.signature))


class GeminiStreamRenderer:
    __slots__ = (
        "_begin",
        "_cited",
        "_created",
        "_logprobs",
        "_model",
        "_open",
        "_over",
        "_parts",
        "_refusals",
        "_response_id",
        "_sent",
        "_text",
        "_usage",
    )

    def __init__(self, model: str, created_s: int) -> None:
        self._model = model
        self._created = created_s
        self._response_id = ""
        self._over = False
        self._open: dict[int, QueuedCall] = {}
        self._sent = 0
        self._refusals: list[str] = []
        self._text: list[str] = []
        self._begin = 0
        self._cited: list[Citation] = []
        self._parts = 0
        self._logprobs: tuple[TokenLogprob, ...] = ()
        self._usage: Usage | None = None

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, TextDelta):
            return self._settle() + self._words(event)
        if isinstance(event, ToolCallDelta):
            return self._arguments(event)
        if isinstance(event, ThinkingDelta):
            return self._settle() + self._thought(event)
        if isinstance(event, ToolCallStarted):
            before = self._settle()
            self._open[event.index] = QueuedCall(event)
            return before
        if isinstance(event, Failed):
            self._over = True
            return render_gemini_stream_fault(event.fault, "")
        if isinstance(event, Finished):
            self._over = True
            return self._end(event)
        return self._rare(event)

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_gemini_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _rare(self, event: StreamEvent) -> bytes:
        if isinstance(event, UsageReported):
            self._usage = event.usage
        elif isinstance(event, Started):
            self._response_id = event.id
        elif isinstance(event, RefusalDelta):
            self._refusals.append(event.text)
        elif isinstance(event, LogprobsReported):
            self._logprobs += event.tokens
        elif isinstance(event, Cited):
            self._cited.append(moved(event.citation, self._begin))
        elif isinstance(event, TextEnded):
            self._end_text()
        elif isinstance(event, ForeignShown):
            made = written_part(event.part)
            if made is not None:
                self._end_text()
                return self._settle() + self._frame([made])
        return b""

    # ---------------------------------------------------------------- content

    def _words(self, event: TextDelta) -> bytes:
        if not event.text and not event.signature:
            return b""
        self._text.append(event.text)
        *before, last = pieces(event.text, DELTA_BYTES_MAX)
        out = b"".join([self._frame([text_part(text, "")]) for text in before]) + self._frame([text_part(last, event.signature)])
        if event.signature:
            self._end_text()
        return out

    def _end_text(self) -> None:
        """Text that follows is another part, and its citations count from there; here all text of the answer is counted together."""
        self._begin = sum(map(len, self._text))

    def _thought(self, event: ThinkingDelta) -> bytes:
        self._end_text()
        if event.redacted:
            made = written_part(Thinking("", redacted=event.redacted))
            return self._frame([made]) if made is not None else b""
        *before, last = pieces(event.text, DELTA_BYTES_MAX)
        out = b"".join([self._frame([thought_part(text)]) for text in before])
        return out + (self._frame([thought_part(last, event.signature)]) if last or event.signature else b"")

    def _arguments(self, event: ToolCallDelta) -> bytes:
        call = self._open.get(event.index)
        if call is not None:
            call.add(event.arguments)
        elif event.arguments.strip():
            self._over = True
            return render_gemini_stream_fault(LateArguments.fault, "")
        return b""

    def _settle(self, at_the_end: bool = False) -> bytes:
        """Something else follows: calls that are whole are sent, in their order; the first that is not keeps back those behind it."""
        ready: list[Written] = []
        for index, call in list(self._open.items()):
            if not at_the_end and not call.is_whole():
                break
            del self._open[index]
            if (made := _part(call)) is not None:
                ready.append(made)
        if ready:
            self._end_text()
        return self._frame(ready) if ready else b""

    # ---------------------------------------------------------------- frames

    def _frame(self, parts: list[Written]) -> bytes:
        self._parts += len(parts)
        return self._event({"candidates": [{"content": {"parts": parts, "role": "model"}, "index": 0}]})

    def _event(self, body: Json) -> bytes:
        body["modelVersion"] = self._model
        if self._created:
            body["createTime"] = create_time(self._created)
        if self._response_id:
            body["responseId"] = self._response_id
        return b"data: " + _encode(body) + b"\r\n\r\n"

    def _end(self, event: Finished) -> bytes:
        out = self._settle(at_the_end=True)
        refusal = "".join(self._refusals)
        filtered = event.finish in {"content_filter", "refusal"}
        usage: Json = {}
        tier = shown_tier(event.service_tier)
        if self._usage is not None or tier is not None:
            usage["usageMetadata"] = shape_of(self._usage, tier)
        if refusal and filtered and not self._parts:
            return out + self._event({"promptFeedback": {"blockReason": BLOCK_REASON, "blockReasonMessage": refusal}, **usage})
        parts = [text_part(text, "") for text in pieces(refusal, DELTA_BYTES_MAX)] if refusal and not filtered else [text_part("", "")]
        candidate: Json = {
            "content": {"parts": parts, "role": "model"},
            "finishReason": finish_reason(event.finish, bool(refusal)),
            "index": 0,
        }
        if refusal and filtered:
            candidate["finishMessage"] = refusal
        if (grounding := grounding_of([(0, "".join(self._text), tuple(self._cited))])) is not None:
            candidate["groundingMetadata"] = grounding
        if self._logprobs:
            candidate |= logprobs_result(self._logprobs)
        return out + self._event({"candidates": [candidate], **usage})
