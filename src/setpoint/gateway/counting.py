"""Counting the tokens of a prompt, and the few things embeddings need beside their dialects.

Where the upstream has no way to be asked, the gateway estimates: a token is about four bytes of text, in English and in code. The answer
says so in `x-setpoint-estimated`.
"""

from setpoint.domain.chat import ChatRequest, Message, Part, Text, Thinking, ToolCall, ToolResult
from setpoint.domain.embeddings import EmbeddingsAnswer
from setpoint.domain.faults import Fault
from setpoint.domain.usage import BYTES_PER_TOKEN
from setpoint.gateway.dialects import COUNTERS, EMBEDDINGS_DIALECTS
from setpoint.gateway.exchange import Answer, Exchange, Result
from setpoint.gateway.published import Candidate
from setpoint.wire.gemini_embeddings.dialect import GEMINI_EMBEDDINGS

TOKENS_PER_MESSAGE = 4
"""What roles and separators cost (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken)."""
TOKENS_PER_MEDIUM = 1_000
"""An image, a page, a sound: between 258 (Gemini) and 1,600 (Anthropic's largest)."""
ESTIMATED = b"x-setpoint-estimated: tokens\r\n"


def counts(candidate: Candidate) -> bool:
    """Whether this upstream can be asked how many tokens a prompt has."""
    hosting = candidate.line.upstream.hosting
    return candidate.dialect in COUNTERS and (hosting == "vendor" or (hosting == "vertex" and candidate.dialect == "gemini"))


def estimated_count(exchange: Exchange) -> Result:
    """The answer without asking anybody."""
    counter = COUNTERS[exchange.surface.dialect]
    request = counter.decode_count_request(exchange.body)
    if isinstance(request, Fault):
        return request
    exchange.cost_nanousd = 0
    return Answer(200, counter.encode_count(estimate(request)), headers=ESTIMATED)


def estimate(request: ChatRequest) -> int:
    """Tokens of a prompt, by its length."""
    tokens = sum(_tokens(text.text) for text in request.system)
    tokens += sum(
        _tokens(tool.name) + _tokens(tool.description or "") + len(tool.schema or b"") // BYTES_PER_TOKEN for tool in request.tools
    )
    return max(1, tokens + sum(_of_message(message) for message in request.messages))


def _of_message(message: Message) -> int:
    return TOKENS_PER_MESSAGE + sum(_of_part(part) for part in message.parts)


def _of_part(part: Part) -> int:
    if isinstance(part, Text | Thinking):
        return _tokens(part.text)
    if isinstance(part, ToolCall):
        return _tokens(part.name) + _tokens(part.arguments)
    if isinstance(part, ToolResult):
        return sum(_of_part(inner) for inner in part.parts)
    return TOKENS_PER_MEDIUM


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def embeddings_answer(exchange: Exchange, answer: EmbeddingsAnswer | Fault) -> bytes | Fault:
    """Vectors in the client's dialect and in the encoding it asked for."""
    if isinstance(answer, Fault):
        return answer
    surface, envelope = exchange.surface, exchange.envelope
    assert envelope is not None
    if surface.single:
        return GEMINI_EMBEDDINGS.encode_single(answer)
    dialect = EMBEDDINGS_DIALECTS[surface.dialect]
    request = dialect.decode_request(exchange.body)
    return request if isinstance(request, Fault) else dialect.encode_answer(answer, envelope.model, request.encoding)
