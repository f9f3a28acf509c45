"""The list of models as a Gemini client reads it (https://ai.google.dev/api/models)."""

from collections.abc import Iterable

import msgspec

_encode = msgspec.json.Encoder().encode

METHODS = ("generateContent", "streamGenerateContent", "countTokens")
"""What the gateway does with any chat model."""


def models_list(models: Iterable[tuple[str, str]]) -> bytes:
    """All models, each a name and who owns it, in one page."""
    return _encode({"models": [_model(name, owner) for name, owner in models]})


def one_model(name: str, owner: str) -> bytes:
    return _encode(_model(name, owner))


def _model(name: str, owner: str) -> dict[str, object]:
    return {
        "name": f"models/{name}",
        "version": "001",
        "displayName": name,
        "description": f"{name}, served by {owner}" if owner else name,
        "supportedGenerationMethods": METHODS,
    }
