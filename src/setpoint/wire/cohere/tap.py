"""The hot observer of Cohere streams.

Once content has begun, only `message-end`, and an event that is of no type and so an error, change what is known. Cohere writes the type
first; where it stands elsewhere, the event is taken apart.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.cohere.facts import Delta, event_facts
from setpoint.wire.cohere.faults import classify_cohere_fault, failed_generation
from setpoint.wire.cohere.usage import usage_of
from setpoint.wire.cohere.words import ended_badly, kind_of
from setpoint.wire.sse import SseEvent
from setpoint.wire.tap import Tap

_TEXT = b'data: {"type":"content-delta",'
_TYPED = b'data: {"type":"'
_CONTENT = {"content-delta", "tool-plan-delta", "tool-call-start"}


class CohereTap(Tap):
    __slots__ = ()

    def _plain(self, region: bytes, lines: int) -> bool:
        return self.content_started and (region.count(_TEXT) == lines or (region.count(_TYPED) == lines and b'"message-end"' not in region))

    def _event(self, event: SseEvent) -> None:
        if event.data == b"[DONE]":
            return
        try:
            facts = event_facts(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:
                self.error = self.error or Fault(FaultKind.upstream_server, "The stream has an event that is not the JSON of a chat event.")
            return
        kind = kind_of(facts.type, event.name)
        if kind in _CONTENT:
            self.content_started = True
        elif kind == "message-end":
            self._end(facts.delta or Delta())
        elif kind is None:
            self.error = classify_cohere_fault(0, {}, event.data, 0.0)

    def _end(self, delta: Delta) -> None:
        self.finish = delta.finish_reason or self.finish
        self.usage = usage_of(delta.usage) or self.usage
        if ended_badly(delta.finish_reason, delta.error, self.content_started or self.usage is not None):
            self.error = failed_generation(delta.finish_reason, delta.error)
        else:
            self.done = True
