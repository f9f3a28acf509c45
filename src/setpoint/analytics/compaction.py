"""What happens to segments after they were sealed: small ones are merged, old days are dropped. Rules are plain functions over the catalog.

A merge is crash-safe like a seal: publish the new pair, swap in one catalog transaction, then unlink. A query that looked into the
catalog before the swap may find its file gone; it looks again. Dropping a day is the same without the new pair.
"""

from collections.abc import Generator, Iterable
from itertools import groupby

from setpoint.analytics.seal import SegmentNumbers
from setpoint.ports.catalog import Catalog, Segment
from setpoint.ports.segments import Segments
from setpoint.ports.trace_index import TraceIndex

SMALL_ROWS = 20_000
MERGE_SEGMENTS_MIN = 8
MERGE_SEGMENTS_MAX = 64
MERGE_ROWS_MAX = 100_000


def mergeable(segments: Iterable[Segment]) -> tuple[Segment, ...]:
    """A run of small segments of one day, next to each other in their numbers, that is long enough to be worth a merge; or nothing."""
    for _, of_day in groupby(sorted(segments, key=lambda s: (s.day, s.first_n)), key=lambda s: s.day):
        run: list[Segment] = []
        for segment in of_day:
            full = len(run) >= MERGE_SEGMENTS_MAX or sum(s.rows for s in run) + segment.rows > MERGE_ROWS_MAX
            if segment.rows >= SMALL_ROWS or full:
                if len(run) >= MERGE_SEGMENTS_MIN:
                    return tuple(run)
                run = []
            if segment.rows < SMALL_ROWS:
                run.append(segment)
        if len(run) >= MERGE_SEGMENTS_MIN:
            return tuple(run)
    return ()


def surplus_files(names: Iterable[tuple[str, int, str]], segments: Iterable[Segment]) -> list[tuple[str, str]]:
    """(day, file name) of Parquet files that the catalog does not name."""
    named = {(segment.day, segment.seq) for segment in segments}
    return [(day, name) for day, seq, name in names if (day, seq) not in named]


class Compactor:
    """Does it in steps. `segments` mirrors the catalog's list; ingest adds what it seals. Looks for work only when the list or the day
    changed."""

    def __init__(self, segments: Segments, catalog: Catalog, index: TraceIndex, numbers: SegmentNumbers) -> None:
        self._store, self._catalog, self._index, self._numbers = segments, catalog, index, numbers
        self.segments: list[Segment] = []
        self.merges = 0
        self._looked_at = ("", 0)
        self._changes = 0

    def add(self, segments: Iterable[Segment]) -> None:
        self.segments += segments
        self._changes += 1

    def steps(self, keep_from: str) -> Generator[None, None, None] | None:
        """The work there is now, or None. Days before `keep_from` are dropped. Raises OSError or StoreError; the next call begins again."""
        if self._looked_at == (keep_from, self._changes):
            return None
        if any(segment.day < keep_from for segment in self.segments):
            return self._drop(keep_from)
        parts = mergeable(self.segments)
        if parts:
            return self._merge(parts)
        self._looked_at = (keep_from, self._changes)
        return None

    def _merge(self, parts: tuple[Segment, ...]) -> Generator[None, None, None]:
        for merged in self._store.merge(self._numbers.take(), parts):
            if merged is not None:
                replaced = {part.seq for part in parts}
                self._catalog.replace(merged, tuple(replaced))
                self.segments = [s for s in self.segments if s.seq not in replaced] + [merged]
                self.merges += 1
                self._remove(parts)
            yield

    def _drop(self, keep_from: str) -> Generator[None, None, None]:
        dropped = self._catalog.drop_days(keep_from)
        self.segments = [s for s in self.segments if s.day >= keep_from]
        yield
        self._remove(dropped)
        for day in {segment.day for segment in dropped}:
            self._store.remove_day(day)
        self._index.drop_days(keep_from)

    def _remove(self, segments: Iterable[Segment]) -> None:
        """Unlink; what an error leaves, the next start removes."""
        present = [(day, seq, name) for day, seq, name in self._store.names() if any((s.day, s.seq) == (day, seq) for s in segments)]
        for day, _, name in present:
            self._store.remove(day, name)
