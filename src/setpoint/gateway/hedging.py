"""A second call besides a slow one: who has content first wins, and the other is hung up on at once.

    first call ───── after_s without content ─────┬──> ...          content ──> relayed, or answered
                                                  └──> second call  the slower one is hung up on; its breaker learns nothing

Both are steps of the exchange's one coroutine: a `Racer` holds the coroutine of a call and is stepped whenever the exchange's drive is. So
there is one drive, no task, and no moment at which both could have won: the first that has content when it is stepped ends the other before
anything else happens. The second call works on a copy of the exchange, and the exchange takes over what the winner found out.

The slower call is paid for: providers bill the prompt of a call that was hung up on. Its cost is part of the exchange's, by the tokens it
had reported, or else by the prompt that the winner was billed for. It leaves an ATTEMPT record that says `hedged`.

Source of the idea: J. Dean, L. A. Barroso, "The Tail at Scale", CACM 2013.
"""

from collections.abc import Callable, Coroutine
from copy import copy
from typing import Any, Literal

from setpoint.domain.faults import Fault
from setpoint.domain.money import cost_nanousd
from setpoint.domain.usage import Usage
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import NEWS, Cancelled
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.published import Candidate
from setpoint.gateway.records import Slower
from setpoint.kit.breaker import State

HedgeOutcome = Literal["won", "lost", "failed", "abandoned", "withheld"]
"""Of a second call: it answered; the first one did; neither did; the client left; it was not made, because of the ratio."""
BYTES_PER_TOKEN = 4
"""To estimate a prompt that nobody has counted."""

OnCall = Callable[[Exchange, Candidate, Fault | None, float, Slower | None], None]
"""Told of a call that is not the exchange's last word: whose, its fault, how long it took, and what it is billed for."""


class Racer:
    """One of the calls. `at` is its target's place in the list; `no` numbers the call, 0 until it is sent."""

    __slots__ = ("at", "began_s", "candidate", "coroutine", "ended_s", "exchange", "no", "over", "result")

    def __init__(self, exchange: Exchange, candidate: Candidate, at: int, coroutine: Coroutine[Any, None, Result], began_s: float) -> None:
        self.exchange = exchange
        self.candidate = candidate
        self.at = at
        self.coroutine = coroutine
        self.began_s = self.ended_s = began_s
        self.no = 0
        self.over = False
        self.result: Result | None = None

    @property
    def has_content(self) -> bool:
        return self.exchange.streamed or (self.over and self.result is not None and not isinstance(self.result, Fault))

    @property
    def is_being_answered(self) -> bool:
        """A whole answer has begun to arrive."""
        call = self.exchange.call
        return call is not None and call.head_seen and not call.streaming

    def step(self, now_s: float) -> bool:
        """Run on until it waits again, or ends; whether it has ended."""
        try:
            self.coroutine.send(None)
        except StopIteration as end:
            self.over, self.ended_s = True, now_s
            self.result = end.value
        if not self.no and self.exchange.call is not None:
            self.no = self.exchange.attempts
        return self.over

    def stop(self, now_s: float) -> None:
        """Hang up."""
        if self.over:
            return
        self.over, self.ended_s = True, now_s
        try:
            self.coroutine.throw(Cancelled())
        except (Cancelled, StopIteration):
            return

    def billed(self, answered: Usage | None) -> Usage | None:
        """What the provider will bill for a call that was hung up on; None when nothing of it was sent. `answered`: the winner's usage."""
        call = self.exchange.call
        if call is None or not call.sent_at_s:
            return None
        own = self.exchange.usage
        if own is not None and (answered is None or not own.estimated):
            return own
        prompt = len(self.exchange.body) // BYTES_PER_TOKEN if answered is None else answered.prompt_total
        return Usage(input=prompt, output=0 if own is None else own.output, estimated=True)


