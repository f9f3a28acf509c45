"""Log-probabilities of an answer's tokens (https://platform.openai.com/docs/api-reference/chat/object), read and written.

Together and Fireworks also have the form of the old completions: lists of tokens and of numbers side by side.
"""

import msgspec

from setpoint.domain.chat import TokenLogprob
from setpoint.wire.openai_chat.shapes import has_something

Json = dict[str, object]


class _Token(msgspec.Struct, gc=False):
    token: str = ""
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: "list[_Token] | None" = None


class _Logprobs(msgspec.Struct, gc=False):
    content: list[_Token] | None = None
    refusal: list[_Token] | None = None
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None


_decode = msgspec.json.Decoder(_Logprobs).decode


def logprobs_of(raw: msgspec.Raw) -> tuple[TokenLogprob, ...]:
    if not has_something(raw):
        return ()
    try:
        given = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    if given.tokens:
        return tuple(TokenLogprob(token, n or 0.0) for token, n in zip(given.tokens, given.token_logprobs or (), strict=False))
    return tuple(_read(token) for token in (*(given.content or ()), *(given.refusal or ())))


def _read(given: _Token) -> TokenLogprob:
    octets = given.bytes
    utf8 = bytes(octets) if octets is not None and all(0 <= n < 256 for n in octets) else None
    return TokenLogprob(given.token, given.logprob or 0.0, utf8, tuple(_read(top) for top in given.top_logprobs or ()))


def shape_of(tokens: tuple[TokenLogprob, ...], refused: bool) -> Json:
    """The tokens of a refusal stand in a member of their own."""
    written = [{**_shape(token), "top_logprobs": [_shape(top) for top in token.top]} for token in tokens]
    return {"content": None, "refusal": written} if refused else {"content": written, "refusal": None}


def _shape(token: TokenLogprob) -> Json:
    return {"token": token.token, "logprob": token.logprob, "bytes": None if token.utf8 is None else list(token.utf8)}
