"""Vectors in base64: little-endian 32-bit floats, one after the other, as OpenAI writes them and its clients ask for by default."""

import binascii
import sys
from array import array

_SWAP = sys.byteorder == "big"

DOUBLES_MIN = 64
"""Shorter vectors are always read as 32-bit floats: no model has so few dimensions, and a short one may have 0 at every second place."""


def packed(vector: tuple[float, ...]) -> str:
    """`vector` in base64. A number is rounded to the nearest 32-bit float, which is what providers compute in."""
    floats = array("f", vector)
    if _SWAP:
        floats.byteswap()
    return binascii.b2a_base64(floats.tobytes(), newline=False).decode("ascii")


def unpacked(text: str) -> tuple[float, ...]:
    """The vector of `text`; ValueError when it is none.

    Old vLLM servers send 64-bit floats under the same name. Their numbers were 32-bit floats once, so in each the lowest 29 bits are 0:
    no long vector of real 32-bit floats looks like that at every second place, but for one of zeros only, which stays zeros.
    """
    raw = binascii.a2b_base64(text, strict_mode=True)
    if len(raw) % 4:
        raise ValueError("the base64 text of a vector is not a row of 32-bit floats")
    if len(raw) % 8 == 0 and len(raw) >= DOUBLES_MIN * 8 and _are_doubles(raw):
        return _read("d", raw)
    return _read("f", raw)


def _are_doubles(raw: bytes) -> bool:
    """Whether the low 29 bits of every 8 bytes are 0, and not everything is."""
    lows = raw[0::8].count(0) == raw[1::8].count(0) == raw[2::8].count(0) == len(raw) // 8
    return lows and all(byte & 0x1F == 0 for byte in raw[3::8]) and any(raw)


def _read(kind: str, raw: bytes) -> tuple[float, ...]:
    floats = array(kind)
    floats.frombytes(raw)
    if _SWAP:
        floats.byteswap()
    return tuple(floats)
