"""Is there room? A worker that is full says so at once; no request waits unboundedly."""

from collections.abc import Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.stack import Handler, Stage

FULL = Fault(FaultKind.overloaded, "This gateway worker serves as many requests as it may at once. Try again shortly.", retry_after_s=1.0)


def admit(in_flight: Callable[[], int]) -> Stage:
    """Ends the exchange with 503 when more than `limits.in_flight_max` are under way, this one included."""

    def stage(inner: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Result:
            if in_flight() > exchange.published.plan.limits.in_flight_max:
                return FULL
            return await inner(exchange)

        return handle

    return stage
