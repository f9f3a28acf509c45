"""What a request on its way out could not say."""

from setpoint.domain.faults import Fault
from setpoint.wire.bodies import unsupported


class Report:
    """`losses` is a dict because it keeps order and drops repeats. The first fault counts."""

    __slots__ = ("fault", "losses")

    def __init__(self) -> None:
        self.losses: dict[str, None] = {}
        self.fault: Fault | None = None

    def lose(self, what: str) -> None:
        self.losses[what] = None

    def refuse(self, param: str, message: str) -> None:
        self.fault = self.fault or unsupported(param, message)

    def fail(self, fault: Fault) -> None:
        self.fault = self.fault or fault
