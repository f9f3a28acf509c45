"""What a fake upstream says, in no dialect: `text("hello")`, `calls(...)`, `status(503)`, `raw(...)`.

A reply is rendered in the dialect of the request it answers, so that one test can be read for every surface.
"""

from typing import Any

import msgspec


class Call(msgspec.Struct, frozen=True):
    """One tool call; `arguments` is JSON text."""

    name: str
    arguments: str
    id: str = "call_1"


class Reply(msgspec.Struct, frozen=True):
    """A successful answer. `pieces` are the deltas of a stream; a unary answer joins them."""

    pieces: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    input_tokens: int = 7
    output_tokens: int = 5
    cached_tokens: int = 0
    model: str = ""
    """Empty: the model that was asked for."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Refusal(msgspec.Struct, frozen=True):
    """An error answer in the dialect's own shape."""

    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()
    code: str | None = None


class RawBytes(msgspec.Struct, frozen=True):
    """Exactly these bytes, head and all; then the connection is closed unless `keep_open`."""

    data: bytes
    keep_open: bool = False


Says = Reply | Refusal | RawBytes


def text(*pieces: str, input_tokens: int = 7, output_tokens: int = 5, cached_tokens: int = 0) -> Reply:
    """Text in these pieces."""
    return Reply(pieces, (), input_tokens, output_tokens, cached_tokens)


def calls(name: str, call_id: str = "call_1", **arguments: Any) -> Reply:
    """One tool call."""
    return Reply((), (Call(name, msgspec.json.encode(arguments).decode(), call_id),))


def status(code: int, message: str = "the fake upstream refuses", *, error_code: str | None = None, **headers: str) -> Refusal:
    """An error answer; `retry_after="3"` becomes the header retry-after."""
    return Refusal(code, message, tuple((name.replace("_", "-"), value) for name, value in headers.items()), error_code)


def raw(data: bytes, *, keep_open: bool = False) -> RawBytes:
    """Bytes as they are."""
    return RawBytes(data, keep_open)
