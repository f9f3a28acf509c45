"""Neutral events, to the messages stream an Anthropic client expects.

Blocks follow each other: a block is closed before the next one opens. Text, refusal and thinking switch blocks when their kind changes,
and a signature closes its block of thinking.

Tool calls are the hard part. Other dialects may send the arguments of parallel calls interleaved, and a closed block cannot be opened
again. So when a second call starts, the open one is closed only if its arguments are already a whole JSON value; otherwise the second
call waits in a queue until they are. In practice providers send calls one after the other and nothing ever waits.

Blocks that only this dialect has are written whole. Gemini's proofs of calls and texts travel in blocks of thinking (`signed_parts`).

The count of input tokens is often known only at the end; it is then in message_delta, where clients read the final figures.
"""

import msgspec

from setpoint.domain.chat import Foreign
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Cited,
    Failed,
    Finished,
    ForeignShown,
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
from setpoint.wire.anthropic.citations import shown as citation_shown
from setpoint.wire.anthropic.facts import shape_of
from setpoint.wire.anthropic.faults import render_anthropic_stream_fault
from setpoint.wire.anthropic.signed_parts import redacted_block, thinking_block
from setpoint.wire.anthropic.words import message_id, shown_tier, stop_reason
from setpoint.wire.bodies import pieces
from setpoint.wire.call_queue import CallQueue, LateArguments, QueuedCall
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.signatures import shown

_encode = msgspec.json.Encoder().encode


