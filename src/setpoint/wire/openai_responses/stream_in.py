"""A Responses stream, to neutral events (https://platform.openai.com/docs/api-reference/responses-streaming).

    created → in_progress → ( output_item.added → deltas and .done of its parts → output_item.done )* → completed | incomplete | failed

Items are told apart by `output_index` and may overlap. Every delta has a `.done` that repeats it whole, and so have items and the answer
itself: where a server leaves the deltas out, the next whole form is read. Tools that ran at the provider come as one event when their
item is done.
"""

import msgspec

from setpoint.domain.chat import Foreign
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
from setpoint.wire.bodies import is_complete_json
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
from setpoint.wire.openai_responses.thoughts import BETWEEN_SUMMARIES, OF_LAST, OF_NEXT, REDACTED, ReasoningItem, signature_of, text_of
from setpoint.wire.openai_responses.words import NAME, finish_of
from setpoint.wire.sse import EVENT_BYTES_MAX, SseDecoder, SseEvent

DONE = b"[DONE]"
_CALLS = frozenset({"function_call", "custom_tool_call"})


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()
    arguments: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    annotation: msgspec.Raw = msgspec.Raw()
    logprobs: msgspec.Raw = msgspec.Raw()
    item: msgspec.Raw = msgspec.Raw()
    response: Answer | None = None


class _Part:
    """A part of a message that is open: the pieces of text that came, and how much of the rest."""

    __slots__ = ("cited", "measured", "said")

    def __init__(self) -> None:
        self.said: list[str] = []
        self.cited = 0
        self.measured = False


class _Item:
    """An item that is open: what of it has been told already."""

    __slots__ = ("call", "custom", "kind", "paragraph", "parts", "said")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.call = -1
        self.custom = False
        self.said: list[str] = []
        self.paragraph = 0
        self.parts: dict[int, _Part] = {}

    def part(self, no: int | None) -> _Part:
        return self.parts.setdefault(no or 0, _Part())


_decode = msgspec.json.Decoder(_Event).decode
_logprobs = msgspec.json.Decoder(list[LogprobShape]).decode
_NOTHING = frozenset({b"", b"[]", b"null"})
_text = msgspec.json.Decoder(str).decode


