"""The dialect as one object; see `wire.dialect.Dialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.faults import Fault
from setpoint.wire.dialect import AnswerFacts
from setpoint.wire.openai_chat import facts
from setpoint.wire.openai_chat.tap import ChatTap
from setpoint.wire.openai_faults import classify_openai_fault, render_openai_fault, render_openai_stream_fault


class OpenAIChat:
    name = "openai_chat"

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def tap(self, hide_usage: bool = False) -> ChatTap:
        return ChatTap(hide_usage)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_openai_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_openai_fault(fault, request_id)

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_openai_stream_fault(fault, request_id)


OPENAI_CHAT = OpenAIChat()
