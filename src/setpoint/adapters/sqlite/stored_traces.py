"""The port `trace_store.StoredTraces`: the day indexes and the catalog, read beside the process that writes them."""

import sqlite3
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from setpoint.adapters.sqlite.catalog import SqliteCatalogReader
from setpoint.adapters.sqlite.connection import open_to_read
from setpoint.domain.trace_query import TraceQuery
from setpoint.ports.catalog import Segment, StoreError
from setpoint.ports.trace_store import IndexedTrace, TimeUp

DAYS_OPEN_MAX = 8
STEPS_BETWEEN_LOOKS = 20_000
"""Instructions of SQLite's machine between two looks at the clock, about a millisecond."""

_TEXT_COLUMNS = {"route": ("route",), "upstream": ("upstream",), "provider": ("provider",), "model": ("model", "model_served")} | {
    "key": ("key",),
    "project": ("project",),
}
_ROW = """t.n, t.id, t.start_ns, t.duration_ns, t.ttft_ns, t.upstream_ns, t.status, t.outcome, t.surface, t.cache, t.streamed, t.attempts,
t.fault,
    t.config_version, t.cost_nanousd, t.input_tokens, t.output_tokens, t.session_id, t.trace_id,
    x.route, x.upstream, x.provider, x.model, x.model_served, x.key, x.project, x.role"""
_SORT_VALUE = {"start_time": "0", "cost": "ifnull(t.cost_nanousd, -1)", "latency": "t.duration_ns"}


class SqliteStoredTraces:
    """Not for more than one thread. `is_over` says whether the time of the present query is up."""

    def __init__(self, traces: Path, is_over: Callable[[], bool]) -> None:
        self._traces, self._is_over = traces, is_over
        self._days: OrderedDict[str, sqlite3.Connection] = OrderedDict()
        self._catalog: SqliteCatalogReader | None = None

    def days(self) -> list[str]:
        return sorted(path.stem for path in (self._traces / "index").glob("*.db"))

    def select(self, day: str, query: TraceQuery, limit: int) -> list[dict[str, Any]]:
        where, values = _where(query)
        down = query.sort.startswith("-")
        value = _SORT_VALUE[query.sort.lstrip("-")]
        if query.after is not None:
            where.append(f"({value}, t.id) {'<' if down else '>'} (?, ?)" if value != "0" else f"t.id {'<' if down else '>'} ?")
            values += [query.after.value, query.after.id] if value != "0" else [query.after.id]
        way = "DESC" if down else "ASC"
        order = f"t.id {way}" if value == "0" else f"{value} {way}, t.id {way}"
        return self._rows(day, f"{value} AS sort_value", where, values, order, limit)

    def arrived(self, day: str, since_n: int, query: TraceQuery, limit: int) -> list[dict[str, Any]]:
        where, values = _where(query)
        return self._rows(day, "0 AS sort_value", [*where, "t.n >= ?"], [*values, since_n], "t.n", limit)

    def last_n(self, day: str) -> int:
        rows = self._all(day, "SELECT ifnull(max(n), 0) FROM trace", [])
        return int(rows[0][0]) if rows else 0

    def locate(self, day: str, request_id: bytes) -> IndexedTrace | None:
        sql = "SELECT t.n, t.id, ifnull(f.name, ''), t.at FROM trace t LEFT JOIN file f ON f.no = t.file WHERE t.id = ?"
        for n, found, name, at in self._all(day, sql, [request_id]):
            return IndexedTrace(n, found, day, name, at)
        return None

    def locate_alias(self, day: str, alias: bytes) -> bytes | None:
        sql = "SELECT t.id FROM alias a JOIN trace t ON t.n = a.n WHERE a.key = ? ORDER BY a.n DESC LIMIT 1"
        recent = "SELECT t.id FROM trace t WHERE t.n >= ? AND t.trace_id = ? ORDER BY t.n DESC LIMIT 1"
        rows = self._all(day, recent, [self._reader().first_unsealed_n(), alias]) or self._all(day, sql, [alias])
        return rows[0][0] if rows else None

    def sides(self, day: str, request_id: bytes) -> dict[int, bytes]:
        return dict(self._all(day, "SELECT no, record FROM side WHERE id = ? ORDER BY no", [request_id]))

    def segment_of(self, day: str, n: int) -> Segment | None:
        return self._reader().segment_of(day, n)

    def close(self) -> None:
        while self._days:
            self._days.popitem()[1].close()
        if self._catalog is not None:
            self._catalog.close()
            self._catalog = None

    def _rows(self, day: str, extra: str, where: list[str], values: list[Any], order: str, limit: int) -> list[dict[str, Any]]:
        condition = " AND ".join(where) or "1"
        sql = f"SELECT {_ROW}, {extra} FROM trace t JOIN texts x ON x.no = t.texts WHERE {condition} ORDER BY {order} LIMIT ?"  # noqa: S608
        return [dict(row) for row in self._all(day, sql, [*values, limit])]

    def _all(self, day: str, sql: str, values: list[Any]) -> list[Any]:
        """No rows when there is no such day. Values are always bound; `sql` is made of constants of this module."""
        try:
            return self._day(day).execute(sql, values).fetchall()
        except FileNotFoundError:
            return []
        except sqlite3.OperationalError as error:
            if self._is_over():
                raise TimeUp from error
            raise StoreError(f"index of {day}: {error}") from error

    def _day(self, day: str) -> sqlite3.Connection:
        db = self._days.pop(day, None)
        if db is None:
            db = open_to_read(self._traces / "index" / f"{day}.db")
            db.row_factory = sqlite3.Row
            db.set_progress_handler(self._is_over, STEPS_BETWEEN_LOOKS)
        self._days[day] = db
        if len(self._days) > DAYS_OPEN_MAX:
            self._days.popitem(last=False)[1].close()
        return db

    def _reader(self) -> SqliteCatalogReader:
        if self._catalog is None:
            self._catalog = SqliteCatalogReader(self._traces / "catalog.db")
        return self._catalog


def _where(query: TraceQuery) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []

    def add(condition: str, *bound: Any) -> None:
        where.append(condition)
        values.extend(bound)

    if query.from_ns is not None:
        add("t.id >= ?", query.from_ns.to_bytes(8, "big"))
    if query.to_ns is not None:
        add("t.id < ?", query.to_ns.to_bytes(8, "big"))
    for name, wanted in query.texts.items():
        if name == "session_id":
            add(f"t.session_id IN ({_marks(wanted)})", *wanted)
        else:
            either = " OR ".join(f"{column} IN ({_marks(wanted)})" for column in _TEXT_COLUMNS[name])
            add(f"t.texts IN (SELECT no FROM texts WHERE {either})", *wanted * len(_TEXT_COLUMNS[name]))  # noqa: S608
    for name, numbers in query.numbers.items():
        add(f"t.{name} IN ({_marks(numbers)})", *numbers)
    for condition, bound in (
        ("t.cost_nanousd >= ?", query.cost_min_nanousd),
        ("t.cost_nanousd <= ?", query.cost_max_nanousd),
        ("t.duration_ns >= ?", query.latency_min_ns),
        ("t.duration_ns <= ?", query.latency_max_ns),
    ):
        if bound is not None:
            add(condition, bound)
    return where, values


def _marks(wanted: tuple[Any, ...]) -> str:
    return ",".join("?" * len(wanted))
