"""Ingest: the one writer of traces.

A record's way: spool → (`_absorb`) arrived → (`_settle`) index, metrics, unit → (`seal`) segment. Each arrow is all or nothing in memory:
what arrived waits until the index has taken it, and while anything waits nothing more is read. The spool is the log, so nothing is lost by
waiting: on a full disk ingest stands still, and the spools grow until their own limit.

A replay after a restart begins where the catalog says the seals reach. It meets the same records in the same order for each writer, so it
makes the same traces; only their numbers differ. Index rows of unsealed traces are therefore removed at the start. A trace id that is
in the index already, for whatever reason, is refused and counted, never stored twice.

An exchange with a BEGIN or ATTEMPT and no END is pending. It is saved with the seal, because the spool around it may be unlinked. When the
life of its writer is over (no file of it is locked, all are read), ingest makes its END: outcome `worker_died`.
"""

import errno
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import msgspec

from setpoint.analytics.compaction import Compactor, surplus_files
from setpoint.analytics.fold import Fold, Head
from setpoint.analytics.seal import Sealer, SealPlan, SegmentNumbers
from setpoint.analytics.spool_reader import SpoolFile, SpoolFolder
from setpoint.analytics.unsealed import (
    NO_ATTEMPTS,
    UNIT_ROWS_MAX,
    Arrived,
    Pending,
    Unit,
    UnsealedRow,
    attempts_json,
    day_no,
    day_text,
    end_of_dead,
    index_row,
    texts_of,
)
from setpoint.domain.trace import RecordKind, RecordTail
from setpoint.ports.catalog import Catalog, PendingRecord, StoreError
from setpoint.ports.files import Files
from setpoint.ports.segments import Segments
from setpoint.ports.trace_index import UNIT_ROWS_BITS, SideRow, TraceIndex
from setpoint.runtime.clock import Clock
from setpoint.wire.spool import BLOCK_HEADER_BYTES, HEAD, HEAD_BYTES, Block

_decode_tail = msgspec.msgpack.Decoder(RecordTail).decode
_encode_side = msgspec.msgpack.Encoder().encode


class IngestRefused(Exception):
    """The data directory contradicts itself; the message names the file and what to do."""


@dataclass(frozen=True, slots=True)
class IngestLimits:
    """When ingest seals, waits and looks around."""

    seal_rows: int = UNIT_ROWS_MAX
    seal_age_s: float = 60.0
    busy_factor: int = 3
    """While records keep coming a due seal is put off, up to this many times the limits: sealing is for idle time."""
    look_s: float = 0.25
    lock_s: float = 1.0
    publish_s: float = 1.0
    backoff_s: float = 1.0
    backoff_s_max: float = 60.0
    retention_days: int = 90
    pending_body_bytes: int = 64 * 1024 * 1024
    """Prompts held for exchanges without END; beyond it such a trace would have none."""


@dataclass(slots=True)
class Counts:
    """What happened since the start; sums over all records are in the fold."""

    taken: int = 0
    refused: int = 0
    undecodable: int = 0
    died: int = 0
    seals: int = 0
    sealed: int = 0
    disk_full: int = 0
    io_errors: int = 0
    store_errors: int = 0


