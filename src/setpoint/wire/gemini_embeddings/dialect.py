"""The two dialects as objects; see `wire.dialect.EmbeddingsDialect` for what each method promises."""

from collections.abc import Mapping

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.gemini.faults import classify_gemini_fault, render_gemini_fault
from setpoint.wire.gemini_embeddings import batch, predict


class _Google:
    """Faults are the same behind all of Google's doors."""

    def classify_fault(self, status: int, headers: Mapping[str, str], body: bytes, now_unix_s: float) -> Fault:
        return classify_gemini_fault(status, headers, body, now_unix_s)

    def render_fault(self, fault: Fault, request_id: str) -> bytes:
        return render_gemini_fault(fault, request_id)


class GeminiEmbeddings(_Google):
    """Upstreams are asked in batches; clients may ask in either form and get the answer by `encode_single` or `encode_answer`."""

    name = "gemini_embeddings"

    def decode_request(self, body: bytes) -> EmbeddingsRequest | Fault:
        return batch.decode_request(body)

    def encode_request(self, request: EmbeddingsRequest, model: str) -> Encoded | Fault:
        return batch.encode_request(request, model)

    def decode_answer(self, body: bytes) -> EmbeddingsAnswer | Fault:
        return batch.decode_answer(body)

    def encode_answer(self, answer: EmbeddingsAnswer, model: str, encoding: str) -> bytes:
        """The answer to batchEmbedContents; vectors are always numbers here."""
        return batch.encode_answer(answer)

    def encode_single(self, answer: EmbeddingsAnswer) -> bytes:
        """The answer to embedContent."""
        return batch.encode_single(answer)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return batch.read_usage(body)


class VertexEmbeddings(_Google):
    name = "vertex_embeddings"

    def decode_request(self, body: bytes) -> EmbeddingsRequest | Fault:
        return predict.decode_request(body)

    def encode_request(self, request: EmbeddingsRequest, model: str) -> Encoded | Fault:
        return predict.encode_request(request)

    def decode_answer(self, body: bytes) -> EmbeddingsAnswer | Fault:
        return predict.decode_answer(body)

    def encode_answer(self, answer: EmbeddingsAnswer, model: str, encoding: str) -> bytes:
        return predict.encode_answer(answer)

    def read_usage(self, body: bytes) -> AnswerFacts:
        return predict.read_usage(body)


GEMINI_EMBEDDINGS = GeminiEmbeddings()
VERTEX_EMBEDDINGS = VertexEmbeddings()
