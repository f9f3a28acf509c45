"""The dialect as one object; see `wire.dialect.Dialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.faults import Fault
from setpoint.wire.anthropic import facts
from setpoint.wire.anthropic.faults import classify_anthropic_fault, render_anthropic_fault, render_anthropic_stream_fault
from setpoint.wire.anthropic.tap import MessagesTap
from setpoint.wire.dialect import AnswerFacts


class Anthropic:
    name = "anthropic"

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def tap(self, hide_usage: bool = False) -> MessagesTap:  # noqa: ARG002  usage is part of every stream: nothing to hide
        return MessagesTap()

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_anthropic_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_anthropic_fault(fault, request_id)

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_anthropic_stream_fault(fault, request_id)


ANTHROPIC = Anthropic()
