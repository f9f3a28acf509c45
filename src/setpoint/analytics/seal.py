"""Sealing: moving traces from spools into segments, once.

A plan is made in one moment, between two records: the units to write, how far each spool was read, what is still pending, the folded
metrics. Then it is carried out in small steps, between which ingest goes on reading:

    1  write and publish each unit's segment            nobody knows of it yet
    2  make the index rows durable                       they would be found in the spool again otherwise
    3  one catalog transaction says all of it            the only moment that counts
    4  unlink what is spent

Dying before 3 leaves files that the next start deletes; dying after it leaves spools that the next start finds sealed to their end. An
error in 1 to 3 leaves the plan as it is: it is tried again later, and keeps the segments it has published, because after a failed
commit nobody knows whether the catalog names them.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import msgspec

from setpoint.analytics.spool_reader import Life, SpoolFile
from setpoint.analytics.unsealed import Unit, UnsealedRow, add_to_rollup, merge_rollups
from setpoint.domain.trace import RecordTail
from setpoint.ports.catalog import Catalog, PendingRecord, SealCommit, Segment
from setpoint.ports.files import Files
from setpoint.ports.segments import SealedRow, Segments
from setpoint.ports.trace_index import TraceIndex
from setpoint.wire.spool import HEAD

_decode_tail = msgspec.msgpack.Decoder(RecordTail).decode


@dataclass(slots=True)
class SealPlan:
    """What one seal covers. `taken` says how many records of each file it covers."""

    units: list[Unit]
    sealed_to: dict[str, int]
    next_seq: dict[Life, int]
    pending: tuple[PendingRecord, ...]
    fold: bytes
    next_unit: int
    ranges: dict[str, tuple[int, int]]
    taken: list[tuple[SpoolFile, int]]
    published: dict[int, Segment] = field(default_factory=dict)
    """By unit number."""

    @property
    def rows(self) -> int:
        return sum(len(unit.rows) for unit in self.units)


@dataclass(slots=True)
class SegmentNumbers:
    """Hands out segment numbers; one is never used for two files that were both published."""

    next: int

    def take(self) -> int:
        self.next += 1
        return self.next - 1


@dataclass(frozen=True, slots=True)
class Sealer:
    """Carries plans out."""

    files: Files
    segments: Segments
    index: TraceIndex
    catalog: Catalog
    numbers: SegmentNumbers

    def steps(self, plan: SealPlan) -> Generator[None, None, None]:
        """Each step takes a few ten milliseconds. Raises OSError or StoreError; then call again with the same plan."""
        for unit in plan.units:
            if unit.no not in plan.published:
                yield from self._publish(plan, unit)
        for unit in plan.units:
            self.index.day(unit.day).seal(unit.rows[0].n, unit.rows[-1].n, unit.client_ids)
            yield
        self.catalog.seal(_commit(plan))

    def _publish(self, plan: SealPlan, unit: Unit) -> Iterator[None]:
        unit.rollup = {}
        pieces = self.segments.write(self.numbers.take(), unit.day, self._rows(unit), plan.ranges)
        for segment in pieces:
            if segment is not None:
                plan.published[unit.no] = segment
            yield

    def _rows(self, unit: Unit) -> Iterator[SealedRow]:
        for row in unit.rows:
            head = HEAD.unpack(row.head)
            add_to_rollup(unit.rollup, head, _decode_tail(row.tail))
            prompt, answer = self._bodies(row, head[-2], head[-1])
            yield SealedRow(row.n, row.head, row.tail, row.attempts, prompt, answer)

    def _bodies(self, row: UnsealedRow, prompt_len: int, answer_len: int) -> tuple[bytes, bytes]:
        if row.file is None:
            return row.prompt, b""
        length = prompt_len + answer_len
        body = self.files.read_at(row.file.fd, length, row.body_at) if length else b""
        if len(body) != length:
            raise OSError(f"{row.file.name}: {length} bytes of bodies expected at {row.body_at}, found {len(body)}")
        return body[:prompt_len], body[prompt_len:]


def _commit(plan: SealPlan) -> SealCommit:
    return SealCommit(
        segments=tuple(plan.published[unit.no] for unit in plan.units),
        sealed_to=plan.sealed_to,
        next_seq=plan.next_seq,
        pending=plan.pending,
        fold=plan.fold,
        rollup=merge_rollups([unit.rollup for unit in plan.units]),
        next_unit=plan.next_unit,
    )
