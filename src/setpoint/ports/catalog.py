"""The catalog of traces: what is sealed, how far, and what was counted on the way. Its transactions are the only commit points of
ingest."""

from typing import Protocol

import msgspec


class Segment(msgspec.Struct, frozen=True):
    """A pair of immutable files of one day. `first_n` and `last_n` bound the trace numbers in it; ranges of a day never overlap."""

    seq: int
    day: str
    rows: int
    first_n: int
    last_n: int
    meta_bytes: int
    body_bytes: int
    meta_sha256: bytes
    body_sha256: bytes


class PendingRecord(msgspec.Struct, frozen=True):
    """A BEGIN or ATTEMPT whose END was not seen when the records around it were sealed. `body` is the captured prompt."""

    writer: int
    boot: int
    seq: int
    head: bytes
    tail: bytes
    body: bytes


class RollupKey(msgspec.Struct, frozen=True):
    """One cell of the one-minute roll-up; `minute` is Unix minutes of the exchange's start."""

    minute: int
    route: str
    provider: str
    model: str
    key: str


class RollupSums(msgspec.Struct):
    """What is added up in a cell. Sums of integers, so that adding is exact in any order."""

    exchanges: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_nanousd: int = 0
    unpriced: int = 0
    duration_ns: int = 0
    ttft_ns: int = 0
    ttft_exchanges: int = 0


class SealCommit(msgspec.Struct, frozen=True):
    """Everything one seal makes true at once."""

    segments: tuple[Segment, ...]
    sealed_to: dict[str, int]
    """Spool file name → offset. Replaces the whole table: files not named are gone."""
    next_seq: dict[tuple[int, int], int]
    pending: tuple[PendingRecord, ...]
    fold: bytes
    """State of the folded metrics over all sealed records."""
    rollup: dict[RollupKey, RollupSums]
    next_unit: int


class CatalogState(msgspec.Struct, frozen=True):
    """What ingest starts from."""

    sealed_to: dict[str, int]
    next_seq: dict[tuple[int, int], int]
    pending: tuple[PendingRecord, ...]
    fold: bytes
    segments: tuple[Segment, ...]
    next_unit: int
    next_segment: int


class Catalog(Protocol):
    """One writer (ingest), any number of reading processes.

    Each method that changes something is one durable transaction: it took place whole, or not at all. Any may raise `StoreError`;
    after one, whether the transaction took place is open until the next start, so files it names must be kept.
    """

    def load(self) -> CatalogState: ...

    def seal(self, commit: SealCommit) -> None: ...

    def replace(self, merged: Segment, replaced: tuple[int, ...]) -> None:
        """Compaction: the segments with these numbers go, `merged` comes."""

    def drop_days(self, before: str) -> tuple[Segment, ...]:
        """Retention: forget the segments and roll-ups of days before this one; returns those segments."""

    def close(self) -> None: ...


class CatalogReader(Protocol):
    """The reading side, for another process."""

    def segment_of(self, day: str, n: int) -> Segment | None:
        """The segment that holds trace number `n`, None while it is unsealed."""

    def first_unsealed_n(self) -> int:
        """Trace numbers from this one on are not sealed."""


class StoreError(Exception):
    """A store could not do it: disk full, I/O error, damaged file. The message is for the operator."""
