"""The dialect as one object; see `wire.dialect.Dialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.gemini import answer as answers
from setpoint.wire.gemini import facts, request_in, request_out
from setpoint.wire.gemini.faults import classify_gemini_fault, render_gemini_fault, render_gemini_stream_fault
from setpoint.wire.gemini.signed import NAME
from setpoint.wire.gemini.stream_in import GeminiStreamDecoder
from setpoint.wire.gemini.stream_out import GeminiStreamRenderer
from setpoint.wire.gemini.tap import GeminiTap
from setpoint.wire.sse import EVENT_BYTES_MAX


class Gemini:
    name = NAME

    def decode_request(self, body: bytes) -> ChatRequest | Fault:
        """The model and whether to stream are in the path; they are empty and False here."""
        return request_in.decode_request(body)

    def encode_request(self, request: ChatRequest, model: str, stream: bool, can: Capabilities = STANDARD) -> Encoded | Fault:
        """A stream is asked for by its path, and always counts its tokens."""
        return request_out.encode_request(request, model)

    def decode_answer(self, body: bytes) -> ChatAnswer | Fault:
        return answers.decode_answer(body)

    def encode_answer(self, answer: ChatAnswer, model: str, created_s: int, asked: bytes = b"") -> bytes:
        return answers.encode_answer(answer, model, created_s)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def tap(self, hide_usage: bool = False) -> GeminiTap:
        """Usage is part of every stream."""
        return GeminiTap()

    def stream_decoder(self, event_bytes_max: int = EVENT_BYTES_MAX) -> GeminiStreamDecoder:
        return GeminiStreamDecoder(event_bytes_max)

    def stream_renderer(self, model: str, created_s: int, include_usage: bool, asked: bytes = b"") -> GeminiStreamRenderer:
        return GeminiStreamRenderer(model, created_s)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_gemini_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_gemini_fault(fault, request_id)

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_gemini_stream_fault(fault, request_id)


GEMINI = Gemini()
