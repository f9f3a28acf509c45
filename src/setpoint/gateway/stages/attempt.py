"""The upstream calls of one exchange: which target next, how long to wait, when to stop.

One exchange makes at most `retries.attempts` calls over all its targets, within one deadline. A fault that another target may help with
goes on to the next one at once; so does one that another key of the same upstream may help with. One that the same target may answer next
time waits first when no other is left (full jitter, or what Retry-After says). A key that was refused is not used again. After the first
content was forwarded nothing is tried any more, and neither is anything after a fault of the caller's own making.

Each call runs under its endpoint's breaker. A target whose circuit is open, or whose keys all rest, is skipped; when all are, the caller is
told at once when the first may be called again. Targets whose health probe fails come last."""

from collections.abc import Awaitable, Callable
from math import inf

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import NEWS
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.hedge_policy import HedgePolicy
from setpoint.gateway.hedging import HedgeOutcome, OnCall, Race, Racer, hedge_target, racing_copy
from setpoint.gateway.key_pool import KEY_KINDS
from setpoint.gateway.next_call import (
    NOTHING,
    TIMEOUT_HEADER,
    next_admitted,
    ready_after,
    stated_time_s,
    unavailable,
    usable,
    wait_before_retry_s,
    waits_s,
    well_first,
    whole_time_s,
)
from setpoint.gateway.payload import streams
from setpoint.gateway.published import Candidate
from setpoint.gateway.records import Slower
from setpoint.kit.backoff import RetryBudget
from setpoint.kit.breaker import CALL, Breaker

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

CREDENTIAL_KINDS = frozenset({FaultKind.upstream_auth, FaultKind.upstream_quota})
"""Faults after which the same key is not used again for the same request."""

CallOne = Callable[[Exchange, Candidate], Awaitable[Result]]


