"""One connection of a fake upstream: it hears a request, asks the book what to do, and plays the steps."""

import asyncio
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from setpoint.adapters.sim.http import Heard, HearingProtocol
from setpoint.testing.upstream_book import Seen, UpstreamBook
from setpoint.testing.wire_faults import Close, Pause, Send, Stall, Step

_LINGER_NOTHING = struct.pack("ii", 1, 0)


class UpstreamConnection(HearingProtocol):
    """Plays one step a turn of the loop, one write each, so that they do not melt into one segment."""

    def __init__(self, book: UpstreamBook, open_ones: set["UpstreamConnection"], on_all_gone: Callable[[], object]) -> None:
        super().__init__()
        self._book = book
        self._open_ones = open_ones
        self._on_all_gone = on_all_gone
        self._loop = asyncio.get_running_loop()
        self._current: Seen | None = None
        self._held = False
        self._timer: asyncio.Handle | None = None
        self._no = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        raw = transport.get_extra_info("socket")
        if raw.family != socket.AF_UNIX:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._open_ones.add(self)
        self._book.note(self._count)
        self._no = self._book.connections

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        fault = self._book.strikes(len(self._book.seen) + 1)
        if fault is not None and fault.name == "early_reset":
            self._begin(self._request)
            self._close(reset=True)

    def heard(self, request: Heard) -> None:
        if self.transport.is_closing():
            return
        self._begin(request)
        self._held = self._book.script.held
        if not self._held:
            self._answer()

    def release(self) -> None:
        """Answer the request that was held."""
        if self._held:
            self._held = False
            self._answer()

    def lost(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._book.note(self._note_lost)
        self._open_ones.discard(self)
        if not self._open_ones:
            self._on_all_gone()

    def _count(self) -> None:
        self._book.connections += 1
        self._book.connections_open += 1

    def _note_lost(self) -> None:
        self._book.connections_open -= 1
        if self._current is not None:
            self._current.hung_up_ns = time.monotonic_ns()

    def _begin(self, request: Heard) -> None:
        self._current = self._book.begin(request, self._no, time.monotonic_ns())

    def _answer(self) -> None:
        if self._current is not None:
            self._play(deque(self._book.next_steps(self._current)), self._current.request.keep_alive)

    def _play(self, todo: deque[Step], keep_alive: bool) -> None:
        if self.transport.is_closing():
            return
        match todo.popleft() if todo else None:
            case Send(data):
                self.transport.write(data)
                self._timer = self._loop.call_soon(partial(self._play, todo, keep_alive))
            case Pause(seconds):
                self._timer = self._loop.call_later(seconds, partial(self._play, todo, keep_alive))
            case Stall():
                self._timer = None
            case Close(reset):
                self._close(reset=reset)
            case None:
                self._finish()
                self.answered(keep_alive=keep_alive)

    def _finish(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self._book.note(lambda: setattr(current, "answered_ns", time.monotonic_ns()))

    def _close(self, *, reset: bool) -> None:
        self._finish()
        if reset:
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOTHING)
            self.transport.abort()
        else:
            self.transport.close()
