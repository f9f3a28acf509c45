"""The outermost stage: whatever happens inside, the exchange ends in exactly one answer and exactly one END record.

It sits outside of everything else because a refused key, a limit, a cache hit and a bug must be traced as well as an answer of a
provider. It turns faults into the client's dialect, catches bugs so that one exchange never takes others with it, and knows a
cancellation when it sees one."""

from collections.abc import Awaitable, Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.drive import Cancelled
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.stack import Handler

Finish = Callable[[Exchange, Result | None], None]
"""Write the record and send the answer; None when the client is gone."""

BUG = Fault(FaultKind.internal, "The gateway failed on this request. Its log has the reason under this request id.")


def record(inner: Handler, finish: Finish, on_bug: Callable[[Exchange, Exception], None]) -> Callable[[Exchange], Awaitable[None]]:
    """The whole stack as what a drive runs."""

    async def handle(exchange: Exchange) -> None:
        result: Result | None
        try:
            result = await inner(exchange)
        except Cancelled:
            result = None
        except Exception as bug:  # noqa: BLE001  the boundary of an exchange: count, log and answer
            on_bug(exchange, bug)
            result = BUG
        try:
            finish(exchange, result)
        except Exception as bug:  # noqa: BLE001  nobody is left to answer; a client that is cut off knows more than one that waits
            on_bug(exchange, bug)
            exchange.connection.abort()

    return handle
