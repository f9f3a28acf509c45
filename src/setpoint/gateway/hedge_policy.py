"""When a route makes a second call besides a slow one: after how long, and how often at most."""

from setpoint.domain.plan import Hedge
from setpoint.kit.pace import Pace, Share

AFTER_S_MIN = 0.05
"""The worker's deadlines are no finer; a quantile below would hedge what is not slow at all."""


class HedgePolicy:
    """What one worker knows about the hedges of one route. Times of streams and of whole answers are kept apart."""

    __slots__ = ("_after_s", "_paces", "_share")

    def __init__(self, hedge: Hedge) -> None:
        after = hedge.after_s
        self._share = Share(hedge.max_ratio)
        self._after_s: float | None = None
        self._paces: tuple[Pace, Pace] | None = None
        if isinstance(after, str):
            quantile = int(after[1:]) / 100
            self._paces = (Pace(quantile), Pace(quantile))
        else:
            self._after_s = after

    def requested(self) -> None:
        """A request came to the route."""
        self._share.worked()

    def take(self) -> bool:
        """Whether one more hedge is within the ratio; True spends it."""
        return self._share.take()

    def after_s(self, *, stream: bool) -> float | None:
        """How long to wait for the first content; None while that is not known."""
        if self._paces is None:
            return self._after_s
        pace_s = self._paces[stream].value_s()
        return None if pace_s is None else max(AFTER_S_MIN, pace_s)

    def saw(self, duration_s: float, *, stream: bool) -> None:
        """A first call took so long to its first content, or was not heard of for so long."""
        if self._paces is not None:
            self._paces[stream].saw(duration_s)
