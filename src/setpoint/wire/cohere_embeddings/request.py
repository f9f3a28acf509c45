"""A request for vectors, from bytes to nouns and back. Texts only: the nouns hold no images."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsRequest, EmbeddingTask
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, loss_names, unsupported, utf8, wrong
from setpoint.wire.dialect import Encoded

TEXTS_MAX = 96
"""Texts of one request (https://docs.cohere.com/reference/embed#request.body.texts)."""


class _Content(msgspec.Struct, gc=False):
    type: str
    text: str | None = None


class _Input(msgspec.Struct, gc=False):
    content: list[_Content]


class _Request(msgspec.Struct, gc=False):
    model: str
    texts: list[str] | None = None
    inputs: list[_Input] | None = None
    images: list[str] | None = None
    input_type: str | None = None
    embedding_types: list[str] | None = None
    output_dimension: int | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_READ: dict[str | None, EmbeddingTask] = {
    "search_query": "query",
    "search_document": "document",
    "classification": "classification",
    "clustering": "clustering",
}
_WRITTEN = {task: word for word, task in _READ.items()}
_DEFAULT = "search_document"
_OWN = ("truncate", "max_tokens", "priority")
"""Members of this dialect that the nouns do not have; among the extras they are sent as they came."""

_TRUNCATE = {b"true": b'"END"', b"false": b'"NONE"'}
"""Ollama says by true and false whether a long text may be cut at its end."""

_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def decode_request(body: bytes) -> EmbeddingsRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = extra_members(body, _KNOWN)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    if asked.images or asked.input_type == "image":
        return unsupported("images", "vectors of images cannot be asked of another provider's dialect.")
    types = asked.embedding_types or ["float"]
    if len(types) != 1 or types[0] not in {"float", "base64"}:
        return unsupported("embedding_types", "only float or only base64 can be asked of another provider's dialect.")
    inputs = _inputs(asked)
    if isinstance(inputs, Fault):
        return inputs
    if asked.input_type is not None and asked.input_type not in _READ:
        extras["input_type"] = _encode(asked.input_type)
    task = _READ.get(asked.input_type)
    return EmbeddingsRequest(
        asked.model, inputs, asked.output_dimension, "base64" if types[0] == "base64" else "float", task, extras=extras
    )


def _inputs(asked: _Request) -> tuple[str, ...] | Fault:
    texts = list(asked.texts or ())
    for no, given in enumerate(asked.inputs or ()):
        if any(content.type != "text" for content in given.content):
            return unsupported(f"inputs[{no}].content", "vectors of anything but text cannot be asked of another provider's dialect.")
        texts.append("".join(content.text or "" for content in given.content))
    return tuple(texts) or wrong("texts", "at least one text is needed.")


def encode_request(request: EmbeddingsRequest, model: str) -> Encoded | Fault:
    texts = [text for text in request.inputs if isinstance(text, str)]
    if len(texts) != len(request.inputs):
        return unsupported("input", "token numbers mean something to one model's own tokenizer only; send the text.")
    if len(texts) > TEXTS_MAX:
        return unsupported("input", f"this provider takes at most {TEXTS_MAX} texts a request.")
    losses = [name for name, value in (("user", request.user), ("title", request.title)) if value is not None]
    extras = {name: raw for name, raw in request.extras.items() if name not in _OWN}
    body: dict[str, object] = {"model": model, "texts": texts, "input_type": _WRITTEN.get(request.task or "document", _DEFAULT)}
    if request.task not in _WRITTEN and "input_type" not in extras:
        losses.append(f"input_type (set to {_DEFAULT})")
    body["embedding_types"] = [request.encoding]
    if request.dimensions is not None:
        body["output_dimension"] = request.dimensions
    for name in _OWN:
        if (raw := request.extras.get(name)) is not None:
            body[name] = msgspec.Raw(_TRUNCATE.get(raw, raw))
    return Encoded(_encode(body), (*losses, *loss_names(extras)))
