"""The hot observer of Gemini streams in server-sent events.

Every chunk counts all tokens so far, and there is no terminal: the stream is whole when it ends after a finish reason. Google ends its
lines with carriage return and line feed.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.gemini.facts import UsageShape, chunk_facts, finish_word, has_content, merged, usage_of
from setpoint.wire.gemini.faults import classify_gemini_fault
from setpoint.wire.sse import SseEvent
from setpoint.wire.tap import Tap


class GeminiTap(Tap):
    __slots__ = ("_shape",)

    def __init__(self) -> None:
        super().__init__()
        self._shape: UsageShape | None = None

    def feed(self, data: bytes) -> bytes:
        if not self._carry and data.endswith(b"\r\n\r\n") and len(data) <= self.event_bytes_max:
            self._observe(data)
            return data
        return super().feed(data)

    def _plain(self, _region: bytes, _lines: int) -> bool:
        """The last chunk has the usage that counts, and any chunk may be the last."""
        return False

    def _event(self, event: SseEvent) -> None:
        try:
            chunk = chunk_facts(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:
                self.error = self.error or Fault(FaultKind.upstream_server, "The stream has an event that is not the JSON of a chunk.")
            return
        if bytes(chunk.error) not in {b"", b"null"}:
            self.error = classify_gemini_fault(0, {}, event.data, 0.0)
            return
        self.model = chunk.model_version or self.model
        self.finish = finish_word(chunk) or self.finish
        self.content_started = self.content_started or has_content(chunk)
        if chunk.usage_metadata is not None:
            self._shape = merged(self._shape, chunk.usage_metadata)
            self.usage = usage_of(self._shape)
