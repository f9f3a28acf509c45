"""What a fake upstream says, in no dialect: `text("hello")`, `calls(...)`, `status(503)`, `raw(...)`.

A reply is rendered in the dialect of the request it answers, so that one test can be read for every surface.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from setpoint.testing.asked import Asked

Ending = Literal["done", "length", "filtered"]
"""Why an answer ends: the model was done, met the limit of tokens, or was stopped for what it said. Calls of tools speak for themselves."""

SIGNATURE = "ZmFrZS1zaWduYXR1cmU="
"""What every fake provider that signs thinking signs it with; it is valid base64, as Gemini wants."""


class Call(msgspec.Struct, frozen=True):
    """One tool call; `arguments` is JSON text."""

    name: str
    arguments: str
    id: str = "call_1"


class Reply(msgspec.Struct, frozen=True):
    """A successful answer. `pieces` are the deltas of a stream; a unary answer joins them. `thinking` comes before the text, where a
    dialect has thinking. Of the tokens, `input_tokens` includes the cached ones and `output_tokens` the `thinking_tokens`.
    """

    pieces: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    input_tokens: int = 7
    output_tokens: int = 5
    cached_tokens: int = 0
    model: str = ""
    """Empty: the model that was asked for."""
    thinking: str = ""
    thinking_tokens: int = 0
    ending: Ending = "done"

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


Answering = Callable[[Asked], Reply | Refusal]
"""A reply that depends on the request, such as `sensible.sensible`."""

Says = Reply | Refusal | RawBytes | Answering


def text(*pieces: str, input_tokens: int = 7, output_tokens: int = 5, cached_tokens: int = 0, **members: Any) -> Reply:
    """Text in these pieces. `members` are others of a `Reply`."""
    return Reply(pieces, (), input_tokens, output_tokens, cached_tokens, **members)


def call(name: str, call_id: str = "call_1", **arguments: Any) -> Call:
    """One tool call, for a `Reply` with several."""
    return Call(name, msgspec.json.encode(arguments).decode(), call_id)


def calls(name: str, call_id: str = "call_1", **arguments: Any) -> Reply:
    """A reply of one tool call."""
    return Reply((), (call(name, call_id, **arguments),))


def several(*made: Call, text: str = "") -> Reply:
    """A reply of parallel tool calls, after a `text` if there is one."""
    return Reply((text,) if text else (), made)


def status(code: int, message: str = "the fake upstream refuses", *, error_code: str | None = None, **headers: str) -> Refusal:
    """An error answer; `retry_after="3"` becomes the header retry-after."""
    return Refusal(code, message, tuple((name.replace("_", "-"), value) for name, value in headers.items()), error_code)


def raw(data: bytes, *, keep_open: bool = False) -> RawBytes:
    """Bytes as they are."""
    return RawBytes(data, keep_open)
