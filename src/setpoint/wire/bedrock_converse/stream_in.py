"""A Converse stream, to neutral events
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html).

    messageStart → ( contentBlockStart? → contentBlockDelta* → contentBlockStop )* → messageStop → metadata

Only calls, results and images announce themselves by a start. The usage is in metadata, after the end: so the end waits for it. Blocks
are told apart by index and may, in theory, interleave. A part without a noun is collected, and shown whole when its block stops.
"""

import binascii
from base64 import b64decode, b64encode

import msgspec

from setpoint.domain.chat import Foreign
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.stream import (
    Cited,
    Failed,
    Finished,
    ForeignShown,
    Started,
    StreamEvent,
    TextDelta,
    TextEnded,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    UsageReported,
)
from setpoint.wire.aws_event_stream import Frame, FrameDecoder
from setpoint.wire.bedrock_converse.answer import stop_sequence_of
from setpoint.wire.bedrock_converse.blocks import thinking_of
from setpoint.wire.bedrock_converse.citations import citation_of
from setpoint.wire.bedrock_converse.facts import Tier, Trace, UsageShape, usage_of
from setpoint.wire.bedrock_converse.faults import classify_exception, is_exception
from setpoint.wire.bedrock_converse.words import ANSWER_TOOL, DIALECT, finish_of
from setpoint.wire.carried import carried
from setpoint.wire.sse import EVENT_BYTES_MAX

COLLECTED_BYTES_MAX = 33_554_432
"""What a stream may hold back of parts without a noun, all of them together."""

_encode = msgspec.json.Encoder().encode


class _ToolUse(msgspec.Struct, gc=False, rename="camel"):
    tool_use_id: str | None = None
    name: str | None = None
    type: str | None = None
    input: str | None = None


class _Image(msgspec.Struct, gc=False):
    format: str | None = None


class _Start(msgspec.Struct, gc=False, rename="camel"):
    tool_use: _ToolUse | None = None
    tool_result: dict[str, msgspec.Raw] | None = None
    image: _Image | None = None