class Attempt:
    """The core of the stack."""

    def __init__(
        self,
        call: CallOne,
        deadlines: Deadlines,
        uniform: Callable[[], float],
        budget: RetryBudget,
        on_failed: OnCall,
        on_hedge: Callable[[HedgeOutcome], None],
    ) -> None:
        """`on_failed` is told of each call that is not the last word of its exchange."""
        self._call = call
        self._deadlines = deadlines
        self._now_s = deadlines.now_s
        self._uniform = uniform
        self._budget = budget
        self._on_failed = on_failed
        self._on_hedge = on_hedge

    async def handle(self, exchange: Exchange) -> Result:
        """Call until an answer, a fault that ends it, or the end of the budget."""
        resolved = exchange.route
        assert resolved is not None
        now_s = began_s = self._now_s()
        made = exchange.attempts
        passed = exchange.failovers + 1 if made else 0  # not the first list of targets, when there were calls before
        if not made and (fault := self._begin(exchange, now_s)) is not None:
            return fault
        exchange.hedged = -abs(exchange.hedged)
        if len(exchange.candidates) > 1 and any(candidate.line.ill for candidate in exchange.candidates):
            exchange.candidates = well_first(exchange.candidates)
        refused = NOTHING
        at = 0
        result: Result | None = None
        while True:
            candidates = exchange.candidates
            admitted = next_admitted(candidates, at, now_s, refused)
            if admitted is None:
                return result or unavailable(candidates, now_s)
            at, admission = admitted
            candidate = candidates[at % len(candidates)]
            exchange.failovers = passed + at % len(candidates)
            if resolved.hedging is None:
                result = await self._one(exchange, candidate, admission, refused)
            else:
                result, at, refused = await self._hedged(exchange, at, admission, refused)
                candidate = candidates[at % len(candidates)]
            if not isinstance(result, Fault):
                return result
            if is_done_for(exchange, result):
                return result
            if exchange.until_s == inf:
                exchange.until_s = began_s + whole_time_s(exchange, resolved)
            made = max(made + (result.kind is not FaultKind.unsupported), exchange.attempts)
            refused = self._without_key(exchange, candidate, result, refused)
            result = self._with_first_key_back(candidate, result)
            wait_s, ahead = self._next(exchange, at, made, result, refused)
            if wait_s is None:
                return result
            number = Slower(exchange.hedged) if exchange.hedged > 0 else None
            self._on_failed(exchange, candidate, result, self._now_s() - exchange.called_s, number)
            exchange.hedged = -abs(exchange.hedged)
            if wait_s:
                await self._wait(exchange, wait_s)
            if exchange.given_up is not None:
                return exchange.given_up
            at += ahead
            exchange.moves += ahead
            now_s = self._now_s()

    def _begin(self, exchange: Exchange, now_s: float) -> Fault | None:
        """Before the first call of an exchange."""
        resolved = exchange.route
        assert resolved is not None
        self._budget.requested(now_s)
        if resolved.route.retries.total_s is None and TIMEOUT_HEADER not in exchange.request.headers:
            return None
        time_s = stated_time_s(exchange, resolved)
        if isinstance(time_s, Fault):
            return time_s
        exchange.until_s = now_s + time_s
        return None

    async def _one(self, exchange: Exchange, candidate: Candidate, admission: int, refused: frozenset[object]) -> Result:
        """One call under its breaker, with the key whose turn it is."""
        now_s = exchange.called_s = self._now_s()
        keys = candidate.line.keys
        exchange.key = None if keys is None else keys.take(candidate.model, now_s, refused)
        exchange.call = None
        if admission != CALL:
            exchange.trial = (candidate.breaker, admission)
        result: Result | None = None
        try:
            result = await self._call(exchange, candidate)
            return result
        finally:
            if admission != CALL:
                admission = CALL if exchange.trial is None else admission  # its first content told the breaker already
                exchange.trial = None
            fault = result if isinstance(result, Fault) else exchange.fault
            told = result is not None and not (fault is not None and self._cut_short(exchange, fault))
            report(candidate.breaker, admission, fault, told=told, now_s=self._now_s)

    async def _hedged(
        self, exchange: Exchange, at: int, admission: int, refused: frozenset[object]
    ) -> tuple[Result, int, frozenset[object]]:
        """One call, or two when the first is slow: the result, which target it came from, and what must not be used again."""
        hedging = exchange.route.hedging if exchange.route is not None else None
        assert hedging is not None
        if not exchange.attempts:
            hedging.requested()
        stream, candidates, failovers = streams(exchange), exchange.candidates, exchange.failovers
        candidate, now_s = candidates[at % len(candidates)], self._now_s()
        first = Racer(exchange, candidate, at, self._one(exchange, candidate, admission, refused), now_s)

        def second() -> Racer | None:
            later_s = self._now_s()
            place = hedge_target(candidates, at, lambda each: usable(each, later_s, refused))
            if place is None or exchange.given_up is not None:
                return None
            if not hedging.take():
                self._on_hedge("withheld")
                return None
            twin, other = racing_copy(exchange), candidates[place]
            twin.failovers = failovers - at % len(candidates) + place
            return Racer(twin, other, max(at, place), self._one(twin, other, other.breaker.admit(later_s), refused), later_s)

        def failed(racer: Racer, fault: Fault) -> None:
            nonlocal refused
            refused = self._without_key(racer.exchange, racer.candidate, fault, refused)

        slow_s = self._slow_s(exchange, hedging, stream=stream)
        race = Race(first, second, slow_s, self._deadlines, self._on_failed, self._on_hedge, failed)
        try:
            last = await race.run()
        finally:
            if not isinstance(first.result, Fault):
                hedging.saw((race.content_s or self._now_s()) - now_s, stream=stream)
        assert last.result is not None
        return last.result, last.at, refused

    @staticmethod
    def _slow_s(exchange: Exchange, hedging: HedgePolicy, *, stream: bool) -> float | None:
        """When a first call is slow; None when there is to be no second one. One exchange is hedged once."""
        route = exchange.route
        assert route is not None
        surface, left = exchange.surface, route.route.retries.attempts - exchange.attempts
        if surface.lasting or surface.kind == "passing" or left < 2 or exchange.hedged:
            return None
        return hedging.after_s(stream=stream)

    def _cut_short(self, exchange: Exchange, fault: Fault) -> bool:
        """Whether the call had less time than a call has as a rule, because the exchange's own was up: that is not the upstream's fault."""
        if fault.kind is not FaultKind.upstream_timeout or exchange.call is None:
            return False
        return self._now_s() >= exchange.until_s and exchange.until_s - exchange.called_s < exchange.call.timeouts.first_byte_s

    def _next(self, exchange: Exchange, at: int, made: int, fault: Fault, refused: frozenset[object]) -> tuple[float | None, int]:
        """How long to wait before another call, None for never; and how many targets to go on."""
        resolved, candidates, now_s = exchange.route, exchange.candidates, self._now_s()
        assert resolved is not None
        candidate = candidates[at % len(candidates)]
        keys = candidate.line.keys
        another_key = keys is not None and fault.kind in KEY_KINDS and keys.ready(candidate.model, now_s, refused)
        elsewhere = another_key or ready_after(candidates, at, now_s, refused)
        left_s = exchange.until_s - now_s
        wait_s = wait_before_retry_s(fault, made, resolved.route.retries, elsewhere=elsewhere, left_s=left_s, uniform=self._uniform())
        if wait_s is None or elsewhere:
            return wait_s, int(not another_key)
        # Going elsewhere spreads load; only repeating at the same place can make a storm, so only that is charged.
        if waits_s(candidate, now_s)[0] > wait_s or not self._budget.take(now_s):
            return None, 0
        return wait_s, 0

    def _without_key(self, exchange: Exchange, candidate: Candidate, fault: Fault, refused: frozenset[object]) -> frozenset[object]:
        """What the fault says of the key that was used; returns what this exchange must not use again."""
        if fault.kind not in KEY_KINDS:
            return refused
        if exchange.key is not None:
            exchange.key.rest(candidate.model, fault, self._now_s())
        return refused | {exchange.key or candidate.line} if fault.kind in CREDENTIAL_KINDS else refused

    def _with_first_key_back(self, candidate: Candidate, fault: Fault) -> Fault:
        """The upstream's own words; but where all of several keys rest, it counts when the first one is back."""
        keys, now_s = candidate.line.keys, self._now_s()
        if keys is None or fault.kind not in KEY_KINDS or keys.ready(candidate.model, now_s):
            return fault
        return keys.unavailable(candidate.model, now_s, fault)

    async def _wait(self, exchange: Exchange, wait_s: float) -> None:
        """Wait, unless the exchange is given up meanwhile."""
        until_s = self._now_s() + wait_s
        deadline = self._deadlines.timer(lambda _: exchange.drive.resume())
        deadline.set(until_s)
        try:
            while self._now_s() < until_s and exchange.given_up is None:
                await NEWS
        finally:
            deadline.clear()


def is_done_for(exchange: Exchange, fault: Fault) -> bool:
    """Whether it may have been done already what must not be done twice."""
    return exchange.surface.lasting and exchange.request.method != b"GET" and fault.kind in UNSURE_KINDS


def report(breaker: Breaker, admission: int, fault: Fault | None, *, told: bool, now_s: Callable[[], float]) -> None:
    """Tell the breaker how its call ended. `told` is false when that says nothing of the upstream: it was cancelled, or met a bug."""
    if not told:
        breaker.abandoned(admission)
    elif fault is None:
        breaker.succeeded(admission)
    elif fault.kind in BREAKER_KINDS:
        breaker.failed(admission, now_s())
    else:
        breaker.abandoned(admission)
