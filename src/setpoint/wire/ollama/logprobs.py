"""Log-probabilities (https://docs.ollama.com/api/chat), since version 0.12.11.

{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105]}]}
"""

import msgspec

from setpoint.domain.chat import TokenLogprob


class TokenShape(msgspec.Struct, gc=False):
    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: "list[TokenShape] | None" = None


def read_logprobs(shapes: list[TokenShape] | None) -> tuple[TokenLogprob, ...]:
    return tuple([_read(shape) for shape in shapes or () if shape.logprob is not None])


def _read(shape: TokenShape) -> TokenLogprob:
    given = shape.bytes
    utf8 = bytes(given) if given is not None and all(0 <= byte <= 255 for byte in given) else None
    return TokenLogprob(shape.token or "", shape.logprob or 0.0, utf8, read_logprobs(shape.top_logprobs))


def write_logprobs(tokens: tuple[TokenLogprob, ...]) -> list[dict[str, object]]:
    return [_written(token) | ({"top_logprobs": [_written(other) for other in token.top]} if token.top else {}) for token in tokens]


def _written(token: TokenLogprob) -> dict[str, object]:
    shown: dict[str, object] = {"token": token.token, "logprob": token.logprob}
    if token.utf8 is not None:
        shown["bytes"] = list(token.utf8)
    return shown
