"""Vectors: every dialect asks for the same ones, and gives every client the same numbers."""

import base64
import itertools
import json
import struct
from typing import Any

import cohere
import httpx
import httpx2
import ollama
import openai
import pytest
from cohere.types import EmbedByTypeResponse
from hypothesis import given
from hypothesis import strategies as st
from ollama import EmbedResponse
from ollama._types import EmbedRequest
from openai.types import CreateEmbeddingResponse

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.cohere_embeddings.dialect import COHERE_EMBEDDINGS
from setpoint.wire.cohere_embeddings.request import TEXTS_MAX
from setpoint.wire.dialect import EmbeddingsDialect, Encoded
from setpoint.wire.ollama_embeddings.dialect import OLLAMA_EMBEDDINGS
from setpoint.wire.openai_embeddings.dialect import OPENAI_EMBEDDINGS
from setpoint.wire.openai_embeddings.vectors import DOUBLES_MIN, packed, unpacked

ALL: list[EmbeddingsDialect] = [OPENAI_EMBEDDINGS, COHERE_EMBEDDINGS, OLLAMA_EMBEDDINGS]
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VECTORS = st.lists(st.lists(FLOATS, min_size=1, max_size=9).map(tuple), min_size=1, max_size=4).map(tuple)


def asked(dialect: EmbeddingsDialect, body: dict[str, Any]) -> EmbeddingsRequest:
    request = dialect.decode_request(json.dumps(body).encode())
    assert isinstance(request, EmbeddingsRequest), request
    return request


def said(dialect: EmbeddingsDialect, request: EmbeddingsRequest) -> tuple[dict[str, Any], tuple[str, ...]]:
    encoded = dialect.encode_request(request, "up")
    assert isinstance(encoded, Encoded), encoded
    return json.loads(encoded.body), encoded.losses


# ------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("given_", "inputs"),
    [("a", ("a",)), (["a", "b"], ("a", "b")), ([1, 2], ((1, 2),)), ([[1, 2], [3]], ((1, 2), (3,))), ("", ("",))],
)
def test_an_openai_input_is_texts_or_tokens(given_: Any, inputs: tuple[Any, ...]) -> None:
    request = asked(OPENAI_EMBEDDINGS, {"model": "m", "input": given_})
    assert request.inputs == inputs
    again = asked(OPENAI_EMBEDDINGS, said(OPENAI_EMBEDDINGS, request)[0])
    assert again.inputs == inputs


def test_every_member_of_openai_finds_its_noun() -> None:
    request = asked(OPENAI_EMBEDDINGS, {"model": "m", "input": "a", "dimensions": 8, "encoding_format": "base64", "user": "u", "x": 1})
    assert request == EmbeddingsRequest("m", ("a",), 8, "base64", user="u", extras={"x": b"1"})
    assert said(OPENAI_EMBEDDINGS, request) == (
        {"model": "up", "input": "a", "dimensions": 8, "encoding_format": "base64", "user": "u"},
        ("x",),
    )


def test_voyages_members_are_understood() -> None:
    body = {"model": "m", "input": ["a"], "input_type": "query", "output_dimension": 256, "output_dtype": None, "truncation": True}
    request = asked(OPENAI_EMBEDDINGS, body)
    assert (request.task, request.dimensions, request.extras) == ("query", 256, {"truncation": b"true"})
    assert said(COHERE_EMBEDDINGS, request)[0]["input_type"] == "search_query"


