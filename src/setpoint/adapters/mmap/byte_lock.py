"""Locks on a byte of a shared file that belong to the open file, not to the process.

Open file description locks (Linux, `F_OFD_SETLK`, fcntl(2)) have what a table shared by workers needs: the kernel releases
them at kill -9, two opens in one process exclude each other (so tests are honest), and closing some other descriptor of
the same file does not drop them, which POSIX record locks would do. A descriptor inherited over fork shares the lock with
its parent, so every process must open the file itself.
"""

import fcntl
import struct

_FLOCK = struct.Struct("=hhxxxxqqixxxx")
_SEEK_SET = 0


def lock_command(offset: int) -> bytes:
    """The argument for `try_lock` and `is_locked` that names the byte at `offset`."""
    return _FLOCK.pack(fcntl.F_WRLCK, _SEEK_SET, offset, 1, 0)


def unlock_command(offset: int) -> bytes:
    """The argument for `unlock` that names the byte at `offset`."""
    return _FLOCK.pack(fcntl.F_UNLCK, _SEEK_SET, offset, 1, 0)


def try_lock(fd: int, command: bytes) -> bool:
    """Lock without waiting; False when another open file holds the byte."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, command)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock(fd: int, command: bytes) -> None:
    """Release; a byte that is not locked stays so."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, command)


def is_locked(fd: int, command: bytes) -> bool:
    """Whether another open file (not this descriptor's own) holds the byte."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, command)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
