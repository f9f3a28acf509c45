"""A request for vectors, from bytes to nouns and back. The older form, with one `prompt`, is read too."""

import msgspec

from setpoint.domain.embeddings import EmbeddingsRequest
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import bad_body, extra_members, loss_names, unsupported, utf8, wrong
from setpoint.wire.dialect import Encoded


class _Request(msgspec.Struct, gc=False):
    model: str
    input: str | list[str] | None = None
    prompt: str | None = None
    dimensions: int | None = None


_KNOWN = frozenset(_Request.__struct_fields__)
_OWN = ("truncate", "keep_alive", "options")
"""Members of this dialect that the nouns do not have; among the extras they are sent as they came."""

_TRUNCATE = {b'"END"': b"true", b'"NONE"': b"false"}
"""Cohere names the end that may be cut."""

_decode = msgspec.json.Decoder(_Request).decode
_encode = msgspec.json.Encoder().encode


def decode_request(body: bytes) -> EmbeddingsRequest | Fault:
    try:
        asked = _decode(utf8(body))
        extras = {name: raw for name, raw in extra_members(body, _KNOWN).items() if raw != b"{}"}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return bad_body(error)
    given = asked.prompt if asked.input is None else asked.input
    if given is None or not given:
        return wrong("input", "at least one text is needed.")
    return EmbeddingsRequest(asked.model, (given,) if isinstance(given, str) else tuple(given), asked.dimensions, extras=extras)


def encode_request(request: EmbeddingsRequest, model: str) -> Encoded | Fault:
    """Vectors come back as numbers; whoever wants them in base64 gets them so from us."""
    if not all(isinstance(text, str) for text in request.inputs):
        return unsupported("input", "token numbers mean something to one model's own tokenizer only; send the text.")
    body: dict[str, object] = {"model": model, "input": request.inputs}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    losses = [name for name, value in (("input_type", request.task), ("title", request.title), ("user", request.user)) if value is not None]
    rest = dict(request.extras)
    for name in _OWN:
        raw = rest.get(name)
        if raw is not None and raw != b'"START"':
            body[name] = msgspec.Raw(_TRUNCATE.get(raw, raw))
            del rest[name]
    return Encoded(_encode(body), (*losses, *loss_names(rest)))
