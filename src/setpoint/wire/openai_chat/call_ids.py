"""Ids of tool calls as a vendor takes them.

Each id is worked out from the given one alone, so a call and its result keep the same one, in this request and in every later one.
"""

import hashlib
import re
from typing import Literal

SHORT_CHARS_MAX = 40
"""OpenAI answers 400 to a longer id."""
MISTRAL_CHARS = 9
"""Mistral answers 400 to an id that is not exactly this many letters and digits."""

_MISTRAL = re.compile(rf"[a-zA-Z0-9]{{{MISTRAL_CHARS}}}")
_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def call_id(given: str, form: Literal["short", "any", "mistral"]) -> str:
    if form == "mistral":
        return given if _MISTRAL.fullmatch(given) else _letters(given, MISTRAL_CHARS)
    if form == "short" and len(given) > SHORT_CHARS_MAX:
        return "call_" + _letters(given, SHORT_CHARS_MAX - 5)
    return given


def _letters(given: str, n: int) -> str:
    number = int.from_bytes(hashlib.sha256(given.encode("utf-8", "replace")).digest())
    made = []
    for _ in range(n):
        number, digit = divmod(number, len(_LETTERS))
        made.append(_LETTERS[digit])
    return "".join(made)
