"""Embeddings without a model: every word is hashed to a direction, a text is the normalised sum of its words.

The hashing trick (Weinberger et al. 2009, arXiv:0902.2206): texts that share words get near vectors, and nothing has to be learnt.
"""

import hashlib
import math
import re
import struct
from base64 import b64encode

_WORD = re.compile(r"\w+")
_COORDINATES_A_WORD = 8


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1; the same text always gives the same one."""
    vector = [0.0] * dimensions
    for word in _WORD.findall(text.lower()) or [text]:
        digest = hashlib.blake2b(word.encode(), digest_size=4 * _COORDINATES_A_WORD).digest()
        for (number,) in struct.iter_unpack("<I", digest):
            vector[(number >> 1) % dimensions] += 1.0 if number & 1 else -1.0
    length = math.sqrt(sum(x * x for x in vector))
    if length == 0.0:
        return [1.0] + [0.0] * (dimensions - 1)
    return [x / length for x in vector]


def as_base64(vector: list[float]) -> str:
    """Little-endian float32, as OpenAI's `encoding_format: base64` asks for."""
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
