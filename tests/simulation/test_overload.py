"""Overload in a model of a worker: requests arrive at random, each turn of the loop serves all that is there, refusing costs something too.

The model knows nothing of sockets; it shows what the control law does at loads that no test machine can make. `Admission` is the real one.
"""

from collections import deque
from heapq import heappop, heappush
from random import Random
from statistics import quantiles

import pytest

from setpoint.gateway.admission import PROBE_S, Admission
from setpoint.gateway.priority import HIGH, LOW, NORMAL

SERVE_S = 0.001
CAPACITY = 1 / SERVE_S
REFUSE_S = 0.00005
CONNECTIONS = 2_000


class Model:
    """One worker, and clients that send at random from a fixed number of connections."""

    def __init__(self, seed: int, *, sheds: bool = True) -> None:
        self.random = Random(seed)
        self.admission = Admission(self.random.random, delay_max_s=0.05)
        self.sheds = sheds
        self.now_s = 0.0
        self.served: list[tuple[float, float, int]] = []
        """(when, how long it waited, class)"""
        self.refused = [0, 0, 0]
        self.arrived = [0, 0, 0]
        self.queue: deque[tuple[float, int, bool]] = deque()
        self.resting: list[tuple[float, int]] = []
        self.longest = 0
        self._sample_s = 0.0
        self._next_s = 0.0
        self.waits_told: list[float] = []

    def run(self, load: float, seconds: float, mix: tuple[float, float, float] = (0, 1, 0)) -> None:
        """`load` is a multiple of the capacity."""
        until_s = self.now_s + seconds
        rate = load * CAPACITY
        self._next_s = max(self._next_s, self.now_s)
        while self.now_s < until_s:
            self._arrive(rate, mix)
            if not self.queue:
                self.now_s = min(self._next_s, until_s)
                continue
            began_s = self.now_s
            for no in range(len(self.queue)):
                self.admission.overrun(self.now_s - began_s, no)
                self._handle(*self.queue.popleft())
            if self.now_s - self._sample_s >= PROBE_S:
                self._sample_s = self.now_s
                self.admission.sample(self.now_s - began_s, len(self.served), self.now_s)

    def _arrive(self, rate: float, mix: tuple[float, float, float]) -> None:
        while self.resting and self.resting[0][0] <= self.now_s:
            woke_s, no = heappop(self.resting)
            self.arrived[no] += 1
            self.queue.append((woke_s, no, True))
        while self._next_s <= self.now_s:
            if len(self.queue) + len(self.resting) < CONNECTIONS:
                no = self.random.choices((LOW, NORMAL, HIGH), mix)[0]
                self.arrived[no] += 1
                self.queue.append((self._next_s, no, False))
            self._next_s += self.random.expovariate(rate)
        self.longest = max(self.longest, len(self.queue))

    def _handle(self, arrived_s: float, no: int, stale: bool) -> None:
        if self.sheds and self.admission.shedding and not self.admission.admit(no, stale=stale):
            self.now_s += REFUSE_S
            self.refused[no] += 1
            wait_s = self.admission.refusal(no).retry_after_s or 0
            self.waits_told.append(wait_s)
            if rest_s := self.admission.rest_s():
                heappush(self.resting, (self.now_s + rest_s, no))
            return
        self.now_s += SERVE_S
        self.served.append((self.now_s, self.now_s - arrived_s, no))

    def since(self, begin_s: float, no: int | None = None) -> list[float]:
        return [wait_s for when_s, wait_s, each in self.served if when_s >= begin_s and no in (None, each)]


@pytest.mark.parametrize("load", [1.1, 1.5, 3, 10, 30])
def test_goodput_and_latency_hold_at_any_load(load: float) -> None:
    model = Model(1)
    model.run(load, 6)
    waits = model.since(2)
    assert len(waits) / 4 > 0.75 * CAPACITY
    cuts = quantiles(waits, n=100)
    assert cuts[49] < 0.03
    assert cuts[98] < 0.15


def test_without_admission_control_everybody_waits_for_the_whole_queue() -> None:
    """What the test above would see if nothing were refused."""
    model = Model(1, sheds=False)
    model.run(3, 6)
    assert quantiles(model.since(1), n=100)[49] > 1


@pytest.mark.parametrize("load", [0.3, 0.7, 0.9])
def test_nobody_is_refused_while_there_is_room(load: float) -> None:
    model = Model(2)
    model.run(load, 10)
    assert sum(model.refused) == 0


def test_a_burst_is_served_and_not_refused() -> None:
    model = Model(3)
    model.run(0.5, 2)
    model.queue.extend((model.now_s, NORMAL, False) for _ in range(90))
    model.run(0.5, 2)
    assert sum(model.refused) == 0


def test_when_the_load_has_gone_everybody_is_served_again() -> None:
    model = Model(4)
    model.run(5, 4)
    shedding = [model.admission.shedding]
    model.run(0.5, 3)
    refused = sum(model.refused)
    model.run(0.5, 3)
    assert [*shedding, model.admission.shedding] == [True, False]
    assert sum(model.refused) == refused


@pytest.mark.parametrize("load", [2.0, 4.0, 8.0])
def test_low_gives_way_first_and_nobody_starves(load: float) -> None:
    model = Model(5)
    model.run(load, 2, (1, 1, 1))
    refused, arrived = list(model.refused), list(model.arrived)
    model.run(load, 8, (1, 1, 1))
    parts = [1 - (model.refused[no] - refused[no]) / (model.arrived[no] - arrived[no]) for no in (LOW, NORMAL, HIGH)]
    assert parts[LOW] <= parts[NORMAL] + 0.02
    assert parts[NORMAL] <= parts[HIGH] + 0.02
    assert parts[LOW] > 0.03
    assert parts[HIGH] > min(0.75, 0.4 * 3 / load)


def test_the_time_that_is_told_grows_with_the_queue_of_the_refused_and_has_an_end() -> None:
    model = Model(6)
    model.run(10, 8)
    assert 1 <= min(model.waits_told) < 2 < max(model.waits_told) <= 30


def test_what_waits_is_bounded_by_the_connections() -> None:
    model = Model(7)
    model.run(10, 4)
    assert model.longest <= CONNECTIONS
