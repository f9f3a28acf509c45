"""Recorded vectors of OpenAI, Azure, Mistral, Voyage, vLLM, Cohere and Ollama."""

import base64
import json
import struct
from collections import Counter
from typing import Any

import pytest
from cohere.types import EmbedByTypeResponse
from ollama._types import EmbedRequest
from openai.types import CreateEmbeddingResponse
from tests.wire.openai_completions.recorded import Exchange, load

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.cohere_embeddings.dialect import COHERE_EMBEDDINGS
from setpoint.wire.dialect import EmbeddingsDialect, Encoded
from setpoint.wire.ollama_embeddings.dialect import OLLAMA_EMBEDDINGS
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS

DIALECTS: dict[str, EmbeddingsDialect] = {
    "openai.embeddings": OPENAI_EMBEDDINGS,
    "cohere.embed": COHERE_EMBEDDINGS,
    "ollama.embed": OLLAMA_EMBEDDINGS,
}


@pytest.fixture(scope="module")
def traffic() -> list[Exchange]:
    return load(*DIALECTS)


def doubles(text: str) -> bool:
    """vLLM of 2024 sent 64-bit floats: every number is then within ±1, which no reading as 32-bit floats of theirs is."""
    raw = base64.b64decode(text)
    return len(raw) % 8 == 0 and all(1e-9 < abs(x) < 1 for (x,) in struct.iter_unpack("<d", raw))


def expected_of(body: Any) -> tuple[list[list[float]], int]:
    """Vectors and tokens, worked out from the recorded JSON."""
    if "data" in body:
        vectors = []
        for item in sorted(body["data"], key=lambda item: item["index"]):
            given = item["embedding"]
            if isinstance(given, str):
                given = [x for (x,) in struct.iter_unpack("<d" if doubles(given) else "<f", base64.b64decode(given))]
            vectors.append(given)
        usage = body["usage"]
        return vectors, usage.get("prompt_tokens", usage["total_tokens"])
    if "meta" in body:
        return body["embeddings"]["float"], body["meta"]["billed_units"]["input_tokens"]
    return body.get("embeddings") or [body["embedding"]], body.get("prompt_eval_count") or 0


def as_floats(vector: Any) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


def test_vectors_reach_every_client_exactly(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in traffic:
        body = exchange["response_body"].encode()
        if exchange["status"] != 200:
            continue
        dialect = DIALECTS[exchange["surface"]]
        vectors, tokens = expected_of(json.loads(body))
        answer = dialect.decode_answer(body)
        assert isinstance(answer, EmbeddingsAnswer), exchange["id"]
        assert [list(vector) for vector in answer.vectors] == vectors, exchange["id"]
        assert (answer.usage.prompt_total if answer.usage is not None else 0) == tokens, exchange["id"]
        shown = CreateEmbeddingResponse.model_validate_json(OPENAI_EMBEDDINGS.encode_answer(answer, "m", "float"))
        assert [item.embedding for item in shown.data] == vectors, exchange["id"]
        packed = json.loads(OPENAI_EMBEDDINGS.encode_answer(answer, "m", "base64"))
        assert [base64.b64decode(item["embedding"]) for item in packed["data"]] == [as_floats(vector) for vector in vectors]
        assert shown.usage.prompt_tokens == tokens, exchange["id"]
        by_type = EmbedByTypeResponse.model_validate(json.loads(COHERE_EMBEDDINGS.encode_answer(answer, "m", "float")))
        assert by_type.embeddings.float_ == vectors, exchange["id"]
        again = dialect.decode_answer(dialect.encode_answer(answer, answer.model, "float"))
        assert isinstance(again, EmbeddingsAnswer)
        assert again.vectors == answer.vectors
        counted[f"{exchange['surface']} {exchange['provider']}"] += 1
    print(f"\nvectors: {dict(counted)}")
    assert counted.total() > 40


def test_requests_are_said_in_every_dialect(traffic: list[Exchange]) -> None:
    counted: Counter[str] = Counter()
    for exchange in traffic:
        asked = exchange["request_json"]
        if not asked or exchange["status"] != 200:
            continue
        request = DIALECTS[exchange["surface"]].decode_request(json.dumps(asked).encode())
        assert isinstance(request, EmbeddingsRequest), (exchange["id"], request)
        given = asked.get("input") or asked.get("texts") or asked["prompt"]
        texts = (given,) if isinstance(given, str) else tuple(given)
        assert request.inputs == texts
        for name, dialect in DIALECTS.items():
            encoded = dialect.encode_request(request, asked["model"])
            assert isinstance(encoded, Encoded)
            again = dialect.decode_request(encoded.body)
            assert isinstance(again, EmbeddingsRequest)
            assert again.inputs == texts
            if name == exchange["surface"]:
                twice = dialect.encode_request(again, asked["model"])
                assert isinstance(twice, Encoded)
                assert json.loads(twice.body) == json.loads(encoded.body)
            if name == "ollama.embed":
                EmbedRequest.model_validate_json(encoded.body)
        counted[exchange["surface"]] += 1
    print(f"\nrequests: {dict(counted)}, each to {len(DIALECTS)} dialects")
    assert counted.total() > 40


def test_errors_are_understood(traffic: list[Exchange]) -> None:
    found: Counter[FaultKind] = Counter()
    for exchange in traffic:
        if exchange["status"] == 200:
            continue
        dialect = DIALECTS[exchange["surface"]]
        fault = dialect.classify_fault(exchange["status"], {}, exchange["response_body"].encode(), 0.0)
        assert isinstance(fault, Fault)
        assert fault.message != "no message"
        found[fault.kind] += 1
    print(f"\nerrors: {dict(found)}")
    assert found[FaultKind.unknown_model] >= 3
