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
from setpoint.wire.bodies import pieces
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.openai_responses.answer import ending, response_object
from setpoint.wire.openai_responses.call_queue import CallQueue, LateArguments, QueuedCall
from setpoint.wire.openai_responses.citations import annotation_of
from setpoint.wire.openai_responses.custom_tools import input_of, kind_of_beginning
from setpoint.wire.openai_responses.faults import failed_error, render_responses_stream_fault
from setpoint.wire.openai_responses.items_out import (
    Item,
    custom_call_item,
    function_call_item,
    message_item,
    proof_item,
    reasoning_item,
    summary_part,
)
from setpoint.wire.openai_responses.logprobs import logprobs_of
from setpoint.wire.openai_responses.thoughts import OF_LAST, OF_NEXT
from setpoint.wire.openai_responses.words import NAME, id_core, item_id, response_id, status_of

Json = dict[str, object]
_encode = msgspec.json.Encoder().encode


class _OpenText:
    """The part of a message that is open: a text, or a refusal."""

    __slots__ = ("annotations", "chars", "kind", "logprobs", "pieces")

    def __init__(self, kind: str) -> None:
        self.kind = kind
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
        "_call_kind",
        "_calls",
        "_content",
        "_core",
        "_created_s",
        "_delta_head",
        "_item_id",
        "_items",
        "_model",
        "_open",
        "_over",
        "_part",
        "_refused",
        "_response",
        "_sequence",
        "_thought",
        "_usage",
    )

    def __init__(self, model: str, created_s: int) -> None:
        self._model = model
        self._created_s = created_s
        self._begun = False
        self._over = False
        self._core = ""
        self._response: Json = {}
        self._sequence = 0
        self._items: list[Item] = []
        self._open = ""
        self._item_id = ""
        self._part: _OpenText | None = None
        self._content: list[Json] = []
        self._thought: list[str] = []
        self._calls = CallQueue()
        self._call_kind = ""
        self._delta_head = b""
        self._usage: Usage | None = None
        self._refused = False

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        out: list[bytes] = []
        if isinstance(event, Failed):
            self._fail(event.fault, out)
            return b"".join(out)
        if not self._begun:
            self._begin(event if isinstance(event, Started) else Started(), out)
        try:
            self._say(event, out)
        except LateArguments as late:
            self._fail(late.fault, out)
        return b"".join(out)

    def finish(self) -> bytes:
        if self._over:
            return b""
        out: list[bytes] = []
        self._fail(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), out)
        return b"".join(out)

    def _begin(self, event: Started, out: list[bytes]) -> None:
        self._begun = True
        self._core = id_core(event.id)
        self._response = response_object(response_id(event.id), self._model, event.created_s or self._created_s)
        self._emit(b"response.created", {"response": self._response}, out)
        self._emit(b"response.in_progress", {"response": self._response}, out)

    def _say(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            self._text(event, out)
        elif isinstance(event, ToolCallDelta):
            self._arguments(event, out)
        elif isinstance(event, ToolCallStarted):
            self._start_call(event, out)
        elif isinstance(event, ThinkingDelta):
            self._think(event, out)
        elif isinstance(event, RefusalDelta):
            self._refuse(event, out)
        elif isinstance(event, Cited):
            self._cite(event.citation, out)
        elif isinstance(event, TextEnded):
            self._close_part(out)
        elif isinstance(event, LogprobsReported):
            self._measure(event.tokens, out)
        elif isinstance(event, ForeignShown):
            if event.part.dialect == NAME and event.part.raw:
                self._whole_item(msgspec.Raw(event.part.raw), out)
        elif isinstance(event, Finished):
            self._end(event, out)

    # ---------------------------------------------------------------- events

    def _emit(self, kind: bytes, members: Json, out: list[bytes]) -> None:
        out.append(
            b"event: %s\ndata: " % kind + b'{"type":"%s","sequence_number":%d,' % (kind, self._sequence) + _encode(members)[1:] + b"\n\n"
        )
        self._sequence += 1

    def _deltas(self, text: str, out: list[bytes]) -> None:
        """`_delta_head` is the event up to its number: all deltas of a part differ in number and text only."""
        for piece in pieces(text, DELTA_BYTES_MAX):
            out.append(self._delta_head + b'%d,"delta":' % self._sequence + _encode(piece) + b"}\n\n")
            self._sequence += 1

    def _set_delta(self, kind: bytes, place: bytes = b"") -> None:
        self._delta_head = (
            b"event: %s\ndata: " % kind
            + b'{"type":"%s","item_id":%s,"output_index":%d,' % (kind, _encode(self._item_id), self._no)
            + place
            + b'"sequence_number":'
        )

    @property
    def _no(self) -> int:
        """The number of the item that is open, or comes next."""
        return len(self._items)

    def _at(self, **members: object) -> Json:
        """The members that name a place in the open item."""
        return {"item_id": self._item_id, "output_index": self._no, **members}

    # ---------------------------------------------------------------- items

    def _open_item(self, kind: str, given_id: str, item: Json, out: list[bytes]) -> None:
        self._open = kind
        self._item_id = given_id
        self._emit(b"response.output_item.added", {"output_index": self._no, "item": item}, out)

    def _close_item(self, item: Item, out: list[bytes]) -> None:
        self._open = ""
        self._emit(b"response.output_item.done", {"output_index": self._no, "item": item}, out)
        self._items.append(msgspec.Raw(_encode(item)))

    def _whole_item(self, item: Item, out: list[bytes]) -> None:
        self._settle(out)
        self._emit(b"response.output_item.added", {"output_index": self._no, "item": item}, out)
        self._close_item(item, out)

    def _settle(self, out: list[bytes], status: str = "completed") -> None:
        """Something else follows: what is open is closed, and calls that wait are written whole."""
        if self._open == "message":
            self._close_part(out)
            self._close_item(message_item(self._item_id, self._content, status), out)
        elif self._open == "reasoning":
            self._close_thought("", out)
        while (call := self._calls.current) is not None:
            self._close_call(call, out, status)
            if (waiting := self._calls.next()) is not None:
                self._open_call(waiting, out)

    # ---------------------------------------------------------------- text

    def _open_part(self, kind: str, out: list[bytes]) -> _OpenText:
        part = self._part
        if part is not None and part.kind == kind:
            return part
        if self._open != "message":
            self._settle(out)
            self._content = []
            given_id = item_id("msg", self._core, self._no)
            self._open_item("message", given_id, message_item(given_id, [], "in_progress"), out)
        self._close_part(out)
        part = self._part = _OpenText(kind)
        place = b'"content_index":%d,' % len(self._content)
        if kind == "refusal":
            self._set_delta(b"response.refusal.delta", place)
        else:
            self._set_delta(b"response.output_text.delta", place + b'"logprobs":[],')
        self._emit(b"response.content_part.added", self._at(content_index=len(self._content), part=part.shape()), out)
        return part

    def _close_part(self, out: list[bytes]) -> None:
        part = self._part
        if part is None:
            return
        self._part = None
        shape, no = part.shape(), len(self._content)
        if part.kind == "refusal":
            self._emit(b"response.refusal.done", self._at(content_index=no, refusal=shape["refusal"]), out)
        else:
            done = self._at(content_index=no, text=shape["text"], logprobs=shape["logprobs"])
            self._emit(b"response.output_text.done", done, out)
        self._emit(b"response.content_part.done", self._at(content_index=no, part=shape), out)
        self._content.append(shape)

    def _text(self, event: TextDelta, out: list[bytes]) -> None:
        if event.text:
            part = self._open_part("output_text", out)
            part.pieces.append(event.text)
            part.chars += len(event.text)
            self._deltas(event.text, out)
        if event.signature:
            self._settle(out)
            self._whole_item(proof_item(item_id("rs", self._core, self._no), OF_LAST + event.signature), out)

    def _refuse(self, event: RefusalDelta, out: list[bytes]) -> None:
        if event.text:
            self._refused = True
            self._open_part("refusal", out).pieces.append(event.text)
            self._deltas(event.text, out)

    def _cite(self, citation: Citation, out: list[bytes]) -> None:
        part = self._open_part("output_text", out)
        annotation = annotation_of(citation, part.chars)
        place = self._at(content_index=len(self._content), annotation_index=len(part.annotations), annotation=annotation)
        part.annotations.append(annotation)
        self._emit(b"response.output_text.annotation.added", place, out)

    def _measure(self, tokens: tuple[TokenLogprob, ...], out: list[bytes]) -> None:
        """Log-probs come behind their text; a delta without text carries them."""
        part = self._part
        if part is not None and part.kind == "output_text" and tokens:
            part.logprobs += tokens
            delta = self._at(content_index=len(self._content), delta="", logprobs=logprobs_of(tokens))
            self._emit(b"response.output_text.delta", delta, out)

    # ---------------------------------------------------------------- thinking

    def _think(self, event: ThinkingDelta, out: list[bytes]) -> None:
        if event.redacted:
            self._settle(out)
            given_id = item_id("rs", self._core, self._no)
            self._whole_item(reasoning_item(Thinking("", redacted=event.redacted), given_id), out)
            return
        if self._open != "reasoning":
            self._settle(out)
            self._thought = []
            given_id = item_id("rs", self._core, self._no)
            self._open_item("reasoning", given_id, {"id": given_id, "type": "reasoning", "summary": []}, out)
        if event.text:
            if not self._thought:
                self._set_delta(b"response.reasoning_summary_text.delta", b'"summary_index":0,')
                self._emit(b"response.reasoning_summary_part.added", self._at(summary_index=0, part=summary_part("")), out)
            self._thought.append(event.text)
            self._deltas(event.text, out)
        if event.signature:
            self._close_thought(event.signature, out)

    def _close_thought(self, signature: str, out: list[bytes]) -> None:
        text = "".join(self._thought)
        if self._thought:
            self._emit(b"response.reasoning_summary_text.done", self._at(summary_index=0, text=text), out)
            self._emit(b"response.reasoning_summary_part.done", self._at(summary_index=0, part=summary_part(text)), out)
        item = reasoning_item(Thinking(text), self._item_id)
        if signature:  # marked even when it is this dialect's own: the id it counts with is not the one announced
            item["encrypted_content"] = signature
        self._close_item(item, out)

    # ---------------------------------------------------------------- calls

    def _start_call(self, event: ToolCallStarted, out: list[bytes]) -> None:
        if self._calls.current is None:
            self._settle(out)
        closed, call = self._calls.start(event)
        if closed is not None:
            self._close_call(closed, out)
        if call is not None:
            self._open_call(call, out)

    def _open_call(self, call: QueuedCall, out: list[bytes]) -> None:
        """Announced when it is known whether it is a custom call, which the first few characters of the arguments say."""
        if call.started.signature:
            proof = proof_item(item_id("rs", self._core, self._no), OF_NEXT + call.started.signature)
            self._emit(b"response.output_item.added", {"output_index": self._no, "item": proof}, out)
            self._close_item(proof, out)
        self._call_kind = ""
        self._send(call, out)

    def _arguments(self, event: ToolCallDelta, out: list[bytes]) -> None:
        call = self._calls.add(event)
        if call is None:
            return
        self._send(call, out)
        while (waiting := self._calls.next_if_whole()) is not None:
            self._close_call(call, out)
            call = waiting
            self._open_call(call, out)

    def _send(self, call: QueuedCall, out: list[bytes]) -> None:
        if not self._call_kind:
            self._call_kind = kind_of_beginning(call.text())
            if self._call_kind == "function":
                self._announce(call, out)
        if self._call_kind == "function" and (text := call.unsent()):
            self._deltas(text, out)

    def _announce(self, call: QueuedCall, out: list[bytes]) -> None:
        given_id = item_id("fc", self._core, self._no)
        started = call.started
        self._open_item("call", given_id, function_call_item(given_id, started.id, started.name, "", "in_progress"), out)
        self._set_delta(b"response.function_call_arguments.delta")

    def _close_call(self, call: QueuedCall, out: list[bytes], status: str = "completed") -> None:
        text, started = call.text(), call.started
        custom = input_of(text) if self._call_kind == "custom" else None
        if custom is not None:
            self._custom_call(started, custom, status, out)
            return
        if self._call_kind != "function":
            self._announce(call, out)
        if rest := call.unsent():
            self._deltas(rest, out)
        elif not text:
            text = "{}"
            self._deltas(text, out)
        self._emit(b"response.function_call_arguments.done", self._at(name=started.name, arguments=text), out)
        self._close_item(function_call_item(self._item_id, started.id, started.name, text, status), out)

    def _custom_call(self, started: ToolCallStarted, text: str, status: str, out: list[bytes]) -> None:
        given_id = item_id("ctc", self._core, self._no)
        self._open_item("call", given_id, custom_call_item(given_id, started.id, started.name, "", "in_progress"), out)
        self._set_delta(b"response.custom_tool_call_input.delta")
        self._deltas(text, out)
        self._emit(b"response.custom_tool_call_input.done", self._at(input=text), out)
        self._close_item(custom_call_item(given_id, started.id, started.name, text, status), out)

    # ---------------------------------------------------------------- the end

    def _end(self, event: Finished, out: list[bytes]) -> None:
        self._over = True
        status, reason = status_of(event.finish, self._refused)
        self._settle(out, status)
        response = self._response | ending(status, reason, self._items, self._usage, event.service_tier)
        self._emit(b"response." + status.encode(), {"response": response}, out)

    def _fail(self, fault: Fault, out: list[bytes]) -> None:
        """In the two events OpenAI itself sends; official clients raise on the first, others wait for the second."""
        self._over = True
        out.append(render_responses_stream_fault(fault, "", self._sequence))
        self._sequence += 1
        if self._begun:
            response = self._response | {"status": "failed", "error": failed_error(fault), "output": self._items}
            self._emit(b"response.failed", {"response": response}, out)
