"""Embeddings of Gemini and of Vertex AI, recorded and by Google's own client."""

import json
from collections import Counter
from typing import Any

import httpx
import pytest
from google.genai import types
from tests.wire.gemini.oracle import client
from tests.wire.openai_completions.recorded import load

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.dialect import EmbeddingsDialect, Encoded
from setpoint.wire.gemini_embeddings.batch import is_batch
from setpoint.wire.gemini_embeddings.dialect import GEMINI_EMBEDDINGS, VERTEX_EMBEDDINGS

BOTH: list[EmbeddingsDialect] = [GEMINI_EMBEDDINGS, VERTEX_EMBEDDINGS]


def encoded(dialect: EmbeddingsDialect, request: EmbeddingsRequest) -> Encoded:
    made = dialect.encode_request(request, "m")
    assert isinstance(made, Encoded)
    return made


def test_recorded_embeddings_there_and_back() -> None:
    counted: Counter[str] = Counter()
    for exchange in load("gemini.embed", "vertex.predict"):
        dialect: EmbeddingsDialect = VERTEX_EMBEDDINGS if exchange["surface"] == "vertex.predict" else GEMINI_EMBEDDINGS
        body = exchange["response_body"].encode()
        if exchange["status"] != 200:
            assert dialect.classify_fault(exchange["status"], {}, body, 0.0).kind is FaultKind.unknown_model
            counted["errors"] += 1
            continue
        request = dialect.decode_request(json.dumps(exchange["request_json"]).encode())
        assert isinstance(request, EmbeddingsRequest), (exchange["id"], request)
        assert dialect.decode_request(encoded(dialect, request).body) == request, exchange["id"]
        answer = dialect.decode_answer(body)
        assert isinstance(answer, EmbeddingsAnswer)
        recorded = json.loads(body)
        vectors = [v["values"] for v in recorded.get("embeddings") or [recorded.get("embedding") or {"values": None}]]
        if "predictions" in recorded:
            vectors = [one["embeddings"]["values"] for one in recorded["predictions"]]
        assert [list(vector) for vector in answer.vectors] == vectors
        assert len(vectors) == len(request.inputs)
        assert dialect.decode_answer(dialect.encode_answer(answer, "m", "float")) == answer
        assert GEMINI_EMBEDDINGS.decode_answer(GEMINI_EMBEDDINGS.encode_answer(answer, "m", "float")) == answer
        assert dialect.read_usage(body).usage == answer.usage
        counted["there and back"] += 1
        counted["with usage"] += answer.usage is not None
    print(f"\ngoogle embeddings: {dict(counted)}")
    assert counted["there and back"] > 20


def test_googles_client_asks_and_is_answered_in_a_batch() -> None:
    answer = EmbeddingsAnswer(((0.25, 0.5), (1.0,)), usage=Usage(input=3))
    seen: list[httpx.Request] = []
    asking = client(200, GEMINI_EMBEDDINGS.encode_answer(answer, "m", "float"), seen=seen)
    config = types.EmbedContentConfig(task_type="RETRIEVAL_DOCUMENT", output_dimensionality=2, title="t")
    shown = asking.models.embed_content(model="gemini-embedding-001", contents=["a", "b"], config=config)
    assert [vector.values for vector in shown.embeddings or ()] == [[0.25, 0.5], [1.0]]
    body = seen[0].content
    assert is_batch(body)
    request = GEMINI_EMBEDDINGS.decode_request(body)
    assert request == EmbeddingsRequest("", ("a", "b"), 2, "float", "document", "t")
    assert isinstance(request, EmbeddingsRequest)
    assert json.loads(encoded(GEMINI_EMBEDDINGS, request).body)["requests"][1] == {
        "model": "models/m",
        "content": {"parts": [{"text": "b"}]},
        "taskType": "RETRIEVAL_DOCUMENT",
        "title": "t",
        "outputDimensionality": 2,
    }


