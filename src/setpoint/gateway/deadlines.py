"""The worker's deadlines: one timer wheel, turned by one loop timer that exists only while the wheel holds something."""

import asyncio

from setpoint.kit.timer_wheel import Timer, TimerWheel

Deadline = Timer


class Deadlines(TimerWheel):
    """A wheel that turns itself. Times are seconds of the loop's monotonic clock; deadlines fire at most one tick late."""

    __slots__ = ("_loop", "_turning", "now_s")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turning: asyncio.TimerHandle | None = None
        self.now_s = loop.time

    def queue(self, timer: Timer) -> None:
        super().queue(timer)
        if self._turning is None:
            self._turning = self._loop.call_later(self.tick_s, self._turn)

    def _turn(self) -> None:
        self._turning = None
        now_s = self._loop.time()
        for timer in self.advance(now_s):
            # Each by itself: a bug in one owner's callback must not take the others' deadlines with it.
            self._loop.call_soon(timer.fire, now_s)
        if len(self) and self._turning is None:
            self._turning = self._loop.call_later(self.tick_s, self._turn)

    def stop(self) -> None:
        """Turn no more; for the end of the worker."""
        if self._turning is not None:
            self._turning.cancel()
            self._turning = None
