"""The port `files` on a local POSIX file system."""

import fcntl
import os
from pathlib import Path

_MODE = 0o600


class PosixFiles:
    """System calls, one to one. Network file systems are not supported: flock and rename mean less there."""

    def create_append(self, path: Path) -> int:
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, _MODE)

    def create(self, path: Path) -> int:
        return os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, _MODE)

    def open_read(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        return os.write(fd, data)

    def read_at(self, fd: int, n: int, offset: int) -> bytes:
        return os.pread(fd, n, offset)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def link_count(self, fd: int) -> int:
        return os.fstat(fd).st_nlink

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        os.fdatasync(fd)

    def lock_now(self, fd: int) -> bool:
        return _try_lock(fd, fcntl.LOCK_EX)

    def is_lock_free(self, fd: int) -> bool:
        if not _try_lock(fd, fcntl.LOCK_SH):
            return False
        fcntl.flock(fd, fcntl.LOCK_UN)
        return True

    def close(self, fd: int) -> None:
        os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)  # noqa: PTH104  the port is the system call

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_folder(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def make_folder(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def remove_folder(self, path: Path) -> None:
        try:
            path.rmdir()
        except OSError:
            # Missing or not empty: the next look at the day removes it.
            return

    def names(self, path: Path) -> list[str]:
        try:
            return sorted(os.listdir(path))  # noqa: PTH208  names, not paths
        except FileNotFoundError:
            return []


def _try_lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