def test_a_cohere_request_is_said_to_everybody() -> None:
    body = {
        "model": "m",
        "texts": ["a"],
        "inputs": [{"content": [{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]}],
        "input_type": "search_query",
        "embedding_types": ["float"],
        "output_dimension": 512,
        "truncate": "END",
    }
    request = asked(COHERE_EMBEDDINGS, body)
    assert request == EmbeddingsRequest("m", ("a", "bc"), 512, "float", "query", extras={"truncate": b'"END"'})
    assert said(OPENAI_EMBEDDINGS, request) == ({"model": "up", "input": ["a", "bc"], "dimensions": 512}, ("input_type", "truncate"))
    assert said(OLLAMA_EMBEDDINGS, request) == (
        {"model": "up", "input": ["a", "bc"], "dimensions": 512, "truncate": True},
        ("input_type",),
    )
    assert said(COHERE_EMBEDDINGS, request) == (
        {
            "model": "up",
            "texts": ["a", "bc"],
            "input_type": "search_query",
            "embedding_types": ["float"],
            "output_dimension": 512,
            "truncate": "END",
        },
        (),
    )


def test_an_ollama_request_is_said_to_everybody() -> None:
    request = asked(OLLAMA_EMBEDDINGS, {"model": "m", "input": ["a", "b"], "dimensions": 4, "keep_alive": "5m", "options": {"num_ctx": 9}})
    body, losses = said(OLLAMA_EMBEDDINGS, request)
    assert (body["keep_alive"], body["options"], losses) == ("5m", {"num_ctx": 9}, ())
    assert EmbedRequest.model_validate(body).dimensions == 4
    assert said(OPENAI_EMBEDDINGS, request)[1] == ("keep_alive", "options")
    assert asked(OLLAMA_EMBEDDINGS, {"model": "m", "prompt": "old"}).inputs == ("old",)


@pytest.mark.parametrize(("cohere_word", "ollama_word"), [("END", True), ("NONE", False)])
def test_cohere_and_ollama_say_each_in_its_own_words_what_may_be_cut(cohere_word: str, ollama_word: bool) -> None:
    there = asked(COHERE_EMBEDDINGS, {"model": "m", "texts": ["a"], "truncate": cohere_word})
    back = asked(OLLAMA_EMBEDDINGS, {"model": "m", "input": ["a"], "truncate": ollama_word})
    assert said(OLLAMA_EMBEDDINGS, there)[0]["truncate"] is ollama_word
    assert said(COHERE_EMBEDDINGS, back)[0]["truncate"] == cohere_word


def test_a_cut_at_the_start_is_named_as_a_loss_for_ollama() -> None:
    body, losses = said(OLLAMA_EMBEDDINGS, asked(COHERE_EMBEDDINGS, {"model": "m", "texts": ["a"], "truncate": "START"}))
    assert "truncate" not in body
    assert losses == ("truncate",)


def test_cohere_needs_to_know_what_vectors_are_for() -> None:
    body, losses = said(COHERE_EMBEDDINGS, EmbeddingsRequest("m", ("a",), user="u", title="t"))
    assert body == {"model": "up", "texts": ["a"], "input_type": "search_document", "embedding_types": ["float"]}
    assert losses == ("user", "title", "input_type (set to search_document)")
    assert said(COHERE_EMBEDDINGS, EmbeddingsRequest("m", ("a",), task="similarity"))[1] == ("input_type (set to search_document)",)


@pytest.mark.parametrize(("dialect"), [COHERE_EMBEDDINGS, OLLAMA_EMBEDDINGS])
def test_token_numbers_cannot_be_sent_to_another_tokenizer(dialect: EmbeddingsDialect) -> None:
    fault = dialect.encode_request(EmbeddingsRequest("m", ((1, 2),)), "up")
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.unsupported


def test_cohere_takes_no_more_than_its_texts() -> None:
    assert isinstance(COHERE_EMBEDDINGS.encode_request(EmbeddingsRequest("m", ("a",) * TEXTS_MAX), "up"), Encoded)
    fault = COHERE_EMBEDDINGS.encode_request(EmbeddingsRequest("m", ("a",) * (TEXTS_MAX + 1)), "up")
    assert isinstance(fault, Fault)
    assert fault.kind is FaultKind.unsupported


@pytest.mark.parametrize(
    ("dialect", "body", "kind"),
    [
        (OPENAI_EMBEDDINGS, {"model": "m"}, FaultKind.bad_request),
        (OPENAI_EMBEDDINGS, {"model": "m", "input": []}, FaultKind.bad_request),
        (OPENAI_EMBEDDINGS, {"model": "m", "input": "a", "encoding_format": "int8"}, FaultKind.bad_request),
        (COHERE_EMBEDDINGS, {"model": "m"}, FaultKind.bad_request),
        (COHERE_EMBEDDINGS, {"model": "m", "images": ["data:"]}, FaultKind.unsupported),
        (COHERE_EMBEDDINGS, {"model": "m", "texts": ["a"], "embedding_types": ["float", "int8"]}, FaultKind.unsupported),
        (COHERE_EMBEDDINGS, {"model": "m", "texts": ["a"], "embedding_types": ["int8"]}, FaultKind.unsupported),
        (COHERE_EMBEDDINGS, {"model": "m", "inputs": [{"content": [{"type": "image_url"}]}]}, FaultKind.unsupported),
        (OLLAMA_EMBEDDINGS, {"model": "m"}, FaultKind.bad_request),
        (OLLAMA_EMBEDDINGS, {"model": "m", "input": 1}, FaultKind.bad_request),
    ],
)
def test_what_cannot_be_asked_is_refused(dialect: EmbeddingsDialect, body: dict[str, Any], kind: FaultKind) -> None:
    fault = dialect.decode_request(json.dumps(body).encode())
    assert isinstance(fault, Fault)
    assert fault.kind is kind


TASKS = st.sampled_from([None, "query", "document", "similarity", "classification", "clustering"])


@given(st.builds(EmbeddingsRequest, st.just("m"), st.lists(st.text(), min_size=1, max_size=3).map(tuple), st.none() | st.integers(1, 99)))
def test_texts_come_through_every_pair(request: EmbeddingsRequest) -> None:
    for source, target in itertools.product(ALL, ALL):
        there = asked(source, said(source, request)[0])
        again = asked(target, said(target, there)[0])
        assert (again.inputs, again.dimensions) == (request.inputs, request.dimensions), (source.name, target.name)


# -------------------------------------------------------------------------------------------------------------- vectors


@given(VECTORS)
def test_vectors_come_through_every_pair_exactly(vectors: tuple[tuple[float, ...], ...]) -> None:
    answer = EmbeddingsAnswer(vectors, "m", Usage(input=3))
    for source, target, encoding in itertools.product(ALL, ALL, ("float", "base64")):
        there = source.decode_answer(source.encode_answer(answer, "m", encoding))
        assert isinstance(there, EmbeddingsAnswer)
        again = target.decode_answer(target.encode_answer(there, "m", encoding))
        assert isinstance(again, EmbeddingsAnswer)
        assert again.vectors == vectors, (source.name, target.name, encoding)
        assert again.usage == answer.usage
        assert target.read_usage(target.encode_answer(there, "m", encoding)).usage == answer.usage


@given(st.lists(FLOATS, min_size=1, max_size=9).map(tuple))
def test_base64_is_little_endian_floats(vector: tuple[float, ...]) -> None:
    assert base64.b64decode(packed(vector)) == struct.pack(f"<{len(vector)}f", *vector)
    assert unpacked(packed(vector)) == vector


@given(st.lists(st.floats(2**-10, 1 - 2**-10, width=32, exclude_min=True), min_size=1, max_size=9))
def test_doubles_under_the_same_name_are_told_apart(some: list[float]) -> None:
    vector = tuple(itertools.islice(itertools.cycle(some), DOUBLES_MIN))
    assert unpacked(base64.b64encode(struct.pack(f"<{DOUBLES_MIN}d", *vector)).decode()) == vector
    shorter = vector[1:]
    assert unpacked(base64.b64encode(struct.pack(f"<{len(shorter)}d", *shorter)).decode()) != shorter
    assert unpacked(packed(vector * 2)) == vector * 2


def test_zeros_stay_zeros_and_too_large_numbers_do_not_crash() -> None:
    assert unpacked(packed((0.0,) * 4)) == (0.0,) * 4
    assert packed((1e300,))


@given(st.binary(max_size=200) | st.just(OPENAI_EMBEDDINGS.encode_answer(EmbeddingsAnswer(((1.0, 2.0),)), "m", "base64")), st.data())
def test_odd_bytes_never_crash(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body)))
    changed = body[:at] + data.draw(st.binary(max_size=4)) + body[at + data.draw(st.integers(0, 4)) :]
    for dialect in ALL:
        assert isinstance(dialect.decode_answer(changed), Fault | EmbeddingsAnswer)
        assert isinstance(dialect.decode_request(changed), Fault | EmbeddingsRequest)
        dialect.read_usage(changed)


