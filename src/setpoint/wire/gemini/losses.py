"""What a request loses on its way to Gemini, collected while it is written."""

from setpoint.domain.faults import Fault


class Losses:
    """`names` is a dict because it keeps order and drops repeats. The first fault counts."""

    __slots__ = ("fault", "names")

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.fault: Fault | None = None

    def lose(self, what: str) -> None:
        self.names[what] = None

    def refuse(self, fault: Fault) -> None:
        self.fault = self.fault or fault
