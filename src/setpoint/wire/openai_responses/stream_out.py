"""Neutral events, to the stream a Responses client expects.

    created → in_progress → items, one after the other → completed | incomplete, or error and failed

An item is announced, told in deltas, and repeated whole when it is done; the answer repeats all of them. So the texts of an answer are
kept until its end. Calls whose arguments come interleaved are put one after the other (`call_queue`). Thinking is written as a summary.
"""

import msgspec

from setpoint.domain.chat import Citation, Thinking, TokenLogprob
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
from setpoint.wire.call_queue import LateArguments
from setpoint.wire.openai_responses.answer import ending, response_object
from setpoint.wire.openai_responses.calls_out import CallWriter
from setpoint.wire.openai_responses.citations import annotation_of
from setpoint.wire.openai_responses.events_out import EventWriter
from setpoint.wire.openai_responses.faults import failed_error, render_responses_stream_fault
from setpoint.wire.openai_responses.items_out import (
    Item,
    message_item,
    proof_item,
    reasoning_item,
    summary_part,
)
from setpoint.wire.openai_responses.logprobs import logprobs_of
from setpoint.wire.openai_responses.thoughts import OF_LAST
from setpoint.wire.openai_responses.words import NAME, id_core, item_id, response_id, status_of

Json = dict[str, object]


class _OpenText:
    """The part of a message that is open: a text, or a refusal. One that has `ended` still takes citations and log-probs."""

    __slots__ = ("annotations", "chars", "ended", "kind", "logprobs", "pieces")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.ended = False
        self.pieces: list[str] = []
        self.chars = 0
        self.annotations: list[Json | msgspec.Raw] = []
        self.logprobs: list[TokenLogprob] = []

    def shape(self) -> Json:
        text = "".join(self.pieces)
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        logprobs = logprobs_of(tuple(self.logprobs))
        return {"type": "output_text", "text": text, "annotations": self.annotations, "logprobs": logprobs}


