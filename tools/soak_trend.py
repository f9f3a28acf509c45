"""Does it grow? The slope of a series of measurements, and how sure one can be of its sign. Plain functions.

The slope is the median of the slopes between all pairs of points (Theil 1950, Sen 1968), which no few odd points can move. Its interval is
the one of Gilbert (Statistical Methods for Environmental Pollution Monitoring, 1987, 16.4.2), from the variance of Mann and Kendall's S,
with ties taken into account. Neighbouring measurements of memory resemble each other, which would make any trend look surer than it is; so
they are put together into blocks first, and each block is one point, its median.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import sqrt
from statistics import NormalDist, median

BLOCKS = 24
WARM_UP = 0.3
"""Of the series: caches fill, pools open, the allocator finds its size."""
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Trend:
    """Units a second. `p` is the probability of a trend as clear as this when there is none."""

    slope: float
    low: float
    high: float
    p: float
    points: int

    @property
    def grows(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0


def trend(times_s: Sequence[float], values: Sequence[float]) -> Trend:
    """The trend behind the warm-up. Raises ValueError when there are too few measurements to say anything."""
    begin_s = times_s[0] + WARM_UP * (times_s[-1] - times_s[0]) if times_s else 0.0
    kept = [(at_s, value) for at_s, value in zip(times_s, values, strict=True) if at_s >= begin_s]
    if len(kept) < 8:
        raise ValueError(f"{len(kept)} measurements behind the warm-up are too few for a trend")
    points = blocks(kept)
    slopes = sorted((later - value) / (after_s - at_s) for (at_s, value), (after_s, later) in combinations(points, 2))
    s, deviation = mann_kendall([value for _, value in points])
    z = 0.0 if deviation == 0 else (s - (s > 0) + (s < 0)) / deviation
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * deviation
    low, high = round((len(slopes) - reach) / 2), round((len(slopes) + reach) / 2)
    last = len(slopes) - 1
    return Trend(median(slopes), slopes[max(0, low - 1)], slopes[min(last, high)], 2 * (1 - NormalDist().cdf(abs(z))), len(points))


def blocks(measured: Sequence[tuple[float, float]], count: int = BLOCKS) -> list[tuple[float, float]]:
    """At most `count` points, each the median of neighbours."""
    size = max(1, -(-len(measured) // count))
    parts = [measured[at : at + size] for at in range(0, len(measured), size)]
    return [(median(at_s for at_s, _ in part), median(value for _, value in part)) for part in parts]


def mann_kendall(values: Sequence[float]) -> tuple[int, float]:
    """S, and its standard deviation when there is no trend."""
    s = sum((later > value) - (later < value) for value, later in combinations(values, 2))
    n = len(values)
    ties = sum(t * (t - 1) * (2 * t + 5) for t in Counter(values).values())
    return s, sqrt((n * (n - 1) * (2 * n + 5) - ties) / 18)
