"""The limit ledger in a memory-mapped file, `run/limits.shm`.

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

The buckets lie in `limit_table`, where is written what happens when it is full.
"""

from collections import deque
from pathlib import Path

from setpoint.adapters.mmap.limit_table import COLUMNS, SLOTS, Home, LimitTable
from setpoint.kit.token_bucket import Bucket, Limit, after_return, after_take, full, limit_per_minute, wait_s
from setpoint.ports.limit_ledger import UNLIMITED, Grant, LedgerStatistics

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
UNTOUCHED = Limit(1.0, 2**32 - 1)
"""For a scope whose stream comes before its first request: full, whatever its limit will be."""


class _Lease:
    """This worker's part of one scope's bucket."""

    __slots__ = (
        "alone",
        "borrowing",
        "burst",
        "dry_until_s",
        "floor",
        "held",
        "home",
        "left",
        "limit",
        "nominal",
        "renew_at",
        "rpm",
        "scope",
        "token_s",
        "used_s",
    )

    def __init__(self, scope: int, home: Home) -> None:
        self.scope = scope
        self.home = home
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
        if not 0 <= column < columns:
            raise ValueError(f"column {column} is outside the table's {columns} columns")
        self._table = LimitTable(path, slots, columns)
        self._column = column
        self._leases: dict[int, _Lease] = {}
        self._round: deque[_Lease] = deque()
        self._streams: dict[int, tuple[int, int]] = {}
        self._draining = False
        self._timeouts = 0

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
            total_clients=sum(self._table.fullness(slot, now_s) < 1.0 for slot in self._table.used_slots()),
            operation_timeouts=self._timeouts,
            is_shutting_down=self._draining,
            leases=len(self._leases),
            evictions=self._table.evictions,
        )

    def open_stream(self, scope: int, streams_max: int, now_s: float) -> bool:
        table, home = self._table, self._table.home(scope)
        if not table.lock(home, LOCK_TRIES):
            self._timeouts += 1
            return False
        try:
            slot = table.find_or_place(scope, home, UNTOUCHED, now_s)
            if slot < 0 or table.streams(slot) >= streams_max:
                return False
            table.add_stream(slot, self._column, 1)
        finally:
            table.unlock(home)
        _, mine = self._streams.get(scope, (slot, 0))
        self._streams[scope] = (slot, mine + 1)
        return True

    def close_stream(self, scope: int) -> None:
        slot, mine = self._streams.pop(scope)
        if mine > 1:
            self._streams[scope] = (slot, mine - 1)
        self._table.add_stream(slot, self._column, -1)

    def streams(self, scope: int) -> int:
        """Open streams of `scope` over all workers."""
        slot = self._table.find(scope, self._table.home(scope))
        return 0 if slot < 0 else self._table.streams(slot)

    def reset_column(self, column: int) -> None:
        """Forget the streams of a worker that died. Its successor must not have started to count yet."""
        self._table.reset_column(column)

    def close(self) -> None:
        self._table.close()

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
        table = self._table
        if not table.lock(lease.home, 1 if lease.held > 0 else LOCK_TRIES):
            self._timeouts += lease.held <= 0
            lease.borrowing = True
            return
        try:
            slot = table.find_or_place(lease.scope, lease.home, lease.limit, now_s)
            bucket = table.bucket(slot) if slot >= 0 else lease.alone or full(lease.limit, now_s)
            if lease.held < 0:
                bucket, lease.held = after_return(bucket, lease.limit, lease.held, now_s), 0
            bucket, taken = after_take(bucket, lease.limit, lease.nominal - lease.held, now_s)
            if slot >= 0:
                table.store(slot, bucket, lease.rpm, lease.limit.burst)
            lease.alone = bucket if slot < 0 else None
        finally:
            table.unlock(lease.home)
        lease.held += taken
        lease.left = int(bucket.level)
        lease.borrowing = False
        lease.dry_until_s = 0.0 if lease.held >= lease.nominal else bucket.at_s + wait_s(bucket, lease.limit)

    def _give_back(self, lease: _Lease, now_s: float) -> bool:
        table = self._table
        if not table.lock(lease.home, LOCK_TRIES):
            self._timeouts += 1
            return False
        try:
            slot = table.find(lease.scope, lease.home)
            if slot >= 0:
                table.store(slot, after_return(table.bucket(slot), lease.limit, lease.held, now_s), lease.rpm, lease.limit.burst)
        finally:
            table.unlock(lease.home)
        lease.held = 0
        return True

    def _new_lease(self, scope: int) -> _Lease:
        if len(self._leases) >= LEASES_MAX:
            oldest = self._round.popleft()
            if oldest.held:
                self._give_back(oldest, oldest.used_s)
            del self._leases[oldest.scope]
        lease = self._leases[scope] = _Lease(scope, self._table.home(scope))
        self._round.append(lease)
        return lease
