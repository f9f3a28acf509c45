"""A small event loop over descriptors, timers and signals, for a process that must stay light and never be busy.

The supervisor uses it instead of asyncio, which would cost 10 MB and 60 ms of imports. Callbacks run one at a time in the loop's
thread and must not block. An exception in a callback is a bug and ends the loop.
"""

import heapq
import itertools
import selectors
import signal
import socket
from collections.abc import Callable, Mapping
from types import FrameType

from setpoint.runtime.clock import Clock

Callback = Callable[[], None]
IDLE_S = 5.0


class Timer:
    """A call that is due; `cancel` makes it never happen."""

    __slots__ = ("call",)

    def __init__(self, call: Callback) -> None:
        self.call: Callback | None = call

    def cancel(self) -> None:
        self.call = None


class PollLoop:
    """Waits for whatever comes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._running = False

    def call_after(self, delay_s: float, call: Callback) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._due, (self._clock.now_s() + delay_s, next(self._order), timer))
        return timer

    def call_every(self, period_s: float, call: Callback) -> None:
        def again() -> None:
            call()
            self.call_after(period_s, again)

        self.call_after(period_s, again)

    def watch(self, source: socket.socket, readable: Callback | None, writable: Callback | None = None) -> None:
        """Calls when `source` can be read or written; replaces an earlier watch. With neither it is no longer watched."""
        events = (selectors.EVENT_READ if readable else 0) | (selectors.EVENT_WRITE if writable else 0)
        if source in self._selector.get_map():
            self._selector.unregister(source)
        if events:
            self._selector.register(source, events, (readable, writable))

    def on_signals(self, calls: Mapping[signal.Signals, Callback]) -> Callback:
        """From now on the signals become calls in the loop. Returns the call that puts the earlier behaviour back."""
        heard, told = socket.socketpair()
        heard.setblocking(False)
        told.setblocking(False)

        def hear() -> None:
            for number in heard.recv(512):
                calls[signal.Signals(number)]()

        before = {number: signal.signal(number, _nothing) for number in calls}
        before_fd = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        self.watch(heard, hear)

        def restore() -> None:
            signal.set_wakeup_fd(before_fd)
            for number, action in before.items():
                signal.signal(number, action)
            self.watch(heard, None)
            heard.close()
            told.close()

        return restore

    def run(self) -> None:
        """Returns after `stop`."""
        self._running = True
        while self._running:
            for key, mask in self._selector.select(self._wait_s()):
                if self._selector.get_map().get(key.fd) is key:  # an earlier call of this round may have ended the watch
                    self._call(key.data, mask)
            self._call_due()

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        self._selector.close()

    def _call(self, calls: tuple[Callback | None, Callback | None], mask: int) -> None:
        readable, writable = calls
        if readable and mask & selectors.EVENT_READ:
            readable()
        elif writable and mask & selectors.EVENT_WRITE:
            writable()

    def _call_due(self) -> None:
        now_s = self._clock.now_s()
        while self._due and self._due[0][0] <= now_s:
            timer = heapq.heappop(self._due)[2]
            if timer.call:
                timer.call()

    def _wait_s(self) -> float:
        return max(0.0, min(IDLE_S, self._due[0][0] - self._clock.now_s())) if self._due else IDLE_S


def _nothing(number: int, frame: FrameType | None) -> None:
    """Only the number that the wake-up descriptor carries matters; but a handler must be set for it to be written."""
