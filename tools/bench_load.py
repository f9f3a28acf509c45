"""A load of the project's own: closed-loop HTTP/1.1 on raw sockets that checks every answer and keeps its trace id.

Each connection sends the next request when the answer before is complete. Slower than a load generator in C, so it finds CPU per request,
content and ids, not the greatest rate.
"""

import asyncio
import itertools
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

FINISH_S = 30.0
EXAMPLES_MAX = 3
_MARK = "@SERIAL@"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TRACE_ID = re.compile(rb"\r\nx-setpoint-trace-id: *(\S+)", re.IGNORECASE)
_SYSTEM = "You answer questions on geography. Be brief, name the source of every fact, and say so when you are not certain of it."
_QUESTION = "Which rivers flow through the capital of Austria, and in which direction? Two sentences are enough."


@dataclass(frozen=True)
class Ask:
    """One kind of request. `expect` is part of every good answer; `unique` makes every body a new one, so that no cache answers."""

    name: str
    path: str
    model: str
    expect: bytes
    stream: bool = False
    unique: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, serial: str) -> bytes:
        text = f"Question {serial if self.unique else 'always the same'}: {_QUESTION}"
        body: dict[str, Any] = {"model": self.model, "max_tokens": 128, "messages": [{"role": "user", "content": text}]}
        if self.path == "/v1/messages":
            body["system"] = _SYSTEM
        else:
            body["messages"].insert(0, {"role": "system", "content": _SYSTEM})
            body["temperature"] = 0.2
        if self.stream:
            body["stream"] = True
        return json.dumps(body, separators=(",", ":")).encode()

    def message(self, port: int, key: str, run: str) -> tuple[bytes, bytes]:
        """Head and tail of the request: eight digits belong between them."""
        body = self.body(f"{run}-{_MARK}")
        grown = 8 - len(_MARK) if self.unique else 0
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}", "anthropic-version": "2023-06-01", **self.headers}
        lines = [f"POST {self.path} HTTP/1.1", f"host: 127.0.0.1:{port}", *(f"{name}: {value}" for name, value in headers.items())]
        whole = "\r\n".join([*lines, f"content-length: {len(body) + grown}", "", ""]).encode() + body
        head, _, tail = whole.partition(_MARK.encode())
        return head, tail


@dataclass
class Counts:
    """What came back."""

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    trace_ids: list[str] = field(default_factory=list)
    without_id: int = 0
    examples: list[str] = field(default_factory=list)


def complete(data: bytes | bytearray) -> bool:
    """Whether one whole answer is there: by its length, else by the last chunk."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return False
    length = _LENGTH.search(data, 0, end)
    return len(data) >= end + int(length[1]) if length else data.endswith(b"\r\n0\r\n\r\n", end - 2)


class Load:
    """One window: `asks` in turn, for some seconds or until `total` were sent."""

    def __init__(self, port: int, key: str, asks: Sequence[Ask], total: int | None = None) -> None:
        run = f"{time.time_ns():x}"
        self.counts = Counts()
        self.open: set[_Connection] = set()
        self._port = port
        self._asks = [(ask, *ask.message(port, key, run)) for ask in asks]
        self._serials = itertools.count()
        self._total = total
        self._running = True
        self._none_open = asyncio.Event()

    def next(self) -> tuple[bytes, bytes] | None:
        """The next request and what its answer must hold, None when enough were sent."""
        serial = next(self._serials)
        if not self._running or (self._total is not None and serial >= self._total):
            return None
        ask, head, tail = self._asks[serial % len(self._asks)]
        return (head + b"%08d" % serial + tail if ask.unique else head), ask.expect

    def note(self, answer: bytes, expect: bytes) -> None:
        if not answer.startswith(b"HTTP/1.1 200") or expect not in answer:
            self.fail(answer[:300].decode(errors="replace"))
            return
        self.counts.done += 1
        if found := _TRACE_ID.search(answer):
            self.counts.trace_ids.append(found[1].decode())
        else:
            self.counts.without_id += 1

    def fail(self, reason: str) -> None:
        self.counts.failed += 1
        if len(self.counts.examples) < EXAMPLES_MAX:
            self.counts.examples.append(reason)

    async def run(self, connections: int, seconds: float) -> Counts:
        """At most `seconds`, and `FINISH_S` for what was sent until then."""
        loop, began_s = asyncio.get_running_loop(), time.monotonic()
        await asyncio.gather(*(loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._port) for _ in range(connections)))
        await self._all_closed(seconds)
        self._running = False
        self.counts.seconds = time.monotonic() - began_s
        await self._all_closed(FINISH_S)
        for connection in list(self.open):
            connection.abort()
        return self.counts

    def closed(self, connection: "_Connection") -> None:
        self.open.discard(connection)
        if not self.open:
            self._none_open.set()

    async def _all_closed(self, limit_s: float) -> None:
        try:
            await asyncio.wait_for(self._none_open.wait(), limit_s)
        except TimeoutError:
            pass  # the caller looks at what is open


class _Connection(asyncio.Protocol):
    def __init__(self, load: Load) -> None:
        self._load, self._data, self._expect = load, bytearray(), b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has its methods, not its type
        self._load.open.add(self)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._data += data
        if complete(self._data):
            self._load.note(bytes(self._data), self._expect)
            self._data.clear()
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._load.open:
            self._load.closed(self)
            self._load.fail(f"the connection was lost: {exc}")

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _send(self) -> None:
        assert self._transport
        if asked := self._load.next():
            message, self._expect = asked
            self._transport.write(message)
        else:
            self._load.closed(self)
            self._transport.close()


def drive(port: int, key: str, asks: Sequence[Ask], connections: int, seconds: float, total: int | None = None) -> Counts:
    """One window of load, from start to last answer."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Load(port, key, asks, total).run(connections, seconds))
