"""Segments without their price: pyarrow costs 60 MB and a third of a second, so it is loaded with the first seal, not at the start."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setpoint.adapters.parquet.folder import SegmentFolder
from setpoint.ports.catalog import Segment
from setpoint.ports.files import Files
from setpoint.ports.segments import SealedRow

if TYPE_CHECKING:
    from setpoint.adapters.parquet.segments import ParquetSegments


class LazySegments(SegmentFolder):
    """The port `segments`; what looks into files is loaded when it is needed."""

    @cached_property
    def _parquet(self) -> "ParquetSegments":
        from setpoint.adapters.parquet.segments import ParquetSegments

        return ParquetSegments(self._files, self._folder, self._tmp)

    def write(self, seq: int, day: str, rows: Iterable[SealedRow], ranges: dict[str, tuple[int, int]]) -> Iterator[Segment | None]:
        return self._parquet.write(seq, day, rows, ranges)

    def merge(self, seq: int, parts: tuple[Segment, ...]) -> Iterator[Segment | None]:
        return self._parquet.merge(seq, parts)


class LazyStoredSegments:
    """The port `trace_store.StoredSegments`; pyarrow is loaded with the first sealed trace that is read."""

    def __init__(self, files: Files, folder: Path, tmp: Path) -> None:
        self._place = (files, folder, tmp)

    @cached_property
    def _parquet(self) -> "ParquetSegments":
        from setpoint.adapters.parquet.segments import ParquetSegments

        return ParquetSegments(*self._place)

    def read(self, segment: Segment, n: int) -> tuple[dict[str, Any], bytes, bytes] | None:
        return self._parquet.read(segment, n)
