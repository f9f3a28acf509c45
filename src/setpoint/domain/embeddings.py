"""Texts to vectors: what is asked and what is answered, in no provider's words."""

from typing import Literal

import msgspec

from setpoint.domain.usage import Usage

EmbeddingTask = Literal["query", "document", "similarity", "classification", "clustering"]
"""What the vectors are for; some models embed a question otherwise than the text that answers it."""


class EmbeddingsRequest(msgspec.Struct, frozen=True):
    """`inputs` are texts, or token numbers of the model's own tokenizer. `encoding` is how the client wants the vectors written.

    `extras` are members the dialect it came in does not define, or this program does not carry, raw.
    """

    model: str
    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    encoding: Literal["float", "base64"] = "float"
    task: EmbeddingTask | None = None
    title: str | None = None
    user: str | None = None
    extras: dict[str, bytes] = {}


class EmbeddingsAnswer(msgspec.Struct, frozen=True):
    """One vector for each input, in order. `model` is the provider's own name for it, empty when it gave none."""

    vectors: tuple[tuple[float, ...], ...]
    model: str = ""
    usage: Usage | None = None
