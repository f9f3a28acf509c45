"""Traces between spool and segment: what ingest holds in memory, bounded by the seal.

Only the small parts are held (head, tail, where the bodies lie); bodies stay in the spool until they are sealed. A *unit* is the set of
traces of one day that one seal will write as one segment.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from setpoint.analytics.fold import Head
from setpoint.analytics.spool_reader import Life, SpoolFile
from setpoint.domain.trace import Attempt, Outcome, RecordKind, RecordTail
from setpoint.ports.catalog import PendingRecord, RollupKey, RollupSums
from setpoint.ports.trace_index import UNIT_ROWS_BITS, IndexRow, Texts
from setpoint.wire.spool import HEAD

NS_PER_DAY = 86_400_000_000_000
NS_PER_MINUTE = 60_000_000_000
UNIT_ROWS_MAX = 20_000
NO_ATTEMPTS = b"[]"
_NO_ID = bytes(16)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_NO_MAX = 2_932_896
"""9999-12-31; ids from a broken clock are filed there."""


class Arrived(NamedTuple):
    """An END as taken from a spool, not yet in the index. `file` is None for an END that ingest made."""

    n: int
    head: Head
    raw_head: bytes
    tail: RecordTail
    raw_tail: bytes
    file: SpoolFile | None
    at: int
    body_at: int
    attempts: tuple[PendingRecord, ...]
    prompt: bytes
    """Only of an END that ingest made."""


class UnsealedRow(NamedTuple):
    """What sealing needs of a trace."""

    n: int
    head: bytes
    tail: bytes
    file: SpoolFile | None
    body_at: int
    attempts: bytes
    prompt: bytes


@dataclass(slots=True)
class Unit:
    """Traces of one day that will become one segment."""

    no: int
    day: str
    since_s: float
    rows: list[UnsealedRow] = field(default_factory=list)
    client_ids: list[tuple[bytes, int]] = field(default_factory=list)
    rollup: dict[RollupKey, RollupSums] = field(default_factory=dict)
    used: int = 0

    def next_n(self) -> int:
        n = self.no << UNIT_ROWS_BITS | self.used
        self.used += 1
        return n


@dataclass(slots=True)
class Pending:
    """An exchange whose END has not come."""

    life: Life
    begin: PendingRecord | None = None
    attempts: list[PendingRecord] = field(default_factory=list)

    def records(self) -> Iterator[PendingRecord]:
        if self.begin is not None:
            yield self.begin
        yield from self.attempts


def day_no(request_id: bytes) -> int:
    """Days since 1970 of the time in an id."""
    return min(int.from_bytes(request_id[:8], "big") // NS_PER_DAY, _DAY_NO_MAX)


def day_text(number: int) -> str:
    return (_EPOCH + timedelta(days=number)).strftime("%Y-%m-%d")


def texts_of(tail: RecordTail) -> Texts:
    return (tail.route, tail.upstream, tail.provider, tail.model, tail.model_served, tail.public_id, tail.project, tail.role)


def index_row(arrived: Arrived, texts_no: int, file_no: int) -> IndexRow:
    h, tail = arrived.head, arrived.tail
    return (
        arrived.n, h[6], texts_no, h[8], h[9], h[10], h[11], h[4], h[1], h[2], h[3], h[21], h[5], h[20], h[19], h[12] if h[12] >= 0 else
        None, h[13] + h[14] + h[15] + tail.audio_input + tail.image_input, h[16] + h[17] + tail.audio_output,
        tail.session_id or None, h[7] if h[7] != _NO_ID else None, file_no, arrived.at,
    )  # fmt: skip


def end_of_dead(pending: Pending) -> tuple[bytes, bytes, bytes]:
    """(head, tail, prompt) of the END that a dead worker could not write. The same input gives the same bytes, so that a replay makes
    the same trace. Durations are what the last record said: nobody knows when the worker died."""
    record = pending.begin if pending.begin is not None else pending.attempts[-1]
    head = list(HEAD.unpack(record.head))
    head[0], head[1], head[5] = RecordKind.end, Outcome.worker_died, max(head[5], len(pending.attempts))
    head[-3:] = (len(record.tail), len(record.body), 0)
    return HEAD.pack(*head), record.tail, record.body


def attempts_json(records: tuple[PendingRecord, ...]) -> bytes:
    return msgspec.json.encode([attempt_of(record.head, record.tail) for record in records]) if records else NO_ATTEMPTS


def attempt_of(raw_head: bytes, raw_tail: bytes) -> Attempt:
    """An ATTEMPT record as a trace shows it."""
    head, tail = HEAD.unpack(raw_head), msgspec.msgpack.decode(raw_tail, type=RecordTail)
    return Attempt(
        tail.attempt_no, tail.upstream, tail.provider, tail.model, head[4], head[20], tail.fault_message, head[8] + tail.began_ns, head[9],
        tail.key, tail.hedged, head[12],
    )  # fmt: skip


def add_to_rollup(rollup: dict[RollupKey, RollupSums], head: Head, tail: RecordTail) -> None:
    key = RollupKey(head[8] // NS_PER_MINUTE, tail.route, tail.provider, tail.model, tail.public_id)
    sums = rollup.get(key)
    if sums is None:
        sums = rollup[key] = RollupSums()
    sums.exchanges += 1
    sums.errors += head[1] != Outcome.ok
    sums.input_tokens += head[13] + head[14] + head[15] + tail.audio_input + tail.image_input
    sums.output_tokens += head[16] + head[17] + tail.audio_output
    sums.cost_nanousd += max(0, head[12])
    sums.unpriced += head[12] < 0
    sums.duration_ns += head[9]
    sums.ttft_ns += head[10]
    sums.ttft_exchanges += head[10] > 0


def merge_rollups(rollups: list[dict[RollupKey, RollupSums]]) -> dict[RollupKey, RollupSums]:
    total: dict[RollupKey, RollupSums] = {}
    for rollup in rollups:
        for key, sums in rollup.items():
            into = total.setdefault(key, RollupSums())
            for name in RollupSums.__struct_fields__:
                setattr(into, name, getattr(into, name) + getattr(sums, name))
    return total
