"""The hot observer of OpenAI chat streams.

A plain chunk has `"finish_reason":null`, no usage object and no error, in the writer's own spacing. Writers that put a space behind the
colon are recognised by their first chunk and looked at event by event.

Most reads are one event, and the events of one stream differ in their text only. So the first plain event is taken for a mould: what is
before and behind its text. An event that fits the mould, with a text that cannot end early (no quote, no line end, no backslash at its
end), is plain without looking any further. Vendors that pad events (`obfuscation`) never fit and cost two comparisons more.

Hiding: the gateway always asks for usage. A client that did not ask must not see the extra chunk with empty choices (old clients index
choices[0]), nor the `"usage":null` that the option adds to all other chunks.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.openai_chat.facts import chunk_facts, chunk_usage, has_content
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.sse import SseEvent, blocks, parse_block
from setpoint.wire.tap import Tap

DONE = b"[DONE]"
_TEXT = b'"content":"'
_NULL = b',"usage":null'


class ChatTap(Tap):
    __slots__ = ("_head", "_hide_usage", "_mould_bytes", "_shown_tail", "_spaced", "_tail")

    def __init__(self, hide_usage: bool = False) -> None:
        super().__init__()
        self._hide_usage = hide_usage
        self._spaced = False
        self._head = b""
        self._tail = b""
        self._shown_tail = b""
        self._mould_bytes = 0

    def feed(self, data: bytes) -> bytes:
        if (
            self._mould_bytes
            and data.startswith(self._head)
            and data.endswith(self._tail)
            and self._mould_bytes <= len(data) <= self.event_bytes_max
            and not self._carry
        ):
            text = data[len(self._head) : -len(self._tail)]
            if b'"' not in text and b"\n" not in text and b"\r" not in text and not text.endswith(b"\\"):
                self.events += 1
                return self._head + text + self._shown_tail if self._hide_usage else data
        if not self._hide_usage:
            return super().feed(data)
        if not self._carry and data.endswith(b"\n\n") and b"\r" not in data and len(data) <= self.event_bytes_max:
            plain = self._observe(data)
            return data.replace(_NULL, b"") if plain else _hide(data)
        return self._shown(self._collect(data))

    def _shown(self, region: bytes) -> bytes:
        return _hide(region) if self._hide_usage else region

    def _plain(self, region: bytes, _lines: int) -> bool:
        return (
            self.content_started
            and not self._spaced
            and b'"finish_reason":"' not in region
            and b'"usage":{' not in region
            and b"error" not in region  # also as the name of an event
            and region.endswith(b"}\n\n")
        )

    def _observe(self, region: bytes) -> bool:
        plain = super()._observe(region)
        if plain and not self._mould_bytes:
            self._make_mould(region)
        return plain

    def _make_mould(self, region: bytes) -> None:
        """From a plain region of a single event with text."""
        at, end = region.find(_TEXT), region.find(b"\n\n")
        if at < 0 or end + 2 != len(region) or not region.startswith(b"data: {"):
            return
        at += len(_TEXT)
        quote = region.find(b'"', at)
        if region.find(_TEXT, at) < 0 and b"\\" not in region[at:quote]:
            self._head, self._tail = region[:at], region[quote:]
            self._shown_tail = self._tail.replace(_NULL, b"")
            self._mould_bytes = len(self._head) + len(self._tail)

    def _event(self, event: SseEvent) -> None:
        data = event.data
        if data == DONE:
            self.done = True
            return
        try:
            chunk = chunk_facts(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:  # another attempt can still be made; later the bytes are the client's to judge
                self.error = self.error or Fault(FaultKind.upstream_server, "The stream has an event that is not the JSON of a chunk.")
            return
        self._spaced = self._spaced or b'": ' in data
        if chunk.model:
            self.model = chunk.model
        self.usage = chunk_usage(chunk) or self.usage
        for choice in chunk.choices or ():
            self.finish = choice.finish_reason or self.finish
        if event.name == b"error" or bytes(chunk.error) not in (b"", b"null"):
            self.error = classify_openai_fault(0, {}, data, 0.0)
        elif not self.content_started:
            self.content_started = has_content(chunk)


def _hide(region: bytes) -> bytes:
    """`region`, whole events, without traces of usage that was not asked for."""
    region = region.replace(_NULL, b"").replace(b', "usage": null', b"")
    if b'"usage"' not in region or b'"choices"' not in region:
        return region
    return b"".join([block for block in blocks(region) if not _is_usage_only(block)])


def _is_usage_only(block: bytes) -> bool:
    if b'"usage"' not in block:
        return False
    event = parse_block(block)
    try:
        chunk = chunk_facts(event.data) if event is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return chunk is not None and chunk.usage is not None and chunk.choices == []
