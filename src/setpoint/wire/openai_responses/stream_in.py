"""A Responses stream, to neutral events (https://platform.openai.com/docs/api-reference/responses-streaming).

    created → in_progress → ( output_item.added → deltas and .done of its parts → output_item.done )* → completed | incomplete | failed

Items are told apart by `output_index` and may overlap. Every delta has a `.done` that repeats it whole, and so have items and the answer
itself: where a server leaves the deltas out, the next whole form is read. Tools that ran at the provider come as one event when their
item is done.
"""

import msgspec

from setpoint.domain.chat import Foreign
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
from setpoint.wire.carried import carried
from setpoint.wire.openai_responses.answer import Answer, reason_of
from setpoint.wire.openai_responses.citations import citation_of, citations_of
from setpoint.wire.openai_responses.custom_tools import CLOSING, OPENING, escaped
from setpoint.wire.openai_responses.facts import usage_classes
from setpoint.wire.openai_responses.faults import fault_inside
from setpoint.wire.openai_responses.items_in import (
    KIND_CHARS_MAX,
    MessageItem,
    OutputPart,
    arguments_text,
    call_item,
    kind_of,
    message_item,
    reasoning_item,
)
from setpoint.wire.openai_responses.logprobs import LogprobShape, tokens_of
from setpoint.wire.openai_responses.stream_shapes import Event, OpenItem, OpenPart, rest_of, string_of
from setpoint.wire.openai_responses.thoughts import BETWEEN_SUMMARIES, OF_LAST, OF_NEXT, REDACTED, ReasoningItem, signature_of, text_of
from setpoint.wire.openai_responses.words import NAME, finish_of
from setpoint.wire.sse import EVENT_BYTES_MAX, SseEvent
from setpoint.wire.sse_stream import DONE, SseStreamDecoder

_CALLS = frozenset({"function_call", "custom_tool_call"})


_decode = msgspec.json.Decoder(Event).decode
_logprobs = msgspec.json.Decoder(list[LogprobShape]).decode
_NOTHING = frozenset({b"", b"[]", b"null"})


