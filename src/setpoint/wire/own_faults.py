"""Whether a provider's error body is one that clients of a dialect can read.

With the same dialect on both sides the provider's own words are passed on. But a proxy or content network on the way answers with a page of
its own, and some vendors answer in another one's shape; no SDK finds the message in those, so they are said anew.
"""

from collections.abc import Callable

import msgspec


class _Said(msgspec.Struct):
    message: str


class _Nested(msgspec.Struct):
    error: _Said


class _Anthropic(msgspec.Struct):
    type: str
    error: _Said


class _Status(msgspec.Struct):
    code: int
    message: str


class _Google(msgspec.Struct):
    error: _Status


class _Amazon(msgspec.Struct):
    message: str | None = None
    shouted: str | None = msgspec.field(name="Message", default=None)


class _Plain(msgspec.Struct):
    error: str


def _reader(shape: type[msgspec.Struct]) -> Callable[[bytes], object]:
    return msgspec.json.Decoder(shape).decode


_SHAPES: dict[str, Callable[[bytes], object]] = {
    "anthropic": _reader(_Anthropic),
    "gemini": _reader(_Google),
    "bedrock_converse": _reader(_Amazon),
    "cohere": _reader(_Said),
    "ollama": _reader(_Plain),
}
_OPENAI = _reader(_Nested)
"""All of OpenAI's dialects share a shape."""


def is_own_fault(dialect: str, body: bytes) -> bool:
    """Whether `body` has the message where clients of `dialect` look for it; dialects of embeddings have their chat dialect's shape."""
    read = _SHAPES.get(dialect.removesuffix("_embeddings"), _SHAPES["gemini"] if dialect.startswith("vertex") else _OPENAI)
    try:
        found = read(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return not isinstance(found, _Amazon) or found.message is not None or found.shouted is not None
