"""Request ids: 8 bytes of wall-clock nanoseconds that only grow, then 8 random bytes."""

from collections.abc import Callable

RANDOM_AHEAD = 512
"""Ids made from one call for random bytes."""


class RequestIds:
    """Sortable by time, unique without coordination, unguessable in the second half."""

    __slots__ = ("_at", "_last_ns", "_random", "_random_bytes")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._random = b""
        self._at = 0
        self._last_ns = 0

    def next(self, wall_ns: int) -> bytes:
        """The id of an exchange that begins at `wall_ns`; later than every id before, even if the clock stepped back."""
        last = self._last_ns
        self._last_ns = wall_ns = wall_ns if wall_ns > last else last + 1
        at = self._at
        if at >= len(self._random):
            self._random = self._random_bytes(8 * RANDOM_AHEAD)
            at = 0
        self._at = at + 8
        return wall_ns.to_bytes(8, "big") + self._random[at : at + 8]
