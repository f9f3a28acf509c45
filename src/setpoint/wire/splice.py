"""Change one member of a JSON body and leave every other byte as it is.

A body that a client signed off is forwarded as the client wrote it: white space, member order, number spelling and escapes survive.
But a body can be built so that two parsers read it differently: a member given twice, or once as "model" and once as "mod\\u0065l".
Whatever the gateway checked must be what the upstream reads, so a splice in place happens only where the name occurs exactly once
and no escape could spell it another time; every other body is taken apart and put together again, one member per name.
"""

import re

import msgspec

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*("(?:[^"\\]|\\.)*")')
_LETTER_ESCAPES = (b"\\u006", b"\\u007", b"\\u005", b"\\u004")
"""The escapes that can spell an ASCII letter or an underscore."""


def replace_model(body: bytes, model: str, new_model: str) -> bytes:
    """`body` with the top-level member `model` set to `new_model`; `model` is what the gateway read there.

    Raises msgspec.DecodeError when `body` is no JSON object.
    """
    if model == new_model and body.count(b'"model"') == 1 and not may_escape(body):
        return body
    at = body.find(b'"model"')
    if at >= 0 and body.find(b'"model"', at + 7) < 0 and not may_escape(body) and (match := _MODEL.match(body, at)):
        return b"".join((body[: match.start(1)], _encode(new_model), body[match.end(1) :]))
    return set_members(body, {"model": _encode(new_model)})


def may_escape(body: bytes) -> bool:
    """Whether an escape in `body` could spell a member's name a second way."""
    return b"\\u00" in body and any(escape in body for escape in _LETTER_ESCAPES)


def set_members(body: bytes, members: dict[str, bytes]) -> bytes:
    """`body` with these top-level members, each given as JSON. Raises msgspec.DecodeError when `body` is no JSON object."""
    found = _members(body)
    for name, value in members.items():
        found[name] = msgspec.Raw(value)
    return _encode(found)


def remove_members(body: bytes, names: tuple[str, ...]) -> bytes:
    """`body` without these top-level members; the same object when it has none of them.

    Raises msgspec.DecodeError when `body` is no JSON object.
    """
    if not any(b'"' + name.encode() + b'"' in body for name in names) and not may_escape(body):
        return body
    found = _members(body)
    if not any(name in found for name in names):
        return body
    return _encode({name: value for name, value in found.items() if name not in names})
