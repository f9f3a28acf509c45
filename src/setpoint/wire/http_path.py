"""One spelling for every path, so that two parsers can never disagree about which path was asked for.

The worker decides by the path who may pass; the engine decides by the path what runs. If one of them decoded `%2e%2e` and the other did
not, a client could ask for one thing and get another. So both use this function: RFC 3986 section 6.2.2, doubtful cases refused.

- only bytes that RFC 3986 allows in a path; no control byte, space, backslash, `#`, byte above 127
- an escaped unreserved byte is written plain, other escapes keep their escape in upper case
- an escaped slash, backslash, NUL or percent sign is refused, since servers differ on what they mean
- a dot segment is refused, escaped or not: no honest client sends one
- empty segments are dropped, since clients do join a base URL that ends in a slash with a path that starts with one
"""

import re
from typing import NamedTuple

PATH_BYTES_MAX = 8_192

_PLAIN = re.compile(rb"(?:/[A-Za-z0-9_~:@!$&'()*+,;=-][A-Za-z0-9._~:@!$&'()*+,;=-]*)+/?")
"""Already canonical: no escape, no empty segment, no segment that begins with a dot."""
_ALLOWED = re.compile(rb"/(?:[A-Za-z0-9._~:@!$&'()*+,;=/-]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_SLASHES = re.compile(rb"/{2,}")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_REFUSED_ESCAPES = frozenset(b"/\\\0%")
_ABSOLUTE = re.compile(rb"https?://[^/?#@]+(?=[/?]|$)", re.IGNORECASE)


class BadPath(NamedTuple):
    """Why a path was refused, in words for the client."""

    reason: str


class Target(NamedTuple):
    """A request target in parts. `query` has no question mark; `host` is empty in origin form."""

    path: bytes
    query: bytes
    host: bytes


def canonical(path: bytes) -> bytes | BadPath:
    """The one spelling of `path` (no query), or why there is none. Idempotent."""
    if len(path) <= PATH_BYTES_MAX and _PLAIN.fullmatch(path):
        return path
    if reason := _objection(path):
        return BadPath(reason)
    spelled = _SLASHES.sub(b"/", _ESCAPE.sub(_respell, path))
    if any(segment in (b".", b"..") for segment in spelled.split(b"/")):
        return BadPath("it holds a dot segment")
    return spelled


def split_target(target: bytes) -> Target | BadPath:
    """A request target (RFC 9112 section 3.2) in origin or absolute form, with its path in canonical spelling."""
    host = b""
    if not target.startswith(b"/"):
        absolute = _ABSOLUTE.match(target)
        if not absolute:
            return BadPath("it does not begin with a slash")
        host = absolute[0].partition(b"://")[2]
        target = target[absolute.end() :]
    path, _, query = target.partition(b"?")
    found = canonical(path or b"/")
    if isinstance(found, BadPath):
        return found
    if not _is_query(query):
        return BadPath("its query holds a byte that must be escaped")
    return Target(found, query, host)


def _objection(path: bytes) -> str:
    if len(path) > PATH_BYTES_MAX:
        return f"it is longer than {PATH_BYTES_MAX} bytes"
    if not path.startswith(b"/"):
        return "it does not begin with a slash"
    if not _ALLOWED.fullmatch(path):
        return "it holds a byte that must be escaped, or a broken escape"
    if any(int(escape, 16) in _REFUSED_ESCAPES for escape in _ESCAPE.findall(path)):
        return "it holds an escaped slash, backslash, percent sign or NUL"
    return ""


def _respell(escape: re.Match[bytes]) -> bytes:
    byte = int(escape[1], 16)
    return bytes((byte,)) if byte in _UNRESERVED else escape[0].upper()


_QUERY = re.compile(rb"[\x21\x22\x24-\x7e]*")


def _is_query(query: bytes) -> bool:
    """Visible ASCII without `#`; clients leave quotes and brackets unescaped, and that is harmless in a query."""
    return _QUERY.fullmatch(query) is not None
