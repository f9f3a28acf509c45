"""Log-probs of output_text, to nouns and back."""

import msgspec

from setpoint.domain.chat import TokenLogprob

Json = dict[str, object]


class LogprobShape(msgspec.Struct, gc=False):
    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: "list[LogprobShape] | None" = None


def tokens_of(shapes: list[LogprobShape] | None) -> tuple[TokenLogprob, ...]:
    return tuple([_token(shape) for shape in shapes or ()])


def _token(shape: LogprobShape) -> TokenLogprob:
    return TokenLogprob(shape.token or "", shape.logprob or 0.0, _utf8(shape.bytes), tokens_of(shape.top_logprobs))


def _utf8(numbers: list[int] | None) -> bytes | None:
    try:
        return None if numbers is None else bytes(numbers)
    except ValueError:
        return None


def logprobs_of(tokens: tuple[TokenLogprob, ...]) -> list[Json]:
    return [{**_plain(token), "top_logprobs": [_plain(top) for top in token.top]} for token in tokens]


def _plain(token: TokenLogprob) -> Json:
    utf8 = token.token.encode("utf-8", "replace") if token.utf8 is None else token.utf8
    return {"token": token.token, "logprob": token.logprob, "bytes": list(utf8)}
