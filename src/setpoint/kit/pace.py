"""How slow is slow, and how much extra may be spent on it.

`Pace` keeps the latest durations of one kind of work and tells a quantile of them. `Share` grants a bounded share of extra work: each piece
of work earns a part of a grant, so grants are never more than the ratio of the work plus one, whatever the traffic looks like.
"""

from collections import deque

SAMPLES = 128
"""Durations a quantile is taken of."""
SAMPLES_MIN = 20
"""Fewer say too little."""
REFRESH = 8
"""A quantile is computed anew after as many further durations."""
SAVED_MAX = 10.0
"""Grants that a quiet time can save up."""


class Pace:
    """The latest durations and one quantile of them."""

    __slots__ = ("_latest", "_quantile", "_since", "_value_s")

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._latest: deque[float] = deque(maxlen=SAMPLES)
        self._since = 0
        self._value_s: float | None = None

    def saw(self, duration_s: float) -> None:
        self._latest.append(duration_s)
        self._since += 1

    def value_s(self) -> float | None:
        """The quantile (nearest rank); None while too little is known."""
        count = len(self._latest)
        if count < SAMPLES_MIN:
            return None
        if self._value_s is None or self._since >= REFRESH:
            self._since = 0
            self._value_s = sorted(self._latest)[min(count - 1, int(self._quantile * count))]
        return self._value_s


class Share:
    """Extra work in proportion to work. `ratio` is from 0 to 1."""

    __slots__ = ("_ratio", "_saved")

    def __init__(self, ratio: float) -> None:
        self._ratio = ratio
        self._saved = 1.0 if ratio else 0.0

    def worked(self) -> None:
        """One piece of work came."""
        self._saved = min(SAVED_MAX, self._saved + self._ratio)

    def take(self) -> bool:
        """Whether extra work is within the share; True spends it."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