class ResponsesStreamRenderer:
    __slots__ = (
        "_begun",
        "_calls",
        "_content",
        "_core",
        "_asked",
        "_created_s",
        "_events",
        "_model",
        "_over",
        "_part",
        "_refused",
        "_response",
        "_thought",
        "_usage",
    )

    def __init__(self, model: str, created_s: int, asked: bytes = b"") -> None:
        self._asked = asked
        self._model = model
        self._created_s = created_s
        self._begun = False
        self._over = False
        self._core = ""
        self._response: Json = {}
        self._events = EventWriter()
        self._part: _OpenText | None = None
        self._content: list[Json] = []
        self._thought: list[str] = []
        self._calls = CallWriter(self._events)
        self._usage: Usage | None = None
        self._refused = False

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._fail(event.fault)
            return self._events.take()
        if not self._begun:
            self._begin(event if isinstance(event, Started) else Started())
        try:
            self._say(event)
        except LateArguments as late:
            self._fail(late.fault)
        return self._events.take()

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._fail(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."))
        return self._events.take()

    def _begin(self, event: Started) -> None:
        self._begun = True
        self._core = self._calls.core = id_core(event.id)
        self._response = response_object(response_id(event.id), self._model, event.created_s or self._created_s, self._asked)
        self._events.emit(b"response.created", {"response": self._response})
        self._events.emit(b"response.in_progress", {"response": self._response})

    def _say(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            self._text(event)
        elif isinstance(event, ToolCallDelta):
            self._calls.add(event)
        elif isinstance(event, ToolCallStarted):
            self._start_call(event)
        elif isinstance(event, ThinkingDelta):
            self._think(event)
        elif isinstance(event, RefusalDelta):
            self._refuse(event)
        elif isinstance(event, Cited):
            self._cite(event.citation)
        elif isinstance(event, TextEnded):
            self._end_part()
        elif isinstance(event, LogprobsReported):
            self._measure(event.tokens)
        elif isinstance(event, ForeignShown):
            if event.part.dialect == NAME and event.part.raw:
                self._whole(msgspec.Raw(event.part.raw))
        elif isinstance(event, Finished):
            self._end(event)

    # ---------------------------------------------------------------- items

    def _settle(self, status: str = "completed") -> None:
        """Something else follows: what is open is closed, and calls that wait are written whole."""
        if self._events.open == "message":
            self._close_part()
            self._events.close_item(message_item(self._events.item_id, self._content, status))
        elif self._events.open == "reasoning":
            self._close_thought("")
        self._calls.settle(status)

    def _start_call(self, event: ToolCallStarted) -> None:
        if not self._calls.is_open:
            self._settle()
        self._calls.start(event)

    def _whole(self, item: Item) -> None:
        self._settle()
        self._events.whole_item(item)

    # ---------------------------------------------------------------- text

    def _open_part(self, kind: str) -> _OpenText:
        part = self._part
        if part is not None and part.kind == kind and not part.ended:
            return part
        if self._events.open != "message":
            self._settle()
            self._content = []
            given_id = item_id("msg", self._core, self._events.no)
            self._events.open_item("message", given_id, message_item(given_id, [], "in_progress"))
        self._close_part()
        part = self._part = _OpenText(kind)
        place = b'"content_index":%d,' % len(self._content)
        if kind == "refusal":
            self._events.set_delta(b"response.refusal.delta", place)
        else:
            self._events.set_delta(b"response.output_text.delta", place + b'"logprobs":[],')
        self._events.emit(b"response.content_part.added", self._events.at(content_index=len(self._content), part=part.shape()))
        return part

    def _end_part(self) -> None:
        if self._part is not None:
            self._part.ended = True

    def _close_part(self) -> None:
        part = self._part
        if part is None:
            return
        self._part = None
        shape, no = part.shape(), len(self._content)
        if part.kind == "refusal":
            self._events.emit(b"response.refusal.done", self._events.at(content_index=no, refusal=shape["refusal"]))
        else:
            done = self._events.at(content_index=no, text=shape["text"], logprobs=shape["logprobs"])
            self._events.emit(b"response.output_text.done", done)
        self._events.emit(b"response.content_part.done", self._events.at(content_index=no, part=shape))
        self._content.append(shape)

    def _text(self, event: TextDelta) -> None:
        if event.text:
            part = self._open_part("output_text")
            part.pieces.append(event.text)
            part.chars += len(event.text)
            self._events.deltas(event.text)
        if event.signature:
            self._settle()
            self._whole(proof_item(item_id("rs", self._core, self._events.no), OF_LAST + event.signature))

    def _refuse(self, event: RefusalDelta) -> None:
        if event.text:
            self._refused = True
            self._open_part("refusal").pieces.append(event.text)
            self._events.deltas(event.text)

    def _cite(self, citation: Citation) -> None:
        part = self._part
        if part is None or part.kind != "output_text":
            part = self._open_part("output_text")
        annotation = annotation_of(citation, part.chars)
        place = self._events.at(content_index=len(self._content), annotation_index=len(part.annotations), annotation=annotation)
        part.annotations.append(annotation)
        self._events.emit(b"response.output_text.annotation.added", place)

    def _measure(self, tokens: tuple[TokenLogprob, ...]) -> None:
        """Log-probs come behind their text; a delta without text carries them."""
        part = self._part
        if part is not None and part.kind == "output_text" and tokens:
            part.logprobs += tokens
            delta = self._events.at(content_index=len(self._content), delta="", logprobs=logprobs_of(tokens))
            self._events.emit(b"response.output_text.delta", delta)

    # ---------------------------------------------------------------- thinking

    def _think(self, event: ThinkingDelta) -> None:
        if event.redacted:
            self._settle()
            given_id = item_id("rs", self._core, self._events.no)
            self._whole(reasoning_item(Thinking("", redacted=event.redacted), given_id))
            return
        if self._events.open != "reasoning":
            self._settle()
            self._thought = []
            given_id = item_id("rs", self._core, self._events.no)
            self._events.open_item("reasoning", given_id, {"id": given_id, "type": "reasoning", "summary": []})
        if event.text:
            if not self._thought:
                self._events.set_delta(b"response.reasoning_summary_text.delta", b'"summary_index":0,')
                self._events.emit(b"response.reasoning_summary_part.added", self._events.at(summary_index=0, part=summary_part("")))
            self._thought.append(event.text)
            self._events.deltas(event.text)
        if event.signature:
            self._close_thought(event.signature)

    def _close_thought(self, signature: str) -> None:
        text = "".join(self._thought)
        if self._thought:
            self._events.emit(b"response.reasoning_summary_text.done", self._events.at(summary_index=0, text=text))
            self._events.emit(b"response.reasoning_summary_part.done", self._events.at(summary_index=0, part=summary_part(text)))
        item = reasoning_item(Thinking(text), self._events.item_id)
        if signature:  # marked even when it is this dialect's own: the id it counts with is not the one announced
            item["encrypted_content"] = signature
        self._events.close_item(item)

    # ---------------------------------------------------------------- the end

    def _end(self, event: Finished) -> None:
        self._over = True
        status, reason = status_of(event.finish, self._refused)
        self._settle(status)
        response = self._response | ending(status, reason, self._events.items, self._usage, event.service_tier)
        self._events.emit(b"response." + status.encode(), {"response": response})

    def _fail(self, fault: Fault) -> None:
        """In the two events OpenAI itself sends; official clients raise on the first, others wait for the second."""
        self._over = True
        self._events.out.append(render_responses_stream_fault(fault, "", self._events.sequence))
        self._events.sequence += 1
        if self._begun:
            response = self._response | {"status": "failed", "error": failed_error(fault), "output": self._events.items}
            self._events.emit(b"response.failed", {"response": response})
