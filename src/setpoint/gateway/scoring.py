"""How good each target looks now: what it costs, how fast it was, how busy it is, how often it worked.

The functions here are plain: they take figures, one per target in configured order, and give a `Ranking`. What a worker remembers of an
endpoint is a `Track`, kept beside its breaker; so the memory is bounded as that of breakers is, and lives on when a plan changes.

Nothing is learned of a target that is never tried, so one without a fresh figure is *explored*: it gets one request, and no other until
that one has told how it went or EXPLORE_S have passed. A bad target so costs one request in FORGET_S, however many requests there are; a
good one is found as soon as it is good.
"""

from collections.abc import Sequence
from math import exp, inf
from typing import Literal

import msgspec

from setpoint.domain.faults import FaultKind
from setpoint.domain.money import Price
from setpoint.domain.plan import HybridWeights

TAU_S = 30.0
"""A figure this old counts e times less than one of now."""
WEIGHT_MAX = 32.0
"""However many figures there are, the next one still counts a 33rd: a change shows after some ten requests."""
FORGET_S = 60.0
"""After this long without a figure what was known is forgotten, and the target is explored again."""
EXPLORE_S = 10.0
"""How long an explored target that says nothing keeps others from exploring it too."""
EXPECTED_OUTPUT_TOKENS = 500
"""What an answer is taken to have when the request does not bound it lower. Only the proportion to the prompt matters."""
BYTES_PER_TOKEN = 4

NO_FIGURE = frozenset(
    {
        FaultKind.bad_request,
        FaultKind.unsupported,
        FaultKind.unknown_model,
        FaultKind.too_large,
        FaultKind.context_length,
        FaultKind.content_filter,
        FaultKind.upstream_refused,
        FaultKind.overloaded,
        FaultKind.draining,
    }
)
"""Faults of the request, or of this worker: they say nothing about how good a target is."""

Reason = Literal[
    "configured", "turn", "drawn", "cheapest", "fastest", "most tokens a second", "least busy", "best score", "untried", "asked for"
]


class Ranking(msgspec.Struct, frozen=True):
    """Targets by their place in the configured order, first choice first. `scores` are in the same order as `order`; None is unknown.

    `propensity` is the probability with which chance made the first choice; None where no chance was involved.
    """

    order: tuple[int, ...]
    reason: Reason
    scores: tuple[float | None, ...] = ()
    propensity: float | None = None


class Average:
    """A mean in which old figures fade. `value` is None when nothing is known, or nothing fresh."""

    __slots__ = ("_at_s", "_sum", "_weight")

    def __init__(self) -> None:
        self._sum = 0.0
        self._weight = 0.0
        self._at_s = -inf

    def add(self, figure: float, now_s: float) -> None:
        age_s = max(0.0, now_s - self._at_s)
        if age_s >= FORGET_S:
            self._sum = self._weight = 0.0
        elif self._weight:
            kept = exp(-age_s / TAU_S)
            kept = min(kept, WEIGHT_MAX / self._weight)
            self._sum *= kept
            self._weight *= kept
        self._sum += figure
        self._weight += 1.0
        self._at_s = now_s

    def value(self, now_s: float) -> float | None:
        return self._sum / self._weight if now_s - self._at_s < FORGET_S else None


class Form:
    """Of one form of answer, streams or whole ones: the seconds until its first token or its end, and until when it is being explored."""

    __slots__ = ("explored_until_s", "seconds")

    def __init__(self) -> None:
        self.seconds = Average()
        self.explored_until_s = -inf


class Track:
    """What this worker has seen of one endpoint lately: an upstream, a kind of question, a model."""

    __slots__ = ("reliability", "stream", "tokens_a_second", "unary")

    def __init__(self) -> None:
        self.stream = Form()
        self.unary = Form()
        self.tokens_a_second = Average()
        self.reliability = Average()

    def form(self, *, stream: bool) -> Form:
        return self.stream if stream else self.unary

    def worked(self, seconds: float, now_s: float, *, stream: bool) -> None:
        """`seconds`: until the first token of a stream, or the end of a whole answer."""
        form = self.form(stream=stream)
        form.seconds.add(seconds, now_s)
        form.explored_until_s = -inf
        self.reliability.add(1.0, now_s)

    def failed(self, deadline_s: float, now_s: float, *, stream: bool) -> None:
        """A call that fails fast is not fast: it counts as its deadline."""
        form = self.form(stream=stream)
        form.seconds.add(deadline_s, now_s)
        form.explored_until_s = -inf
        self.reliability.add(0.0, now_s)

    def given_up(self, seconds: float, now_s: float, *, stream: bool) -> None:
        """The client left, or another call was faster: it would have taken longer than that."""
        average = self.form(stream=stream).seconds
        known = average.value(now_s)
        if known is not None and seconds > known:
            average.add(seconds, now_s)


