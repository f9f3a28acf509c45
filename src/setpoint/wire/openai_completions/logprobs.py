"""The legacy form of log-probabilities: four lists of one length.

    {"tokens": ["a"], "token_logprobs": [-0.1], "top_logprobs": [{"a": -0.1, "b": -2.5}], "text_offset": [0]}

A token that is half a character is written as its bytes: `bytes:\\xe2\\x80`
(https://github.com/openai/openai-python/issues/132; vLLM and OpenAI do the same). `text_offset` counts characters of the answer; OpenAI
counts the prompt before it too when it is echoed, which is never asked for here.
"""

import codecs
import re

import msgspec

from setpoint.domain.chat import TokenLogprob

_BYTES = "bytes:"
_BYTE = re.compile(r"\\x([0-9a-fA-F]{2})")


class _Logprobs(msgspec.Struct, gc=False):
    tokens: list[str] | None = None
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None


_decode = msgspec.json.Decoder(_Logprobs | None).decode


def read_logprobs(raw: msgspec.Raw) -> tuple[TokenLogprob, ...]:
    """Tokens with a log-probability; the first of an echoed prompt has none and is left out. A vendor's own form is none at all."""
    if bytes(raw) in {b"", b"null"}:
        return ()
    try:
        shape = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ()
    if shape is None:
        return ()
    tops = shape.top_logprobs or []
    found = []
    for no, (token, logprob) in enumerate(zip(shape.tokens or (), shape.token_logprobs or (), strict=False)):
        if logprob is not None:
            top = (tops[no] or {}) if no < len(tops) else {}
            likeliest = tuple(TokenLogprob(other, value, _utf8(other)) for other, value in top.items() if value is not None)
            found.append(TokenLogprob(token, logprob, _utf8(token), likeliest))
    return tuple(found)


def _utf8(token: str) -> bytes | None:
    if not token.startswith(_BYTES):
        return None
    found = _BYTE.findall(token)
    return bytes(int(pair, 16) for pair in found) if len(found) * 4 == len(token) - len(_BYTES) and found else None


class LogprobsWriter:
    """Writes the tokens of one answer, which may come in pieces: it keeps count of the characters."""

    __slots__ = ("_characters", "_decoder")

    def __init__(self) -> None:
        self._characters = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, tokens: tuple[TokenLogprob, ...]) -> dict[str, object]:
        offsets = []
        for token in tokens:
            offsets.append(self._characters)
            raw = token.token.encode("utf-8", "replace") if token.utf8 is None else token.utf8
            self._characters += len(self._decoder.decode(raw))
        return {
            "tokens": [_shown(token) for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{_shown(other): other.logprob for other in token.top} for token in tokens],
            "text_offset": offsets,
        }


def _shown(token: TokenLogprob) -> str:
    if token.utf8 is None:
        return token.token
    try:
        return token.utf8.decode()
    except UnicodeDecodeError:
        return _BYTES + "".join(f"\\x{byte:02x}" for byte in token.utf8)
