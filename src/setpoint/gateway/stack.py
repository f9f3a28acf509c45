"""The order of what an exchange passes.

Two kinds of parts. A *check* is a plain function: it sets what it found out on the exchange, or returns the fault that ends it. A
*stage* wraps a handler, because it may have to wait, call the inside more than once, or not at all. Checks cost a call, stages a
coroutine, so whatever can be a check is one."""

from collections.abc import Awaitable, Callable
from functools import reduce

from setpoint.domain.faults import Fault
from setpoint.gateway.exchange import Exchange, Result

Check = Callable[[Exchange], Fault | None]
Handler = Callable[[Exchange], Awaitable[Result]]
Stage = Callable[[Handler], Handler]


def stack(*stages: Stage, core: Handler) -> Handler:
    """Outermost first: read the arguments top to bottom as the request meets them."""
    return reduce(lambda inner, stage: stage(inner), reversed(stages), core)


def checks(*each: Check) -> Stage:
    """The checks in order as one stage; the first fault ends the exchange."""

    def stage(inner: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Result:
            for check in each:
                fault = check(exchange)
                if fault is not None:
                    return fault
            return await inner(exchange)

        return handle

    return stage