def cost_of(price: Price | None, prompt_tokens: int, answer_tokens: int) -> float | None:
    """What an answer is expected to cost, in US dollars; None when the price is unknown."""
    if price is None:
        return None
    return (price.request_picousd + price.input * prompt_tokens + price.output * answer_tokens) / 1e12


def by_cost(costs: Sequence[float | None]) -> Ranking:
    """Cheapest first; an unknown price is not a low one, so those come last."""
    order = sorted(range(len(costs)), key=lambda i: (costs[i] is None, costs[i] or 0.0))
    return Ranking(tuple(order), "cheapest", tuple(costs[i] for i in order))


def by_load(loads: Sequence[int]) -> Ranking:
    """Fewest calls under way first."""
    order = sorted(range(len(loads)), key=lambda i: loads[i])
    return Ranking(tuple(order), "least busy", tuple(float(loads[i]) for i in order))


def by_speed(seconds: Sequence[float | None], explored_until_s: Sequence[float], now_s: float, fastest: Reason = "fastest") -> Ranking:
    """Least seconds first. One of those without a figure that nobody explores now goes in front; the others come last."""
    chosen = to_explore(seconds, explored_until_s, now_s)

    def key(i: int) -> tuple[bool, bool, float]:
        known = seconds[i]
        return i != chosen, known is None, explored_until_s[i] if known is None else known

    order = sorted(range(len(seconds)), key=key)
    return Ranking(tuple(order), fastest if chosen is None else "untried", tuple(seconds[i] for i in order))


def by_score(
    costs: Sequence[float | None],
    seconds: Sequence[float | None],
    reliabilities: Sequence[float | None],
    explored_until_s: Sequence[float],
    now_s: float,
    weights: HybridWeights,
) -> Ranking:
    """Highest score first: the weighted mean of cost and speed, each as the best one's share of its own (1 is the best), and reliability.

    An unknown price scores nothing; a speed that is unknown is explored, as in `by_speed`, and scores nothing until it is known.
    """
    cheapest = min((cost for cost in costs if cost is not None), default=None)
    quickest = min((value for value in seconds if value is not None), default=None)
    total = weights.cost + weights.latency + weights.reliability

    def score(i: int) -> float:
        reliability = reliabilities[i]
        return (
            weights.cost * _share(cheapest, costs[i])
            + weights.latency * _share(quickest, seconds[i])
            + weights.reliability * (1.0 if reliability is None else reliability)
        ) / total

    scores = [score(i) for i in range(len(costs))]
    chosen = to_explore(seconds, explored_until_s, now_s) if weights.latency else None
    order = sorted(range(len(costs)), key=lambda i: (i != chosen, -scores[i]))
    return Ranking(tuple(order), "best score" if chosen is None else "untried", tuple(scores[i] for i in order))


def to_explore(seconds: Sequence[float | None], explored_until_s: Sequence[float], now_s: float) -> int | None:
    """The first one without a figure whose turn nobody has taken."""
    for i, known in enumerate(seconds):
        if known is None and explored_until_s[i] <= now_s:
            return i
    return None


def by_turn(count: int, turn: int) -> Ranking:
    """Each request begins one further."""
    first = turn % count
    return Ranking((*range(first, count), *range(first)), "turn")


def by_weight(weights: Sequence[float], draws: Sequence[float]) -> Ranking:
    """Drawn without replacement in proportion to the weights, so that the rest stays a fair fallback. `draws` are from [0, 1).

    Efraimidis and Spirakis 2006: the order of draw^(1/weight). A weight of nothing is a last resort.
    """
    keys = [draw ** (1.0 / weight) if weight > 0 else -1.0 for weight, draw in zip(weights, draws, strict=True)]
    order = sorted(range(len(keys)), key=lambda i: -keys[i])
    total = sum(weights)
    share = weights[order[0]] / total if total > 0 else 1.0
    return Ranking(tuple(order), "drawn", tuple(weights[i] for i in order), share)


def _share(best: float | None, own: float | None) -> float:
    if best is None or own is None:
        return 0.0
    return 1.0 if own <= best else best / own
