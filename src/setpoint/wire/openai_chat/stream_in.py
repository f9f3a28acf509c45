"""A chat stream of an OpenAI-like provider, to neutral events.

    {role} → {content, tool_calls, reasoning_content}* → {finish_reason} → {usage, no choices}? → [DONE]

The end is [DONE]. Servers that forget it have at least sent a finish reason; a stream that ends with neither was cut. Tool calls are told
apart by `index`; some servers leave it out, or send every call as index 0 with a new id. Only the first choice is read: more than one
is never asked for when a stream is translated.
"""

import msgspec

from setpoint.domain.chat import Foreign, Thinking
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
from setpoint.wire.openai_chat.answer import custom_call, foreign_of, text_of
from setpoint.wire.openai_chat.citations import annotations_of, sources_of
from setpoint.wire.openai_chat.logprobs import logprobs_of
from setpoint.wire.openai_chat.shapes import NO_RAW, Call, Custom, Function, Said, arguments_of, google_signature, has_something, made_up_id
from setpoint.wire.openai_chat.thinking import thoughts_of
from setpoint.wire.openai_chat.words import finish_of
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import UsageShape, usage_of
from setpoint.wire.signatures import marked
from setpoint.wire.sse import EVENT_BYTES_MAX, SseEvent
from setpoint.wire.sse_stream import DONE, SseStreamDecoder


class _Choice(msgspec.Struct, gc=False):
    index: int | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: msgspec.Raw = NO_RAW


class _Groq(msgspec.Struct, gc=False):
    usage: UsageShape | None = None


