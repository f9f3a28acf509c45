"""embedContent and batchEmbedContents, from bytes to nouns and back."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsAnswer, EmbeddingsRequest
from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import bad_body, unread_answer, unsupported, utf8, wrong
from setpoint.wire.dialect import AnswerFacts, Encoded
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.facts import UsageShape, usage_of
from setpoint.wire.gemini.faults import classify_gemini_fault
from setpoint.wire.gemini.spelling import camel_members
from setpoint.wire.gemini_embeddings.tasks import word_of
from setpoint.wire.gemini_embeddings.vectors import Asked, Json, losses_of, request_of, texts_of


class _One(msgspec.Struct, gc=False, rename="camel"):
    content: msgspec.Raw = shapes.NO_RAW
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: int | None = None
    embed_content_config: msgspec.Raw = shapes.NO_RAW


class _Config(msgspec.Struct, gc=False, rename="camel"):
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: int | None = None


class _Batch(msgspec.Struct, gc=False):
    requests: msgspec.Raw = shapes.NO_RAW


class _Vector(msgspec.Struct, gc=False):
    values: list[float] | None = None


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    embedding: _Vector | None = None
    embeddings: list[_Vector] | None = None
    usage_metadata: UsageShape | None = None
    error: msgspec.Raw = shapes.NO_RAW


class _Facts(msgspec.Struct, gc=False, rename="camel"):
    usage_metadata: UsageShape | None = None


_batch = msgspec.json.Decoder(_Batch).decode
_one = msgspec.json.Decoder(_One).decode
_config = msgspec.json.Decoder(_Config).decode
_content = msgspec.json.Decoder(shapes.Content).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_answer = msgspec.json.Decoder(_Answer).decode
_facts = msgspec.json.Decoder(_Facts).decode
_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

_KNOWN = frozenset({"requests", "model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig"})


def is_batch(body: bytes) -> bool:
    """Whether a client's body is batchEmbedContents; the answer has the same form."""
    try:
        return bool(shapes.given(_batch(body).requests))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def decode_request(body: bytes) -> EmbeddingsRequest | Fault:
    """Either form; a single content is a batch of one."""
    try:
        body = camel_members(utf8(body))
        requests = shapes.items(_batch(body).requests)
        extras = {name: raw for name, value in _members(body).items() if name not in _KNOWN and (raw := shapes.given(value))}
        asked: list[Asked] = []
        for no, raw in enumerate(requests or [body]):
            one = _asked(raw, f"requests[{no}].content" if requests else "content")
            if isinstance(one, Fault):
                return one
            asked.append(one)
        return request_of(asked, extras)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return bad_body(error)


def _asked(raw: bytes, at: str) -> Asked | Fault:
    one = _one(raw)
    content = shapes.given(one.content)
    if not content:
        return wrong(at, "is missing; it is required.")
    if content.startswith(b'"'):
        texts = [_text(content)]
    else:
        parts = [shapes.decode_part(part) for part in shapes.items(_content(content).parts)]
        if not parts or any(part.text is None for part in parts):
            return unsupported(at, "only texts can be embedded here.")
        texts = [part.text or "" for part in parts]
    beside = shapes.given(one.embed_content_config)
    config = _config(beside) if beside else _Config()
    return Asked(
        "\n".join(texts),
        one.task_type or config.task_type,
        one.title or config.title,
        one.output_dimensionality or config.output_dimensionality,
    )


def encode_request(request: EmbeddingsRequest, model: str) -> Encoded | Fault:
    """A batch always, of one text too."""
    texts = texts_of(request)
    if isinstance(texts, Fault):
        return texts
    every: Json = {"model": model if "/" in model else f"models/{model}"}
    if request.task is not None:
        every["taskType"] = word_of(request.task)
    elif "taskType" in request.extras:
        every["taskType"] = msgspec.Raw(request.extras["taskType"])
    if request.title is not None:
        every["title"] = request.title
    if request.dimensions is not None:
        every["outputDimensionality"] = request.dimensions
    requests = [{**every, "content": {"parts": [{"text": text}]}} for text in texts]
    return Encoded(_encode({"requests": requests}), losses_of(request))


def decode_answer(body: bytes) -> EmbeddingsAnswer | Fault:
    try:
        answer = _answer(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return unread_answer(error)
    if shapes.given(answer.error):
        return classify_gemini_fault(0, {}, body, 0.0)
    vectors = answer.embeddings if answer.embedding is None else [answer.embedding]
    if vectors is None:
        return unread_answer(ValueError("it has no embeddings"))
    return EmbeddingsAnswer(tuple(tuple(vector.values or ()) for vector in vectors), "", usage_of(answer.usage_metadata))


def encode_answer(answer: EmbeddingsAnswer) -> bytes:
    """The answer to batchEmbedContents."""
    return _encode({"embeddings": [{"values": vector} for vector in answer.vectors], **_usage(answer.usage)})


def encode_single(answer: EmbeddingsAnswer) -> bytes:
    """The answer to embedContent, for the first vector."""
    return _encode({"embedding": {"values": answer.vectors[0] if answer.vectors else ()}, **_usage(answer.usage)})


def _usage(usage: Usage | None) -> Json:
    if usage is None:
        return {}
    return {"usageMetadata": {"promptTokenCount": usage.prompt_total, "totalTokenCount": usage.prompt_total}}


def read_usage(body: bytes) -> AnswerFacts:
    """Usage of an answer; AI Studio gives none for some models, and never the model."""
    try:
        return AnswerFacts(usage_of(_facts(body).usage_metadata), "", "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return AnswerFacts(None, "", "")
