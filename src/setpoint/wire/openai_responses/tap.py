"""The hot observer of Responses streams.

Once content has begun, only events that carry the response object, or end the stream, change what is known.
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
_TEXT = b'"type":"response.output_text.delta"'
_ARGUMENTS = b'"type":"response.function_call_arguments.delta"'
_SUMMARY = b'"type":"response.reasoning_summary_text.delta"'
_ENDS = (b"response.completed", b"response.incomplete", b"response.failed", b"response.cancelled", b"error")
"""As types, or as names of events without one."""


class ResponsesTap(Tap):
    __slots__ = ()

    def _plain(self, region: bytes, lines: int) -> bool:
        if not self.content_started or b'"response":' in region:
            return False
        return (
            region.count(_TEXT) == lines
            or region.count(_ARGUMENTS) == lines
            or region.count(_SUMMARY) == lines
            or not any(end in region for end in _ENDS)
        )

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
