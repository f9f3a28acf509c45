"""A rolling restart: a fresh zygote first (it brings new code and new certificates), then each worker, one at a time.

Each successor is serving before its predecessor drains. A successor that does not come up ends the roll with the old worker still there.
"""

from collections.abc import Callable, Sequence
from typing import Any

from setpoint.app.processes import Service


class Roll:
    """One rolling restart under way; `done` hears {rolled, error}."""

    def __init__(self, zygote: Service, workers: Sequence[Service], drain_s: float, done: Callable[[dict[str, Any]], None]) -> None:
        self._todo = [(zygote, "stop 0"), *((worker, f"drain {drain_s:g} roll") for worker in workers)]
        self._rolled = 0
        self._done = done

    def go_on(self) -> None:
        if not self._todo:
            self._done({"rolled": self._rolled, "error": None})
            return
        service, goodbye = self._todo.pop(0)
        service.replace(goodbye, lambda succeeded: self._replaced(service, succeeded))

    def _replaced(self, service: Service, succeeded: bool) -> None:
        if succeeded:
            self._rolled += service.name != "zygote"
            self.go_on()
        else:
            self._done({"rolled": self._rolled, "error": f"the successor of {service.name} did not become ready; the old one stays"})
