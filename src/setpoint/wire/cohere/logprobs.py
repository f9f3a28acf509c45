"""Log-probabilities of a piece of text (https://docs.cohere.com/reference/chat#response.body.logprobs).

    {"text": " dog", "token_ids": [5162], "logprobs": [-0.02]}

A piece of several tokens gives no text of each, so it is taken for one token with the sum of them: the logarithm of the whole piece.
"""

import msgspec

from setpoint.domain.chat import TokenLogprob


class LogprobItem(msgspec.Struct, gc=False):
    text: str | None = None
    logprobs: list[float] | None = None


def read_logprobs(items: list[LogprobItem] | None) -> tuple[TokenLogprob, ...]:
    return tuple([TokenLogprob(item.text or "", sum(item.logprobs)) for item in items or () if item.logprobs])


def write_logprobs(tokens: tuple[TokenLogprob, ...]) -> list[dict[str, object]]:
    """Numbers of tokens are another vendor's, if known at all, and are left empty."""
    return [{"text": token.token, "token_ids": [], "logprobs": [token.logprob]} for token in tokens]