class Race:
    """A first call, and a second one when it is slow. `begin_second` gives None when there is to be none."""

    def __init__(
        self,
        first: Racer,
        begin_second: Callable[[], Racer | None],
        after_s: float | None,
        deadlines: Deadlines,
        on_call: OnCall,
        on_hedge: Callable[[HedgeOutcome], None],
        on_fault: Callable[[Racer, Fault], None],
    ) -> None:
        """`on_fault` is told at once of a call that failed while the other goes on."""
        self.exchange = first.exchange
        self.racers = [first]
        self._begin_second = begin_second
        self._deadlines = deadlines
        self._on_call = on_call
        self._on_hedge = on_hedge
        self._on_fault = on_fault
        self._hedge_at_s = None if after_s is None else first.began_s + after_s
        self._upstream_ns = self.exchange.upstream_ns
        self.content_s: float | None = None
        """When the first content came."""

    async def run(self) -> Racer:
        """Until one has answered, or none can: the winner, or the one that failed last."""
        timer = self._deadlines.timer(lambda _: self.exchange.drive.resume())
        if self._hedge_at_s is not None:
            timer.set(self._hedge_at_s)
        last, whole = self.racers[0], False
        try:
            while True:
                last = self._step() or last
                if last.has_content or all(racer.over for racer in self.racers):
                    break
                if not self._grow():
                    await NEWS
            timer.clear()
            self._stop_but(last)
            while not last.over:
                await NEWS
                last.step(self._deadlines.now_s())
            whole = True
            return last
        finally:
            timer.clear()
            self._stop_but(None)
            if len(self.racers) > 1:
                self._settle(last, whole=whole)

    def _step(self) -> Racer | None:
        """Step both: the first one with content, else one that has just failed."""
        failed = None
        for racer in self.racers:
            if racer.over:
                continue
            ended = racer.step(self._deadlines.now_s())
            for other in self.racers:  # both count the calls of one exchange
                other.exchange.attempts = max(other.exchange.attempts, racer.exchange.attempts)
            if racer.has_content:
                self.content_s = self._deadlines.now_s()
                return racer
            if ended:
                failed = racer
                if isinstance(racer.result, Fault) and not all(other.over for other in self.racers):
                    self._on_fault(racer, racer.result)
        return failed

    def _grow(self) -> bool:
        """Begin the second call when it is time."""
        first, due_s = self.racers[0], self._hedge_at_s
        if due_s is None or first.over or first.is_being_answered or self._deadlines.now_s() < due_s:
            return False
        self._hedge_at_s = None
        second = self._begin_second()
        if second is None:
            return False
        self.racers.append(second)
        self.exchange.racer = second.exchange
        return True

    def _stop_but(self, winner: Racer | None) -> None:
        for racer in self.racers:
            if racer is not winner:
                racer.stop(self._deadlines.now_s())

    def _settle(self, last: Racer, *, whole: bool) -> None:
        """Every call is over: tell of those that are not the last word, and let the exchange know what the winner does."""
        answered = last.exchange.usage if last.has_content else None
        costs = [self._tell(racer, answered) for racer in self.racers if racer is not last]
        exchange = self.exchange
        take_over(exchange, last.exchange)
        exchange.racer = None
        exchange.hedged = last.no
        exchange.upstream_ns = self._upstream_ns + int((self._deadlines.now_s() - self.racers[0].began_s) * 1e9)
        for cost in costs:
            if exchange.cost_nanousd >= 0:
                exchange.cost_nanousd = -1 if cost < 0 else exchange.cost_nanousd + cost
        if not whole:
            self._on_hedge("abandoned")
        elif last.has_content:
            self._on_hedge("lost" if last is self.racers[0] else "won")
        else:
            self._on_hedge("failed")

    def _tell(self, racer: Racer, answered: Usage | None) -> int:
        """Record a call that did not answer. Returns what it costs in nano-dollars, -1 when that is unknown."""
        took_s = racer.ended_s - racer.began_s
        if isinstance(racer.result, Fault):
            self._on_call(racer.exchange, racer.candidate, racer.result, took_s, Slower(racer.no))
            return 0
        usage = racer.billed(answered)
        cost = 0
        if usage is not None:
            cost = -1 if racer.candidate.price is None else cost_nanousd(racer.candidate.price, usage)
        if racer.no:
            self._on_call(racer.exchange, racer.candidate, None, took_s, Slower(racer.no, usage, cost))
        return cost


def racing_copy(exchange: Exchange) -> Exchange:
    """The exchange as a second call sees it: a call, an answer and figures of its own; the same client, drive and plan."""
    twin = copy(exchange)
    twin.call = None
    twin.trial = None
    twin.upstream_ns = 0
    return twin


def take_over(exchange: Exchange, twin: Exchange) -> None:
    """Know all that `twin` knows."""
    if twin is exchange:
        return
    attempts = max(exchange.attempts, twin.attempts)
    for name in Exchange.__slots__:
        setattr(exchange, name, getattr(twin, name))
    exchange.attempts = attempts


def hedge_target(candidates: tuple[Candidate, ...], at: int, able: Callable[[Candidate], bool]) -> int | None:
    """Where a second call goes besides one to `at`: the next target that is well, else the same one again; None when nobody may be called.

    A half-open circuit waits for one call, and gets no second one for sport.
    """
    places = [place % len(candidates) for place in range(at + 1, at + 1 + len(candidates))]
    for place in places:
        candidate = candidates[place]
        if candidate.breaker.state is State.closed and not candidate.line.ill and able(candidate):
            return place
    return None
