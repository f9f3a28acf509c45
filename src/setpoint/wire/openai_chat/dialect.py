"""The dialect as one object; see `wire.dialect.Dialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.chat import ChatAnswer, ChatRequest
from setpoint.domain.faults import Fault
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.openai_chat import answer as answers
from setpoint.wire.openai_chat import facts, request_in, request_out
from setpoint.wire.openai_chat.stream_in import ChatStreamDecoder
from setpoint.wire.openai_chat.stream_out import ChatStreamRenderer
from setpoint.wire.openai_chat.tap import ChatTap
from setpoint.wire.openai_faults import classify_openai_fault, render_openai_fault, render_openai_stream_fault
from setpoint.wire.sse import EVENT_BYTES_MAX


class OpenAIChat:
    name = "openai_chat"

    def decode_request(self, body: bytes) -> ChatRequest | Fault:
        return request_in.decode_request(body)

    def encode_request(self, request: ChatRequest, model: str, stream: bool, can: Capabilities = STANDARD) -> Encoded | Fault:
        return request_out.encode_request(request, model, stream, can)

    def decode_answer(self, body: bytes) -> ChatAnswer | Fault:
        return answers.decode_answer(body)

    def encode_answer(self, answer: ChatAnswer, model: str, created_s: int, asked: bytes = b"") -> bytes:
        return answers.encode_answer(answer, model, created_s)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return facts.read_usage(body)

    def tap(self, hide_usage: bool = False) -> ChatTap:
        return ChatTap(hide_usage)

    def stream_decoder(self, event_bytes_max: int = EVENT_BYTES_MAX) -> ChatStreamDecoder:
        return ChatStreamDecoder(event_bytes_max)

    def stream_renderer(self, model: str, created_s: int, include_usage: bool, asked: bytes = b"") -> ChatStreamRenderer:
        return ChatStreamRenderer(model, created_s, include_usage)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_openai_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_openai_fault(fault, request_id)

    def render_stream_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_openai_stream_fault(fault, request_id)


OPENAI_CHAT = OpenAIChat()
