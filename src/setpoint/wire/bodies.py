"""What dialects share about bodies: reading them with an error that helps, and the odd JSON inside them."""

import re

import msgspec

from setpoint.domain.faults import Fault, FaultKind

_PATH = re.compile(r" - at `\$\.?(.*?)`$")
_MISSING = re.compile(r"missing required field `(\w+)`")
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_SAFE_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

INVALID_JSON = "INVALID_JSON"
"""Arguments that are no JSON object travel inside one under this name, as Anthropic advises for its own models' slips
(https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/fine-grained-tool-streaming)."""


def utf8(body: bytes) -> bytes:
    """`body` as it is; raises UnicodeDecodeError when it is not valid UTF-8.

    For what will be said anew: parts that are carried raw, such as schemas, are looked into by nobody on their way to the other side.
    """
    body.decode()
    return body


def bad_body(error: Exception) -> Fault:
    """The fault for a body that does not decode: which member, what was expected."""
    if isinstance(error, UnicodeDecodeError):
        return Fault(FaultKind.bad_request, f"The request body is not valid UTF-8: {error.reason} at byte {error.start}.")
    if not isinstance(error, msgspec.ValidationError):
        return Fault(FaultKind.bad_request, f"The request body is not valid JSON: {error}.")
    text = str(error)
    match = _PATH.search(text)
    at, said = (match[1], text[: match.start()]) if match else ("", text)
    if missing := _MISSING.search(said):
        at = f"{at}.{missing[1]}" if at else missing[1]
        return Fault(FaultKind.bad_request, f"`{at}` is missing; it is required.", at)
    return Fault(FaultKind.bad_request, f"`{at or 'body'}`: {said}.", at or None)


def wrong(param: str, message: str) -> Fault:
    """A member whose value makes no sense."""
    return Fault(FaultKind.bad_request, f"`{param}`: {message}", param)


def unsupported(param: str, message: str) -> Fault:
    """A member that the target dialect cannot express; another target may."""
    return Fault(FaultKind.unsupported, f"`{param}`: {message}", param)


def unread_answer(error: Exception) -> Fault:
    """The fault for a provider's good status with a body that is no answer."""
    return Fault(FaultKind.upstream_server, f"The provider's answer could not be read: {str(error)[:300]}.")


def extra_members(body: bytes, known: frozenset[str]) -> dict[str, bytes]:
    """The top-level members of `body` that are not `known` and not null, raw."""
    members = _members(body)
    if known.issuperset(members):
        return {}
    return {name: bytes(raw) for name, raw in members.items() if name not in known and bytes(raw) != b"null"}


def loss_names(extras: dict[str, bytes]) -> tuple[str, ...]:
    """Names of members for a list of losses; a client may spell them with anything, so odd ones are not repeated."""
    return tuple(name if _SAFE_NAME.fullmatch(name) else "(a member with an odd name)" for name in extras)


def as_object(text: str) -> msgspec.Raw:
    """Arguments of a tool call as a JSON object: themselves, `{}` when empty, wrapped when they are no object.

    Always on one line: models write line ends between members, and a stream's lines must not be broken by them.
    """
    if not text or text.isspace():
        return msgspec.Raw(b"{}")
    raw = text.encode("utf-8", "replace")
    try:
        _members(raw)
    except msgspec.DecodeError:
        return msgspec.Raw(_encode({INVALID_JSON: text}))
    if b"\n" in raw or b"\r" in raw:
        raw = msgspec.json.format(raw, indent=-1)
    return msgspec.Raw(raw)


def is_complete_json(text: str | bytes) -> bool:
    """Whether `text` is one whole JSON value."""
    try:
        _any(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


_any = msgspec.json.Decoder(msgspec.Raw).decode


def pieces(text: str, bytes_max: int) -> list[str]:
    """`text` cut between characters into pieces of at most `bytes_max` UTF-8 bytes; `bytes_max` is at least 4."""
    if len(text) * 4 <= bytes_max or len(raw := text.encode("utf-8", "replace")) <= bytes_max:
        return [text]
    found, at = [], 0
    while at < len(raw):
        end = min(at + bytes_max, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        found.append(raw[at:end].decode())
        at = end
    return found
