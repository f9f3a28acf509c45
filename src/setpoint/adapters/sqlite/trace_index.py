"""The port `trace_index`: one SQLite file per day.

    trace    one row per trace, by number: appended in order of arrival, so writing costs little and "what is new" is a range
    trace_id unique, over the id: its first eight bytes are the time, so a list by start time walks it
    texts    each combination of route, upstream, provider, models, key, project and role once; rows refer to it by number
    alias    trace ids and client request ids → numbers, filled at seal time: unsealed rows are few enough to be searched
    side     records that are found in no spool at their row's place: attempts, and the END of a worker that died

synchronous=NORMAL: a commit survives the death of any process; `seal` brings everything to the disk before the catalog says it is sealed.
"""

from pathlib import Path

from setpoint.adapters.sqlite.connection import Connect, connect, open_to_write, store_errors, transaction
from setpoint.ports.trace_index import IndexRow, SideRow, Texts

TEXTS_CACHED_MAX = 20_000
WAL_PAGES = 8_000
"""Pages in the log before SQLite checkpoints by itself; sealing does it before that."""

COLUMNS = (
    "n", "id", "texts", "start_ns", "duration_ns", "ttft_ns", "upstream_ns", "status", "outcome", "surface", "cache", "streamed",
    "attempts",
    "fault", "config_version", "cost_nanousd", "input_tokens", "output_tokens", "session_id", "trace_id", "file", "at",
)  # fmt: skip
_SCHEMA = """
CREATE TABLE IF NOT EXISTS trace (
    n INTEGER PRIMARY KEY, id BLOB NOT NULL, texts INTEGER NOT NULL, start_ns INTEGER NOT NULL, duration_ns INTEGER NOT NULL,
    ttft_ns INTEGER NOT NULL, upstream_ns INTEGER NOT NULL, status INTEGER NOT NULL, outcome INTEGER NOT NULL, surface INTEGER NOT NULL,
    cache INTEGER NOT NULL, streamed INTEGER NOT NULL, attempts INTEGER NOT NULL, fault INTEGER NOT NULL, config_version INTEGER NOT NULL,
    cost_nanousd INTEGER, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, session_id TEXT, trace_id BLOB,
    file INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS trace_id ON trace (id);
CREATE TABLE IF NOT EXISTS texts (
    no INTEGER PRIMARY KEY, route TEXT, upstream TEXT, provider TEXT, model TEXT, model_served TEXT, key TEXT, project TEXT, role TEXT,
    UNIQUE (route, upstream, provider, model, model_served, key, project, role));
CREATE TABLE IF NOT EXISTS file (no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS alias (key BLOB, n INTEGER, PRIMARY KEY (key, n)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS side (id BLOB, no INTEGER, record BLOB NOT NULL, PRIMARY KEY (id, no)) WITHOUT ROWID;
"""
_ADD = f"INSERT OR IGNORE INTO trace VALUES ({','.join('?' * len(COLUMNS))})"  # noqa: S608  a count of our own columns


