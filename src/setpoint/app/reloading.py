"""Having the engine read its configuration again, and telling who asked what came of it."""

import json
from collections.abc import Callable
from typing import Any

from setpoint.runtime.poll_loop import PollLoop

WAIT_S = 20.0
"""After so long whoever asked is told that nothing was heard; the log will say what came of it."""
AWAY = "the engine is not running at the moment, so the configuration was not read; try again in a few seconds"
SILENT = f"the engine did not say within {WAIT_S:g} s what came of it; see its log"

Answer = Callable[[dict[str, Any]], None]
"""Hears {version, restart_needed, problems, error}: the version is None when nothing changed, the error None when the engine answered."""


class Reloads:
    """The requests under way. `tell` says a line to the engine; False when there is none."""

    def __init__(self, loop: PollLoop, tell: Callable[[str], bool]) -> None:
        self._loop, self._tell = loop, tell
        self._waiting: dict[str, Answer] = {}
        self._count = 0

    def start(self, answer: Answer) -> None:
        self._count += 1
        number = str(self._count)
        if not self._tell(f"reload {number}"):
            answer(_failed(AWAY))
            return
        self._waiting[number] = answer
        self._loop.call_after(WAIT_S, lambda: self._finish(number, _failed(SILENT)))

    def heard(self, said: str) -> None:
        """The engine said `reloaded <number> <json>`."""
        number, _, outcome = said.partition(" ")
        self._finish(number, json.loads(outcome) | {"error": None})

    def _finish(self, number: str, outcome: dict[str, Any]) -> None:
        answer = self._waiting.pop(number, None)
        if answer:
            answer(outcome)


def _failed(error: str) -> dict[str, Any]:
    return {"version": None, "restart_needed": [], "problems": [], "error": error}
