"""The table of buckets that workers share: a memory-mapped file with a lock for each part of it.

A set-associative table: a scope belongs to one set of WAYS entries, found by a multiplicative hash; one lock guards a set. No
chains, no tombstones, no resizing; a visit touches one kilobyte. In a full set a newcomer takes the place of the entry with the fullest
bucket that holds no stream. A full bucket says nothing, so nothing is lost then; otherwise the newcomer inherits how empty it
was, and turning up under many names gains nothing.

A kill between two stores can leave a level with an older moment: at most one refill too much for one scope.

Open streams are counted beside the buckets, one 16-bit number per scope and worker column. Only the column's owner writes it, so a dead
worker's share is known and can be zeroed without asking anybody.

Layout, little endian: a header of 64 bytes (magic, slots, columns), then the sets, each 32 keys (u64, 0 is free) and 32 times
level f64, at_s f64, rpm u32, burst u32; then for each entry its columns, u16.
"""

import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from setpoint.adapters.mmap.byte_lock import lock_command, try_lock, unlock, unlock_command
from setpoint.kit.token_bucket import Bucket, Limit, limit_per_minute, refilled

SLOTS = 16_384
"""Scopes the file holds by default: the 10,000 clients promised, with room so that full sets are rare."""
COLUMNS = 64
"""Workers that can count streams at once; a rolling restart has two for a slot."""
WAYS = 32
HEADER_BYTES = 64

_HEADER = struct.Struct("<8sII")
_MAGIC = b"SPLIMIT1"
_KEYS = struct.Struct(f"<{WAYS}Q")
_KEY = struct.Struct("<Q")
_ENTRY = struct.Struct("<ddII")
_COUNT = struct.Struct("<H")
SET_BYTES = _KEYS.size + WAYS * _ENTRY.size
_GOLDEN = 0x9E3779B97F4A7C15
_U64 = 0xFFFFFFFFFFFFFFFF
_U32 = 0xFFFFFFFF


class Home(NamedTuple):
    """The set a scope belongs to: where it begins, the number of its first slot, and the arguments that lock and unlock it."""

    at: int
    first: int
    lock: bytes
    unlock: bytes


class LimitTable:
    """One process's view of the file. Reading and writing a set's entries wants its lock; stream columns want their owner.

    Raises:
        ValueError: the file there was made with other numbers of slots or columns, or the numbers are impossible.
    """

    def __init__(self, path: Path, slots: int, columns: int) -> None:
        if slots < WAYS or slots & (slots - 1):
            raise ValueError(f"slots must be a power of two and at least {WAYS}, not {slots}")
        self._sets = slots // WAYS
        self._slots = slots
        self._columns = columns
        self._row_of_counts = struct.Struct(f"<{columns}H")
        self._streams_at = HEADER_BYTES + self._sets * SET_BYTES
        self._fd, self._map = _open(path, slots, columns, self._streams_at + slots * columns * _COUNT.size)
        self.evictions = 0
        """Entries that made room here although their bucket was not full."""

    def home(self, scope: int) -> Home:
        set_no = (((scope * _GOLDEN) & _U64) >> 32) % self._sets
        at = HEADER_BYTES + set_no * SET_BYTES
        return Home(at, set_no * WAYS, lock_command(at), unlock_command(at))

    def lock(self, home: Home, tries: int) -> bool:
        """Lock a set without waiting; False when somebody else held it at every try."""
        return any(try_lock(self._fd, home.lock) for _ in range(tries))

    def unlock(self, home: Home) -> None:
        unlock(self._fd, home.unlock)

    def find(self, scope: int, home: Home) -> int:
        """The slot of `scope`, -1 when it has none."""
        keys = _KEYS.unpack_from(self._map, home.at)
        return home.first + keys.index(scope) if scope in keys else -1

    def find_or_place(self, scope: int, home: Home, limit: Limit, now_s: float) -> int:
        """The slot of `scope`, now if not before; -1 when every entry of the set holds streams."""
        slot = self.find(scope, home)
        if slot >= 0:
            return slot
        keys = _KEYS.unpack_from(self._map, home.at)
        if 0 in keys:
            slot, fullness = home.first + keys.index(0), 1.0
        else:
            fullness, slot = max((self.fullness(slot, now_s), slot) for slot in range(home.first, home.first + WAYS))
            if fullness < -1.0:
                return -1
            self.evictions += fullness < 1.0
        self.store(slot, Bucket(limit.burst * fullness, now_s), round(limit.rate_per_s * 60), limit.burst)
        _KEY.pack_into(self._map, home.at + (slot - home.first) * _KEY.size, scope)
        return slot

    def bucket(self, slot: int) -> Bucket:
        level, at_s, _, _ = _ENTRY.unpack_from(self._map, _entry_at(slot))
        return Bucket(level, at_s)

    def store(self, slot: int, bucket: Bucket, rpm: int, burst: int) -> None:
        """The limit is kept only to tell later how full the bucket is."""
        _ENTRY.pack_into(self._map, _entry_at(slot), bucket.level, bucket.at_s, min(rpm, _U32), min(burst, _U32))

    def fullness(self, slot: int, now_s: float) -> float:
        """Level over burst, 1 for a full bucket, at least -1; -2 when the entry has open streams."""
        if self.streams(slot):
            return -2.0
        level, at_s, rpm, burst = _ENTRY.unpack_from(self._map, _entry_at(slot))
        limit = limit_per_minute(max(1, rpm), burst)
        return max(-1.0, refilled(Bucket(level, at_s), limit, now_s).level / limit.burst)

    def used_slots(self) -> Iterator[int]:
        for set_no in range(self._sets):
            keys = _KEYS.unpack_from(self._map, HEADER_BYTES + set_no * SET_BYTES)
            if any(keys):
                yield from (set_no * WAYS + way for way, key in enumerate(keys) if key)

    def streams(self, slot: int) -> int:
        """Open streams over all columns."""
        return sum(self._row_of_counts.unpack_from(self._map, self._streams_at + slot * self._row_of_counts.size))

    def add_stream(self, slot: int, column: int, change: int) -> None:
        at = self._streams_at + slot * self._row_of_counts.size + column * _COUNT.size
        (count,) = _COUNT.unpack_from(self._map, at)
        _COUNT.pack_into(self._map, at, max(0, count + change))

    def reset_column(self, column: int) -> None:
        """Forget the streams of a column."""
        counts = memoryview(self._map)[self._streams_at :].cast("H")
        for cell in range(column, self._slots * self._columns, self._columns):
            if counts[cell]:
                counts[cell] = 0
        counts.release()

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)


def _entry_at(slot: int) -> int:
    set_no, way = divmod(slot, WAYS)
    return HEADER_BYTES + set_no * SET_BYTES + _KEYS.size + way * _ENTRY.size


def _open(path: Path, slots: int, columns: int, size: int) -> tuple[int, mmap.mmap]:
    """Map the file, making it when it is not there. Zeros are an empty table, so a race of two makers is harmless."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    made = os.fstat(fd).st_size
    if made not in (0, size):
        os.close(fd)
        raise ValueError(f"{path} is {made} bytes, expected {size} for {slots} slots and {columns} columns; remove it while nothing runs")
    os.ftruncate(fd, size)
    shared = mmap.mmap(fd, size)
    _HEADER.pack_into(shared, 0, _MAGIC, slots, columns)
    return fd, shared
