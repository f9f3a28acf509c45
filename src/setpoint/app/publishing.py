"""Telling the workers that a snapshot was published, and hearing that they serve it.

The message is for speed only: a worker that misses it looks at CURRENT by itself. So a publish waits at most `WAIT_S` for the
workers and then says which of them lag.
"""

from collections.abc import Callable
from typing import Any

from setpoint.app.processes import Process, Service
from setpoint.runtime.poll_loop import PollLoop

WAIT_S = 1.0
Live = Callable[[], list[tuple[Service, Process]]]


class Publishing:
    """The announcements that are waiting for workers."""

    def __init__(self, loop: PollLoop, live: Live) -> None:
        self._loop, self._live = loop, live
        self._waiting: dict[int, tuple[str, Callable[[dict[str, Any]], None]]] = {}
        self._refused: dict[str, dict[str, str]] = {}
        self._count = 0

    def start(self, version: str, answer: Callable[[dict[str, Any]], None]) -> None:
        self._count += 1
        number = self._count
        self._waiting[number] = (version, answer)
        self._refused.setdefault(version, {})
        for _, process in self._live():
            process.send("publish")
        self._loop.call_after(WAIT_S, lambda: self._finish(number))
        self.changed()

    def heard(self, service: Service, process: Process, word: str, rest: str) -> None:
        version, _, reason = rest.partition(" ")
        if word == "acked":
            process.acked = version
        elif version in self._refused:
            self._refused[version][service.name] = reason
        self.changed()

    def changed(self) -> None:
        """Looks whether some announcement has reached everybody."""
        for number, (version, _) in list(self._waiting.items()):
            if not self._lagging(version):
                self._finish(number)

    def _lagging(self, version: str) -> list[str]:
        heard = self._refused[version]
        return [s.name for s, p in self._live() if s.name not in heard and not serves(p.acked, version)]

    def _finish(self, number: int) -> None:
        if number not in self._waiting:
            return
        version, answer = self._waiting.pop(number)
        lagging = self._lagging(version)
        refused = self._refused[version]
        acked = [s.name for s, p in self._live() if serves(p.acked, version)]
        if all(version != other for other, _ in self._waiting.values()):
            del self._refused[version]
        answer({"acked": acked, "refused": refused, "lagging": lagging})


def serves(acked: str, version: str) -> bool:
    """Whether a worker that acked `acked` serves `version` (EPOCH-NO) or a newer one."""
    return _ordered(acked) >= _ordered(version)


def _ordered(version: str) -> tuple[int, int]:
    epoch, _, number = version.partition("-")
    return (int(epoch), int(number)) if epoch.isdigit() and number.isdigit() else (-1, -1)
