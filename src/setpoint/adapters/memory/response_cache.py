"""The first cache tier: answers in this worker's memory, on cachebox.

The least recently used entry goes first. cachebox can keep times to live as well, but by the system clock and evicting by
nearest expiry; here the clock is the caller's and the order is use, so the deadline lies beside the entry and is checked on
the way out. An entry past its time stays in the count until it is asked for or pushed out; the bound in bytes holds either way.
"""

from math import inf
from typing import Generic

from cachebox import LRUCache

from setpoint.ports.response_cache import CacheStatistics, EntryT

OVERHEAD_BYTES = 256
"""What an entry costs beside itself: key (65), pair (56), deadline (24), list node and table cell at the usual load."""

_ABSENT = (-inf, None)
"""Past its time at any time: one comparison tells a hit."""


class MemoryResponseCache(Generic[EntryT]):
    """See `ports.response_cache`. `bytes_max` 0 keeps nothing."""

    def __init__(self, bytes_max: int, entry_bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._entry_bytes_max = min(entry_bytes_max, bytes_max - OVERHEAD_BYTES)
        # cachebox takes 0 for "no bound"; nothing is ever put then, so any bound serves.
        self._cache: LRUCache[bytes, tuple[float, EntryT]] = LRUCache(max(1, bytes_max), getsizeof=_size)
        self._hits = self._misses = self._added = self._taken_out = self._expirations = self._refusals = 0

    def get(self, key: bytes, now_s: float) -> EntryT | None:
        found = self._cache.get(key, _ABSENT)
        if now_s < found[0]:
            self._hits += 1
            return found[1]
        if found is not _ABSENT:
            self._expirations += self.remove(key)
        self._misses += 1
        return None

    def put(self, key: bytes, entry: EntryT, ttl_s: float, now_s: float) -> bool:
        if entry.nbytes > self._entry_bytes_max or ttl_s <= 0.0:
            self._refusals += 1
            self.remove(key)
            return False
        self._added += self._cache.insert(key, (now_s + ttl_s, entry)) is None
        return True

    def remove(self, key: bytes) -> bool:
        there = self._cache.pop(key, None) is not None
        self._taken_out += there
        return there

    def clear(self) -> int:
        count = len(self._cache)
        self._cache.clear()
        self._taken_out += count
        return count

    def statistics(self) -> CacheStatistics:
        size = len(self._cache)
        return CacheStatistics(
            size=size,
            bytes=self._cache.current_size(),
            bytes_max=self._bytes_max,
            hits=self._hits,
            misses=self._misses,
            evictions=self._added - self._taken_out - size,
            expirations=self._expirations,
            refusals=self._refusals,
        )


def _size(_key: bytes, pair: tuple[float, EntryT]) -> int:
    return pair[1].nbytes + OVERHEAD_BYTES
