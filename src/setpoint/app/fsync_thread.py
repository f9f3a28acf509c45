"""The thread that brings spools to the disk.

Workers append without waiting for the disk; here, outside their processes, every file that grew is synced once per period, so a power
loss costs at most that much. A failed fsync is never tried again on the same file: after it the kernel may count lost pages as
clean, so a second success would be a lie (see "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path

Alarm = Callable[[str, OSError], None]
SUFFIX = ".sp"


class SpoolSync:
    """Which spool files are dirty, and the descriptors to sync them by. One `tick` is one look at the directory."""

    def __init__(self, folder: Path, alarm: Alarm, sync: Callable[[int], None] = os.fdatasync) -> None:
        self._folder, self._alarm, self._sync = folder, alarm, sync
        self._synced_bytes: dict[str, int] = {}
        self._fds: dict[str, int] = {}
        self._is_blind = False
        self.suspect: set[str] = set()
        """Names of files whose sync failed; they are never synced again."""

    def tick(self) -> int:
        """Syncs what grew; returns how many files."""
        sizes = self._sizes()
        self._is_blind = False
        for gone in self._fds.keys() - sizes.keys():
            self._forget(gone)
        dirty = [name for name, size in sizes.items() if size != self._synced_bytes.get(name, 0) and name not in self.suspect]
        for name in dirty:
            self._sync_one(name, sizes[name])
        return len(dirty)

    def blind(self, error: OSError) -> None:
        """The directory itself cannot be read; said once for each time that it becomes so."""
        if not self._is_blind:
            self._alarm(str(self._folder), error)
        self._is_blind = True

    def close(self) -> None:
        for name in list(self._fds):
            self._forget(name)

    def _sizes(self) -> dict[str, int]:
        sizes = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX):
                    try:
                        sizes[entry.name] = entry.stat().st_size
                    except FileNotFoundError:  # sealed and unlinked meanwhile
                        continue
        return sizes

    def _sync_one(self, name: str, size: int) -> None:
        try:
            if name not in self._fds:
                self._fds[name] = os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
            self._sync(self._fds[name])
            self._synced_bytes[name] = size
        except FileNotFoundError:
            return
        except OSError as error:
            self.suspect.add(name)
            self._alarm(name, error)

    def _forget(self, name: str) -> None:
        os.close(self._fds.pop(name))
        self._synced_bytes.pop(name, None)
        self.suspect.discard(name)


class FsyncThread:
    """Runs `SpoolSync.tick` every `period_s` until closed; a last tick then catches what came since."""

    def __init__(self, spools: SpoolSync, period_s: float) -> None:
        self._spools, self._period_s = spools, period_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fsync", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.wait(self._period_s):
            self._look()
        self._look()
        self._spools.close()

    def _look(self) -> None:
        """A directory that cannot be read now may be readable a moment later; the thread must be there then."""
        try:
            self._spools.tick()
        except OSError as error:
            self._spools.blind(error)
