"""The data directory: its layout, its format number, and the lock that lets one supervisor own it.

The lock is an flock on `LOCK`, held through a descriptor that the writers among the children (engine, ingest) inherit. So it is free
only when the supervisor *and* every process that writes are gone, however they died.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FORMAT = 1
FOLDERS = ("control", "traces", "traces/index", "spool", "spool/quarantine", "snapshots", "cache", "blobs", "tmp", "run")
WIPED = ("run", "tmp")
SOCKET_PATH_BYTES_MAX = 107
ORPHANS_WAIT_S = 10.0


class DataDirectoryError(Exception):
    """The directory cannot be used; the message says what to do."""


class DataDirectory:
    """A data directory that this process owns until `close` or its death."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self.lock_fd = lock_fd

    def claim(self, keys: str) -> None:
        """Notes whose keys the directory is sealed with. Raises DataDirectoryError when it was sealed with others, for then no gateway
        key would be known any more, that of the administrator included. `keys` tells key files apart and gives nothing of them away."""
        mark = _read_mark(self.path) or {}
        if "keys" not in mark:
            _write_mark(self.path, mark | {"keys": keys})
        elif mark["keys"] != keys:
            raise DataDirectoryError(
                f"{self.path} was sealed with another key file, without which no gateway key in it works. "
                "Restore that file from your backup and name it in security.key_file, or use another storage.data_dir."
            )

    def close(self) -> None:
        os.close(self.lock_fd)


def take(path: Path) -> DataDirectory:
    """Makes the directory if need be, locks it, checks its format and wipes what does not outlive a tree.

    Raises DataDirectoryError when another supervisor has it, when its format is not this version's, or when it cannot be written.
    """
    os.umask(0o077)
    try:
        for folder in ("", *FOLDERS):
            (path / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        lock_fd = _lock(path)
        try:
            _check_format(path)
            for folder in WIPED:
                _wipe(path / folder)
        except BaseException:
            os.close(lock_fd)
            raise
    except OSError as error:
        advice = "Set storage.data_dir to a local directory you can write."
        what = f" ({error.filename})" if error.filename else ""
        raise DataDirectoryError(f"cannot use {path} as data directory: {error.strerror}{what}. {advice}") from error
    return DataDirectory(path, lock_fd)


def socket_path(data_dir: Path, name: str) -> str:
    """Where the Unix socket `name` lies: in `run/`, or in a short runtime directory when that path would be too long for a socket."""
    path = str(data_dir.resolve() / "run" / name)
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES_MAX:
        return path
    short = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") / f"setpoint-{os.getuid()}-{_short_name(data_dir)}"  # noqa: S108
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != os.getuid():
        raise DataDirectoryError(f"{short} belongs to another user; set XDG_RUNTIME_DIR or use a shorter storage.data_dir.")
    return str(short / name)


def keys_of(path: Path) -> str | None:
    """The mark of the keys that the directory was claimed with."""
    return (_read_mark(path) or {}).get("keys")


def owner_pid(path: Path) -> int | None:
    """The process id in LOCK, whether it lives or not."""
    try:
        return int((path / "LOCK").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def is_locked(path: Path) -> bool:
    """Whether some process holds the directory now."""
    try:
        fd = os.open(path / "LOCK", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(fd)
    finally:
        os.close(fd)


def _lock(path: Path) -> int:
    fd = os.open(path / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in _until_orphans_are_gone(path):
        if _try_lock(fd):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
    pid = owner_pid(path)
    os.close(fd)
    raise DataDirectoryError(
        f"{path} is in use by another setpoint (process {pid}). Stop that one (kill {pid}), or give this one another storage.data_dir."
    )


def _until_orphans_are_gone(path: Path) -> Iterator[None]:
    """One try; more only while the owner is dead, because then its children are about to see that and go."""
    deadline_s = time.monotonic() + ORPHANS_WAIT_S
    yield
    while not _is_alive(owner_pid(path)) and time.monotonic() < deadline_s:
        time.sleep(0.02)
        yield


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _is_alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _check_format(path: Path) -> None:
    mark = _read_mark(path)
    if mark is None:
        _write_mark(path, {"format": FORMAT, "install": str(uuid.uuid4())})
    elif mark.get("format") != FORMAT:
        advice = "Use the version that wrote it, or another storage.data_dir."
        raise DataDirectoryError(f"{path} has layout {mark.get('format', 'unreadable')}, this version reads layout {FORMAT}. {advice}")


def _read_mark(path: Path) -> dict[str, Any] | None:
    """What FORMAT says; None when there is none yet, empty when nobody can tell."""
    try:
        found = json.loads((path / "FORMAT").read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def _write_mark(path: Path, mark: dict[str, Any]) -> None:
    """Whole or not at all: half a mark would lock everybody out."""
    draft = path / "tmp" / "FORMAT"
    with draft.open("w") as file:
        file.write(json.dumps(mark) + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path / "FORMAT")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _wipe(folder: Path) -> None:
    """Sockets stay until their next owner replaces them: workers of a killed predecessor may still be draining through one."""
    for entry in folder.iterdir():
        if entry.is_socket():
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _short_name(data_dir: Path) -> str:
    return hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
