"""The order of the stages, outermost first. A handler is an async function from an exchange to a result; a stage wraps a handler."""

from collections.abc import Awaitable, Callable
from functools import reduce

from setpoint.gateway.exchange import Exchange, Result

Handler = Callable[[Exchange], Awaitable[Result]]
Stage = Callable[[Handler], Handler]


def stack(*stages: Stage, core: Handler) -> Handler:
    """Read the arguments top to bottom as the request meets them."""
    return reduce(lambda inner, stage: stage(inner), reversed(stages), core)
