"""Is there room? A worker that is full says so at once; no request waits unboundedly."""

from collections.abc import Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.stack import Check

FULL = Fault(FaultKind.overloaded, "This gateway worker serves as many requests as it may at once. Try again shortly.", retry_after_s=1.0)


def admit(in_flight: Callable[[], int]) -> Check:
    """503 when more than `limits.in_flight_max` exchanges are under way, this one included."""

    def check(exchange: Exchange) -> Fault | None:
        return FULL if in_flight() > exchange.published.plan.limits.in_flight_max else None

    return check
