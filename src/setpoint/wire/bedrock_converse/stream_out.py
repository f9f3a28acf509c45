"""Neutral events, to the frames a Converse client expects.

Blocks follow each other: a block is closed before the next one opens. Text, refusal and thinking switch blocks when their kind changes;
a signature closes its block of thinking. Text and thinking open without a contentBlockStart, as Bedrock's own do.

Other dialects may send the arguments of parallel calls interleaved, and a closed block cannot be opened again. So when a second call
starts, the open one is closed only if its arguments are already a whole JSON value; otherwise the second call waits until they are.
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
from setpoint.domain.usage import Usage
from setpoint.wire.aws_event_stream import encode_frame
from setpoint.wire.bedrock_converse.answer import TIERS
from setpoint.wire.bedrock_converse.blocks import redacted_bytes
from setpoint.wire.bedrock_converse.citations import written
from setpoint.wire.bedrock_converse.facts import shape_of
from setpoint.wire.bedrock_converse.faults import render_bedrock_stream_fault
from setpoint.wire.bedrock_converse.words import DIALECT, SIGNER, stop_reason
from setpoint.wire.bodies import pieces
from setpoint.wire.call_queue import CallQueue, LateArguments, QueuedCall
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.signatures import shown

_encode = msgspec.json.Encoder().encode
_foreign_block = msgspec.json.Decoder(dict[str, dict[str, msgspec.Raw]]).decode
_text = msgspec.json.Decoder(str).decode


class ConverseStreamRenderer:
    __slots__ = ("_begun", "_block", "_calls", "_index", "_over", "_refused", "_usage")

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._index = -1
        self._block = ""
        self._calls = CallQueue()
        self._usage = Usage()
        self._refused = False

    def render(self, event: StreamEvent) -> bytes:
        if self._over or isinstance(event, LogprobsReported):
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._over = True
            return render_bedrock_stream_fault(event.fault, "")
        out: list[bytes] = []
        if not self._begun:
            self._begun = True
            out.append(_event("messageStart", b'{"role":"assistant"}'))
        self._content(event, out)
        return b"".join(out)

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_bedrock_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _content(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            self._text(event.text, out)
        elif isinstance(event, ToolCallDelta):
            self._arguments(event, out)
        elif isinstance(event, ToolCallStarted):
            self._start_call(event, out)
        elif isinstance(event, ThinkingDelta):
            self._thinking(event, out)
        elif isinstance(event, RefusalDelta):
            self._refused = True
            self._text(event.text, out)
        elif isinstance(event, Finished):
            self._end(event, out)
        elif not isinstance(event, Started):
            self._rare(event, out)

    def _rare(self, event: StreamEvent, out: list[bytes]) -> None:
        if isinstance(event, Cited):
            self._begin_text(out)
            self._delta({"citation": written(event.citation)}, out)
        elif isinstance(event, TextEnded):
            if self._block == "text":
                self._close(out)
        elif isinstance(event, ForeignShown):
            self._foreign(event.part, out)

    # ---------------------------------------------------------------- blocks

    def _open(self, kind: str, out: list[bytes]) -> None:
        self._close(out)
        self._index += 1
        self._block = kind

    def _close(self, out: list[bytes]) -> None:
        if self._block:
            self._block = ""
            self._calls.close()
            out.append(_event("contentBlockStop", b'{"contentBlockIndex":%d}' % self._index))

    def _started(self, start: object, out: list[bytes]) -> None:
        out.append(_event("contentBlockStart", b'{"contentBlockIndex":%d,"start":' % self._index + _encode(start) + b"}"))

    def _delta(self, delta: object, out: list[bytes]) -> None:
        out.append(_event("contentBlockDelta", b'{"contentBlockIndex":%d,"delta":' % self._index + _encode(delta) + b"}"))

    def _begin_text(self, out: list[bytes]) -> None:
        if self._block != "text":
            self._settle_calls(out)
            self._open("text", out)

    def _text(self, text: str, out: list[bytes]) -> None:
        if not text:
            return
        self._begin_text(out)
        for piece in pieces(text, DELTA_BYTES_MAX):
            self._delta({"text": piece}, out)

    def _thinking(self, event: ThinkingDelta, out: list[bytes]) -> None:
        if event.redacted:
            self._settle_calls(out)
            self._open("redacted", out)
            self._delta({"reasoningContent": {"redactedContent": redacted_bytes(shown(SIGNER, event.redacted))}}, out)
            self._close(out)
            return
        if self._block != "thinking":
            if not event.text and not event.signature:
                return
            self._settle_calls(out)
            self._open("thinking", out)
        for piece in pieces(event.text, DELTA_BYTES_MAX):
            if piece:
                self._delta({"reasoningContent": {"text": piece}}, out)
        if event.signature:
            self._delta({"reasoningContent": {"signature": shown(SIGNER, event.signature)}}, out)
            self._close(out)

    def _foreign(self, part: Foreign, out: list[bytes]) -> None:
        """A part of this dialect's own, told as a stream tells it; anybody else's is left out."""
        if part.dialect != DIALECT:
            return
        try:
            kind, block = next(iter(_foreign_block(part.raw).items()))
        except (msgspec.DecodeError, StopIteration):
            return
        if kind not in {"toolUse", "toolResult", "image"}:
            return
        self._settle_calls(out)
        self._open("foreign", out)
        if kind == "toolUse":
            given = block.pop("input", msgspec.Raw(b"{}"))
            self._started({kind: block}, out)
            self._delta({kind: {"input": bytes(given).decode()}}, out)
        elif kind == "toolResult":
            content = block.pop("content", msgspec.Raw(b"[]"))
            self._started({kind: block}, out)
            self._delta({kind: content}, out)
        else:
            source = block.pop("source", msgspec.Raw(b"{}"))
            self._started({kind: block}, out)
            self._delta({kind: {"source": source}}, out)
        self._close(out)

    # ---------------------------------------------------------------- tool calls

    def _start_call(self, event: ToolCallStarted, out: list[bytes]) -> None:
        _, call = self._calls.start(event)
        if call is not None:
            self._open_call(call, out)

    def _open_call(self, call: QueuedCall, out: list[bytes]) -> None:
        self._open("tool", out)
        self._started({"toolUse": {"toolUseId": call.started.id, "name": call.started.name}}, out)
        self._calls.current = call
        self._send(call, out)

    def _arguments(self, event: ToolCallDelta, out: list[bytes]) -> None:
        try:
            call = self._calls.add(event)
        except LateArguments as late:
            self._over = True
            out.append(render_bedrock_stream_fault(late.fault, ""))
            return
        if call is not None:
            self._send(call, out)
            while (waiting := self._calls.next_if_whole()) is not None:
                self._open_call(waiting, out)

    def _send(self, call: QueuedCall, out: list[bytes]) -> None:
        if text := call.unsent():
            for piece in pieces(text, DELTA_BYTES_MAX):
                self._delta({"toolUse": {"input": piece}}, out)

    def _settle_calls(self, out: list[bytes]) -> None:
        """Something else follows: calls that wait are written whole, one after the other."""
        while (waiting := self._calls.next()) is not None:
            self._open_call(waiting, out)

    # ---------------------------------------------------------------- the end

    def _end(self, event: Finished, out: list[bytes]) -> None:
        self._over = True
        self._settle_calls(out)
        self._close(out)
        stop: dict[str, object] = {"stopReason": stop_reason(event.finish, self._refused)}
        if event.stop_sequence is not None:
            stop["additionalModelResponseFields"] = {"stop_sequence": event.stop_sequence}
        out.append(_event("messageStop", _encode(stop)))
        told: dict[str, object] = {"metrics": {"latencyMs": 0}, "usage": shape_of(self._usage)}
        if event.service_tier in TIERS:
            told["serviceTier"] = {"type": event.service_tier}
        out.append(_event("metadata", _encode(told)))


def _event(kind: str, payload: bytes) -> bytes:
    return encode_frame({":event-type": kind, ":content-type": "application/json", ":message-type": "event"}, payload)