class ResponsesStreamDecoder:
    __slots__ = ("_announced", "_calls", "_closed", "_ended", "_items", "_next_signature", "_sse", "_started", "_text_at", "_tier")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._sse = SseDecoder(event_bytes_max)
        self._started = False
        self._ended = False
        self._calls = 0
        self._announced = 0
        self._text_at: tuple[int, int] | None = None
        self._next_signature = ""
        self._items: dict[int, _Item] = {}
        self._closed: set[int] = set()
        self._tier: str | None = None

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._read(self._sse.feed(data))

    def finish(self) -> list[StreamEvent]:
        out = self._read([event for event in self._sse.finish() if is_complete_json(event.data)])
        if not self._ended:
            self._fail(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete."), out)
        return out

    def _read(self, events: list[SseEvent]) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for event in events:
            if not self._ended and event.data != DONE:
                self._event(event, out)
        if self._sse.overflowed and not self._ended:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent an event that is too long."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _event(self, received: SseEvent, out: list[StreamEvent]) -> None:
        try:
            event = _decode(received.data)
            kind = event.type or received.name.decode("utf-8", "replace")
            if event.response is not None and kind != "error":
                self._start(event.response, out)
            self._content(kind, event, received.data, out)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent an event that could not be read: {str(error)[:300]}."), out)

    def _start(self, response: Answer, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            out.append(Started(response.id or "", response.model or "", int(response.created_at or 0)))
        self._tier = response.service_tier or self._tier

    def _content(self, kind: str, event: _Event, data: bytes, out: list[StreamEvent]) -> None:
        if kind == "response.output_text.delta":
            self._text_event(event, event.delta, out, whole=False)
        elif kind in {"response.function_call_arguments.delta", "response.custom_tool_call_input.delta"}:
            self._argument_delta(event, _string(event.delta), out)
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

    def _item(self, event: _Event, kind: str) -> _Item:
        """The item of an event; one that was never announced begins here."""
        return self._items.setdefault(event.output_index or 0, _Item(kind))

    def _part(self, event: _Event, out: list[StreamEvent]) -> _Part:
        """The part of a message that an event is about; what follows it is another one's text."""
        no = event.content_index or 0
        self._turn_to(event.output_index or 0, no, out)
        return self._item(event, "message").part(no)

    def _turn_to(self, item_no: int, part_no: int, out: list[StreamEvent]) -> None:
        if self._text_at not in {None, (item_no, part_no)}:
            out.append(TextEnded())
        self._text_at = (item_no, part_no)

    def _text_event(self, event: _Event, said: msgspec.Raw, out: list[StreamEvent], whole: bool) -> None:
        """A delta, or the `.done` that repeats them all."""
        part = self._part(event, out)
        text = _rest(_string(said), part.said) if whole else _string(said)
        if text:
            part.said.append(text)
            out.append(TextDelta(text))
        if bytes(event.logprobs) not in _NOTHING and not (whole and part.measured):
            part.measured = True
            out.append(LogprobsReported(tokens_of(_logprobs(event.logprobs))))

    def _refusal_delta(self, event: _Event, out: list[StreamEvent]) -> None:
        if text := _string(event.delta):
            self._part(event, out).said.append(text)
            out.append(RefusalDelta(text))

    def _annotation(self, event: _Event, out: list[StreamEvent]) -> None:
        part = self._part(event, out)
        part.cited += 1
        citation = citation_of(event.annotation)
        if citation is not None:
            out.append(Cited(citation))

    def _message_done(self, no: int, item: _Item, message: MessageItem, out: list[StreamEvent]) -> None:
        """What the deltas left out; then the parts are whole."""
        content = [OutputPart("output_text", message.content)] if isinstance(message.content, str) else message.content
        for part_no, given in enumerate(content or ()):
            if given is not None:
                self._part_done(no, part_no, item.part(part_no), given, out)
        if self._text_at is not None:
            self._text_at = None
            out.append(TextEnded())

    def _part_done(self, no: int, part_no: int, part: _Part, given: OutputPart, out: list[StreamEvent]) -> None:
        rest: list[StreamEvent] = []
        if text := _rest(given.refusal or given.text or "", part.said):
            rest.append(RefusalDelta(text) if given.refusal else TextDelta(text))
        if given.logprobs and not part.measured:
            rest.append(LogprobsReported(tokens_of(given.logprobs)))
        rest += [Cited(citation) for citation in citations_of((given.annotations or [])[part.cited :])]
        if rest:
            self._turn_to(no, part_no, out)
            out += rest

    # ---------------------------------------------------------------- thinking

    def _thinking_delta(self, event: _Event, out: list[StreamEvent]) -> None:
        item = self._item(event, "reasoning")
        text = _string(event.delta)
        if not text:
            return
        paragraph = event.summary_index if event.summary_index is not None else event.content_index or 0
        if item.said and paragraph != item.paragraph:
            text = BETWEEN_SUMMARIES + text
        item.said.append(text)
        item.paragraph = paragraph
        out.append(ThinkingDelta(text))

    def _reasoning_done(self, item: _Item, given: ReasoningItem, out: list[StreamEvent]) -> None:
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

    def _start_call(self, item: _Item, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
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

    def _argument_delta(self, event: _Event, text: str, out: list[StreamEvent]) -> None:
        item = self._items.get(event.output_index or 0)
        if item is None or item.call < 0 or not text:
            return
        item.said.append(text)
        out.append(ToolCallDelta(item.call, escaped(text) if item.custom else text))

    def _arguments_done(self, event: _Event, out: list[StreamEvent]) -> None:
        item = self._items.get(event.output_index or 0)
        if item is not None:
            whole = arguments_text(event.input if item.custom else event.arguments)
            self._argument_delta(event, _rest(whole, item.said), out)

    def _call_done(self, item: _Item, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        self._start_call(item, raw, out)
        if item.call < 0:
            return
        given = call_item(raw)
        if text := _rest((given.input or "") if item.custom else arguments_text(given.arguments), item.said):
            out.append(ToolCallDelta(item.call, escaped(text) if item.custom else text))
        if item.custom:
            out.append(ToolCallDelta(item.call, CLOSING))

    # ---------------------------------------------------------------- items

    def _open(self, no: int, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        if bytes(raw) in {b"", b"null"}:
            return
        self._announced += 1
        item = self._items[no] = _Item(kind_of(raw).type or "")
        self._closed.discard(no)
        if item.kind in _CALLS:
            self._start_call(item, raw, out)

    def _close(self, no: int, raw: msgspec.Raw, out: list[StreamEvent]) -> None:
        if no in self._closed or bytes(raw) in {b"", b"null"}:
            return
        kind = kind_of(raw).type or ""
        item = self._items.pop(no, None) or _Item(kind)
        item.kind = kind
        self._closed.add(no)
        if kind == "message":
            self._message_done(no, item, message_item(raw), out)
        elif kind == "reasoning":
            self._reasoning_done(item, reasoning_item(raw), out)
        elif kind in _CALLS:
            self._call_done(item, raw, out)
        else:
            out.append(ForeignShown(Foreign(kind[:KIND_CHARS_MAX], NAME, bytes(raw))))

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


def _string(raw: msgspec.Raw) -> str:
    """Text of a delta; what is no string says nothing."""
    written = bytes(raw)
    return _text(written) if written.startswith(b'"') else ""


def _rest(whole: str, said: list[str]) -> str:
    """What of a text its deltas left out; nothing when they said something else."""
    if not said:
        return whole
    told = "".join(said)
    return whole[len(told) :] if whole.startswith(told) else ""
