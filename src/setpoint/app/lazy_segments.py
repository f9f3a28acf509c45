"""Segments without their price: pyarrow costs 60 MB and a third of a second, so it is loaded with the first seal, not at the start."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from setpoint.adapters.parquet.folder import SegmentFolder
from setpoint.ports.catalog import Segment
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