ANSWER = EmbeddingsAnswer(((0.1, -0.25), (1e-8, 3.0)), "up", Usage(input=5))


def test_the_openai_client_reads_both_encodings_alike() -> None:
    """By default the SDK asks for base64 and decodes it with numpy."""
    found = []
    for encoding in ("base64", "float"):
        body = OPENAI_EMBEDDINGS.encode_answer(ANSWER, "m", encoding)
        transport = httpx2.MockTransport(lambda _, body=body: httpx2.Response(200, content=body))
        client = openai.OpenAI(api_key="k", base_url="http://x.test/v1", http_client=httpx2.Client(transport=transport))
        answer = client.embeddings.create(model="m", input=["a", "b"])
        assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("m", 5, 5)
        found.append([struct.pack("<2f", *item.embedding) for item in answer.data])
    assert found[0] == found[1] == [struct.pack("<2f", *vector) for vector in ANSWER.vectors]
    CreateEmbeddingResponse.model_validate_json(OPENAI_EMBEDDINGS.encode_answer(ANSWER, "m", "float"), strict=True)


def test_the_cohere_client_reads_vectors() -> None:
    body = COHERE_EMBEDDINGS.encode_answer(ANSWER, "m", "float")
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    client = cohere.ClientV2(api_key="k", httpx_client=httpx.Client(transport=transport))
    answer = client.embed(model="m", texts=["a", "b"], input_type="search_query", embedding_types=["float"])
    assert isinstance(answer, EmbedByTypeResponse)
    assert answer.embeddings.float_ == [list(vector) for vector in ANSWER.vectors]
    assert answer.meta is not None
    assert answer.meta.billed_units is not None
    assert answer.meta.billed_units.input_tokens == 5


