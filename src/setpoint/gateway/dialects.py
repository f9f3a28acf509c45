"""The dialects this gateway speaks, by the name a plan gives them."""

from typing import Protocol

from setpoint.domain.chat import ChatRequest
from setpoint.domain.faults import Fault
from setpoint.domain.plan import DialectName
from setpoint.wire.anthropic import count_tokens as anthropic_counting
from setpoint.wire.anthropic.dialect import ANTHROPIC
from setpoint.wire.bedrock_converse.dialect import BEDROCK_CONVERSE
from setpoint.wire.cohere.dialect import COHERE
from setpoint.wire.cohere_embeddings.dialect import COHERE_EMBEDDINGS
from setpoint.wire.dialect import Dialect, EmbeddingsDialect, Encoded, Metered
from setpoint.wire.gemini import count_tokens as gemini_counting
from setpoint.wire.gemini.dialect import GEMINI
from setpoint.wire.gemini_embeddings.dialect import GEMINI_EMBEDDINGS, VERTEX_EMBEDDINGS
from setpoint.wire.ollama.dialect import OLLAMA
from setpoint.wire.ollama_embeddings.dialect import OLLAMA_EMBEDDINGS
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT
from setpoint.wire.openai_completions.dialect import OPENAI_COMPLETIONS
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS
from setpoint.wire.openai_responses.dialect import OPENAI_RESPONSES


class Counter(Protocol):
    """Asking a provider how many tokens a prompt has."""

    def decode_count_request(self, body: bytes) -> ChatRequest | Fault: ...

    def encode_count_request(self, request: ChatRequest, model: str) -> Encoded | Fault: ...

    def read_count(self, body: bytes) -> int | Fault: ...

    def encode_count(self, total: int) -> bytes: ...


DIALECTS: dict[DialectName, Dialect] = {
    "openai_chat": OPENAI_CHAT,
    "openai_responses": OPENAI_RESPONSES,
    "openai_completions": OPENAI_COMPLETIONS,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "bedrock_converse": BEDROCK_CONVERSE,
    "cohere": COHERE,
    "ollama": OLLAMA,
}
EMBEDDINGS_DIALECTS: dict[DialectName, EmbeddingsDialect] = {
    "openai_embeddings": OPENAI_EMBEDDINGS,
    "gemini_embeddings": GEMINI_EMBEDDINGS,
    "vertex_embeddings": VERTEX_EMBEDDINGS,
    "cohere_embeddings": COHERE_EMBEDDINGS,
    "ollama_embeddings": OLLAMA_EMBEDDINGS,
}
SPOKEN: dict[DialectName, Metered] = {**DIALECTS, **EMBEDDINGS_DIALECTS}
COUNTERS: dict[DialectName, Counter] = {"anthropic": anthropic_counting, "gemini": gemini_counting}
