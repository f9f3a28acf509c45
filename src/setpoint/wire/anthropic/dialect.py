"""The dialect as one object; see `wire.dialect.Dialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault
from setpoint.wire.anthropic import answer as answers
from setpoint.wire.anthropic import facts, request_in, request_out
from setpoint.wire.anthropic.faults import classify_anthropic_fault, render_anthropic_fault, render_anthropic_stream_fault
from setpoint.wire.anthropic.stream_in import MessagesStreamDecoder
from setpoint.wire.anthropic.stream_out import MessagesStreamRenderer
from setpoint.wire.anthropic.tap import MessagesTap
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.sse import EVENT_BYTES_MAX


class Anthropic:
    name = "anthropic"

    def decode_request(self, body: bytes) -> ChatRequest | Fault:
        return request_in.decode_request(body)

    def encode_request(self, request: ChatRequest, model: str, stream: bool, can: Capabilities = STANDARD) -> Encoded | Fault:
        return request_out.encode_request(request, model, stream)

    def decode_answer(self, body: bytes) -> ChatAnswer | Fault:
        return answers.decode_answer(body)

    def encode_answer(self, answer: ChatAnswer, model: str, created_s: int, asked: bytes = b"") -> bytes:
        return answers.encode_answer(answer, model, created_s)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def tap(self, hide_usage: bool = False) -> MessagesTap:
        return MessagesTap()

    def stream_decoder(self, event_bytes_max: int = EVENT_BYTES_MAX) -> MessagesStreamDecoder:
        return MessagesStreamDecoder(event_bytes_max)

    def stream_renderer(self, model: str, created_s: int, include_usage: bool, asked: bytes = b"") -> MessagesStreamRenderer:
        """Usage is part of every stream, and nothing in it has a time."""
        return MessagesStreamRenderer(model)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_anthropic_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_anthropic_fault(fault, request_id)

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_anthropic_stream_fault(fault, request_id)


ANTHROPIC = Anthropic()
