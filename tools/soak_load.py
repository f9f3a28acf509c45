"""The clients of the soak: mixed requests on kept connections, as fast as they are answered or at a steady rate, each answer judged."""

import asyncio
import itertools
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import uvloop
from tools.bench_load import Ask, complete

FINISH_S = 30.0
EXAMPLES_MAX = 5
TICK_S = 0.002
CONNECTIONS_MAX = 512
_STATUS = re.compile(rb"HTTP/1\.1 (\d+)")
_TRACE_ID = re.compile(rb"\r\nx-setpoint-trace-id: *([0-9a-f]{32})")
_OVERHEAD = re.compile(rb"\r\nx-setpoint-overhead-ms: *([\d.]+)")
ERRORS = (b'"error":{', b'"type":"error"')


@dataclass
class Tally:
    """`whole` and `told` (an explicit error) are honest; `failed` is neither. Latencies are seconds from when a request was due."""

    sent: int = 0
    whole: int = 0
    told: int = 0
    failed: int = 0
    reconnected: int = 0
    trace_ids: list[bytes] = field(default_factory=list)
    without_id: int = 0
    overhead_ms: list[float] = field(default_factory=list)
    latency_s: list[float] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Soak:
    """`kinds` in turn. `rate` 0: as fast as `connections` can."""

    def __init__(self, port: int, key: str, kinds: Sequence[Ask], connections: int, rate: float) -> None:
        run = f"{time.time_ns():x}"
        self.tally = Tally()
        self._port, self._connections, self._rate = port, connections, rate
        self._asks = [(ask, *ask.message(port, key, run)) for ask in kinds]
        self._serials = itertools.count()
        self._idle: list[_Connection] = []
        self._due: list[float] = []
        self.busy: set[_Connection] = set()
        self._opening = 0
        self._going = True

    async def run(self, enough: Callable[[Tally], bool]) -> Tally:
        """Until `enough` says so; then what was sent is waited for."""
        loop, began_s = asyncio.get_running_loop(), time.monotonic()
        await asyncio.gather(*(self._open() for _ in range(self._connections)))
        last_s = began_s
        while not enough(self.tally):
            if self._rate:
                now_s = time.monotonic()
                count = int((now_s - began_s) * self._rate) - int((last_s - began_s) * self._rate)
                self._due += [now_s] * count
                last_s = now_s
            else:
                self._due += [time.monotonic()] * len(self._idle)
            self._send_due(loop)
            await asyncio.sleep(TICK_S)
        self._going = False
        self.tally.seconds = time.monotonic() - began_s
        until_s = time.monotonic() + FINISH_S
        while (self.busy or self._due) and time.monotonic() < until_s:
            self._send_due(loop)
            await asyncio.sleep(TICK_S)
        for connection in list(self.busy):
            self.failed("no end of an answer", connection)
        for connection in [*self._idle, *self.busy]:
            connection.close()
        return self.tally

    def _send_due(self, loop: asyncio.AbstractEventLoop) -> None:
        while self._due and self._idle:
            self._idle.pop().send(self._due.pop(0))
        if self._due and len(self.busy) + self._opening < CONNECTIONS_MAX:
            self._opening += 1
            loop.create_task(self._open()).add_done_callback(self._opened)

    async def _open(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), "127.0.0.1", self._port)

    def _opened(self, task: "asyncio.Task[None]") -> None:
        self._opening -= 1
        if not task.cancelled() and (error := task.exception()) is not None:
            self.tally.failed += 1
            self.example(f"no connection: {error}")

    def next(self) -> tuple[bytes, Ask]:
        serial = next(self._serials)
        self.tally.sent += 1
        ask, head, tail = self._asks[serial % len(self._asks)]
        return head + b"%08d" % serial + tail, ask

    def free(self, connection: "_Connection") -> None:
        self.busy.discard(connection)
        self._idle.append(connection)
        if not self._rate and self._going:
            self._idle.pop().send(time.monotonic())

    def gone(self, connection: "_Connection") -> None:
        self.busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if self._going:
            self.tally.reconnected += 1
            self._opening += 1
            asyncio.get_running_loop().create_task(self._open()).add_done_callback(self._opened)

    def opened(self, connection: "_Connection") -> None:
        self._idle.append(connection)

    def note(self, answer: bytes, ask: Ask, due_s: float) -> bool:
        """Judge an answer. False when a client would not use its connection again: it raises an error out of a stream."""
        tally = self.tally
        status = _STATUS.match(answer)
        if (found := _TRACE_ID.search(answer)) is not None:
            tally.trace_ids.append(bytes.fromhex(found[1].decode()))
        else:
            tally.without_id += 1
        tally.latency_s.append(time.monotonic() - due_s)
        if (took := _OVERHEAD.search(answer)) is not None:
            tally.overhead_ms.append(float(took[1]))
        if status is not None and status[1] == b"200" and ask.expect in answer and not any(error in answer for error in ERRORS):
            tally.whole += 1
            return True
        elif status is not None and any(error in answer for error in ERRORS):
            tally.told += 1
            self.example(f"{answer[:15]!r} … {answer[-200:]!r}")
        else:
            tally.failed += 1
            self.example(f"neither whole nor an error: {answer[:300]!r}")
        return not ask.stream

    def failed(self, why: str, connection: "_Connection") -> None:
        self.tally.failed += 1
        self.busy.discard(connection)
        self.example(why)

    def example(self, text: str) -> None:
        if len(self.tally.examples) < EXAMPLES_MAX:
            self.tally.examples.append(text)


class _Connection(asyncio.Protocol):
    def __init__(self, soak: Soak) -> None:
        self._soak, self._data, self._due_s = soak, bytearray(), 0.0
        self._ask: Ask | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._soak.opened(self)

    def send(self, due_s: float) -> None:
        assert self._transport
        message, self._ask = self._soak.next()
        self._due_s = due_s
        self._soak.busy.add(self)
        self._transport.write(message)

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._ask is not None and complete(self._data):
            ask, self._ask = self._ask, None
            good = self._soak.note(bytes(self._data), ask, self._due_s)
            self._data.clear()
            if good:
                self._soak.free(self)
            else:
                self._soak.busy.discard(self)
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._ask is not None:
            self._soak.failed(f"the connection was lost in an answer: {exc} {bytes(self._data[:200])!r}", self)
            self._ask = None
        self._soak.gone(self)

    def close(self) -> None:
        if self._transport:
            self._transport.close()


def drive(soak: Soak, enough: Callable[[Tally], bool]) -> Tally:
    """The whole run in a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(soak.run(enough))
