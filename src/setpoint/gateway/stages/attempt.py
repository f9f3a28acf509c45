"""The upstream calls of one exchange: which target next, how long to wait, when to stop.

One exchange makes at most `retries.attempts` calls over all its targets. A fault that another target may help with goes on to the
next one at once; one that the same target may answer next time waits first when no other is left (full jitter, or what
Retry-After says). After the first content was forwarded nothing is tried any more, and neither is anything after a fault of the
caller's own making.

Each call runs under its endpoint's breaker. A target whose circuit is open is skipped; when all are open the caller is told at
once when the first may close."""

from collections.abc import Awaitable, Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Retries
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.published import Candidate
from setpoint.kit.backoff import RetryBudget, delay_s
from setpoint.kit.breaker import REFUSED, Breaker

BREAKER_KINDS = frozenset(
    {
        FaultKind.upstream_server,
        FaultKind.upstream_unreachable,
        FaultKind.upstream_timeout,
        FaultKind.upstream_cut,
        FaultKind.upstream_overloaded,
    }
)
"""Faults that say the endpoint is ill. A limit or a refused credential says nothing about its health."""

UNSURE_KINDS = frozenset({FaultKind.upstream_server, FaultKind.upstream_timeout, FaultKind.upstream_cut})
"""Faults after which the upstream may have done what it was asked for."""

CallOne = Callable[[Exchange, Candidate], Awaitable[Result]]
Sleep = Callable[[Exchange, float], Awaitable[None]]


def wait_before_retry_s(fault: Fault, made: int, retries: Retries, *, elsewhere: bool, left_s: float, uniform: float) -> float | None:
    """How long to wait before the next call; None when there must not be one.

    `made` calls were made. `elsewhere`: another target can be tried. `left_s`: what remains of the exchange's time.
    """
    if fault.retry == "never" or made >= retries.attempts:
        return None
    if elsewhere:
        return 0.0
    if fault.retry == "elsewhere":
        return None
    wait_s = delay_s(retries.base_s, retries.factor, retries.cap_s, made - 1, uniform)
    if fault.retry_after_s is not None:
        wait_s = max(wait_s, fault.retry_after_s)
    return wait_s if wait_s <= retries.cap_s and wait_s < left_s else None


def all_open(candidates: tuple[Candidate, ...], now_s: float) -> Fault:
    """Every circuit of the route is open."""
    wait_s = max(0.001, min(c.breaker.retry_after_s(now_s) for c in candidates))
    text = f"Every upstream of this route is failing and its circuit is open; the next try is possible in {wait_s:.1f} s."
    return Fault(FaultKind.no_target, text, retry_after_s=wait_s)


def next_admitted(candidates: tuple[Candidate, ...], start: int, now_s: float) -> tuple[int, int] | None:
    """The first target from `start` on, around the list, whose breaker admits a call, and the admission. May take a half-open
    breaker's probe.
    """
    for i in range(start, start + len(candidates)):
        admission = candidates[i % len(candidates)].breaker.admit(now_s)
        if admission != REFUSED:
            return i, admission
    return None


def ready_after(candidates: tuple[Candidate, ...], at: int, now_s: float) -> bool:
    """Whether a target behind `at` would be called now. One with an open circuit is not another chance, but a way back to the same."""
    return any(candidate.breaker.retry_after_s(now_s) <= 0 for candidate in candidates[at + 1 :])


class Attempt:
    """The core of the stack. `on_failed` is told of each failed call that another one follows, with how long it took."""

    def __init__(
        self,
        call: CallOne,
        sleep: Sleep,
        now_s: Callable[[], float],
        uniform: Callable[[], float],
        budget: RetryBudget,
        on_failed: Callable[[Exchange, Candidate, Fault, float], None],
    ) -> None:
        self._call = call
        self._sleep = sleep
        self._now_s = now_s
        self._uniform = uniform
        self._budget = budget
        self._on_failed = on_failed

    async def handle(self, exchange: Exchange) -> Result:
        """Call until an answer, a fault that ends it, or the end of the budget."""
        resolved = exchange.route
        assert resolved is not None
        candidates, timeouts = exchange.candidates, resolved.route.timeouts
        began_s = self._now_s()
        long = exchange.surface.kind == "passing" or (exchange.envelope is not None and exchange.envelope.stream)
        until_s = began_s + (timeouts.stream_total_s if long else timeouts.unary_total_s)
        self._budget.requested(began_s)
        at = 0
        while True:
            now_s = self._now_s()
            admitted = next_admitted(candidates, at, now_s)
            if admitted is None:
                return all_open(candidates, now_s)
            at, admission = admitted
            candidate = candidates[at % len(candidates)]
            exchange.attempts += 1
            exchange.failovers = at
            result: Result | None = None
            try:
                result = await self._call(exchange, candidate)
            finally:
                report(
                    candidate.breaker,
                    admission,
                    exchange.fault if not isinstance(result, Fault) else result,
                    done=result is not None,
                    now_s=self._now_s,
                )
            if not isinstance(result, Fault):
                return result
            if exchange.surface.lasting and exchange.request.method != b"GET" and result.kind in UNSURE_KINDS:
                return result
            elsewhere = ready_after(candidates, at, self._now_s())
            wait_s = self._wait_s(result, exchange.attempts, resolved.route.retries, elsewhere=elsewhere, until_s=until_s)
            if wait_s is None:
                return result
            self._on_failed(exchange, candidate, result, self._now_s() - now_s)
            if wait_s:
                await self._sleep(exchange, wait_s)
            if elsewhere:
                at += 1

    def _wait_s(self, fault: Fault, made: int, retries: Retries, *, elsewhere: bool, until_s: float) -> float | None:
        now_s = self._now_s()
        wait_s = wait_before_retry_s(fault, made, retries, elsewhere=elsewhere, left_s=until_s - now_s, uniform=self._uniform())
        # Going elsewhere spreads load; only repeating at the same place can make a storm, so only that is charged.
        if wait_s is None or (not elsewhere and not self._budget.take(now_s)):
            return None
        return wait_s


def report(breaker: Breaker, admission: int, fault: Fault | None, *, done: bool, now_s: Callable[[], float]) -> None:
    """Tell the breaker how its call ended; `done` is false when it was cancelled or met a bug."""
    if not done:
        breaker.abandoned(admission)
    elif fault is None:
        breaker.succeeded(admission)
    elif fault.kind in BREAKER_KINDS:
        breaker.failed(admission, now_s())
    else:
        breaker.abandoned(admission)
