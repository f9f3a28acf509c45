"""A clock that moves only when told to."""

WALL_START_NS = 1_700_000_000_000_000_000


class SettableClock:
    """Fulfils `runtime.clock.Clock`. Both clocks start at fixed values and move together."""

    def __init__(self, now_s: float = 1000.0, wall_ns: int = WALL_START_NS) -> None:
        self._now_s = now_s
        self._wall_ns = wall_ns

    def now_s(self) -> float:
        return self._now_s

    def mono_ns(self) -> int:
        return round(self._now_s * 1_000_000_000)

    def wall_ns(self) -> int:
        return self._wall_ns

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; negative ones are an error, time does not run backwards."""
        if seconds < 0:
            raise ValueError(f"a clock advances by a positive time, not {seconds}")
        self._now_s += seconds
        self._wall_ns += round(seconds * 1_000_000_000)

    def jump_wall(self, seconds: float) -> None:
        """Move the wall clock alone, forwards or backwards, as an operator or NTP may do."""
        self._wall_ns += round(seconds * 1_000_000_000)
