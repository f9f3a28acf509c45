"""Segments: sealed traces as immutable files."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from setpoint.ports.catalog import Segment

BODY_GROUP_BYTES_MAX = 4 * 1024 * 1024
"""Uncompressed bodies in one row group: bounds what reading one trace unpacks and what sealing holds."""
META_GROUP_ROWS_MAX = 20_000


class SealedRow(msgspec.Struct, frozen=True):
    """A trace on its way into a segment: the raw END head and tail of the spool, attempts as JSON, bodies as captured."""

    n: int
    head: bytes
    tail: bytes
    attempts: bytes
    prompt: bytes
    answer: bytes


class Segments(Protocol):
    """Publishing follows one rule: write in tmp/, fsync, rename into place, fsync the folder. A published name is never changed or used
    again."""

    def write(self, seq: int, day: str, rows: Iterable[SealedRow], ranges: dict[str, tuple[int, int]]) -> Iterator[Segment | None]:
        """Write and publish one segment; rows must ascend by `n`. Gives None each time a piece was done, the segment at last, so that the
        caller can do something else in between. Raises OSError; then nothing is published, or files that no catalog will name."""

    def merge(self, seq: int, parts: tuple[Segment, ...]) -> Iterator[Segment | None]:
        """One segment with the rows of all parts, packed harder. `parts` are in order of their numbers."""

    def names(self) -> list[tuple[str, int, str]]:
        """(day, seq, file name) of all files there are."""

    def remove(self, day: str, file_name: str) -> None:
        """Missing is fine."""

    def remove_day(self, day: str) -> None:
        """Remove the folder of a day that holds no files any more."""

    def is_whole(self, segment: Segment) -> bool:
        """Both files are there with the size the catalog says."""
