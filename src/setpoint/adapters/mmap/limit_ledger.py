"""The limit ledger in a memory-mapped file, `run/limits.shm`.

How a request is counted
    Every scope has one token bucket in the file. A worker withdraws a few tokens at a time (a lease) under a lock, and
    spends them from its own memory: no lock, no system call. Below 1,200 requests a minute the lease is one token, so the
    count is exact; above, it is 50 ms of the rate.

        held > a quarter of the lease     spend one                                          (under 1 us)
        held <= a quarter                 visit the file for more; if its lock is busy spend what is held
        held == 0, lock busy              try LOCK_TRIES times; then spend a token on credit, charged at the next visit
        credit spent, lock still busy     refuse, ask to come back in BUSY_S, count an operation timeout
        the bucket was empty              refuse from memory until the next token is due: a flood costs no lock

    Withdrawn tokens left the bucket, so over any span the grants are at most what the bucket gave out plus what workers held
    at its start plus what they owe at its end. After a visit and its own spending a worker holds at most lease - 1, and it
    owes at most 1: together one lease per worker. At high rates it may owe a little more, for all workers together 1 % of the limit.

    Tokens unused for IDLE_S go back (`tick`), and all at `drain`.

The table
    A set-associative table: a scope belongs to one set of WAYS entries, found by a multiplicative hash; one lock guards a
    set. No chains, no tombstones, no resizing; a visit touches one kilobyte. In a full set the newcomer takes the place of the
    entry with the fullest bucket that holds no stream. A full bucket says nothing, so nothing is lost then; otherwise
    the newcomer inherits how empty it was. When every entry of the set holds streams, this worker limits the newcomer alone,
    from its own memory, until there is room.

    A kill between two stores can leave a level with an older moment, that is at most one refill too much for one scope.

Streams
    One 16-bit count per scope and worker column. Only the column's owner writes it, so a dead worker's share is known and
    can be zeroed (`reset_column`) without asking anybody.

Layout, little endian: a header of 64 bytes (magic, slots, columns), then the sets, each 32 keys (u64, 0 is free) and 32
times level f64, at_s f64, rpm u32, burst u32; then columns u16 for each entry.
"""

import mmap
import os
import struct
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from setpoint.adapters.mmap.byte_lock import lock_command, try_lock, unlock, unlock_command
from setpoint.kit.token_bucket import Bucket, Limit, after_return, after_take, full, limit_per_minute, refilled, wait_s
from setpoint.ports.limit_ledger import UNLIMITED, Grant, LedgerStatistics

SLOTS = 16_384
"""Scopes the file holds by default: the 10,000 clients promised, with room so that full sets are rare."""
COLUMNS = 64
"""Workers that can count streams at once; a rolling restart has two for a slot."""
WAYS = 32
LEASE_S = 0.05
LEASE_BURST_PART = 16
"""A lease is at most this part of the burst, so that one worker cannot hold all of a small burst."""
IDLE_S = 1.0
LOCK_TRIES = 24
"""About 30 us in all; the lock is held for about 5 us by somebody who runs."""
BUSY_S = 0.05
CREDIT_TOKENS = 1
CREDIT_PART = 100
"""Beyond one token, all workers together may owe at most this part of a minute's limit: the 1 % that is allowed to overshoot."""
LEASES_MAX = 16_384
"""Scopes one worker remembers; one more sends the lease back that was looked at longest ago."""
TICK_LOOKS_MAX = 256
TICK_RETURNS_MAX = 12
"""Returns in one tick: 12 visits are under 100 us."""

_HEADER = struct.Struct("<8sII")
_HEADER_BYTES = 64
_MAGIC = b"SPLIMIT1"
_KEYS = struct.Struct(f"<{WAYS}Q")
_KEY = struct.Struct("<Q")
_ENTRY = struct.Struct("<ddII")
_SET_BYTES = _KEYS.size + WAYS * _ENTRY.size
_GOLDEN = 0x9E3779B97F4A7C15
_U64 = 0xFFFFFFFFFFFFFFFF