class MessagesStreamRenderer:
    __slots__ = ("_begun", "_block", "_calls", "_index", "_members", "_model", "_over", "_refused", "_usage")

    def __init__(self, model: str) -> None:
        self._model = model
        self._begun = False
        self._over = False
        self._index = -1
        self._block = ""
        self._calls = CallQueue()
        self._usage = Usage()
        self._refused = False
        self._members: dict[str, bytes] = {}

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._over = True
            return render_anthropic_stream_fault(event.fault, "")
        out: list[bytes] = []
        if not self._begun:
            self._begin(event if isinstance(event, Started) else Started(), out)
        self._content(event, out)
        return b"".join(out)

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_anthropic_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _begin(self, event: Started, out: list[bytes]) -> None:
        self._begun = True
        message: dict[str, object] = {
            "id": message_id(event.id),
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": shape_of(self._usage),
        }
        out.append(_named(b"message_start", b'"message":' + _encode(message)))

    def _content(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            self._text(event.text, out)
            if event.signature:
                self._whole(_encode(redacted_block(event.signature)), out)
        elif isinstance(event, ToolCallDelta):
            self._arguments(event, out)
        elif isinstance(event, ToolCallStarted):
            self._start_call(event, out)
        elif isinstance(event, ThinkingDelta):
            self._thinking(event, out)
        elif isinstance(event, RefusalDelta):
            self._refused = True
            if "stop_details" not in self._members:
                self._text(event.text, out)
        elif isinstance(event, Finished):
            self._end(event, out)
        else:
            self._rare(event, out)

    def _rare(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, Cited):
            if self._block != "text":
                self._settle_calls(out)
                self._open("text", b'{"type":"text","text":""}', out)
            delta = {"type": "citations_delta", "citation": citation_shown(event.citation)}
            out.append(_named(b"content_block_delta", b'"index":%d,"delta":' % self._index + _encode(delta)))
        elif isinstance(event, TextEnded):
            if self._block == "text":
                self._close(out)
        elif isinstance(event, ForeignShown) and event.part.dialect == "anthropic":
            self._foreign(event.part, out)

    def _foreign(self, part: Foreign, out: list[bytes]) -> None:
        if part.kind.startswith("message."):
            self._members[part.kind.removeprefix("message.")] = part.raw
        elif part.raw:
            self._whole(part.raw, out)

    def _whole(self, block: bytes, out: list[bytes]) -> None:
        self._settle_calls(out)
        self._open("whole", block, out)
        self._close(out)

    # ---------------------------------------------------------------- blocks

    def _open(self, kind: str, block: bytes, out: list[bytes]) -> None:
        self._close(out)
        self._index += 1
        self._block = kind
        out.append(_named(b"content_block_start", b'"index":%d,"content_block":' % self._index + block))

    def _close(self, out: list[bytes]) -> None:
        if self._block:
            self._block = ""
            self._calls.close()
            out.append(_named(b"content_block_stop", b'"index":%d' % self._index))

    def _emit(self, kind: bytes, member: bytes, text: str, out: list[bytes]) -> None:
        before = b'"index":%d,"delta":{"type":"' % self._index + kind + b'","' + member + b'":'
        for piece in pieces(text, DELTA_BYTES_MAX):
            out.append(_named(b"content_block_delta", before + _encode(piece) + b"}"))  # noqa: PERF401  one piece as a rule

    def _text(self, text: str, out: list[bytes]) -> None:
        if not text:
            return
        if self._block != "text":
            self._settle_calls(out)
            self._open("text", b'{"type":"text","text":""}', out)
        self._emit(b"text_delta", b"text", text, out)

    def _thinking(self, event: ThinkingDelta, out: list[bytes]) -> None:
        if event.redacted:
            self._whole(_encode(redacted_block(shown("anthropic", event.redacted))), out)
            return
        if self._block != "thinking":
            self._settle_calls(out)
            self._open("thinking", b'{"type":"thinking","thinking":"","signature":""}', out)
        if event.text:
            self._emit(b"thinking_delta", b"thinking", event.text, out)
        if event.signature:
            signature = b'"index":%d,"delta":{"type":"signature_delta","signature":' % self._index
            out.append(_named(b"content_block_delta", signature + _encode(shown("anthropic", event.signature)) + b"}"))
            self._close(out)

    # ---------------------------------------------------------------- tool calls

    def _start_call(self, event: ToolCallStarted, out: list[bytes]) -> None:
        _, call = self._calls.start(event)
        if call is not None:
            self._open_call(call, out)

    def _open_call(self, call: QueuedCall, out: list[bytes]) -> None:
        if call.started.signature:
            self._open("whole", _encode(thinking_block("", call.started.signature)), out)
        block = {"type": "tool_use", "id": call.started.id, "name": call.started.name, "input": {}}
        self._open("tool", _encode(block), out)
        self._calls.current = call
        self._send(call, out)

    def _arguments(self, event: ToolCallDelta, out: list[bytes]) -> None:
        try:
            call = self._calls.add(event)
        except LateArguments as late:
            self._over = True
            out.append(render_anthropic_stream_fault(late.fault, ""))
            return
        if call is not None:
            self._send(call, out)
            while (waiting := self._calls.next_if_whole()) is not None:
                self._open_call(waiting, out)

    def _send(self, call: QueuedCall, out: list[bytes]) -> None:
        if text := call.unsent():
            self._emit(b"input_json_delta", b"partial_json", text, out)

    def _settle_calls(self, out: list[bytes]) -> None:
        """Something else follows: calls that wait are written whole, one after the other."""
        while (waiting := self._calls.next()) is not None:
            self._open_call(waiting, out)

    # ---------------------------------------------------------------- the end

    def _end(self, event: Finished, out: list[bytes]) -> None:
        self._over = True
        self._settle_calls(out)
        self._close(out)
        delta: dict[str, object] = {"stop_reason": stop_reason(event.finish, self._refused), "stop_sequence": event.stop_sequence}
        delta |= {name: msgspec.Raw(raw) for name, raw in self._members.items() if name != "context_management"}
        usage = shape_of(self._usage)
        if tier := shown_tier(event.service_tier):
            usage["service_tier"] = tier
        members = b'"delta":' + _encode(delta) + b',"usage":' + _encode(usage)
        if edits := self._members.get("context_management"):
            members += b',"context_management":' + edits
        out.append(_named(b"message_delta", members))
        out.append(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')


def _named(kind: bytes, members: bytes) -> bytes:
    """Line ends can only stand in what is carried raw; there they are white space, and an event has to be one line."""
    if b"\n" in members or b"\r" in members:
        members = msgspec.json.format(b"{" + members + b"}", indent=-1)[1:-1]
    return b"event: " + kind + b'\ndata: {"type":"' + kind + b'",' + members + b"}\n\n"