def test_the_ollama_client_reads_vectors() -> None:
    body = OLLAMA_EMBEDDINGS.encode_answer(ANSWER, "m", "base64")
    client = ollama.Client("http://x.test", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body)))
    answer = client.embed("m", ["a", "b"])
    assert isinstance(answer, EmbedResponse)
    assert (answer.embeddings, answer.prompt_eval_count, answer.model) == ([list(vector) for vector in ANSWER.vectors], 5, "m")


def test_vectors_are_put_in_the_order_of_their_inputs() -> None:
    body = b'{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}'
    assert OPENAI_EMBEDDINGS.decode_answer(body) == EmbeddingsAnswer(((1.0,), (2.0,)))


@pytest.mark.parametrize(
    ("dialect", "body", "kind"),
    [
        (OPENAI_EMBEDDINGS, b'{"error":{"code":"insufficient_quota"}}', FaultKind.upstream_quota),
        (OPENAI_EMBEDDINGS, b'{"data":[{"embedding":"x"}]}', FaultKind.upstream_server),
        (OPENAI_EMBEDDINGS, b'{"data":[{"embedding":"AAAA"}]}', FaultKind.upstream_server),
        (OPENAI_EMBEDDINGS, b"{}", FaultKind.upstream_server),
        (COHERE_EMBEDDINGS, b'{"embeddings":{"int8":[[1]]}}', FaultKind.upstream_server),
        (COHERE_EMBEDDINGS, b'{"message":"too many tokens"}', FaultKind.context_length),
        (OLLAMA_EMBEDDINGS, b'{"error":"the input length exceeds the context length"}', FaultKind.context_length),
        (OLLAMA_EMBEDDINGS, b"{}", FaultKind.upstream_server),
    ],
)
def test_a_good_status_without_vectors_is_a_fault(dialect: EmbeddingsDialect, body: bytes, kind: FaultKind) -> None:
    fault = dialect.decode_answer(body)
    assert isinstance(fault, Fault)
    assert fault.kind is kind


def test_faults_are_said_in_each_vendors_shape() -> None:
    fault = Fault(FaultKind.unknown_model, "No such model.")
    assert "No such model." in json.loads(OPENAI_EMBEDDINGS.render_fault(fault, "r"))["error"]["message"]
    assert "No such model." in json.loads(COHERE_EMBEDDINGS.render_fault(fault, "r"))["message"]
    assert "No such model." in json.loads(OLLAMA_EMBEDDINGS.render_fault(fault, "r"))["error"]
