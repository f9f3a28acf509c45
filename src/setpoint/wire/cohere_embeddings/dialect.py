"""The dialect as one object; see `wire.dialect.EmbeddingsDialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault
from setpoint.wire.cohere.faults import classify_cohere_fault, render_cohere_fault
from setpoint.wire.cohere_embeddings import answer as answers
from setpoint.wire.cohere_embeddings import request as requests
from setpoint.wire.dialect import AnswerFacts, Encoded


class CohereEmbeddings:
    name = "cohere_embeddings"

    def decode_request(self, body: bytes) -> EmbeddingsRequest | Fault:
        return requests.decode_request(body)

    def encode_request(self, request: EmbeddingsRequest, model: str) -> Encoded | Fault:
        return requests.encode_request(request, model)

    def decode_answer(self, body: bytes) -> EmbeddingsAnswer | Fault:
        return answers.decode_answer(body)

    def encode_answer(self, answer: EmbeddingsAnswer, model: str, encoding: str) -> bytes:
        return answers.encode_answer(answer, encoding)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return answers.read_usage(body)

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_cohere_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_cohere_fault(fault, request_id)


COHERE_EMBEDDINGS = CohereEmbeddings()