class _Reasoning(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Source(msgspec.Struct, gc=False):
    bytes: str | None = None


class _ImageDelta(msgspec.Struct, gc=False):
    source: _Source | None = None


class _Delta(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    tool_result: list[msgspec.Raw] | None = None
    reasoning_content: _Reasoning | None = None
    citation: msgspec.Raw = msgspec.Raw()
    image: _ImageDelta | None = None


class _Event(msgspec.Struct, gc=False, rename="camel"):
    """The payload of every kind of event."""

    content_block_index: int = 0
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str | None = None
    additional_model_response_fields: msgspec.Raw = msgspec.Raw()
    usage: UsageShape | None = None
    trace: Trace | None = None
    service_tier: Tier | None = None


_decode = msgspec.json.Decoder(_Event).decode


class _Call:
    __slots__ = ("number", "streamed")

    def __init__(self, number: int) -> None:
        self.number = number
        self.streamed = False


class _Text:
    """Text, which may have citations; also the arguments of the tool that stands for an answer."""

    __slots__ = ()


class _Collected:
    """A block that is shown whole: `made` without what comes in deltas, which is in `pieces` and goes to `member` of it."""

    __slots__ = ("kind", "made", "pieces")

    def __init__(self, kind: str, made: dict[str, object]) -> None:
        self.kind = kind
        self.made = made
        self.pieces: list[msgspec.Raw | str] = []


_Open = _Call | _Text | _Collected


class ConverseStreamDecoder:
    __slots__ = ("_calls", "_collected_bytes", "_ended", "_frames", "_open", "_started", "_stop", "_stop_sequence", "_tier", "_told")

    def __init__(self, event_bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._frames = FrameDecoder(event_bytes_max)
        self._started = False
        self._ended = False
        self._calls = 0
        self._collected_bytes = 0
        self._open: dict[int, _Open] = {}
        self._stop: str | None = None
        self._stop_sequence: str | None = None
        self._tier: str | None = None
        self._told = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        out: list[StreamEvent] = []
        for frame in self._frames.feed(data):
            if not self._ended:
                self._frame(frame, out)
        if self._frames.error is not None and not self._ended:
            self._fail(self._frames.error, out)
        return out

    def finish(self) -> list[StreamEvent]:
        """Without metadata a stream is whole all the same; half a frame after the end is none of the answer."""
        out: list[StreamEvent] = []
        if not self._ended and self._stop is not None:
            self._finish(out)
        elif not self._ended:
            self._fail(Fault(FaultKind.upstream_cut, "The provider's stream ended before the answer was complete."), out)
        return out

    def _fail(self, fault: Fault, out: list[StreamEvent]) -> None:
        self._ended = True
        out.append(Failed(fault))

    def _finish(self, out: list[StreamEvent]) -> None:
        self._ended = True
        for index in list(self._open):
            self._close(index, out)
        finish = finish_of(self._stop)
        if finish == "tool_calls" and not self._calls:
            finish = "stop"  # the only call was of the tool that stands for an answer in JSON
        out.append(Finished(finish, self._stop_sequence, self._tier))

    def _frame(self, frame: Frame, out: list[StreamEvent]) -> None:
        if is_exception(frame):
            self._fail(classify_exception(frame), out)
            return
        try:
            self._event(frame.text(":event-type"), frame.payload, out)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._fail(Fault(FaultKind.upstream_server, f"The provider sent an event that could not be read: {str(error)[:300]}."), out)

    def _event(self, kind: str, payload: bytes, out: list[StreamEvent]) -> None:
        if kind == "contentBlockDelta":
            event = _decode(payload)
            self._start(out)
            if event.delta is not None:
                self._delta(event.content_block_index, event.delta, out)
        elif kind == "contentBlockStart":
            event = _decode(payload)
            self._start(out)
            if event.start is not None:
                self._open_block(event.content_block_index, event.start, out)
        elif kind == "contentBlockStop":
            self._close(_decode(payload).content_block_index, out)
        elif kind == "messageStart":
            self._start(out)
        elif kind == "messageStop":
            self._message_stop(_decode(payload), out)
        elif kind == "metadata":
            self._metadata(_decode(payload), out)

    def _start(self, out: list[StreamEvent]) -> None:
        if not self._started:
            self._started = True
            out.append(Started())

    def _message_stop(self, event: _Event, out: list[StreamEvent]) -> None:
        self._start(out)
        self._stop = event.stop_reason or ""
        self._stop_sequence = stop_sequence_of(event.additional_model_response_fields)
        if self._told:
            self._finish(out)

    def _metadata(self, event: _Event, out: list[StreamEvent]) -> None:
        self._told = True
        self._tier = event.service_tier.type if event.service_tier is not None else None
        if event.usage is not None:
            out.append(UsageReported(usage_of(event.usage)))
        if self._stop is not None:
            self._finish(out)

    # ---------------------------------------------------------------- blocks

    def _open_block(self, index: int, start: _Start, out: list[StreamEvent]) -> None:
        use = start.tool_use
        if use is not None and use.type == "server_tool_use":
            made: dict[str, object] = {"toolUseId": use.tool_use_id, "name": use.name, "type": use.type}
            self._open[index] = _Collected("server_tool_use", made)
        elif use is not None and use.name == ANSWER_TOOL:
            self._open[index] = _Text()
        elif use is not None:
            self._open[index] = _Call(self._calls)
            out.append(ToolCallStarted(self._calls, use.tool_use_id or "", use.name or ""))
            self._calls += 1
        elif start.tool_result is not None:
            self._open[index] = _Collected("server_tool_result", dict(start.tool_result))
        elif start.image is not None:
            self._open[index] = _Collected("image", {"format": start.image.format})

    def _delta(self, index: int, delta: _Delta, out: list[StreamEvent]) -> None:
        if delta.text is not None:
            if delta.text:
                self._open.setdefault(index, _Text())
                out.append(TextDelta(delta.text))
        elif delta.tool_use is not None:
            self._arguments(index, delta.tool_use.input or "", out)
        elif delta.reasoning_content is not None:
            self._thinking(delta.reasoning_content, out)
        elif delta.citation:
            if bytes(delta.citation) != b"null":
                self._open.setdefault(index, _Text())
                out.append(Cited(citation_of(bytes(delta.citation))))
        elif delta.tool_result is not None:
            self._collect(index, list(delta.tool_result), out)
        elif delta.image is not None and delta.image.source is not None and delta.image.source.bytes:
            self._collect(index, [delta.image.source.bytes], out)

    def _arguments(self, index: int, text: str, out: list[StreamEvent]) -> None:
        block = self._open.get(index)
        if not text or block is None:
            return
        if isinstance(block, _Call):
            block.streamed = True
            out.append(ToolCallDelta(block.number, text))
        elif isinstance(block, _Text):
            out.append(TextDelta(text))
        else:
            self._collect(index, [text], out)

    @staticmethod
    def _thinking(given: _Reasoning, out: list[StreamEvent]) -> None:
        if given.text:
            out.append(ThinkingDelta(given.text))
        if given.signature or given.redacted_content:
            part = thinking_of("", given.signature, given.redacted_content)
            out.append(ThinkingDelta("", part.signature, part.redacted))

    def _collect(self, index: int, pieces: list[msgspec.Raw | str] | list[msgspec.Raw] | list[str], out: list[StreamEvent]) -> None:
        block = self._open.get(index)
        if not isinstance(block, _Collected):
            return
        block.pieces += pieces
        self._collected_bytes += sum(len(piece) if isinstance(piece, str) else len(bytes(piece)) for piece in pieces)
        if self._collected_bytes > COLLECTED_BYTES_MAX:
            self._fail(Fault(FaultKind.upstream_server, "The provider sent an image or a tool's result that is too long."), out)

    def _close(self, index: int, out: list[StreamEvent]) -> None:
        """A call without a delta has no arguments."""
        block = self._open.pop(index, None)
        if isinstance(block, _Call):
            if not block.streamed:
                out.append(ToolCallDelta(block.number, "{}"))
        elif isinstance(block, _Text):
            out.append(TextEnded())
        elif block is not None:
            out.append(ForeignShown(_whole(block)))


def _whole(block: _Collected) -> Foreign:
    """The block as a unary answer would have it."""
    made = block.made
    if block.kind == "image":
        texts = [piece for piece in block.pieces if isinstance(piece, str)]
        return _foreign(block.kind, {"image": {**made, "source": {"bytes": _joined(texts)}}})
    if block.kind == "server_tool_result":
        return _foreign(block.kind, {"toolResult": {**made, "content": block.pieces}})
    text = "".join([piece for piece in block.pieces if isinstance(piece, str)])
    return _foreign(block.kind, {"toolUse": {**made, "input": _input(text)}})


def _foreign(kind: str, made: dict[str, object]) -> Foreign:
    return Foreign(kind, DIALECT, carried(_encode(made)))


def _input(text: str) -> object:
    try:
        return msgspec.json.decode(text or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return text


def _joined(pieces: list[str]) -> str:
    """Each piece is base64 of its own, so they cannot simply follow each other."""
    try:
        return b64encode(b"".join([b64decode(piece, validate=True) for piece in pieces])).decode()
    except (binascii.Error, ValueError):
        return "".join(pieces)
