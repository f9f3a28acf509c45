"""Neutral events, to the chat stream a Cohere client expects.

Blocks of content are numbered and follow each other; text stays in one block until something else comes. Calls of tools have numbers of
their own, and their deltas may be interleaved. A call is closed when the next one begins and its arguments are whole, else at the end.
"""

import msgspec

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
from setpoint.wire.bodies import is_complete_json, pieces
from setpoint.wire.cohere.citations import NAME, write_citations
from setpoint.wire.cohere.faults import render_cohere_stream_fault
from setpoint.wire.cohere.logprobs import write_logprobs
from setpoint.wire.cohere.usage import shape_of
from setpoint.wire.cohere.words import WRITTEN
from setpoint.wire.dialect import DELTA_BYTES_MAX

_encode = msgspec.json.Encoder().encode


class _TextBlock:
    """The text block written last. `part_at`: characters before the part that text belongs to now."""

    __slots__ = ("characters", "index", "part_at", "texts")

    def __init__(self, index: int) -> None:
        self.index = index
        self.texts: list[str] = []
        self.characters = 0
        self.part_at = 0


class ChatStreamRenderer:
    __slots__ = ("_begun", "_calls", "_citations", "_closed", "_index", "_open", "_over", "_text", "_usage")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._index = -1
        self._open = ""
        self._text: _TextBlock | None = None
        self._calls: dict[int, list[str]] = {}
        self._closed: set[int] = set()
        self._citations = 0
        self._usage: Usage | None = None

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._over = True
            return render_cohere_stream_fault(event.fault, "")
        out: list[bytes] = []
        if not self._begun:
            self._begin(event if isinstance(event, Started) else Started(), out)
        self._content(event, out)
        return b"".join(out)

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_cohere_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _begin(self, event: Started, out: list[bytes]) -> None:
        self._begun = True
        message = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        started = {"id": event.id, "type": "message-start", "delta": {"message": message}}
        out.append(b"event: message-start\ndata: " + _encode(started) + b"\n\n")

    def _content(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextDelta | RefusalDelta):
            self._say(event.text, out)
        elif isinstance(event, ToolCallDelta):
            self._arguments(event, out)
        elif isinstance(event, ThinkingDelta):
            if event.text:
                self._switch("thinking", out)
                self._emit("thinking", event.text, out)
        elif isinstance(event, ToolCallStarted):
            self._start_call(event, out)
        elif isinstance(event, Cited):
            self._cite(event, out)
        elif isinstance(event, Finished):
            self._end(event, out)
        else:
            self._rare(event, out)

    def _rare(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextEnded):
            if self._text is not None:
                self._text.part_at = self._text.characters
        elif isinstance(event, LogprobsReported):
            self._logprobs(event, out)
        elif isinstance(event, ForeignShown) and event.part.dialect == NAME:
            self._close(out)
            self._index += 1
            out.append(_event(b"content-start", b'"content":' + event.part.raw, self._index))
            out.append(_event(b"content-end", b"", self._index))

    # ---------------------------------------------------------------- content

    def _say(self, text: str, out: list[bytes]) -> None:
        if not text:
            return
        self._switch("text", out)
        assert self._text is not None
        self._text.texts.append(text)
        self._text.characters += len(text)
        self._emit("text", text, out)

    def _switch(self, kind: str, out: list[bytes]) -> None:
        if self._open == kind:
            return
        self._close(out)
        self._open = kind
        self._index += 1
        if kind == "text":
            self._text = _TextBlock(self._index)
        out.append(_event(b"content-start", b'"content":' + _encode({"type": kind, kind: ""}), self._index))

    def _close(self, out: list[bytes]) -> None:
        if self._open:
            self._open = ""
            out.append(_event(b"content-end", b"", self._index))

    def _emit(self, kind: str, text: str, out: list[bytes]) -> None:
        before = b'"content":{"' + kind.encode() + b'":'
        out += [_event(b"content-delta", before + _encode(piece) + b"}", self._index) for piece in pieces(text, DELTA_BYTES_MAX)]

    def _logprobs(self, event: LogprobsReported, out: list[bytes]) -> None:
        """Each item stands beside a delta; the text came before, so these are empty."""
        for item in write_logprobs(event.tokens):
            self._switch("text", out)
            head = b'event: content-delta\ndata: {"type":"content-delta","index":%d,"delta":{"message":{"content":{"text":""}}},"logprobs":'
            out.append(head % self._index + _encode(item) + b"}\n\n")

    def _cite(self, event: Cited, out: list[bytes]) -> None:
        block = self._text
        if block is None:
            return
        for shown in write_citations((event.citation,), "".join(block.texts), block.part_at, block.index):
            out.append(_event(b"citation-start", b'"citations":' + _encode(shown), self._citations))
            out.append(_event(b"citation-end", b"", self._citations))
            self._citations += 1

    # ---------------------------------------------------------------- tool calls

    def _start_call(self, event: ToolCallStarted, out: list[bytes]) -> None:
        self._close(out)
        for number, texts in self._calls.items():
            if number not in self._closed and is_complete_json("".join(texts)):
                self._close_call(number, out)
        self._calls[event.index] = []
        call = {"id": event.id, "type": "function", "function": {"name": event.name, "arguments": ""}}
        out.append(_event(b"tool-call-start", b'"tool_calls":' + _encode(call), event.index))

    def _arguments(self, event: ToolCallDelta, out: list[bytes]) -> None:
        texts = self._calls.get(event.index)
        if texts is None or not event.arguments:
            return
        texts.append(event.arguments)
        for piece in pieces(event.arguments, DELTA_BYTES_MAX):
            delta = b'"tool_calls":{"function":{"arguments":' + _encode(piece) + b"}}"
            out.append(_event(b"tool-call-delta", delta, event.index))

    def _close_call(self, number: int, out: list[bytes]) -> None:
        self._closed.add(number)
        out.append(_event(b"tool-call-end", b"", number))

    def _end(self, event: Finished, out: list[bytes]) -> None:
        self._over = True
        self._close(out)
        for number in self._calls:
            if number not in self._closed:
                self._close_call(number, out)
        delta: dict[str, object] = {"finish_reason": WRITTEN[event.finish]}
        if self._usage is not None:
            delta["usage"] = shape_of(self._usage)
        out.append(b"event: message-end\ndata: " + _encode({"type": "message-end", "delta": delta}) + b"\n\ndata: [DONE]\n\n")


def _event(kind: bytes, message: bytes, index: int) -> bytes:
    delta = b',"delta":{"message":{' + message + b"}}" if message else b""
    return b"event: " + kind + b'\ndata: {"type":"' + kind + b'","index":%d' % index + delta + b"}\n\n"
