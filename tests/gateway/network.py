"""A network of lists and a clock that is told the time: the real asyncio machinery runs on it, no socket is ever opened.

`VirtualLoop` is an event loop whose time moves only by `advance`, and whose `create_connection` asks the test who is there. `Wire` is one
end of a connection: what the protocol wrote lies in `sent`, what the other side says is given to `says`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from selectors import BaseSelector
from typing import Any

TICK_S = 0.05


class Wire(asyncio.Transport):
    """A transport without a network. `stuck`: the other side reads nothing, so nothing that was written ever leaves."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: asyncio.Protocol, peer: object = ("192.0.2.7", 4711)) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._peer = peer
        self._ended = False
        self._waiting: list[bytes] = []
        self.sent = b""
        self.writes = 0
        self.closing = False
        self.aborted = False
        self.stuck = False
        self.paused = False
        self.half_closed = False

    # what the protocol does

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._peer if name == "peername" else default

    def write(self, data: Any) -> None:
        assert not self._ended, "written after connection_lost"
        self.sent += data
        self.writes += 1

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    def get_write_buffer_size(self) -> int:
        return len(self.sent) if self.stuck else 0

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            if not self.stuck:
                self._loop.call_soon(self._lost, None)

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._loop.call_soon(self._lost, None)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False
        while self._waiting and not self.paused:
            self._protocol.data_received(self._waiting.pop(0))

    # what the other side does

    def says(self, data: bytes) -> None:
        """Bytes arrive, unless this end is closed; they wait while reading is paused."""
        if self.closing:
            return
        if self.paused:
            self._waiting.append(data)
        else:
            self._protocol.data_received(data)

    def ends(self, error: Exception | None = None) -> None:
        """The other side closes, or resets when there is an error."""
        if not self._ended:
            if error is None:
                self._protocol.eof_received()
            self.closing = True
            self._lost(error)

    def take(self) -> bytes:
        """What was sent since the last time."""
        sent, self.sent = self.sent, b""
        return sent

    @property
    def gone(self) -> bool:
        return self._ended

    def _lost(self, error: Exception | None) -> None:
        if not self._ended:
            self._ended = True
            self._protocol.connection_lost(error)


Answering = Callable[[dict[str, Any]], Awaitable[Wire | None]]


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module. `wires` are the connections made, oldest first; `refuse` is raised by the next ones; `hold` keeps them opening."""

    def __init__(self, selector: BaseSelector | None = None) -> None:
        self.now_s = 1_000.0
        self.wires: list[Wire] = []
        self.asked: list[dict[str, Any]] = []
        self.refuse: Exception | None = None
        self.hold = False
        self.errors: list[dict[str, Any]] = []
        self._held: list[asyncio.Future[None]] = []
        super().__init__(selector)
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        return self.now_s

    async def create_connection(self, protocol_factory: Any, *args: Any, **members: Any) -> Any:
        return await self._connect(protocol_factory, {"to": args, **members})

    async def create_unix_connection(self, protocol_factory: Any, path: Any = None, **members: Any) -> Any:
        return await self._connect(protocol_factory, {"to": (path,), **members})

    async def _connect(self, factory: Any, asked: dict[str, Any]) -> Any:
        self.asked.append(asked)
        if self.hold:
            waiting = self.create_future()
            self._held.append(waiting)
            await waiting
        if self.refuse is not None:
            raise self.refuse
        protocol = factory()
        wire = Wire(self, protocol)
        self.wires.append(wire)
        protocol.connection_made(wire)
        return wire, protocol

    def let_in(self) -> None:
        """Whoever waits for a connection gets it (or is refused)."""
        held, self._held = self._held, []
        for waiting in held:
            if not waiting.done():
                waiting.set_result(None)
        self.spin()

    def spin(self, turns: int = 6) -> None:
        """Run what is due now, and what follows from it. Nothing to do from within: it is running."""
        if self.is_running():
            return
        for _ in range(turns):
            self.call_soon(self.stop)
            self.run_forever()

    def advance(self, seconds: float) -> None:
        """Let time pass, a tick at a time."""
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s = min(until_s, self.now_s + TICK_S)
            self.spin(2)
        self.spin()


@contextmanager
def virtual_loop() -> Iterator[VirtualLoop]:
    """A loop that is closed again; a test fails when a callback of it raised and nobody expected that (`errors`)."""
    loop = VirtualLoop()
    try:
        yield loop
        loop.spin()
        assert not loop.errors, loop.errors[0]
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.spin()
        loop.close()