class _Chunk(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[_Choice] | None = None
    usage: UsageShape | None = None
    x_groq: _Groq | None = None
    service_tier: str | None = None
    citations: msgspec.Raw = NO_RAW
    search_results: msgspec.Raw = NO_RAW
    error: msgspec.Raw = NO_RAW


_decode = msgspec.json.Decoder(_Chunk).decode
_NO_THOUGHT = Thinking("")
_IN_TEXT = (TextDelta, Cited, LogprobsReported, UsageReported)
"""Events that do not end a part of text."""


class _CustomCall:
    """A call of a custom tool while its text comes in."""

    __slots__ = ("id", "name", "pieces")

    def __init__(self, call_id: str, name: str) -> None:
        self.id = call_id
        self.name = name
        self.pieces: list[str] = []


class ChatStreamDecoder(SseStreamDecoder):
    __slots__ = (
        "_call_ids",
        "_call_numbers",
        "_calls",
        "_chars",
        "_citations",
        "_customs",
        "_finish",
        "_id",
        "_in_text",
        "_part_at",
        "_search_results",
        "_service_tier",
        "_started",
    )

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        super().__init__(event_bytes_max)
        self._started = False
        self._finish: str | None = None
        self._id = ""
        self._calls = 0
        self._call_numbers: dict[int, int] = {}
        self._call_ids: dict[int, str] = {}
        self._customs: dict[int, _CustomCall] = {}
        self._chars = 0
        self._part_at = 0
        self._in_text = False
        self._citations = NO_RAW
        self._search_results = NO_RAW
        self._service_tier: str | None = None

    def _cut(self, out: list[StreamEvent]) -> None:
        if self._finish is None:
            super()._cut(out)
        else:
            self._ended = True
            self._end(self._finish, out)

    def _event(self, event: SseEvent, out: list[StreamEvent]) -> None:
        if event.data == DONE:
            self._done(out)
            return
        chunk = _decode(event.data)
        if event.name == b"error" or bytes(chunk.error) not in (b"", b"null"):
            self._fail(classify_openai_fault(0, {}, event.data, 0.0), out)
            return
        self._chunk(chunk, out)

    def _done(self, out: list[StreamEvent]) -> None:
        self._ended = True
        if self._started:
            self._end(self._finish or "stop", out)
        else:
            out.append(Failed(Fault(FaultKind.upstream_cut, "The provider's stream ended without an answer.")))

    def _end(self, word: str, out: list[StreamEvent]) -> None:
        """What is known only now: sources that every chunk repeats, and calls of custom tools."""
        out += [Cited(citation) for citation in sources_of(self._citations, self._search_results)]
        for call in self._customs.values():
            out.append(ForeignShown(custom_call(call.id, call.name, "".join(call.pieces))))
        out.append(Finished(finish_of(word, self._calls > 0), service_tier=self._service_tier))

    def _chunk(self, chunk: _Chunk, out: list[StreamEvent]) -> None:
        if not self._started and (chunk.choices or chunk.id):
            self._started = True
            self._id = chunk.id or ""
            out.append(Started(self._id, chunk.model or "", int(chunk.created or 0)))
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if choice.delta is not None:
                self._delta(choice.delta, out)
                if out:
                    self._in_text = isinstance(out[-1], _IN_TEXT)
            if tokens := logprobs_of(choice.logprobs):
                out.append(LogprobsReported(tokens))
            if choice.finish_reason:
                self._finish = choice.finish_reason
        self._service_tier = chunk.service_tier or self._service_tier
        if has_something(chunk.citations):
            self._citations = chunk.citations
        if has_something(chunk.search_results):
            self._search_results = chunk.search_results
        usage = chunk.usage or (chunk.x_groq.usage if chunk.x_groq is not None else None)
        if usage is not None:
            out.append(UsageReported(usage_of(usage)))

    def _delta(self, delta: Said, out: list[StreamEvent]) -> None:
        for thought in thoughts_of(delta):
            if isinstance(thought, Foreign):
                out.append(ForeignShown(thought))
            elif thought != _NO_THOUGHT:
                out.append(ThinkingDelta(thought.text, thought.signature, thought.redacted))
        signature = marked("gemini", google_signature(delta.extra_content))
        text, thought_text, citations = text_of(delta.content)
        if thought_text:
            out.append(ThinkingDelta(thought_text))
        if text or (signature and not delta.tool_calls):
            self._text(TextDelta(text, "" if delta.tool_calls else signature), out)
        out += [Cited(citation) for citation in citations]
        if delta.refusal:
            out.append(RefusalDelta(delta.refusal))
        for call in delta.tool_calls or ():
            self._call(call, signature, out)
            signature = ""
        if delta.function_call is not None and delta.function_call.name != "":
            self._call(Call(0, None, delta.function_call), "", out)
        self._rare(delta, not text, out)

    def _rare(self, delta: Said, silent: bool, out: list[StreamEvent]) -> None:
        found, others = annotations_of(delta.annotations, None, self._part_at)
        out += [Cited(citation) for citation in found]
        out += [ForeignShown(other) for other in others]
        for part in foreign_of(delta, silent):
            if isinstance(part, Foreign):
                out.append(ForeignShown(part))
            else:
                self._text(TextDelta(part.text), out)

    def _text(self, event: TextDelta, out: list[StreamEvent]) -> None:
        """Ranges of annotations count from the start of all text, those of citations from the start of their part."""
        last = out[-1] if out else None
        if not (self._in_text if last is None else isinstance(last, _IN_TEXT)):
            self._part_at = self._chars
        self._chars += len(event.text)
        out.append(event)

    def _custom(self, key: int, call_id: str | None, given: Custom) -> None:
        known = self._customs.get(key)
        if known is None:
            known = self._customs[key] = _CustomCall(call_id or made_up_id(self._id, key), given.name or "")
        known.pieces.append(given.input or "")

    def _call(self, call: Call, signature: str, out: list[StreamEvent]) -> None:
        if call.function is None and call.custom is not None:
            self._custom(call.index or 0, call.id, call.custom)
            return
        function = call.function or Function()
        signature = marked("gemini", google_signature(call.extra_content)) or signature
        key = call.index if call.index is not None else self._key_without_index(function)
        number = self._call_numbers.get(key)
        if number is None or (call.id and self._call_ids[number] and call.id != self._call_ids[number]):
            number = self._calls
            self._calls += 1
            self._call_numbers[key] = number
            self._call_ids[number] = call.id or ""
            out.append(ToolCallStarted(number, call.id or made_up_id(self._id, number), function.name or "", signature))
        arguments = arguments_of(function)
        if arguments:
            out.append(ToolCallDelta(number, arguments))

    def _key_without_index(self, function: Function) -> int:
        """A new call announces itself by a name; everything else goes on with the last one."""
        if self._calls and not function.name:
            return max(self._call_numbers, key=lambda key: self._call_numbers[key])
        return len(self._call_numbers)