class ResponsesStreamDecoder(SseStreamDecoder):
    __slots__ = ("_announced", "_calls", "_closed", "_items", "_next_signature", "_started", "_text_at", "_tier")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        super().__init__(event_bytes_max)
        self._started = False
        self._calls = 0
        self._announced = 0
        self._text_at: tuple[int, int] | None = None
        self._next_signature = ""
        self._items: dict[int, OpenItem] = {}
        self._closed: set[int] = set()
        self._tier: str | None = None

    def _event(self, received: SseEvent, out: list[StreamEvent]) -> None:
        if received.data == DONE:
            return
        event = _decode(received.data)
        kind = event.type or received.name.decode("utf-8", "replace")
        if event.response is not None and kind != "error":
            self._start(event.response, out)
        self._content(kind, event, received.data, out)

    def _start(self, response: Answer, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            out.append(Started(response.id or "", response.model or "", int(response.created_at or 0)))
        self._tier = response.service_tier or self._tier

    def _content(self, kind: str, event: Event, data: bytes, out: list[StreamEvent]) -> None:
        if kind == "response.output_text.delta":
            self._text_event(event, event.delta, out, whole=False)
        elif kind in {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}:
            self._argument_delta(event, string_of(event.delta), out)
        elif kind in {"response.reasoning_summary_text.delta", "response.reasoning_text.delta"}:
            self._thinking_delta(event, out)
        elif kind == "response.refusal.delta":
            self._refusal_delta(event, out)
        elif kind == "response.output_item.added":
            self._open(event.output_index or 0, event.item, out)
        elif kind == "response.output_item.done":
            self._close(event.output_index or 0, event.item, out)
        elif kind == "response.output_text.annotation.added":
            self._annotation(event, out)
        elif kind == "response.output_text.done":
            self._text_event(event, event.text, out, whole=True)
        elif kind in {"response.function_call_arguments.done", "response.custom_tool_call_input.done"}:
            self._arguments_done(event, out)
        elif kind in {"response.completed", "response.incomplete"}:
            self._end(kind, event.response or Answer(), out)
        elif kind in {"error", "response.failed", "response.cancelled"}:
            self._fail(fault_inside(data), out)

    # ---------------------------------------------------------------- text

    def _item(self, event: Event, kind: str) -> OpenItem:
        """The item of an event; one that was never announced begins here."""
        return self._items.setdefault(event.output_index or 0, OpenItem(kind))

    def _part(self, event: Event, out: list[StreamEvent]) -> OpenPart:
        """The part of a message that an event is about; what follows it is another one's text."""
        no = event.content_index or 0
        self._turn_to(event.output_index or 0, no, out)
        return self._item(event, "message").part(no)

    def _turn_to(self, item_no: int, part_no: int, out: list[StreamEvent]) -> None:
        if self._text_at not in {None, (item_no, part_no)}:
            out.append(TextEnded())
        self._text_at = (item_no, part_no)

    def _text_event(self, event: Event, said: msgspec.Raw, out: list[StreamEvent], whole: bool) -> None:
        """A delta, or the `.done` that repeats them all."""
        part = self._part(event, out)
        text = rest_of(string_of(said), part.said) if whole else string_of(said)
        if text:
            part.said.append(text)
            out.append(TextDelta(text))
        if bytes(event.logprobs) not in _NOTHING and not (whole and part.measured):
            part.measured = True
            out.append(LogprobsReported(tokens_of(_logprobs(event.logprobs))))

    def _refusal_delta(self, event: Event, out: list[StreamEvent]) -> None:
        if text := string_of(event.delta):
            self._part(event, out).said.append(text)
            out.append(RefusalDelta(text))

    def _annotation(self, event: Event, out: list[StreamEvent]) -> None:
        part = self._part(event, out)
        part.cited += 1
        citation = citation_of(event.annotation)
        if citation is not None:
            out.append(Cited(citation))

    def _message_done(self, no: int, item: OpenItem, message: MessageItem, out: list[StreamEvent]) -> None:
        """What the deltas left out; then the parts are whole."""
        content = [OutputPart("output_text", message.content)] if isinstance(message.content, str) else message.content
        for part_no, given in enumerate(content or ()):
            if given is not None:
                self._part_done(no, part_no, item.part(part_no), given, out)
        if self._text_at is not None:
            self._text_at = None
            out.append(TextEnded())

    def _part_done(self, no: int, part_no: int, part: OpenPart, given: OutputPart, out: list[StreamEvent]) -> None:
        rest: list[StreamEvent] = []
        if text := rest_of(given.refusal or given.text or "", part.said):
            rest.append(RefusalDelta(text) if given.refusal else TextDelta(text))
        if given.logprobs and not part.measured:
            rest.append(LogprobsReported(tokens_of(given.logprobs)))
        rest += [Cited(citation) for citation in citations_of((given.annotations or [])[part.cited :])]
        if rest:
            self._turn_to(no, part_no, out)
            out += rest

    # ---------------------------------------------------------------- thinking

    def _thinking_delta(self, event: Event, out: list[StreamEvent]) -> None:
        item = self._item(event, "reasoning")
        text = string_of(event.delta)
        if not text:
            return
        paragraph = event.summary_index if event.summary_index is not None else event.content_index or 0
        if item.said and paragraph != item.paragraph:
            text = BETWEEN_SUMMARIES + text
        item.said.append(text)
        item.paragraph = paragraph
        out.append(ThinkingDelta(text))

    def _reasoning_done(self, item: OpenItem, given: ReasoningItem, out: list[StreamEvent]) -> None:
        proof = given.encrypted_content or ""
        text = "" if item.said else text_of(given)
        if proof.startswith(OF_NEXT):
            self._next_signature = proof[len(OF_NEXT) :]
            return
        if proof.startswith(OF_LAST):
            out.append(TextDelta("", proof[len(OF_LAST) :]))
            return
        if proof.startswith(REDACTED):
            out.append(ThinkingDelta(redacted=proof[len(REDACTED) :]))
            return
        signature = signature_of(given.id, proof) if proof else ""
        if text or signature:
            out.append(ThinkingDelta(text, signature))

    # ---------------------------------------------------------------- calls

    def _start_call(self, item: OpenItem, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        """A call without a name yet starts when its item is done."""
        given = call_item(raw)
        if item.call >= 0 or not given.name:
            return
        item.call = self._calls
        item.custom = item.kind == "custom_tool_call"
        self._calls += 1
        out.append(ToolCallStarted(item.call, given.call_id or given.id or "", given.name, self._next_signature))
        self._next_signature = ""
        if item.custom:
            out.append(ToolCallDelta(item.call, OPENING))

    def _argument_delta(self, event: Event, text: str, out: list[StreamEvent]) -> None:
        item = self._items.get(event.output_index or 0)
        if item is None or item.call < 0 or not text:
            return
        item.said.append(text)
        out.append(ToolCallDelta(item.call, escaped(text) if item.custom else text))

    def _arguments_done(self, event: Event, out: list[StreamEvent]) -> None:
        item = self._items.get(event.output_index or 0)
        if item is not None:
            whole = arguments_text(event.input if item.custom else event.arguments)
            self._argument_delta(event, rest_of(whole, item.said), out)

    def _call_done(self, item: OpenItem, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        self._start_call(item, raw, out)
        if item.call < 0:
            return
        given = call_item(raw)
        if text := rest_of((given.input or "") if item.custom else arguments_text(given.arguments), item.said):
            out.append(ToolCallDelta(item.call, escaped(text) if item.custom else text))
        if item.custom:
            out.append(ToolCallDelta(item.call, CLOSING))

    # ---------------------------------------------------------------- items

    def _open(self, no: int, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        if bytes(raw) in {b"", b"null"}:
            return
        self._announced += 1
        item = self._items[no] = OpenItem(kind_of(raw).type or "")
        self._closed.discard(no)
        if item.kind in _CALLS:
            self._start_call(item, raw, out)

    def _close(self, no: int, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        if no in self._closed or bytes(raw) in {b"", b"null"}:
            return
        kind = kind_of(raw).type or ""
        item = self._items.pop(no, None) or OpenItem(kind)
        item.kind = kind
        self._closed.add(no)
        if kind == "message":
            self._message_done(no, item, message_item(raw), out)
        elif kind == "reasoning":
            self._reasoning_done(item, reasoning_item(raw), out)
        elif kind in _CALLS:
            self._call_done(item, raw, out)
        else:
            out.append(ForeignShown(Foreign(kind[:KIND_CHARS_MAX], NAME, carried(raw))))

    def _end(self, kind: str, response: Answer, out: list[StreamEvent]) -> None:
        """Items that never were done are read from the whole answer."""
        output = response.output or ()
        unheard = self._announced < len(output)
        for no, raw in enumerate(output):
            if no in self._items or unheard:
                self._close(no, raw, out)
        self._ended = True
        if response.usage is not None:
            out.append(UsageReported(usage_classes(response.usage)))
        status = response.status or kind.removeprefix("response.")
        out.append(Finished(finish_of(status, reason_of(response), self._calls > 0), service_tier=self._tier))
