"""May this key send one more request now?"""

import math
from collections.abc import Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Caller
from setpoint.gateway.stack import Check
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
    limit = f"{caller.rpm} requests a minute (burst {caller.burst})"
    text = f"This gateway key is over its limit of {limit}; a request is free in {grant.retry_after_s:.2f} s."
    return Fault(FaultKind.rate_limited, text, retry_after_s=grant.retry_after_s)


def limit(ledger: LimitLedger, now_s: Callable[[], float], refused: Callable[[], None]) -> Check:
    """Spends one token of the caller's bucket; 429 when there is none."""
    take = ledger.take

    def check(exchange: Exchange) -> Fault | None:
        caller = exchange.caller
        assert caller is not None
        if not caller.rpm:
            return None
        grant = take(caller.scope, caller.rpm, caller.burst, now_s())
        exchange.limit_headers = limit_lines(caller, grant)
        if grant.allowed:
            return None
        refused()
        return over_limit(caller, grant)

    return check
