"""When a service that died may start again.

The first restart is immediate, since most deaths are one-off and the service is missed. A service that dies again soon waits
`min(base_s * 2**n, cap_s)`, so that a crash loop costs nothing. A run of `stable_s` clears the record.
"""

import math
from dataclasses import dataclass

BASE_S = 1.0
CAP_S = 60.0
STABLE_S = 60.0
DOUBLINGS_MAX = 16
"""Beyond this the delay is capped anyway; it keeps 2**n small."""


def backoff_s(n: int, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """The n-th delay of a growing series, n from 0."""
    return min(base_s * math.pow(2, min(n, DOUBLINGS_MAX)), cap_s)


@dataclass(frozen=True, slots=True)
class Deaths:
    """How often in a row a service died young. `started_s` is when its present run began."""

    in_a_row: int = 0
    started_s: float = 0.0


def started(deaths: Deaths, now_s: float) -> Deaths:
    return Deaths(deaths.in_a_row, now_s)


def died(deaths: Deaths, now_s: float, stable_s: float = STABLE_S) -> tuple[Deaths, float]:
    """The record after one more death, and the seconds to wait before the restart."""
    earlier = 0 if now_s - deaths.started_s >= stable_s else deaths.in_a_row
    delay_s = 0.0 if earlier == 0 else backoff_s(earlier - 1)
    return Deaths(earlier + 1, deaths.started_s), delay_s