def test_one_content_is_asked_and_answered_alone() -> None:
    body = b'{"content": {"parts": [{"text": "a"}, {"text": "b"}]}, "task_type": "CLUSTERING", "output_dimensionality": 3}'
    assert not is_batch(body)
    assert GEMINI_EMBEDDINGS.decode_request(body) == EmbeddingsRequest("", ("a\nb",), 3, "float", "clustering")
    single = json.loads(GEMINI_EMBEDDINGS.encode_single(EmbeddingsAnswer(((0.5,),), usage=Usage(input=2))))
    assert single == {"embedding": {"values": [0.5]}, "usageMetadata": {"promptTokenCount": 2, "totalTokenCount": 2}}


@pytest.mark.parametrize("dialect", BOTH)
def test_what_cannot_be_said_is_refused_or_named(dialect: EmbeddingsDialect) -> None:
    tokens = dialect.encode_request(EmbeddingsRequest("m", ((1, 2),)), "m")
    assert isinstance(tokens, Fault)
    assert tokens.kind is FaultKind.unsupported
    assert encoded(dialect, EmbeddingsRequest("m", ("a",), user="u", extras={"x": b"1"})).losses == ("user", "x")


def test_tasks_that_only_google_has_go_back_to_it() -> None:
    gemini = GEMINI_EMBEDDINGS.decode_request(b'{"content": {"parts": [{"text": "a"}]}, "taskType": "FACT_VERIFICATION"}')
    assert isinstance(gemini, EmbeddingsRequest)
    assert (gemini.task, gemini.extras) == (None, {"taskType": b'"FACT_VERIFICATION"'})
    for dialect, member in ((GEMINI_EMBEDDINGS, '"taskType":'), (VERTEX_EMBEDDINGS, '"task_type":')):
        made = encoded(dialect, gemini)
        assert member + '"FACT_VERIFICATION"' in made.body.decode()
        assert made.losses == ()


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (GEMINI_EMBEDDINGS, {}),
        (GEMINI_EMBEDDINGS, {"content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": ""}}]}}),
        (GEMINI_EMBEDDINGS, {"requests": [{"content": {"parts": [{"text": "a"}]}, "title": t} for t in "ab"]}),
        (GEMINI_EMBEDDINGS, {"requests": 5}),
        (VERTEX_EMBEDDINGS, {}),
        (VERTEX_EMBEDDINGS, {"instances": [{}]}),
        (VERTEX_EMBEDDINGS, {"instances": [{"content": "a", "task_type": t} for t in ("CLUSTERING", "CLASSIFICATION")]}),
        (VERTEX_EMBEDDINGS, []),
    ],
)
def test_requests_that_cannot_be_read_are_faults(dialect: EmbeddingsDialect, body: Any) -> None:
    fault = dialect.decode_request(json.dumps(body).encode())
    assert isinstance(fault, Fault)
    assert fault.kind in {FaultKind.bad_request, FaultKind.unsupported}


@pytest.mark.parametrize("dialect", BOTH)
@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"error": {"code": 500, "status": "INTERNAL"}}', b'{"embedding": 5, "predictions": 5}']
)
def test_what_is_no_answer_is_a_fault(dialect: EmbeddingsDialect, body: bytes) -> None:
    fault = dialect.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.upstream_server
    assert dialect.read_usage(body).usage is None


def test_vertex_predictions_there_and_back() -> None:
    body = {
        "instances": [{"content": "a", "task_type": "RETRIEVAL_QUERY"}],
        "parameters": {"outputDimensionality": 2, "autoTruncate": False},
    }
    request = VERTEX_EMBEDDINGS.decode_request(json.dumps(body).encode())
    assert request == EmbeddingsRequest("", ("a",), 2, "float", "query", extras={"parameters.autoTruncate": b"false"})
    answer = EmbeddingsAnswer(((0.5,), (0.25,)), usage=Usage(input=7))
    assert VERTEX_EMBEDDINGS.decode_answer(VERTEX_EMBEDDINGS.encode_answer(answer, "m", "float")) == answer
    assert VERTEX_EMBEDDINGS.read_usage(VERTEX_EMBEDDINGS.encode_answer(answer, "m", "float")).usage == Usage(input=7)
