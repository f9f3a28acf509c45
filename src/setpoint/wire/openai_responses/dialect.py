"""The dialect as one object; see `wire.dialect.Dialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.openai_faults import classify_openai_fault, render_openai_fault
from setpoint.wire.openai_responses import answer as answers
from setpoint.wire.openai_responses import facts, request_in, request_out
from setpoint.wire.openai_responses.faults import render_responses_stream_fault
from setpoint.wire.openai_responses.stream_in import ResponsesStreamDecoder
from setpoint.wire.openai_responses.stream_out import ResponsesStreamRenderer
from setpoint.wire.openai_responses.tap import ResponsesTap
from setpoint.wire.openai_responses.words import NAME
from setpoint.wire.sse import EVENT_BYTES_MAX


class OpenAIResponses:
    name = NAME

    def decode_request(self, body: bytes) -> ChatRequest | Fault:
        return request_in.decode_request(body)

    def encode_request(self, request: ChatRequest, model: str, stream: bool, can: Capabilities = STANDARD) -> Encoded | Fault:
        return request_out.encode_request(request, model, stream)

    def decode_answer(self, body: bytes) -> ChatAnswer | Fault:
        return answers.decode_answer(body)

    def encode_answer(self, answer: ChatAnswer, model: str, created_s: int, asked: bytes = b"") -> bytes:
        return answers.encode_answer(answer, model, created_s, asked)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def tap(self, hide_usage: bool = False) -> ResponsesTap:
        """Usage is part of every stream here, asked for or not; there is nothing to hide."""
        return ResponsesTap()

    def stream_decoder(self, event_bytes_max: int = EVENT_BYTES_MAX) -> ResponsesStreamDecoder:
        return ResponsesStreamDecoder(event_bytes_max)

    def stream_renderer(self, model: str, created_s: int, include_usage: bool, asked: bytes = b"") -> ResponsesStreamRenderer:
        return ResponsesStreamRenderer(model, created_s, asked)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_openai_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_openai_fault(fault, request_id)

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_responses_stream_fault(fault, request_id)


OPENAI_RESPONSES = OpenAIResponses()
