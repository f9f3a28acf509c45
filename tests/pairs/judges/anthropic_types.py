"""Anthropic judges a request: the parameter types of its SDK, which are generated from its API definition.

Sampling is judged here: version 2 of the SDK no longer lists it, because current models refuse it; those before them take it, as the
recorded requests show.
"""

import json

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from tests.pairs.judges.walking import RefusedError, admit, in_parts, strict_adapter

_PARAMS = strict_adapter(MessageCreateParamsNonStreaming | MessageCreateParamsStreaming)
_SAMPLING = {"temperature": (float | int, 1), "top_p": (float | int, 1), "top_k": (int, 500)}
"""Type and highest value; the lowest is 0."""


def judge(request: bytes, stream: bool) -> None:
    body = json.loads(request)
    assert bool(body.get("stream")) is stream
    for name, (kind, most) in _SAMPLING.items():
        value = body.pop(name, 0)
        if not isinstance(value, kind) or not 0 <= value <= most:
            raise RefusedError(f"{name} cannot be {value!r}")
    admit(_PARAMS, in_parts(body, "text"))
