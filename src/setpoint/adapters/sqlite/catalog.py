"""The port `catalog` in one SQLite file."""

import sqlite3
from pathlib import Path
from typing import TypeVar

from setpoint.adapters.sqlite.connection import Connect, connect, open_to_read, open_to_write, store_errors, transaction
from setpoint.ports.catalog import CatalogState, PendingRecord, RollupKey, RollupSums, SealCommit, Segment, StoreError
from setpoint.ports.trace_index import UNIT_ROWS_BITS

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment (
    seq INTEGER PRIMARY KEY, day TEXT NOT NULL, rows INTEGER NOT NULL, first_n INTEGER NOT NULL, last_n INTEGER NOT NULL,
    meta_bytes INTEGER NOT NULL, body_bytes INTEGER NOT NULL, meta_sha256 BLOB NOT NULL, body_sha256 BLOB NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS segment_day ON segment (day, first_n);
CREATE TABLE IF NOT EXISTS spool (name TEXT PRIMARY KEY, sealed_to INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS life (writer INTEGER, boot TEXT, next_seq INTEGER NOT NULL, PRIMARY KEY (writer, boot)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pending (
    writer INTEGER, boot TEXT, seq INTEGER, head BLOB NOT NULL, tail BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (writer, boot, seq))
    STRICT;
CREATE TABLE IF NOT EXISTS rollup_1m (
    minute INTEGER, route TEXT, provider TEXT, model TEXT, key TEXT, exchanges INTEGER NOT NULL, errors INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost_nanousd INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    duration_ns INTEGER NOT NULL, ttft_ns INTEGER NOT NULL, ttft_exchanges INTEGER NOT NULL,
    PRIMARY KEY (minute, route, provider, model, key)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""
_SUMS = RollupSums.__struct_fields__
_ADD_ROLLUP = (
    f"INSERT INTO rollup_1m VALUES ({','.join('?' * (5 + len(_SUMS)))}) ON CONFLICT DO UPDATE SET "  # noqa: S608  names of our own struct
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
)
_SEGMENT = "seq, day, rows, first_n, last_n, meta_bytes, body_bytes, meta_sha256, body_sha256"
Mark = TypeVar("Mark", bytes, int)


class SqliteCatalog:
    """synchronous=FULL: a transaction that returned is on the disk."""

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self._db = open_to_write(path, _SCHEMA, "FULL", connect)

    def load(self) -> CatalogState:
        with store_errors("catalog"):
            return CatalogState(
                sealed_to=dict(self._db.execute("SELECT name, sealed_to FROM spool")),
                next_seq={
                    (writer, int(boot, 16)): seq for writer, boot, seq in self._db.execute("SELECT writer, boot, next_seq FROM life")
                },
                pending=tuple(
                    PendingRecord(writer, int(boot, 16), *rest)
                    for writer, boot, *rest in self._db.execute("SELECT * FROM pending ORDER BY seq")
                ),
                fold=self._mark("fold", b""),
                segments=tuple(Segment(*row) for row in self._db.execute(f"SELECT {_SEGMENT} FROM segment ORDER BY day, first_n")),  # noqa: S608
                next_unit=self._mark("next_unit", 1),
                next_segment=self._mark("next_segment", 1),
            )

    def seal(self, commit: SealCommit) -> None:
        with transaction(self._db, "catalog: seal"):
            db = self._db
            if commit.segments and self._mark("next_unit", 1) >= commit.next_unit:
                return  # it is there: an earlier try reported an error for a commit that took place
            self._add_segments(commit.segments)
            db.execute("DELETE FROM spool")
            db.executemany("INSERT INTO spool VALUES (?, ?)", commit.sealed_to.items())
            db.execute("DELETE FROM life")
            db.executemany("INSERT INTO life VALUES (?, ?, ?)", ((w, f"{boot:016x}", seq) for (w, boot), seq in commit.next_seq.items()))
            db.execute("DELETE FROM pending")
            db.executemany(
                "INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?)",
                ((p.writer, f"{p.boot:016x}", p.seq, p.head, p.tail, p.body) for p in commit.pending),
            )
            db.executemany(_ADD_ROLLUP, (_rollup_row(key, sums) for key, sums in commit.rollup.items()))
            self._set_mark("fold", commit.fold)
            self._set_mark("next_unit", commit.next_unit)

    def replace(self, merged: Segment, replaced: tuple[int, ...]) -> None:
        with transaction(self._db, "catalog: compaction"):
            found = self._db.executemany("DELETE FROM segment WHERE seq = ?", ((seq,) for seq in replaced)).rowcount
            if found != len(replaced):
                raise StoreError("catalog: compaction found other segments than it merged; start ingest again")
            self._add_segments((merged,))

    def drop_days(self, before: str) -> tuple[Segment, ...]:
        with transaction(self._db, "catalog: retention"):
            rows = self._db.execute(f"SELECT {_SEGMENT} FROM segment WHERE day < ?", (before,)).fetchall()  # noqa: S608
            self._db.execute("DELETE FROM segment WHERE day < ?", (before,))
            self._db.execute("DELETE FROM rollup_1m WHERE minute < unixepoch(?) / 60", (before,))
        return tuple(Segment(*row) for row in rows)

    def close(self) -> None:
        self._db.close()

    def _add_segments(self, segments: tuple[Segment, ...]) -> None:
        for s in segments:
            row = (s.seq, s.day, s.rows, s.first_n, s.last_n, s.meta_bytes, s.body_bytes, s.meta_sha256, s.body_sha256)
            self._db.execute(f"INSERT INTO segment ({_SEGMENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
        if segments:
            self._set_mark("next_segment", max(self._mark("next_segment", 1), segments[-1].seq + 1))

    def _mark(self, name: str, default: Mark) -> Mark:
        row = self._db.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
        return row[0] if row else default

    def _set_mark(self, name: str, value: bytes | int) -> None:
        self._db.execute("INSERT INTO mark VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))


def _rollup_row(key: RollupKey, sums: RollupSums) -> tuple[int | str, ...]:
    return (key.minute, key.route, key.provider, key.model, key.key, *(getattr(sums, name) for name in _SUMS))


class SqliteCatalogReader:
    """The port's reading side; each answer is as new as its call."""

    def __init__(self, path: Path) -> None:
        self._db: sqlite3.Connection = open_to_read(path)

    def segment_of(self, day: str, n: int) -> Segment | None:
        sql = f"SELECT {_SEGMENT} FROM segment WHERE day = ? AND first_n <= ? ORDER BY first_n DESC LIMIT 1"  # noqa: S608
        row = self._db.execute(sql, (day, n)).fetchone()
        return Segment(*row) if row and row[4] >= n else None

    def first_unsealed_n(self) -> int:
        row = self._db.execute("SELECT value FROM mark WHERE name = 'next_unit'").fetchone()
        return (row[0] if row else 1) << UNIT_ROWS_BITS

    def close(self) -> None:
        self._db.close()
