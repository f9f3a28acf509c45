"""Ways to cut a body into pieces. Joined again, they always are the body."""

import random
import re
from itertools import pairwise
from typing import Literal

SplitMode = Literal["as_recorded", "per_event", "per_line", "per_byte", "in_characters", "between_line_ends", "random", "coalesced"]

_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
_PIECE_BYTES_MAX = 64


def split(pieces: tuple[bytes, ...], mode: SplitMode, seed: int = 0) -> tuple[bytes, ...]:
    """`pieces` cut anew. Empty pieces are dropped."""
    whole = b"".join(pieces)
    match mode:
        case "as_recorded":
            cut = pieces
        case "per_event":
            cut = tuple(_EVENT.findall(whole))
        case "per_line":
            cut = tuple(whole.splitlines(keepends=True))
        case "per_byte":
            cut = tuple(whole[i : i + 1] for i in range(len(whole)))
        case "in_characters":
            cut = _cut_at(whole, [i for i in range(1, len(whole)) if whole[i] & 0xC0 == 0x80])
        case "between_line_ends":
            cut = _cut_at(whole, [i for i in range(1, len(whole)) if whole[i - 1] in b"\r\n" and whole[i] in b"\r\n"])
        case "random":
            cut = _cut_at(whole, _random_places(len(whole), random.Random(seed)))
        case "coalesced":
            cut = (whole,)
    return tuple(piece for piece in cut if piece)


def _cut_at(whole: bytes, places: list[int]) -> tuple[bytes, ...]:
    return tuple(whole[a:b] for a, b in pairwise([0, *places, len(whole)]))


def _random_places(length: int, rng: random.Random) -> list[int]:
    places, at = [], 0
    while (at := at + rng.randint(1, _PIECE_BYTES_MAX)) < length:
        places.append(at)
    return places
