"""Admission: a worker with more to do than it can says no early, so that what it accepts is served as fast as ever.

How much is too much is measured where it hurts: how long something that is ready waits for the event loop. While more than a few exchanges
are under way a *probe* asks that every 10 ms: how long did one turn of the loop take? Bursts make single turns long; only an overload makes
*every* turn long. So what counts is the shortest turn of a window (CoDel's idea: the minimum is the standing part of a delay):

    serving ──shortest turn of 100 ms above delay_max_s, twice in a row──▶ shedding ──nothing to refuse for 1 s──▶ serving
            ──one turn of five times that: no burst any more──────────────▶

While it sheds, a rate is held: what the worker took in before, lowered while turns stay longer than a tenth of `delay_max_s`, raised while
they do not and somebody was refused. Each class of requests (`gateway.priority`) gets its part of that rate by
chance, so no place in a queue decides. It costs nothing while a worker serves: one comparison a request.

A refusal is cheap (no exchange, no body parsed, no trace; it is counted), but not free. A client that is refused and asks again at once
could keep a worker busy with refusing alone; so where refusals are many, the connection is not read for a while: by chance up to
`REST_S_MIN`, and longer while these are still many, but never as long as it was told to wait. A request that lay there meanwhile is
*stale*: it gets only what the fresh ones leave, so that most of what is served has not waited. Who keeps to Retry-After notices nothing.

Sources: K. Nichols, V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012 (RFC 8289); B. Maurer, "Fail at Scale", ACM Queue
13(8), 2015.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import PRIORITIES
from setpoint.gateway.priority import ALL, NONE, Three, fractions

WINDOW_S = 0.1
STANDING_WINDOWS = 2
"""Windows in a row that must be too slow before anything is refused; one could be a burst."""
BURST_TURNS = 5
"""A single turn of so many times `delay_max_s` is not waited for to end: whatever comes after is refused at once."""
CALM_WINDOWS = 10
"""Windows in a row without a refusal after which the worker serves everybody again."""
HELD_SHARE = 0.1
"""While shedding, turns are held at this part of `delay_max_s`: far below where shedding began, so that it does not swing around that."""
DOWN, DOWN_MOST = 0.03, 0.3
"""By how much the rate falls in a window, for each time that turns are longer than they should be."""
UP, UP_SLOWLY, NEAR = 1.1, 1.02, 0.95
"""By what it rises in a window; slowly from this part of the best rate that was seen on, or it would swing about what is possible."""
KEPT, FORGET = 0.5, 0.97
"""The rate never falls below this part of the best one that was seen, which is forgotten at that pace a window: refusing is work too, and a
worker that is busy with it must not take in less and less."""
RATE_MIN = 10.0
"""Requests a second that are admitted whatever happens."""
AHEAD = (1.25, 1.25, 2.0)
"""By class: how far what was admitted within a window may run ahead of the rate."""
REFUSALS_FREE, REFUSALS_MANY = 0.25, 0.75
"""Refusals for each request of the rate: from the first figure on connections of refused clients rest, beyond the second longer."""
REFUSALS_MIN = 10.0
"""Refusals of a window that are always free."""
RETRY_S_MIN, RETRY_S_MAX = 1.0, 30.0
REST_S_MIN, REST_S_MAX = 0.25, 8.0
TEXT = "This gateway worker has more to do than it can; {} priority is refused for now. Try again after the time that Retry-After says."
_TEXTS = tuple(TEXT.format(name) for name in PRIORITIES)


class Admission:
    """The decision of one worker; without a clock, `now_s` is passed in. `busy` is looked at before anything else is asked: it is true
    while the worker sheds, or is full of bytes.
    """

    __slots__ = (
        "_admitted", "_asked", "_asked_stale", "_began_s", "_calm", "_delay_s", "_fractions", "_fractions_stale", "_free", "_peak", "_rate",
        "_refused", "_rest_s", "_slow", "_smooth", "_smooth_stale", "_start", "_uniform", "_waiting", "busy", "delay_max_s", "full", "shed",
        "shedding", "standing_s",
    )  # fmt: skip

    def __init__(self, uniform: Callable[[], float], delay_max_s: float) -> None:
        self._uniform = uniform
        self.delay_max_s = delay_max_s
        self.shedding = False
        self.full = False
        self.busy = False
        self.standing_s = 0.0
        """Shortest turn of the last window."""
        self.shed = [0, 0, 0]
        """Refused so far, by class."""
        self._fractions: Three = ALL
        self._rate = 0.0
        self._peak = 0.0
        self._began_s = -inf
        self._delay_s = inf
        self._slow = self._calm = 0
        self._start = 0
        self._fractions_stale: Three = ALL
        self._asked = [0, 0, 0]
        self._asked_stale = [0, 0, 0]
        self._smooth: Three = NONE
        self._smooth_stale: Three = NONE
        self._admitted = self._refused = 0
        self._waiting = 0.0
        self._rest_s = REST_S_MIN
        self._free = REFUSALS_MIN

    # ---- while shedding, for each request

    def admit(self, priority: int, *, stale: bool = False) -> bool:
        """Whether one more request of this class is taken in. `stale`: it lay in a connection that was not read."""
        if stale:
            self._asked_stale[priority] += 1
            fraction = self._fractions_stale[priority]
        else:
            self._asked[priority] += 1
            fraction = self._fractions[priority]
        if self._uniform() < fraction and self._admitted < self._rate * WINDOW_S * AHEAD[priority] + 1.0:
            self._admitted += 1
            return True
        self.shed[priority] += 1
        self._refused += 1
        self._waiting = min(self._waiting + 1.0, RETRY_S_MAX * self._rate)
        return False

    def refusal(self, priority: int) -> Fault:
        """What a client is told whom `admit` refused. The time is true: those who are refused are given places one after another, at the
        rate at which there is room, so all who keep to it are served.
        """
        wait_s = min(RETRY_S_MAX, RETRY_S_MIN + self._waiting / max(RATE_MIN, self._rate))
        return Fault(FaultKind.overloaded, _TEXTS[priority], retry_after_s=wait_s)

    def rest_s(self) -> float:
        """How long the connection of the client that was just refused is not read; by chance, so that not all are read at once."""
        longest = min(self._rest_s, RETRY_S_MIN + self._waiting / max(RATE_MIN, self._rate))
        return longest * self._uniform() if self._refused > self._free else 0.0

    @property
    def rate(self) -> float:
        """Requests a second that are taken in while shedding."""
        return self._rate

    # ---- the probe

    def sample(self, delay_s: float, started: int, now_s: float) -> None:
        """One turn of the loop took `delay_s`; `started` counts the exchanges that ever began."""
        self._delay_s = min(self._delay_s, delay_s)
        took_s = now_s - self._began_s
        if took_s < WINDOW_S:
            return
        if took_s == inf:
            self._open(started, now_s)
            return
        self.standing_s = self._delay_s
        if self.shedding:
            self._steer(took_s)
        else:
            self._watch((started - self._start) / took_s)
        self._open(started, now_s)

    def overrun(self, turn_s: float, started: int) -> None:
        """A turn takes `turn_s` already and is not over; `started` exchanges began in it."""
        if not self.shedding and turn_s > self.delay_max_s * BURST_TURNS:
            self._begin(started / turn_s)

    def fill(self, *, full: bool) -> None:
        """Whether the worker holds all the bytes that it may."""
        self.full = full
        self.busy = full or self.shedding

    def rest(self) -> None:
        """Nobody is left to wait for anything: serve everybody."""
        self._shed(False)
        self.standing_s = 0.0
        self._slow = 0
        self._began_s = -inf

    def _shed(self, shedding: bool) -> None:
        self.shedding = shedding
        self.busy = shedding or self.full

    def _open(self, started: int, now_s: float) -> None:
        self._began_s, self._start, self._delay_s = now_s, started, inf
        self._admitted = self._refused = 0
        self._asked = [0, 0, 0]
        self._asked_stale = [0, 0, 0]

    def _watch(self, rate: float) -> None:
        """Serving: has everything been late for long enough?"""
        self._slow = self._slow + 1 if self.standing_s > self.delay_max_s else 0
        if self._slow >= STANDING_WINDOWS:
            self._begin(rate)

    def _begin(self, rate: float) -> None:
        """Shed from now on; `rate` is what was taken in until now."""
        self._shed(True)
        self._slow = self._calm = 0
        self._waiting = 0.0
        self._peak = rate
        self._rate = max(RATE_MIN, rate * (1 - DOWN_MOST))
        self._rest_s = REST_S_MIN
        self._smooth, self._smooth_stale = (0.0, rate, 0.0), NONE
        self._share()

    def _steer(self, took_s: float) -> None:
        """Shedding: move the rate, and share it anew."""
        admitted = self._admitted / took_s
        self._peak = max(self._peak * FORGET, admitted)
        slow = self.standing_s / (self.delay_max_s * HELD_SHARE)
        if slow > 1:
            self._rate = max(RATE_MIN, self._peak * KEPT, min(self._rate, admitted) * (1 - min(DOWN_MOST, DOWN * slow)))
        elif self._refused:
            self._rate *= UP if self._rate < self._peak * NEAR else UP_SLOWLY
        self._pace(self._refused / took_s)
        self._calm = 0 if self._refused or self.standing_s > self.delay_max_s else self._calm + 1
        if self._calm >= CALM_WINDOWS:
            self._shed(False)
            return
        self._smooth = smoothed(self._smooth, self._asked, took_s)
        self._smooth_stale = smoothed(self._smooth_stale, self._asked_stale, took_s)
        self._share()
        self._waiting = max(0.0, self._waiting - self._rate * took_s)

    def _share(self) -> None:
        """The rate to the fresh ones, and what they leave to the stale ones."""
        self._free = max(REFUSALS_MIN, self._rate * WINDOW_S * REFUSALS_FREE)
        fresh = self._smooth
        self._fractions = parts = fractions(self._rate, fresh)
        left = self._rate - sum(part * each for part, each in zip(parts, fresh, strict=True))
        self._fractions_stale = fractions(left, self._smooth_stale)

    def _pace(self, refused: float) -> None:
        """`refused` in a second: rests grow while these are many, and shrink when they are few."""
        if refused > max(self._rate * REFUSALS_MANY, 3 * REFUSALS_MIN / WINDOW_S):
            self._rest_s = min(REST_S_MAX, self._rest_s * 1.5)
        elif refused < max(self._rate * REFUSALS_FREE, REFUSALS_MIN / WINDOW_S):
            self._rest_s = max(REST_S_MIN, self._rest_s / 1.5)


def smoothed(before: Three, counts: list[int], took_s: float) -> Three:
    """Rates of the classes: half what was before, half what was counted now."""
    low, normal, high = counts
    return ((before[0] + low / took_s) / 2, (before[1] + normal / took_s) / 2, (before[2] + high / took_s) / 2)


class Loop(Protocol):
    """What a probe needs of an event loop."""

    def call_soon(self, callback: Callable[[], object], /) -> object: ...

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object: ...


PROBE_S = 0.01
WATCH_FROM = 8
"""Exchanges under way from which on the probe runs: with fewer there is no queue worth the name, and an idle worker sleeps."""


class Probe:
    """Measures turns of the loop while there is something under way, and tells `Admission`.

        timer ─▶ first ─▶ (the loop looks at its sockets, and runs what is ready) ─▶ second: that took so long

    `first` and `second` are each called "soon", so exactly one look at the sockets lies between them.
    """

    __slots__ = ("_admission", "_before", "_in_flight", "_loop", "_now_s", "_started", "_turn_s", "due_s", "running")

    def __init__(
        self, admission: Admission, loop: Loop, now_s: Callable[[], float], in_flight: Callable[[], int], started: Callable[[], int]
    ) -> None:
        self._admission = admission
        self._loop = loop
        self._now_s = now_s
        self._in_flight = in_flight
        self._started = started
        self._turn_s = 0.0
        self._before = 0
        self.running = False
        self.due_s = 0.0
        """When the timer should ring; a turn that runs later is late by at least the difference."""

    def watch(self, now_s: float) -> None:
        """An exchange begins, and is one of many."""
        if not self.running:
            self.running = True
            self._wait(0.0, now_s)
        elif now_s - self.due_s > self._admission.delay_max_s:
            self._admission.overrun(now_s - self.due_s, self._started() - self._before)

    def _wait(self, seconds: float, now_s: float) -> None:
        self.due_s = now_s + seconds
        self._before = self._started()
        self._loop.call_later(seconds, self._due)

    def _due(self) -> None:
        self._loop.call_soon(self._first)

    def _first(self) -> None:
        self._turn_s = self.due_s = self._now_s()
        self._loop.call_soon(self._second)

    def _second(self) -> None:
        now_s = self._now_s()
        admission = self._admission
        admission.sample(now_s - self._turn_s, self._started(), now_s)
        if self._in_flight() < WATCH_FROM and not admission.shedding:
            self.running = False
            admission.rest()
        else:
            self._wait(PROBE_S, now_s)