class _Lease:
    """This worker's part of one scope's bucket."""

    __slots__ = (
        "alone",
        "borrowing",
        "burst",
        "dry_until_s",
        "floor",
        "held",
        "left",
        "limit",
        "lock",
        "nominal",
        "renew_at",
        "rpm",
        "scope",
        "set_at",
        "token_s",
        "unlock",
        "used_s",
    )

    def __init__(self, scope: int, set_at: int) -> None:
        self.scope = scope
        self.set_at = set_at
        self.lock = lock_command(set_at)
        self.unlock = unlock_command(set_at)
        self.held = 0
        self.left = 0
        self.dry_until_s = 0.0
        self.used_s = 0.0
        self.borrowing = False
        self.alone: Bucket | None = None
        self.rpm = -1
        self.burst = 0

    def agree(self, rpm: int, burst: int, limit: Limit, nominal: int) -> None:
        self.rpm, self.burst, self.limit, self.nominal = rpm, burst, limit, nominal
        self.renew_at = nominal // 4
        self.floor = -CREDIT_TOKENS - rpm // (CREDIT_PART * COLUMNS)
        self.token_s = 1.0 / limit.rate_per_s
        self.dry_until_s = 0.0


def lease_tokens(limit: Limit) -> int:
    """How many tokens a worker withdraws at once."""
    return max(1, min(int(limit.rate_per_s * LEASE_S), limit.burst // LEASE_BURST_PART))


class MmapLimitLedger:
    """One worker's view of the shared file; see `ports.limit_ledger` for what it promises.

    `column` is this worker's own column (the page number from `adapters.mmap.gauges` serves). Open it after the fork: a
    descriptor that two processes share would share the locks too.

    Raises:
        ValueError: the file there was made with other numbers of slots or columns, or they do not fit the table.
    """

    def __init__(self, path: Path, column: int = 0, slots: int = SLOTS, columns: int = COLUMNS) -> None:
        if slots < WAYS or slots & (slots - 1):
            raise ValueError(f"slots must be a power of two and at least {WAYS}, not {slots}")
        if not 0 <= column < columns:
            raise ValueError(f"column {column} is outside the table's {columns} columns")
        self._sets = slots // WAYS
        self._slots = slots
        self._columns = columns
        self._column = column
        self._streams_at = _HEADER_BYTES + self._sets * _SET_BYTES
        self._fd, self._map = _open(path, slots, columns, self._streams_at + slots * columns * 2)
        self._leases: dict[int, _Lease] = {}
        self._round: deque[_Lease] = deque()
        self._stream_cells: dict[int, tuple[int, int]] = {}
        self._draining = False
        self._timeouts = 0
        self._evictions = 0

    def take(self, scope: int, rpm: int, burst: int, now_s: float) -> Grant:
        lease = self._leases.get(scope)
        if lease is not None and lease.held > lease.renew_at and lease.rpm == rpm and lease.burst == burst:
            lease.held -= 1
            lease.used_s = now_s
            remaining = lease.left + lease.held
            return Grant(True, remaining, (burst - remaining) * lease.token_s, 0.0)
        if rpm <= 0:
            return UNLIMITED
        return self._take_visiting(lease or self._new_lease(scope), rpm, burst, now_s)

    def tick(self, now_s: float) -> None:
        returns = 0
        for _ in range(min(TICK_LOOKS_MAX, len(self._round))):
            lease = self._round.popleft()
            if now_s - lease.used_s < IDLE_S:
                self._round.append(lease)
                continue
            if lease.held:
                if returns == TICK_RETURNS_MAX or not self._give_back(lease, now_s):
                    self._round.append(lease)
                    return
                returns += 1
            del self._leases[lease.scope]

    def drain(self, now_s: float) -> None:
        self._draining = True
        for lease in self._round:
            if lease.held:
                self._give_back(lease, now_s)
            lease.rpm = -1

    def statistics(self, now_s: float) -> LedgerStatistics:
        return LedgerStatistics(
            total_clients=sum(self._fullness(slot, now_s) < 1.0 for slot in self._used_slots()),
            operation_timeouts=self._timeouts,
            is_shutting_down=self._draining,
            leases=len(self._leases),
            evictions=self._evictions,
        )

    def open_stream(self, scope: int, streams_max: int, now_s: float) -> bool:
        cell = self._stream_cells.get(scope)
        lock_at = self._set_at(scope)
        if not self._lock(lock_command(lock_at)):
            self._timeouts += 1
            return False
        try:
            slot = self._find(scope, lock_at)
            if slot < 0:
                slot = self._place(scope, lock_at, Limit(1.0, 1), now_s)
            if slot < 0 or sum(self._row(slot)) >= streams_max:
                return False
            self._add_stream(slot, 1)
        finally:
            unlock(self._fd, unlock_command(lock_at))
        self._stream_cells[scope] = (slot, (cell[1] if cell else 0) + 1)
        return True

    def close_stream(self, scope: int) -> None:
        slot, mine = self._stream_cells.pop(scope)
        if mine > 1:
            self._stream_cells[scope] = (slot, mine - 1)
        self._add_stream(slot, -1)

    def streams(self, scope: int) -> int:
        """Open streams of `scope` over all workers."""
        slot = self._find(scope, self._set_at(scope))
        return 0 if slot < 0 else sum(self._row(slot))

    def reset_column(self, column: int) -> None:
        """Forget the streams of a worker that died. Its successor must not have started to count yet."""
        cells = memoryview(self._map)[self._streams_at :].cast("H")
        for cell in range(column, self._slots * self._columns, self._columns):
            if cells[cell]:
                cells[cell] = 0
        cells.release()

    def close(self) -> None:
        self._map.close()
        os.close(self._fd)

    def _take_visiting(self, lease: _Lease, rpm: int, burst: int, now_s: float) -> Grant:
        if lease.rpm != rpm or lease.burst != burst:
            limit = limit_per_minute(rpm, burst)
            lease.agree(rpm, burst, limit, 1 if self._draining else lease_tokens(limit))
        lease.used_s = now_s
        if now_s >= lease.dry_until_s:
            self._renew(lease, now_s)
        floor = lease.floor if lease.borrowing else 0
        if lease.held <= floor:
            retry_after_s = BUSY_S if lease.borrowing else lease.dry_until_s - now_s
            return Grant(False, 0, burst * lease.token_s, retry_after_s)
        lease.held -= 1
        remaining = max(0, lease.left + lease.held)
        return Grant(True, remaining, (burst - remaining) * lease.token_s, 0.0)

    def _renew(self, lease: _Lease, now_s: float) -> None:
        """Fill the lease up from the shared bucket, or note that it could not be reached or was empty."""
        if not self._lock(lease.lock, 1 if lease.held > 0 else LOCK_TRIES):
            self._timeouts += lease.held <= 0
            lease.borrowing = True
            return
        try:
            slot = self._find(lease.scope, lease.set_at)
            if slot < 0:
                slot = self._place(lease.scope, lease.set_at, lease.limit, now_s)
            bucket = self._bucket(slot) if slot >= 0 else lease.alone or full(lease.limit, now_s)
            if lease.held < 0:
                bucket, lease.held = after_return(bucket, lease.limit, lease.held, now_s), 0
            bucket, taken = after_take(bucket, lease.limit, lease.nominal - lease.held, now_s)
            if slot >= 0:
                self._store(slot, bucket, lease.rpm, lease.limit.burst)
            lease.alone = bucket if slot < 0 else None
        finally:
            unlock(self._fd, lease.unlock)
        lease.held += taken
        lease.left = int(bucket.level)
        lease.borrowing = False
        lease.dry_until_s = 0.0 if lease.held >= lease.nominal else bucket.at_s + wait_s(bucket, lease.limit)

    def _give_back(self, lease: _Lease, now_s: float) -> bool:
        if not self._lock(lease.lock):
            self._timeouts += 1
            return False
        try:
            slot = self._find(lease.scope, lease.set_at)
            if slot >= 0:
                self._store(slot, after_return(self._bucket(slot), lease.limit, lease.held, now_s), lease.rpm, lease.limit.burst)
        finally:
            unlock(self._fd, lease.unlock)
        lease.held = 0
        return True

    def _new_lease(self, scope: int) -> _Lease:
        if len(self._leases) >= LEASES_MAX:
            oldest = self._round.popleft()
            if oldest.held:
                self._give_back(oldest, oldest.used_s)
            del self._leases[oldest.scope]
        lease = self._leases[scope] = _Lease(scope, self._set_at(scope))
        self._round.append(lease)
        return lease

    def _lock(self, command: bytes, tries: int = LOCK_TRIES) -> bool:
        return any(try_lock(self._fd, command) for _ in range(tries))

    def _set_at(self, scope: int) -> int:
        return _HEADER_BYTES + (((scope * _GOLDEN) & _U64) >> 32) % self._sets * _SET_BYTES

    def _find(self, scope: int, set_at: int) -> int:
        keys = _KEYS.unpack_from(self._map, set_at)
        if scope not in keys:
            return -1
        return (set_at - _HEADER_BYTES) // _SET_BYTES * WAYS + keys.index(scope)

    def _place(self, scope: int, set_at: int, limit: Limit, now_s: float) -> int:
        """A slot for a scope that has none: a free one, else the fullest without streams; -1 when all hold streams."""
        first = (set_at - _HEADER_BYTES) // _SET_BYTES * WAYS
        keys = _KEYS.unpack_from(self._map, set_at)
        if 0 in keys:
            slot, fullness = first + keys.index(0), 1.0
        else:
            fullness, slot = max((self._fullness(slot, now_s), slot) for slot in range(first, first + WAYS))
            if fullness < -1.0:
                return -1
            self._evictions += fullness < 1.0
        self._store(slot, Bucket(limit.burst * fullness, now_s), round(limit.rate_per_s * 60), limit.burst)
        _KEY.pack_into(self._map, set_at + (slot - first) * 8, scope)
        return slot

    def _fullness(self, slot: int, now_s: float) -> float:
        """Level over burst, 1 for a full bucket; an entry with open streams is below everything else."""
        if any(self._row(slot)):
            return -2.0
        level, at_s, rpm, burst = _ENTRY.unpack_from(self._map, self._entry_at(slot))
        limit = limit_per_minute(max(1, rpm), burst)
        return max(-1.0, refilled(Bucket(level, at_s), limit, now_s).level / limit.burst)

    def _used_slots(self) -> Iterator[int]:
        for set_no in range(self._sets):
            keys = _KEYS.unpack_from(self._map, _HEADER_BYTES + set_no * _SET_BYTES)
            if any(keys):
                yield from (set_no * WAYS + way for way, key in enumerate(keys) if key)

    def _entry_at(self, slot: int) -> int:
        set_no, way = divmod(slot, WAYS)
        return _HEADER_BYTES + set_no * _SET_BYTES + _KEYS.size + way * _ENTRY.size

    def _bucket(self, slot: int) -> Bucket:
        level, at_s, _, _ = _ENTRY.unpack_from(self._map, self._entry_at(slot))
        return Bucket(level, at_s)

    def _store(self, slot: int, bucket: Bucket, rpm: int, burst: int) -> None:
        _ENTRY.pack_into(self._map, self._entry_at(slot), bucket.level, bucket.at_s, rpm, burst)

    def _row(self, slot: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{self._columns}H", self._map, self._streams_at + slot * self._columns * 2)

    def _add_stream(self, slot: int, change: int) -> None:
        at = self._streams_at + (slot * self._columns + self._column) * 2
        (count,) = struct.unpack_from("<H", self._map, at)
        struct.pack_into("<H", self._map, at, max(0, count + change))


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
