"""The folder that segments lie in: names and sizes, without pyarrow, so that a process can start and look without loading it."""

import re
from pathlib import Path

from setpoint.ports.catalog import Segment
from setpoint.ports.files import Files

_NAME = re.compile(r"(\d+)\.(meta|body)\.parquet")


def segment_file(seq: int, kind: str) -> str:
    return f"{seq:010d}.{kind}.parquet"


class SegmentFolder:
    """What of the port `segments` needs no look into a file. Segments lie in `dt=<day>/`, temporary files in `tmp` of the same file
    system."""

    def __init__(self, files: Files, folder: Path, tmp: Path) -> None:
        self._files, self._folder, self._tmp = files, folder, tmp

    def names(self) -> list[tuple[str, int, str]]:
        found = []
        for folder in self._files.names(self._folder):
            if folder.startswith("dt="):
                day, names = folder.removeprefix("dt="), self._files.names(self._folder / folder)
                found += [(day, int(match[1]), name) for name in names if (match := _NAME.fullmatch(name))]
        return found

    def remove(self, day: str, file_name: str) -> None:
        self._files.unlink(self._folder / f"dt={day}" / file_name)

    def remove_day(self, day: str) -> None:
        self._files.remove_folder(self._folder / f"dt={day}")

    def is_whole(self, segment: Segment) -> bool:
        return self._size(segment, "meta") == segment.meta_bytes and self._size(segment, "body") == segment.body_bytes

    def path(self, segment: Segment, kind: str) -> Path:
        return self._folder / f"dt={segment.day}" / segment_file(segment.seq, kind)

    def _size(self, segment: Segment, kind: str) -> int:
        path = self.path(segment, kind)
        return path.stat().st_size if path.exists() else -1
