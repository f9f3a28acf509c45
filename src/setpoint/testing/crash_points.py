"""A process that fails or dies at a chosen system call.

`CrashPoints` counts every call that passes through the file port or a SQLite connection, and decides at each what happens: nothing, an
error, a short write, or the end of the process. After its end a process makes no more calls: whatever its code still tries (`finally`
blocks) meets `Killed` again. `bury` then does what the kernel does: it closes descriptors, so locks are released. What the garbage
collector still wakes after that does nothing.
"""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Literal

from setpoint.adapters.files.posix import PosixFiles

Event = Literal["go", "nothing", "kill_before", "kill_after", "kill_torn", "enospc", "eio", "short", "late"]
FAILURES: tuple[Event, ...] = ("enospc", "eio", "short", "late")
"""late: the call did its work and reports an error all the same."""
KILLS: tuple[Event, ...] = ("kill_before", "kill_after", "kill_torn")
_ERRNO = {"enospc": errno.ENOSPC, "eio": errno.EIO}
_READS = ("names", "size", "link_count", "is_lock_free", "lock_now")
"""Calls that a disk does not fail; a process can die at them all the same."""
_OPENS = ("create", "create_append", "open_read")


class Killed(BaseException):
    """The process is dead. Not an Exception, so that no code under test rescues itself from it."""


class CrashPoints:
    """What one simulated process meets. `plan` says by the number of the call, from 0, what happens; `wrong` says it for calls not in
    it."""

    def __init__(self, plan: dict[int, Event] | None = None, wrong: Callable[[], Event] = lambda: "go") -> None:
        self.plan, self.wrong = plan or {}, wrong
        self.calls = 0
        self.met: dict[str, int] = {}
        """How often what happened, for the report."""
        self.dead = self.buried = False
        self.fds: set[int] = set()
        self.connections: list[sqlite3.Connection] = []
        self.meanwhile: Callable[[], None] = lambda: None
        """What other processes do before each call."""
        self.at_death: Callable[[], None] = lambda: None

    def quiet(self) -> None:
        """From now on nothing goes wrong."""
        self.plan, self.wrong = {}, lambda: "go"

    def decide(self) -> Event:
        if self.buried:
            return "nothing"
        if self.dead:
            raise Killed
        self.meanwhile()
        event = self.plan.get(self.calls) or self.wrong()
        self.calls += 1
        if event != "go":
            self.met[event] = self.met.get(event, 0) + 1
        return event

    def die(self) -> None:
        """Raises Killed, now and at every later call."""
        if not self.dead:
            self.at_death()
        self.dead = True
        raise Killed

    def bury(self) -> None:
        """Closes what the process had open; it makes no more calls."""
        self.dead = self.buried = True
        while self.fds:
            os.close(self.fds.pop())
        while self.connections:
            self.connections.pop().close()

    def connect(self, name: str) -> sqlite3.Connection:
        """For adapters.sqlite: a connection whose statements are calls."""
        points = self

        class Connection(sqlite3.Connection):
            def execute(self, *args: Any) -> Any:
                return points.statement(super().execute, *args)

            def executemany(self, *args: Any) -> Any:
                return points.statement(super().executemany, *args)

            def executescript(self, *args: Any) -> Any:
                return points.statement(super().executescript, *args)

        connection = sqlite3.connect(name, isolation_level=None, factory=Connection)
        self.connections.append(connection)
        return connection

    def statement(self, run: Callable[..., Any], *args: Any) -> Any:
        """SQLite has its own journal against death inside a statement; here a process dies between two, or one fails."""
        event = self.decide()
        if event == "nothing":
            return None
        if event == "late":
            run(*args)
        if event in FAILURES:
            raise sqlite3.OperationalError("database or disk is full" if event == "enospc" else "disk I/O error")
        if event == "kill_before":
            self.die()
        result = run(*args)
        if event in KILLS:
            self.die()
        return result


class CrashFiles:
    """The port `files`, with crash points at every call."""

    def __init__(self, points: CrashPoints) -> None:
        self._points, self._real = points, PosixFiles()

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        event = self._points.decide()
        if event == "nothing":
            return len(data)
        if event in ("short", "kill_torn"):
            done = self._real.write(fd, memoryview(data)[: len(data) // 2])
            if event == "short":
                return done
            self._points.die()
        self._before(event)
        done = self._real.write(fd, data)
        if event == "late":
            raise OSError(errno.EIO, "reported late")
        self._after(event)
        return done

    def close(self, fd: int) -> None:
        event = self._points.decide()
        if event == "nothing":
            return
        if event == "kill_before":
            self._points.die()
        self._real.close(fd)
        self._points.fds.discard(fd)
        self._after(event)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: self._call(name, *args)

    def _call(self, name: str, *args: Any) -> Any:
        event = self._points.decide()
        if event == "nothing":
            return None
        if name not in _READS or event in KILLS:
            self._before(event)
        result = getattr(self._real, name)(*args)
        if event == "late" and name not in _READS:
            if name in _OPENS:
                self._real.close(result)
            raise OSError(errno.EIO, "reported late")
        if name in _OPENS:
            self._points.fds.add(result)
        self._after(event)
        return result

    def _before(self, event: Event) -> None:
        if event in _ERRNO:
            raise OSError(_ERRNO[event], os.strerror(_ERRNO[event]))
        if event == "kill_before":
            self._points.die()

    def _after(self, event: Event) -> None:
        if event in ("kill_after", "kill_torn"):
            self._points.die()


def one_in(rng: Random, n: int, events: tuple[Event, ...]) -> Callable[[], Event]:
    """Something goes wrong at one call in `n`."""
    return lambda: rng.choice(events) if rng.randrange(n) == 0 else "go"


def copy_store(store: Path, image: Path) -> None:
    """The files of a store as the disk has them at this moment, SQLite's logs included; its shared memory dies with the machine."""
    shutil.copytree(store, image, ignore=shutil.ignore_patterns("*.db-shm"))
