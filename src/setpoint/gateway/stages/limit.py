"""May this key send one more request now?"""

import math
from collections.abc import Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.published import Caller
from setpoint.gateway.stack import Handler, Stage
from setpoint.ports.limit_ledger import Grant, LimitLedger


def limit_lines(caller: Caller, grant: Grant) -> bytes:
    """OpenAI's and the usual rate-limit headers; none for a caller without a limit."""
    if not caller.rpm:
        return b""
    reset_s = math.ceil(grant.reset_s)
    remaining = grant.remaining if grant.remaining > 0 else 0
    return caller.limit_lines % (remaining, reset_s, remaining, reset_s)


def over_limit(caller: Caller, grant: Grant) -> Fault:
    """The refusal, with the truth about when to come back."""
    text = f"This gateway key is over its limit of {caller.rpm} requests a minute (burst {caller.burst}); a request is free in {grant.retry_after_s:.2f} s."
    return Fault(FaultKind.rate_limited, text, retry_after_s=grant.retry_after_s)


def limit(ledger: LimitLedger, now_s: Callable[[], float], refused: Callable[[], None]) -> Stage:
    """Spends one token of the caller's bucket, or ends the exchange with 429."""

    def stage(inner: Handler) -> Handler:
        async def handle(exchange: Exchange) -> Result:
            caller = exchange.caller
            assert caller is not None
            if caller.rpm:
                grant = ledger.take(caller.scope, caller.rpm, caller.burst, now_s())
                exchange.limit_headers = limit_lines(caller, grant)
                if not grant.allowed:
                    refused()
                    return over_limit(caller, grant)
            return await inner(exchange)

        return handle

    return stage
