"""Reading traces: what the faces ask for."""

from typing import Any, Protocol

import msgspec

from setpoint.domain.faults import Fault
from setpoint.domain.trace_query import TraceQuery
from setpoint.ports.catalog import Segment

TAIL_ITEMS_MAX = 200


class TailPage(msgspec.Struct, frozen=True):
    """New traces as (number, JSON object), in order of arrival. `next_n` is where the next look begins."""

    items: tuple[tuple[int, bytes], ...]
    next_n: int


class TraceReader(Protocol):
    """For the faces. Answers are JSON as it goes on the wire; faults are values. Never waits longer than its time limit."""

    async def get(self, trace_id: str) -> bytes | Fault:
        """One trace with everything known of it. `trace_id` is our request id, a W3C trace id or the client's own request id; among
        several traces with the same one the latest is taken. not_found when there is none."""

    async def find(self, query: TraceQuery) -> bytes | Fault:
        """`{"data": [...], "meta": {"cursor": ...}}`; no cursor on the last page."""

    async def tail(self, since_n: int | None, query: TraceQuery) -> TailPage | Fault:
        """Traces that arrived at or after `since_n`, at most TAIL_ITEMS_MAX. None: nothing yet, but where "now" is. After a restart of
        ingest a trace may be given a second time; none is left out. Sort, limit and cursor of `query` do not count."""


class IndexedTrace(msgspec.Struct, frozen=True):
    """What the index knows of a trace: columns by name, and where its texts lie while it is unsealed (`spool_name` empty: in the index
    itself)."""

    n: int
    id: bytes
    day: str
    spool_name: str
    at: int


class StoredTraces(Protocol):
    """For the query process: the day indexes and the catalog, read while another process writes them. Raises StoreError, TimeUp."""

    def days(self) -> list[str]: ...

    def select(self, day: str, query: TraceQuery, limit: int) -> list[dict[str, Any]]:
        """Rows of one day that match, in the order of the sort, behind `query.after`: columns by name."""

    def arrived(self, day: str, since_n: int, query: TraceQuery, limit: int) -> list[dict[str, Any]]:
        """Rows of one day with number `since_n` or more, in that order."""

    def last_n(self, day: str) -> int: ...

    def locate(self, day: str, request_id: bytes) -> IndexedTrace | None: ...

    def locate_alias(self, day: str, alias: bytes) -> bytes | None:
        """The request id of the latest trace of the day with that trace id or client request id."""

    def sides(self, day: str, request_id: bytes) -> dict[int, bytes]:
        """Records beside the row, by their number; see `ports.trace_index.SideRow`."""

    def segment_of(self, day: str, n: int) -> Segment | None: ...


class StoredSegments(Protocol):
    """For the query process: single traces out of segments."""

    def read(self, segment: Segment, n: int) -> tuple[dict[str, Any], bytes, bytes] | None:
        """(meta columns, prompt, answer). FileNotFoundError when the segment was replaced meanwhile: ask the catalog again."""


class TimeUp(Exception):
    """A query took longer than it may."""