class SqliteDayIndex:
    """One day's file, open for writing."""

    def __init__(self, path: Path, connect: Connect = connect) -> None:
        self._db = open_to_write(path, _SCHEMA, "NORMAL", connect)
        with store_errors(path.name):
            self._db.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
            self._texts: dict[Texts, int] = {}
            self._files: dict[str, int] = {name: no for no, name in self._db.execute("SELECT no, name FROM file")}
            self._next_texts: int = self._db.execute("SELECT ifnull(max(no), 0) + 1 FROM texts").fetchone()[0]
        self._new_texts: list[tuple[int | str, ...]] = []
        self._new_files: list[tuple[int, str]] = []

    def texts_no(self, texts: Texts) -> int:
        no = self._texts.get(texts)
        return self._find_texts(texts) if no is None else no

    def file_no(self, spool_name: str) -> int:
        no = self._files.get(spool_name)
        if no is None:
            no = self._files[spool_name] = max(self._files.values(), default=0) + 1
            self._new_files.append((no, spool_name))
        return no

    def add(self, rows: list[IndexRow], sides: list[SideRow]) -> list[int]:
        db = self._db
        with transaction(db, "index: add"):
            if self._new_texts:
                db.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._new_texts)
            if self._new_files:
                db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?)", self._new_files)
            added = db.executemany(_ADD, rows).rowcount
            if sides:
                db.executemany("INSERT OR REPLACE INTO side VALUES (?, ?, ?)", sides)
            refused = [] if added == len(rows) else self._refused(rows)
        self._new_texts, self._new_files = [], []
        return refused

    def seal(self, first_n: int, last_n: int, client_ids: list[tuple[bytes, int]]) -> None:
        with transaction(self._db, "index: seal"):
            self._db.execute(
                "INSERT OR IGNORE INTO alias SELECT trace_id, n FROM trace WHERE n BETWEEN ? AND ? AND trace_id <> id",
                (first_n, last_n),
            )
            self._db.executemany("INSERT OR IGNORE INTO alias VALUES (?, ?)", client_ids)
        with store_errors("index: checkpoint"):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def has(self, trace_id: bytes) -> bool:
        with store_errors("index"):
            return self._db.execute("SELECT 1 FROM trace WHERE id = ?", (trace_id,)).fetchone() is not None

    def forget_unsealed(self, first_n: int) -> int:
        with transaction(self._db, "index: forget"):
            (last,) = self._db.execute("SELECT ifnull(max(n), 0) FROM trace").fetchone()
            self._db.execute("DELETE FROM trace WHERE n >= ?", (first_n,))
            if last >= first_n:
                self._db.execute("DELETE FROM alias WHERE n >= ?", (first_n,))
        return int(last)

    def close(self) -> None:
        self._db.close()

    def _refused(self, rows: list[IndexRow]) -> list[int]:
        find = self._db.execute
        return [row[0] for row in rows if find("SELECT n FROM trace WHERE id = ?", (row[1],)).fetchone() != (row[0],)]

    def _find_texts(self, texts: Texts) -> int:
        with store_errors("index: texts"):
            row = self._db.execute(
                "SELECT no FROM texts WHERE route = ? AND upstream = ? AND provider = ? AND model = ? AND model_served = ? AND key = ? "
                "AND project = ? AND role = ?",
                texts,
            ).fetchone()
        if len(self._texts) >= TEXTS_CACHED_MAX:
            waiting = {tuple(new[1:]) for new in self._new_texts}
            self._texts = {known: no for known, no in self._texts.items() if known in waiting}
        if row is None:
            no = self._next_texts
            self._next_texts += 1
            self._new_texts.append((no, *texts))
        else:
            no = row[0]
        self._texts[texts] = no
        return no


class SqliteTraceIndex:
    """All days. Files of days that were not used for a while are closed."""

    def __init__(self, folder: Path, connect: Connect = connect) -> None:
        self._folder, self._connect = folder, connect
        self._open: dict[str, SqliteDayIndex] = {}

    def day(self, day: str) -> SqliteDayIndex:
        index = self._open.get(day)
        if index is None:
            index = self._open[day] = SqliteDayIndex(self._folder / f"{day}.db", self._connect)
        return index

    def days(self) -> list[str]:
        return sorted(path.stem for path in self._folder.glob("*.db"))

    def forget_unsealed(self, first_n: int) -> int:
        return max((self.day(day).forget_unsealed(first_n) for day in self.days()), default=0)

    def close_days(self, keep: set[str]) -> None:
        for day in self._open.keys() - keep:
            self._open.pop(day).close()

    def drop_days(self, before: str) -> None:
        for day in self.days():
            if day < before:
                self.close_days(set(self._open) - {day})
                # The main file last: a log without it would be given to the next file of that name.
                for suffix in (".db-wal", ".db-shm", ".db"):
                    (self._folder / f"{day}{suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        self.close_days(set())
