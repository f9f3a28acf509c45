"""The hot observer of Anthropic streams.

Once content has begun, only events whose type starts with `message_` (start, delta, stop) and `error` change what is known.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.anthropic.facts import UsageShape, event_facts, merged, usage_of
from setpoint.wire.anthropic.faults import classify_anthropic_fault
from setpoint.wire.sse import SseEvent
from setpoint.wire.tap import Tap

_OPENING_BLOCKS = {"text", "thinking"}
"""Blocks that open empty; every other kind is content by itself."""


class MessagesTap(Tap):
    __slots__ = ("_shape",)

    def __init__(self) -> None:
        super().__init__()
        self._shape: UsageShape | None = None

    def _plain(self, region: bytes, _lines: int) -> bool:
        return self.content_started and b'"message_' not in region and b'"error"' not in region

    def _event(self, event: SseEvent) -> None:
        try:
            facts = event_facts(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:
                self.error = self.error or Fault(
                    FaultKind.upstream_server, "The stream has an event that is not the JSON of a message event."
                )
            return
        if facts.type == "content_block_delta":
            self.content_started = True
        elif facts.type == "content_block_start":
            block = facts.content_block
            self.content_started = self.content_started or (block is not None and block.type not in _OPENING_BLOCKS)
        elif facts.type == "message_start" and facts.message is not None:
            self.model = facts.message.model or self.model
            self._count(facts.message.usage, restart=True)
        elif facts.type == "message_delta":
            self.finish = (facts.delta and facts.delta.stop_reason) or self.finish
            self._count(facts.usage, restart=False)
        elif facts.type == "message_stop":
            self.done = True
        elif facts.type == "error":
            self.error = classify_anthropic_fault(0, {}, event.data, 0.0)

    def _count(self, shape: UsageShape | None, restart: bool) -> None:
        if shape is not None:
            self._shape = shape if restart else merged(self._shape, shape)
            self.usage = usage_of(self._shape)
