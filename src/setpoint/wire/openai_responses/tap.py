"""The hot observer of Responses streams.

Once content has begun, only events that carry the response object, and `error`, change what is known. Deltas carry neither name.
"""

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.openai_responses.facts import event_facts, finish_word, usage_classes
from setpoint.wire.openai_responses.faults import fault_inside
from setpoint.wire.sse import SseEvent
from setpoint.wire.tap import Tap

DONE = b"[DONE]"
_OPENING_ITEMS = {"message", "reasoning"}
"""Items that open empty; every other kind is content by itself."""


class ResponsesTap(Tap):
    __slots__ = ()

    def _plain(self, region: bytes) -> bool:
        return self.content_started and b'"response":' not in region and b'"error"' not in region

    def _event(self, event: SseEvent) -> None:
        if event.data == DONE:
            return
        try:
            facts = event_facts(event.data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            if not self.content_started:  # another attempt can still be made; later the bytes are the client's to judge
                self.error = self.error or Fault(
                    FaultKind.upstream_server, "The stream has an event that is not the JSON of a response event."
                )
            return
        kind = facts.type or event.name.decode("utf-8", "replace")
        if facts.response is not None:
            self.model = facts.response.model or self.model
            if facts.response.usage is not None:
                self.usage = usage_classes(facts.response.usage)
        if kind in {"response.completed", "response.incomplete"}:
            self.done = True
            self.finish = (facts.response and finish_word(facts.response)) or kind.removeprefix("response.")
        elif kind in {"error", "response.failed", "response.cancelled"}:
            self.error = self.error or fault_inside(event.data)
        elif kind.endswith(".delta") or (kind == "response.output_item.added" and facts.item is not None):
            opening = facts.item is not None and facts.item.type in _OPENING_ITEMS
            self.content_started = self.content_started or not opening
