"""Neutral events, to the chat stream an OpenAI client expects.

One chunk an event: the role first, the finish reason after the last delta, then usage (when asked for) in a chunk without choices, then
[DONE]. Everything but the delta is the same in all chunks of a stream, so it is encoded once.

Citations wait until their part of text is over, since their range may be all of it. The service tier stands in the last chunk. Entries of
lists are numbered: OpenAI's own client puts a list together by the `index` of its entries, and fails on one without.
"""

import msgspec

from setpoint.domain.chat import Citation, Foreign
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
from setpoint.wire.openai_chat.answer import MESSAGE_MEMBERS
from setpoint.wire.openai_chat.citations import written
from setpoint.wire.openai_chat.logprobs import shape_of as logprobs_shape
from setpoint.wire.openai_chat.thinking import block_shown
from setpoint.wire.openai_chat.words import WRITTEN, shown_id, shown_tier
from setpoint.wire.openai_faults import render_openai_stream_fault
from setpoint.wire.openai_shapes import shape_of
from setpoint.wire.signatures import own

_encode = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class ChatStreamRenderer:
    __slots__ = (
        "_before_choices",
        "_calls",
        "_chars",
        "_citations",
        "_created_s",
        "_head",
        "_listed",
        "_include_usage",
        "_model",
        "_over",
        "_part_at",
        "_refused",
        "_tail",
        "_usage",
    )

    def __init__(self, model: str, created_s: int, include_usage: bool) -> None:
        self._model = model
        self._created_s = created_s
        self._include_usage = include_usage
        self._head = b""
        self._before_choices = b""
        self._tail = b',"usage":null}\n\n' if include_usage else b"}\n\n"
        self._usage: Usage | None = None
        self._over = False
        self._refused = False
        self._calls = 0
        self._citations: list[Citation] = []
        self._chars = 0
        self._part_at = 0
        self._listed: dict[str, int] = {}

    def render(self, event: StreamEvent) -> bytes:
        if self._over:
            return b""
        if isinstance(event, UsageReported):
            self._usage = event.usage
            return b""
        if isinstance(event, Failed):
            self._over = True
            return render_openai_stream_fault(event.fault, "")
        if isinstance(event, Started):
            return self._start(event) if not self._head else b""
        opening = b"" if self._head else self._start(Started())
        if isinstance(event, Finished):
            return opening + self._end(event)
        if isinstance(event, Cited | TextEnded | ForeignShown | LogprobsReported):
            return opening + self._rare(event)
        return opening + self._delta(event)

    def finish(self) -> bytes:
        if self._over:
            return b""
        self._over = True
        return render_openai_stream_fault(Fault(FaultKind.upstream_cut, "The answer ended before it was complete."), "")

    def _start(self, event: Started) -> bytes:
        shared = {
            "id": shown_id(event.id),
            "object": "chat.completion.chunk",
            "created": event.created_s or self._created_s,
            "model": self._model,
        }
        self._before_choices = b"data: " + _encode(shared)[:-1] + b',"choices":['
        self._head = self._before_choices + b'{"index":0,"delta":'
        return self._chunk(b'{"role":"assistant","content":"","refusal":null}')

    def _raw_chunk(self, delta: bytes) -> bytes:
        """A delta with something carried raw: line ends are white space there, and an event has to be one line."""
        return self._chunk(msgspec.json.format(delta, indent=-1) if b"\n" in delta or b"\r" in delta else delta)

    def _chunk(self, delta: bytes) -> bytes:
        return self._head + delta + b',"logprobs":null,"finish_reason":null}]' + self._tail

    def _delta(self, event: TextDelta | ThinkingDelta | RefusalDelta | ToolCallStarted | ToolCallDelta) -> bytes:
        if isinstance(event, TextDelta):
            self._chars += len(event.text)
            shown = self._texts(b'{"content":', event.text) if event.text else b""
            return shown + self._signed(event.signature) if event.signature else shown
        return self._end_part() + self._other(event)

    def _other(self, event: ThinkingDelta | RefusalDelta | ToolCallStarted | ToolCallDelta) -> bytes:
        if isinstance(event, ToolCallDelta):
            before = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % event.index
            return b"".join(self._chunk(before + _encode(piece) + b"}}]}") for piece in pieces(event.arguments, DELTA_BYTES_MAX))
        if isinstance(event, ToolCallStarted):
            return self._call(event)
        if isinstance(event, RefusalDelta):
            self._refused = True
            return self._texts(b'{"refusal":', event.text)
        shown = self._texts(b'{"reasoning_content":', event.text) if event.text else b""
        if event.signature or event.redacted:
            shown += self._entry("thinking_blocks", _encode(block_shown("", event.signature, event.redacted)))
        return shown

    def _call(self, event: ToolCallStarted) -> bytes:
        self._calls = max(self._calls, event.index + 1)
        call: dict[str, object] = {"index": event.index, "id": event.id, "type": "function"}
        call["function"] = {"name": event.name, "arguments": ""}
        if signature := own("gemini", event.signature):
            call["extra_content"] = {"google": {"thought_signature": signature}}
        return self._chunk(_encode({"tool_calls": [call]}))

    def _signed(self, signature: str) -> bytes:
        """A signature ends its part of text."""
        proof = own("gemini", signature)
        shown = self._chunk(_encode({"extra_content": {"google": {"thought_signature": proof}}})) if proof else b""
        return shown + self._end_part()

    def _rare(self, event: Cited | TextEnded | ForeignShown | LogprobsReported) -> bytes:
        if isinstance(event, Cited):
            self._citations.append(event.citation)
            return b""
        if isinstance(event, TextEnded):
            return self._end_part()
        if isinstance(event, ForeignShown):
            return self._foreign(event.part)
        logprobs = _encode(logprobs_shape(event.tokens, self._refused))
        return self._head + b'{},"logprobs":' + logprobs + b',"finish_reason":null}]' + self._tail

    def _end_part(self) -> bytes:
        citations, self._citations = self._citations, []
        start, self._part_at = self._part_at, self._chars
        return b"".join([self._entry("annotations", _encode(written(citation, start, self._chars - start))) for citation in citations])

    def _entry(self, member: str, entry: bytes) -> bytes:
        """One entry, a JSON object, of a list of the message."""
        no = self._listed.get(member, 0)
        self._listed[member] = no + 1
        members = _members(entry)
        numbered: object = msgspec.Raw(entry)
        if bytes(members.pop("index", msgspec.Raw())) != b"%d" % no:
            numbered = {"index": no} | members
        return self._raw_chunk(_encode({member: [numbered]}))

    def _foreign(self, part: Foreign) -> bytes:
        if part.dialect != "openai_chat":
            return b""
        raw = msgspec.Raw(part.raw)
        if part.kind == "custom_tool_call":
            self._calls += 1
            return self._raw_chunk(b'{"tool_calls":[{"index":%d,' % (self._calls - 1) + part.raw[1:] + b"]}")
        if part.kind in MESSAGE_MEMBERS:
            return self._raw_chunk(_encode({part.kind: raw}))
        member = {"annotation": "annotations", "reasoning.encrypted": "reasoning_details"}.get(part.kind)
        return self._entry(member, part.raw) if member else b""

    def _texts(self, before: bytes, text: str) -> bytes:
        return b"".join([self._chunk(before + _encode(piece) + b"}") for piece in pieces(text, DELTA_BYTES_MAX)])

    def _end(self, event: Finished) -> bytes:
        self._over = True
        shared = self._before_choices
        if tier := shown_tier(event.service_tier):
            shared = shared[: -len(b',"choices":[')] + b',"service_tier":' + _encode(tier) + b',"choices":['
        finish = b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"' + WRITTEN[event.finish].encode() + b'"}]'
        end = self._end_part() + shared + finish + self._tail
        if self._include_usage:
            end += shared + b'],"usage":' + _encode(shape_of(self._usage or Usage())) + b"}\n\n"
        return end + b"data: [DONE]\n\n"