class Ingest:
    """Not for more than one thread. Call `recover` once, then `step` again and again, `finish` at the end."""

    def __init__(
        self,
        *,
        files: Files,
        spool: SpoolFolder,
        catalog: Catalog,
        index: TraceIndex,
        segments: Segments,
        clock: Clock,
        limits: IngestLimits = IngestLimits(),
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.counts = Counts()
        self.fold = Fold()
        self._files, self._spool, self._catalog, self._index, self._segments = files, spool, catalog, index, segments
        self._clock, self._limits, self._log = clock, limits, log
        self._numbers = SegmentNumbers(1)
        self._sealer = Sealer(files, segments, index, catalog, self._numbers)
        self._compactor = Compactor(segments, catalog, index, self._numbers)
        self._units: dict[int, Unit] = {}
        self._full_units: list[Unit] = []
        self._next_unit = 1
        self._pending: dict[bytes, Pending] = {}
        self._pending_bytes = 0
        self._waiting: dict[int, list[Arrived]] = {}
        self._plan: SealPlan | None = None
        self._work: Generator[None, None, None] | None = None
        self._looked_s = self._locks_s = self._tended_s = float("-inf")
        self._resume_s, self._backoff_s = float("-inf"), limits.backoff_s
        self._behind = False

    # ------------------------------------------------------------------------------------------------------- from outside

    def recover(self) -> None:
        """Bring files and catalog in line, take up where the last seal ended. Raises IngestRefused, OSError, StoreError."""
        state = self._catalog.load()
        for segment in state.segments:
            if not self._segments.is_whole(segment):
                raise IngestRefused(
                    f"segment {segment.seq} of {segment.day} is missing or cut: traces/dt={segment.day} must hold its meta and body file. "
                    "Restore traces/ from the backup, or remove this segment with `setpoint doctor`."
                )
        for day, name in surplus_files(self._segments.names(), state.segments):
            self._segments.remove(day, name)
        last_n = self._index.forget_unsealed(state.next_unit << UNIT_ROWS_BITS)
        self._next_unit = max(state.next_unit, (last_n >> UNIT_ROWS_BITS) + 1)
        self._numbers.next = state.next_segment
        self._compactor.add(state.segments)
        self.fold = Fold(state.fold)
        self._spool.sealed_to, self._spool.next_seq = dict(state.sealed_to), dict(state.next_seq)
        for record in state.pending:
            self._hold(record, HEAD.unpack(record.head))

    def step(self) -> int:
        """Read what is there (bounded), and do a piece of the work that can wait. Returns the number of records taken; errors of the disk
        are counted, logged and waited out."""
        if self._clock.now_s() < self._resume_s:
            return 0
        try:
            self._settle()
            self._behind = False
            taken = self._read() if self._has_room() else 0
            self._settle()
            self._tend(idle=not taken)
        except (OSError, StoreError) as error:
            self._fail(error)
            return 0
        self._backoff_s = self._limits.backoff_s
        return taken

    def finish(self) -> None:
        """The writers have closed: read all, seal all. Raises OSError or StoreError when that cannot be; the next start does the rest."""
        self._locks_s = self._looked_s = float("-inf")
        while self._read_all():
            self._settle()
        self._end_the_dead()
        self._settle()
        if self._plan is not None:
            self._seal_now(self._plan)
        if any(file.unsealed for file in self._spool.open_files.values()) or self.unsealed:
            self._plan = self._new_plan()
            self._seal_now(self._plan)
        self._spool.retire_spent()

    def close(self) -> None:
        """Releases the stores; SQLite then brings its logs into the files."""
        self._index.close()
        self._catalog.close()

    @property
    def unsealed(self) -> int:
        """Traces that no segment holds yet."""
        planned = self._plan.rows if self._plan else 0
        return planned + sum(len(unit.rows) for unit in [*self._units.values(), *self._full_units])

    @property
    def has_work(self) -> bool:
        """Whether the next step should come at once."""
        return self._work is not None or self._behind or bool(self._waiting)

    @property
    def pending(self) -> int:
        """Exchanges that began and did not end."""
        return len(self._pending)

    def gauges(self) -> dict[str, int]:
        """Values of ingest itself, by metric name. Counters here begin again with the process."""
        counts, damage = self.counts, self._spool.damage
        return {
            "setpoint_trace_unsealed": self.unsealed,
            "setpoint_trace_pending": self.pending,
            "setpoint_spool_backlog_bytes": self._spool.backlog_bytes(),
            "setpoint_trace_records_total": counts.taken,
            "setpoint_trace_sealed_total": counts.sealed,
            "setpoint_trace_seals_total": counts.seals,
            "setpoint_trace_merges_total": self._compactor.merges,
            "setpoint_trace_refused_total": counts.refused,
            "setpoint_trace_worker_died_total": counts.died,
            "setpoint_trace_disk_full_total": counts.disk_full,
            "setpoint_trace_io_errors_total": counts.io_errors,
            "setpoint_trace_store_errors_total": counts.store_errors,
            "setpoint_spool_torn_total": damage.torn,
            "setpoint_spool_torn_bytes_total": damage.torn_bytes,
            "setpoint_spool_doubled_records_total": damage.doubled,
            "setpoint_spool_missing_records_total": damage.missing,
        }

    # ------------------------------------------------------------------------------------------------------------ reading

    def _has_room(self) -> bool:
        return self.unsealed < self._limits.seal_rows * self._limits.busy_factor * 2

    def _read(self) -> int:
        now_s = self._clock.now_s()
        if now_s - self._looked_s >= self._limits.look_s:
            self._spool.look()
            self._looked_s = now_s
        check_locks = now_s - self._locks_s >= self._limits.lock_s
        taken = 0
        for file in self._spool.readable():
            for block in self._spool.take(file, check_lock=check_locks):
                taken += self._absorb(file, block)
            self._behind = self._behind or file.behind
        if check_locks:
            self._locks_s = now_s
            self._end_the_dead()
        return taken

    def _read_all(self) -> bool:
        """Whether there may be more."""
        self._spool.look()
        before = [(f.name, f.offset, f.final) for f in self._spool.open_files.values()]
        for file in self._spool.readable():
            for block in self._spool.take(file, check_lock=True):
                self._absorb(file, block)
        return before != [(f.name, f.offset, f.final) for f in self._spool.open_files.values()]

    def _absorb(self, file: SpoolFile, block: Block) -> int:
        raw, known = block.raw, self._spool.fresh(file, block)
        tail_at = BLOCK_HEADER_BYTES + block.heads_len
        heads = list(HEAD.iter_unpack(raw[BLOCK_HEADER_BYTES:tail_at]))
        body_at = tail_at + sum(head[-3] for head in heads)
        for place, head in enumerate(heads):
            tail_len, prompt_len, answer_len = head[-3:]
            if place >= known:
                raw_head = raw[BLOCK_HEADER_BYTES + HEAD_BYTES * place : BLOCK_HEADER_BYTES + HEAD_BYTES * (place + 1)]
                raw_tail = raw[tail_at : tail_at + tail_len]
                if head[0] == RecordKind.end:
                    self._arrive(head, raw_head, raw_tail, file, block.start << 16 | place, block.start + body_at)
                else:
                    prompt = raw[body_at : body_at + prompt_len]
                    self._hold(PendingRecord(*file.life, block.first_seq + place, raw_head, raw_tail, prompt), head)
            tail_at += tail_len
            body_at += prompt_len + answer_len
        taken = len(heads) - known
        file.unsealed += taken
        self.counts.taken += taken
        return taken

    def _arrive(
        self, head: Head, raw_head: bytes, raw_tail: bytes, file: SpoolFile | None, at: int, body_at: int, prompt: bytes = b""
    ) -> None:
        try:
            tail = _decode_tail(raw_tail)
        except msgspec.DecodeError:
            # The block is whole, so its writer made this: a bug there. The numbers are good, and a trace without texts is better than none.
            self.counts.undecodable += 1
            tail = RecordTail()
            raw_tail = msgspec.msgpack.encode(tail)
        pending = self._pending.pop(head[6], None) if self._pending else None
        attempts = tuple(pending.attempts) if pending else ()
        if pending and pending.begin:
            self._pending_bytes -= len(pending.begin.body)
        day = day_no(head[6])
        n = self._unit(day).next_n()
        self._waiting.setdefault(day, []).append(Arrived(n, head, raw_head, tail, raw_tail, file, at, body_at, attempts, prompt))

    def _hold(self, record: PendingRecord, head: Head) -> None:
        pending = self._pending.setdefault(head[6], Pending((record.writer, record.boot)))
        if head[0] == RecordKind.attempt:
            pending.attempts.append(record)
            return
        if self._pending_bytes + len(record.body) > self._limits.pending_body_bytes:
            record = msgspec.structs.replace(record, body=b"")
        if pending.begin is not None:
            self._pending_bytes -= len(pending.begin.body)
        self._pending_bytes += len(record.body)
        pending.begin = record

    def _unit(self, day: int) -> Unit:
        unit = self._units.get(day)
        if unit is None or unit.used >= UNIT_ROWS_MAX:
            if unit is not None:
                self._full_units.append(unit)
            unit = self._units[day] = Unit(self._next_unit, day_text(day), self._clock.now_s())
            self._next_unit += 1
        return unit

    def _end_the_dead(self) -> None:
        """Make the END of exchanges whose writer is gone."""
        lives = {pending.life for pending in self._pending.values()}
        if not lives:
            return
        self._spool.look()
        dead = {life for life in lives if not self._spool.is_alive(life)}
        for pending in [p for p in self._pending.values() if p.life in dead]:
            raw_head, raw_tail, prompt = end_of_dead(pending)
            self.counts.died += 1
            self._arrive(HEAD.unpack(raw_head), raw_head, raw_tail, None, 0, 0, prompt)

    # ----------------------------------------------------------------------------------------------------- index and metrics

    def _settle(self) -> None:
        """What arrived goes to the index, then to the metrics and its unit."""
        for day in list(self._waiting):
            arrived = self._waiting[day]
            refused = self._add_to_index(day_text(day), arrived)
            del self._waiting[day]
            self._settle_day(day, arrived, refused)

    def _add_to_index(self, day: str, arrived: list[Arrived]) -> set[int]:
        index = self._index.day(day)
        rows = [index_row(a, index.texts_no(texts_of(a.tail)), index.file_no(a.file.name) if a.file else 0) for a in arrived]
        sides = [side for a in arrived if a.attempts or a.file is None for side in _sides(a)]
        return set(index.add(rows, sides))

    def _settle_day(self, day: int, arrived: list[Arrived], refused: set[int]) -> None:
        units = {unit.no: unit for unit in [*self._full_units, self._units[day]]}
        self.counts.refused += len(refused)
        add = self.fold.add
        for a in arrived:
            if a.n in refused:
                continue
            unit = units[a.n >> UNIT_ROWS_BITS]
            unit.rows.append(
                UnsealedRow(
                    a.n, a.raw_head, a.raw_tail, a.file, a.body_at, attempts_json(a.attempts) if a.attempts else NO_ATTEMPTS, a.prompt
                )
            )
            if a.tail.client_request_id:
                unit.client_ids.append((a.tail.client_request_id.encode(), a.n))
            add(a.head, a.tail)

    # -------------------------------------------------------------------------------------------------------- what can wait

    def _tend(self, *, idle: bool) -> None:
        if self._work is None:
            self._choose_work(idle=idle)
        if self._work is not None:
            self._one_piece()
        now_s = self._clock.now_s()
        if now_s - self._tended_s >= self._limits.lock_s:
            self._tended_s = now_s
            self._spool.retire_spent()

    def _choose_work(self, *, idle: bool) -> None:
        if self._plan is not None or self._is_seal_due(idle=idle):
            self._plan = self._plan or self._new_plan()
            self._work = self._sealer.steps(self._plan)
        elif idle:
            self._work = self._compactor.steps(day_text(self._clock.wall_ns() // (86_400 * 10**9) - self._limits.retention_days))

    def _is_seal_due(self, *, idle: bool) -> bool:
        patience = 1 if idle else self._limits.busy_factor
        if self.unsealed >= self._limits.seal_rows * patience:
            return True
        oldest_s = min((unit.since_s for unit in [*self._units.values(), *self._full_units]), default=float("inf"))
        return self._clock.now_s() - oldest_s >= self._limits.seal_age_s * patience or (idle and self._is_only_pending_left())

    def _is_only_pending_left(self) -> bool:
        """Files that could be unlinked, were it not for records in them that only wait for their END."""
        return not self._units and any(file.final and file.unsealed for file in self._spool.open_files.values())

    def _new_plan(self) -> SealPlan:
        units = sorted((unit for unit in [*self._full_units, *self._units.values()] if unit.rows), key=lambda unit: unit.no)
        self._units, self._full_units = {}, []
        files = list(self._spool.open_files.values())
        lives = {file.life for file in files} | {pending.life for pending in self._pending.values()}
        return SealPlan(
            units=units,
            sealed_to={file.name: file.offset for file in files},
            next_seq={life: seq for life, seq in self._spool.next_seq.items() if life in lives},
            pending=tuple(record for pending in self._pending.values() for record in pending.records()),
            fold=self.fold.saved(),
            next_unit=self._next_unit,
            ranges={file.name: (self._spool.sealed_to.get(file.name, 0), file.offset) for file in files if file.unsealed},
            taken=[(file, file.unsealed) for file in files],
        )

    def _one_piece(self) -> None:
        work, self._work = self._work, None
        if work is None:
            return
        for _ in work:
            self._work = work
            return
        if self._plan is not None:
            self._sealed(self._plan)

    def _seal_now(self, plan: SealPlan) -> None:
        """Drops what is half done, compaction too, and carries the plan out in one go."""
        self._drop_work()
        for _ in self._sealer.steps(plan):
            pass
        self._sealed(plan)

    def _drop_work(self) -> None:
        """Gives up what is half done; its temporary files are removed."""
        work, self._work = self._work, None
        if work is not None:
            work.close()

    def _sealed(self, plan: SealPlan) -> None:
        self._plan = None
        for file, taken in plan.taken:
            file.unsealed -= taken
        self._spool.sealed_to = dict(plan.sealed_to)
        self._compactor.add([plan.published[unit.no] for unit in plan.units])
        self._index.close_days({unit.day for unit in plan.units})
        self.counts.seals += 1
        self.counts.sealed += plan.rows
        self._spool.retire_spent()

    def _fail(self, error: OSError | StoreError) -> None:
        """Count, say, and wait longer each time. What was under way is begun again from its plan."""
        self._drop_work()
        self._looked_s = float("-inf")
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            self.counts.disk_full += 1
        elif isinstance(error, OSError):
            self.counts.io_errors += 1
        else:
            self.counts.store_errors += 1
        self._log(f"traces wait in the spool, next try in {self._backoff_s:.0f} s: {error}")
        self._resume_s = self._clock.now_s() + self._backoff_s
        self._backoff_s = min(self._backoff_s * 2, self._limits.backoff_s_max)


def _sides(arrived: Arrived) -> Iterator[SideRow]:
    request_id = arrived.head[6]
    if arrived.file is None:
        yield request_id, 0, _encode_side((arrived.raw_head, arrived.raw_tail, arrived.prompt))
    for no, record in enumerate(arrived.attempts, 1):
        yield request_id, no, _encode_side((record.head, record.tail, b""))
