"""A loop that never waits, and connections without a network.

Where another loop would sleep, `SimLoop` moves its clock to the next timer: a schedule of a minute takes milliseconds, and the same one
always goes the same way. `Link` is the gateway's end of a connection whose far end is an actor of the simulation. It behaves as a socket
does where that matters: bytes arrive in order and some time after they were written, a reader that is slow makes the writer wait, a paused
reader does not notice that the other side has left, and what is written after the end is nobody's.
"""

import asyncio
import selectors
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from tests.gateway.network import VirtualLoop, Wire

ITERATIONS_MAX = 400_000
"""Turns of the loop in one schedule; more is something that calls itself for ever."""
HIGH_BYTES = 65_536
"""Unread bytes at which a writer is told to pause, as asyncio and uvloop have it."""


class RunsForEver(Exception):
    """The schedule does not come to rest."""


class Far(Protocol):
    """The other end of a link."""

    reads: bool
    pace_s: float
    """Seconds between two reads; 0 takes everything at once."""
    quota_bytes: int

    def heard(self, data: bytes) -> None: ...

    def ended(self, *, reset: bool) -> None:
        """The gateway ended the connection, or what was left of it."""
        ...


class Clockwork(selectors.BaseSelector):
    """Waits by moving the clock. `each_turn` is called at every turn of the loop."""

    def __init__(self) -> None:
        self.loop: SimLoop | None = None
        self.each_turn: Callable[[], None] = lambda: None
        self.turns = 0
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self.loop
        assert loop is not None
        self.turns += 1
        self.each_turn()
        if self.turns > ITERATIONS_MAX:
            raise RunsForEver(f"{self.turns} turns of the loop, at {loop.now_s:.3f} s")
        if timeout is None:
            loop.stop()  # nothing will ever happen again
        elif timeout > 0:
            loop.now_s += timeout
        return []


class SimLoop(VirtualLoop):
    """`meet` decides who is there when a connection is opened: it returns the far end, or raises, or never comes back."""

    def __init__(self) -> None:
        self.clockwork = Clockwork()
        super().__init__(self.clockwork)
        self.clockwork.loop = self
        self.meet: Callable[[str], Any] | None = None
        self.links: list[Link] = []

    async def _connect(self, factory: Any, asked: dict[str, Any]) -> Any:
        assert self.meet is not None
        far = await self.meet(asked["to"][0])
        protocol = factory()
        link = Link(self, protocol, far, HIGH_BYTES)
        self.links.append(link)
        far.link = link
        protocol.connection_made(link)
        return link, protocol

    def run_until(self, condition: Callable[[], bool], until_s: float) -> bool:
        """Run until `condition`, looked at in every turn, holds; False when time is up first."""

        before = self.clockwork.each_turn

        def look() -> None:
            before()
            if condition() or self.now_s >= until_s:
                self.stop()

        self.clockwork.each_turn = look
        waker = self.call_at(until_s, lambda: None)
        try:
            if not condition():
                self.run_forever()
        finally:
            self.clockwork.each_turn = before
            waker.cancel()
        return condition()


class Link(Wire):
    """See the module. `noticed_s`: when the gateway learned that the far end had left, 0 while it does not know.

    `stamp` is asked at each write; `heard_stamp` is what it said at the write whose bytes the far end was given last.
    """

    def __init__(self, loop: SimLoop, protocol: asyncio.Protocol, far: Far, high_bytes: int, peer: object = ("192.0.2.7", 4711)) -> None:
        super().__init__(loop, protocol, peer)
        self._sim = loop
        self.far = far
        self._high = high_bytes
        self._low = high_bytes // 4
        self._out: deque[tuple[bytes, int]] = deque()
        self._unread = 0
        self._inbox: deque[bytes | Exception | None] = deque()
        self._pumping = False
        self._delivering = False
        self._choked = False
        self._eof_due = False
        self._far_gone = False
        self.choked_times = 0
        self.stamp: Callable[[], int] = lambda: 0
        self.heard_stamp = 0
        self._closed_stamp = 0
        self.noticed_s = 0.0

    # ---- what the gateway does

    def write(self, data: Any) -> None:
        assert not self.gone, "written after connection_lost"
        if self.closing or not data:
            return
        if self._far_gone:
            self.closing = True
            self._loop.call_soon(self._lost, ConnectionResetError(104, "Connection reset by peer"))
            return
        self._out.append((bytes(data), self.stamp()))
        self._unread += len(data)
        self._pump_soon()
        if self._unread > self._high and not self._choked:
            self._choked = True
            self.choked_times += 1
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return self._unread

    def write_eof(self) -> None:
        self._eof_due = True
        self._pump_soon()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self._closed_stamp = self.stamp()
            if not self._out or self._far_gone:
                self._loop.call_soon(self._lost, None)

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._forget_unread()
        self._loop.call_soon(self._lost, None)

    def resume_reading(self) -> None:
        self.paused = False
        self._deliver_soon()

    # ---- what the far end does

    def says(self, data: bytes) -> None:
        self._inbox.append(data)
        self._deliver_soon()

    def leaves(self, *, reset: bool = False) -> None:
        """The far end closes, or resets. The gateway learns it in the order of the bytes, and not while it reads nothing."""
        self._far_gone = True
        self._forget_unread()
        self._inbox.append(ConnectionResetError(104, "Connection reset by peer") if reset else None)
        self._deliver_soon()
        if self.closing:
            self._loop.call_soon(self._lost, None)

    def reads_again(self) -> None:
        """The far end takes bytes again."""
        self._pump_soon()

    # ---- the way of the bytes

    def _deliver_soon(self) -> None:
        if not self._delivering and self._inbox and not self.paused:
            self._delivering = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._delivering = False
        if self.paused or self.closing or not self._inbox:
            return
        piece = self._inbox.popleft()
        if isinstance(piece, bytes):
            self._protocol.data_received(piece)
            self._deliver_soon()
            return
        self.noticed_s = self._sim.now_s
        if piece is None:
            self._protocol.eof_received()
        self.closing = True
        self._lost(piece)

    def _pump_soon(self, delay_s: float = 0.0) -> None:
        if not self._pumping and self.far.reads:
            self._pumping = True
            if delay_s:
                self._loop.call_later(delay_s, self._pump)
            else:
                self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """The far end reads: all there is, or its quota."""
        self._pumping = False
        far = self.far
        left = far.quota_bytes if far.pace_s else self._unread
        while left > 0 and self._out and far.reads and not self.gone and not self._far_gone:
            data, self.heard_stamp = self._out.popleft()
            if len(data) > left:
                self._out.appendleft((data[left:], self.heard_stamp))
                data = data[:left]
            left -= len(data)
            self._unread -= len(data)
            far.heard(data)
        if not far.reads or self.gone or self._far_gone:
            return
        if self._choked and self._unread <= self._low:
            self._choked = False
            self._protocol.resume_writing()
        if self._out:
            self._pump_soon(far.pace_s)
            return
        if self._eof_due:
            self._eof_due = False
            far.ended(reset=False)
        if self.closing:
            self._lost(None)

    def _forget_unread(self) -> None:
        self._out.clear()
        self._unread = 0

    def _lost(self, error: Exception | None) -> None:
        if not self.gone:
            super()._lost(error)
            self.heard_stamp = max(self.heard_stamp, self._closed_stamp)  # the end of the connection can be what ends an answer
            self.far.ended(reset=self.aborted)
