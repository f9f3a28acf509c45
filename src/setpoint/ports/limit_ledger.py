"""Limit ledger: who may send one more request now, counted over all workers of this machine.

Guarantees every adapter gives:

- Over any span of T seconds a scope is granted at most `burst + rpm / 60 * T` requests plus one lease for each worker, plus 1 %
  of `rpm` while the shared count cannot be reached. A lease is one token below 1,200 a minute, else what 50 ms of the rate
  bring (and never over a sixteenth of the burst).
- `take` answers at once. It never waits for another process longer than 100 microseconds.
- A refusal's `retry_after_s` is true: a request that comes so much later is granted, if nobody else took the token. (A worker that
  could not reach the shared count in time may have spent one token on credit; then it is one token later.)
- A process that dies at any moment gives up its locks; what it had leased and not spent is lost to the bucket, which
  refills at its rate. Limits are never looser for it.
- The number of scopes held is bounded. A scope that makes room for another loses nothing when its bucket was full again;
  otherwise the newcomer starts with the displaced bucket's debt, so that turning up under many names gains nothing.
"""

from typing import Protocol

import msgspec


class Grant(msgspec.Struct, frozen=True, gc=False):
    """The answer to one request.

    `remaining` counts whole requests left to the scope over all workers, as of this worker's last look at the shared
    bucket. `reset_s` is how long until the bucket is full again. `retry_after_s` is 0 when allowed.
    """

    allowed: bool
    remaining: int
    reset_s: float
    retry_after_s: float


UNLIMITED = Grant(allowed=True, remaining=2**31 - 1, reset_s=0.0, retry_after_s=0.0)
"""What a limit of 0 requests a minute gives; a face sends no limit headers for it."""


class LedgerStatistics(msgspec.Struct, frozen=True):
    """`total_clients`: scopes whose bucket is not full, or that hold a stream, over all workers; the rest is of this worker.

    `operation_timeouts` counts visits to the shared table given up because another process held the lock too long.
    `evictions` counts scopes that made room for another although their bucket was not full.
    """

    total_clients: int
    operation_timeouts: int
    is_shutting_down: bool
    leases: int
    evictions: int


class LimitLedger(Protocol):
    """One per worker. Scopes are numbers from 1 to 2^64 - 1; times are seconds of the machine's monotonic clock."""

    def take(self, scope: int, rpm: int, burst: int, now_s: float) -> Grant:
        """Spend one token of `scope`, or say when there will be one. `rpm` 0 means no limit."""
        ...

    def open_stream(self, scope: int, streams_max: int, now_s: float) -> bool:
        """Count one more open stream, unless the scope has `streams_max` over all workers. Pair a True with `close_stream`."""
        ...

    def close_stream(self, scope: int) -> None:
        """The stream is over."""
        ...

    def tick(self, now_s: float) -> None:
        """Return idle leases, a bounded number at a time. Call it a few times a second while there is traffic or a lease."""
        ...

    def drain(self, now_s: float) -> None:
        """Return every lease and take only what is spent at once from now on; requests still are decided."""
        ...

    def statistics(self, now_s: float) -> LedgerStatistics:
        """Figures for the management face; reads the whole table, milliseconds: not on the hot lane."""
        ...

    def close(self) -> None:
        """Let go of the shared table."""
        ...
