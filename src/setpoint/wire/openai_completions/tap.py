"""The hot observer of completion streams. Hiding is as in chat: the gateway asks for usage, the client may not have."""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.openai_completions.facts import completion_facts
from setpoint.wire.openai_faults import classify_openai_fault
from setpoint.wire.openai_shapes import usage_of
from setpoint.wire.sse import SseEvent, blocks, parse_block
from setpoint.wire.sse_stream import DONE
from setpoint.wire.tap import Tap


class CompletionsTap(Tap):
    __slots__ = ("_hide_usage", "_spaced")

    def __init__(self, hide_usage: bool = False) -> None:
        super().__init__()
        self._hide_usage = hide_usage
        self._spaced = False

    def feed(self, data: bytes) -> bytes:
        if not self._hide_usage:
            return super().feed(data)
        if not self._carry and data.endswith(b"\n\n") and b"\r" not in data and len(data) <= self.event_bytes_max:
            self._observe(data)
            return _hide(data)
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

    def _event(self, event: SseEvent) -> None:
        if event.data == DONE:
            self.done = True
            return
        try:
            chunk = completion_facts(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:  # another attempt can still be made; later the bytes are the client's to judge
                self.error = self.error or Fault(FaultKind.upstream_server, "The stream has an event that is not the JSON of a chunk.")
            return
        self._spaced = self._spaced or b'": ' in event.data
        self.model = chunk.model or self.model
        self.usage = usage_of(chunk.usage) if chunk.usage is not None else self.usage
        for choice in chunk.choices or ():
            self.finish = choice.finish_reason or self.finish
            self.content_started = self.content_started or bool(choice.text)
        if event.name == b"error" or bytes(chunk.error) not in (b"", b"null"):
            self.error = classify_openai_fault(0, {}, event.data, 0.0)


def _hide(region: bytes) -> bytes:
    """`region`, whole events, without traces of usage that was not asked for."""
    region = region.replace(b',"usage":null', b"").replace(b', "usage": null', b"")
    if b'"usage"' not in region:
        return region
    return b"".join([block for block in blocks(region) if not _is_usage_only(block)])


def _is_usage_only(block: bytes) -> bool:
    event = parse_block(block) if b'"usage"' in block else None
    try:
        chunk = completion_facts(event.data) if event is not None else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return chunk is not None and chunk.usage is not None and chunk.choices == []
