"""The pages of numbers of all gateway workers, in the memory-mapped file `run/gauges.shm`.

A worker owns a page by a lock on the page's first byte, held for life. The kernel lets go of it when the process dies, in whatever
way, so a reader can tell a living worker's gauges from a dead one's leftovers, and a successor can take the page over
and count on. During a rolling restart two processes serve one slot for a while; the second one takes another page.

The number of the page serves as the worker's column in the limit ledger too.
"""

import mmap
import os
from collections.abc import Callable
from pathlib import Path

from setpoint.adapters.mmap.byte_lock import is_locked, lock_command, try_lock, unlock, unlock_command
from setpoint.wire.gauge_page import LIVES, PAGE_BYTES, PAGES, Page, Seen, begin_life


class GaugeFile:
    """The file as one process sees it. Open it after the fork: a shared descriptor would share the locks.

    Raises:
        ValueError: there is a file of another size.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        made = os.fstat(self._fd).st_size
        if made not in (0, PAGES * PAGE_BYTES):
            os.close(self._fd)
            raise ValueError(f"{path} is {made} bytes, expected {PAGES * PAGE_BYTES}; remove it while nothing runs")
        os.ftruncate(self._fd, PAGES * PAGE_BYTES)
        self._map = mmap.mmap(self._fd, PAGES * PAGE_BYTES)
        whole = memoryview(self._map)
        self._pages = [whole[at : at + PAGE_BYTES].cast("q") for at in range(0, PAGES * PAGE_BYTES, PAGE_BYTES)]
        whole.release()
        self._own: set[int] = set()

    def claim(self, slot: int, boot: int, pid: int, started_ns: int) -> tuple[int, Page]:
        """Take a page for the life of this process; returns its number and the page.

        The slot's own page if it is free, else the one half the file further, else any.

        Raises:
            RuntimeError: every page has a living owner.
        """
        half = PAGES // 2
        for number in (slot % half, slot % half + half, *range(PAGES)):
            if number not in self._own and try_lock(self._fd, lock_command(number * PAGE_BYTES)):
                self._own.add(number)
                begin_life(self._pages[number], boot, pid, started_ns)
                return number, self._pages[number]
        raise RuntimeError(f"all {PAGES} gauge pages belong to living workers: lower the number of workers")

    def seen(self) -> list[Seen]:
        """Every page that ever had an owner."""
        return [Seen(page, self._is_live(number)) for number, page in enumerate(self._pages) if page[LIVES]]

    def each_dead(self, action: Callable[[int], None]) -> None:
        """Call `action` with the number of each page whose owner died, while nobody can take it: to forget what it held elsewhere."""
        for number, page in enumerate(self._pages):
            if page[LIVES] and number not in self._own and try_lock(self._fd, lock_command(number * PAGE_BYTES)):
                try:
                    action(number)
                finally:
                    unlock(self._fd, unlock_command(number * PAGE_BYTES))

    def close(self) -> None:
        """Let go of the file and of every page claimed."""
        for page in self._pages:
            page.release()
        self._map.close()
        os.close(self._fd)

    def _is_live(self, number: int) -> bool:
        return number in self._own or is_locked(self._fd, lock_command(number * PAGE_BYTES))
