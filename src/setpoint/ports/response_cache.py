"""Response cache: answers kept to be given again.

Guarantees every adapter gives:

- `get` returns an entry exactly as it was put, never after its time to live, never for another key.
- The sum of `nbytes` of all entries, with the adapter's own bookkeeping, never passes `bytes_max`. A new entry pushes out the
  least recently used ones; an entry above `entry_bytes_max` is refused, and pushes out nothing.
- Statistics are counted, not sampled: `size` and `bytes` are what is held now, the others grow from the start of the process.

An adapter never looks into an entry, and the entry must not change after it was put.
"""

from typing import Protocol, TypeVar

import msgspec


class Stored(Protocol):
    """Anything that knows how much memory it holds."""

    @property
    def nbytes(self) -> int: ...


EntryT = TypeVar("EntryT", bound=Stored)


class CacheStatistics(msgspec.Struct, frozen=True):
    """`evictions`: pushed out for room. `expirations`: found past their time. `refusals`: too large, or without a time to live."""

    size: int
    bytes: int
    bytes_max: int
    hits: int
    misses: int
    evictions: int
    expirations: int
    refusals: int


class ResponseCache(Protocol[EntryT]):
    """One tier. Keys are digests (SHA-256) of everything that can change the answer; times are monotonic seconds."""

    def get(self, key: bytes, now_s: float) -> EntryT | None:
        """The entry, or None when it is not there or too old."""
        ...

    def put(self, key: bytes, entry: EntryT, ttl_s: float, now_s: float) -> bool:
        """Keep `entry` for `ttl_s`; False when it is refused. An earlier entry of the key is gone either way."""
        ...

    def remove(self, key: bytes) -> bool:
        """Forget one key; whether there was something."""
        ...

    def clear(self) -> int:
        """Forget everything; how many entries there were. Hits and misses go on."""
        ...

    def statistics(self) -> CacheStatistics:
        """Where it stands."""
        ...
