"""Clocks, so that nothing else reads the time. Durations come from the monotonic clock, timestamps from the wall clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where a part that is handed a clock gets the time from."""

    def now_s(self) -> float:
        """Monotonic seconds; only differences mean anything."""

    def mono_ns(self) -> int:
        """The same in whole nanoseconds, for durations that are recorded."""

    def wall_ns(self) -> int:
        """Unix time in nanoseconds; may jump."""


class SystemClock:
    """The machine's clocks, without a Python call in between: the hot lane asks ten times a request."""

    now_s = staticmethod(time.monotonic)
    mono_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)


def rfc3339(wall_ns: int) -> str:
    """Unix nanoseconds as RFC 3339 in UTC with milliseconds, as every face writes times."""
    return datetime.fromtimestamp(wall_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
