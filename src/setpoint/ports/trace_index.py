"""The index of traces: one narrow row for each, by id and by number, one file per day."""

from typing import Protocol

UNIT_ROWS_BITS = 20
"""A trace number is unit << 20 | row: the unit is the seal it will be part of, the row its place in it. So numbers ascend in order of
arrival, and a row need not be touched again when it is sealed."""

Texts = tuple[str, str, str, str, str, str, str, str]
"""(route, upstream, provider, model, model_served, key, project, role): stored once per combination."""

IndexRow = tuple[
    int, bytes, int, int, int, int, int, int, int, int, int, int, int, int, int, int | None, int, int, str | None, bytes | None, int, int
]
"""(n, id, texts number, start_ns, duration_ns, ttft_ns, upstream_ns, status, outcome, surface, cache, streamed, attempts, fault,
config_version, cost_nanousd, input tokens, output tokens, session_id, trace_id, spool file number, block offset << 16 | place in block)"""

SideRow = tuple[bytes, int, bytes]
"""(id, no, record): attempts from 1; no 0 is an END that ingest made itself, which no spool holds."""


class DayIndex(Protocol):
    """Adding to one day. Numbers from `texts_no` and `file_no` become durable with the next `add`."""

    def texts_no(self, texts: Texts) -> int: ...

    def file_no(self, spool_name: str) -> int: ...

    def add(self, rows: list[IndexRow], sides: list[SideRow]) -> list[int]:
        """One transaction; returns the numbers `n` that were refused because a trace with that id is there already. A process that dies
        afterwards loses nothing; power loss may lose rows added since the last `seal`."""

    def seal(self, first_n: int, last_n: int, client_ids: list[tuple[bytes, int]]) -> None:
        """Make all rows durable and the given ones findable by trace id and client request id."""

    def has(self, trace_id: bytes) -> bool:
        """Whether a trace with that id (16 bytes) was added."""


class TraceIndex(Protocol):
    """All days. The writer is ingest. Methods raise `ports.catalog.StoreError`."""

    def day(self, day: str) -> DayIndex: ...

    def days(self) -> list[str]: ...

    def forget_unsealed(self, first_n: int) -> int:
        """At start: remove the rows from this number on; the spool will give them again. Returns the greatest number there was, or 0."""

    def close_days(self, keep: set[str]) -> None:
        """Release what is held open for other days."""

    def drop_days(self, before: str) -> None:
        """Remove whole days before this one."""

    def close(self) -> None: ...
