"""The file system, as the parts that must survive a crash see it.

Everything that writes spools, segments or quarantine goes through these calls and no others, so that a test can fail or end the
process at each of them. Descriptors are plain integers of the operating system.
"""

from pathlib import Path
from typing import Protocol


class Files(Protocol):
    """System calls on files. Every method may raise OSError; none retries.

    A lock is an flock: it belongs to the open descriptor and is released by the kernel when the last copy of it closes, also at kill -9.
    """

    def create_append(self, path: Path) -> int:
        """O_CREAT | O_EXCL | O_APPEND | O_WRONLY, mode 0600. FileExistsError when the name is taken."""

    def create(self, path: Path) -> int:
        """O_CREAT | O_TRUNC | O_WRONLY, mode 0600: for temporary names that only one process uses."""

    def open_read(self, path: Path) -> int: ...

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        """One write(2); may write less than given."""

    def read_at(self, fd: int, n: int, offset: int) -> bytes:
        """One pread(2); may read less than asked, b"" at the end."""

    def size(self, fd: int) -> int: ...

    def link_count(self, fd: int) -> int:
        """0 when the name was unlinked meanwhile."""

    def truncate(self, fd: int, size: int) -> None: ...

    def sync(self, fd: int) -> None:
        """fdatasync(2). After an OSError the file is suspect: never sync it again."""

    def lock_now(self, fd: int) -> bool:
        """flock LOCK_EX if nobody holds a lock, until the descriptor closes; False at once otherwise."""

    def is_lock_free(self, fd: int) -> bool:
        """Whether nobody else holds a lock on the file."""

    def close(self, fd: int) -> None: ...

    def rename(self, source: Path, target: Path) -> None: ...

    def unlink(self, path: Path) -> None:
        """Missing is fine."""

    def sync_folder(self, path: Path) -> None: ...

    def make_folder(self, path: Path) -> None:
        """With parents; existing is fine."""

    def remove_folder(self, path: Path) -> None:
        """Missing or not empty is fine."""

    def names(self, path: Path) -> list[str]:
        """Sorted entries of a folder; empty when there is no such folder."""
