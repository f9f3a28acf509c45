"""How a worker behaves beyond what it can do: `python -m tools.overload`.

One gateway worker on one core, on real sockets; clients and a provider that answers at once on another. First the worker's capacity is
measured by clients that wait for each answer. Then requests are sent at multiples of it, at random times and without waiting for answers,
as clients that do not know of each other do; a third of them in each class of priority. Printed are what was answered well, how long that
took, who was refused, and the worker's memory. The figure to hold: at ten times the capacity at least 0.8 of it is served.

The requests are long ones of Anthropic's dialect for a provider of OpenAI's, so that a generator in Python can send ten times what the
worker can do. An arrival that finds all connections busy is not sent, and counted as such.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import Any, cast

import uvloop

CLASSES = ("low", "normal", "high")
TURNS, TURN_CHARS = 300, 17
"""Many short ones: about 16 kB that take long to translate."""
CONNECTIONS = 1_500
CAPACITY_CONNECTIONS = 8
TICK_S = 0.001
SETTLE_S = 1.0
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "It flows to the east."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5_000, "completion_tokens": 8, "total_tokens": 5_008},
}


# The provider


class _Provider(asyncio.Protocol):
    """Answers every request at once, always the same."""

    def __init__(self) -> None:
        body = json.dumps(ANSWER).encode()
        self._answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
        self._need = 0
        self._head = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self._need:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            length = int(self._head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            self._need = length - (len(self._head) - end - 4)
            self._head = b""
        else:
            self._need -= len(data)
        if self._need <= 0 and self._transport is not None:
            self._need = 0
            self._transport.write(self._answer)


async def provide() -> None:
    """Says its port, and answers until its input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Provider, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def serve(upstream_port: int) -> None:
    """A worker: says its port and keys, and serves until its input ends."""
    from setpoint.domain.plan import Route, Target, Upstream
    from setpoint.testing.gateway import TestKey, running_gateway
    from setpoint.testing.plans import plan

    upstream = Upstream("up", "fake", "openai_chat", "127.0.0.1", upstream_port, tls=False, base_path="/v1", auth="none")
    keys = (TestKey(1, "admin", rpm=2**30), TestKey(2, "developer", rpm=2**30))
    with running_gateway(plan((upstream,), (Route("m", (Target("up"),)),)), *keys) as gateway:
        print(json.dumps({"port": gateway.port, "pid": os.getpid(), "keys": [key.token for key in keys]}), flush=True)
        sys.stdin.read()


# The clients


@dataclass
class Seen:
    """What came back in one window."""

    offered: list[int] = field(default_factory=lambda: [0, 0, 0])
    unsent: int = 0
    good: list[int] = field(default_factory=lambda: [0, 0, 0])
    refused: list[int] = field(default_factory=lambda: [0, 0, 0])
    other: dict[str, int] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)
    refusal_s: list[float] = field(default_factory=list)
    seconds: float = 0.0


class _Client(asyncio.Protocol):
    def __init__(self, crowd: "Crowd") -> None:
        self._crowd = crowd
        self._data = b""
        self._sent_s = 0.0
        self._no = 0
        self.busy = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, no: int, message: bytes) -> None:
        self._no, self._sent_s, self.busy = no, time.monotonic(), True
        assert self.transport is not None
        self.transport.write(message)

    def data_received(self, data: bytes) -> None:
        data = self._data = self._data + data if self._data else data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return
        at = data.find(b"\r\ncontent-length: ", 0, end + 2)
        if at < 0 or len(data) < end + 4 + int(data[at + 18 : data.index(b"\r\n", at + 18)]):
            return
        self._data, self.busy = b"", False
        self._crowd.came(self, self._no, data[9:12], time.monotonic() - self._sent_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.lost(self, str(exc))


class Crowd:
    """Clients on a fixed number of connections."""

    def __init__(self, port: int, messages: tuple[bytes, bytes, bytes], seed: int) -> None:
        self._port = port
        self._messages = messages
        self._random = Random(seed)
        self._free: deque[_Client] = deque()
        self._open: set[_Client] = set()
        self._eager = False
        self.seen = Seen()

    async def connect(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self._port)
            self._open.add(client)
            self._free.append(client)

    def came(self, client: _Client, no: int, status: bytes, took_s: float) -> None:
        seen = self.seen
        if status == b"200":
            seen.good[no] += 1
            seen.waits_s.append(took_s)
        elif status == b"503":
            seen.refused[no] += 1
            seen.refusal_s.append(took_s)
        else:
            seen.other[status.decode()] = seen.other.get(status.decode(), 0) + 1
        if self._eager:
            client.ask(1, self._messages[1])
        else:
            self._free.append(client)

    def lost(self, client: _Client, reason: str) -> None:
        self._open.discard(client)
        if client.busy:
            self.seen.other[reason] = self.seen.other.get(reason, 0) + 1

    async def wait_for_each(self, seconds: float) -> Seen:
        """Each connection sends the next request when its answer came."""
        self.seen, self._eager = Seen(), True
        began_s = time.monotonic()
        while self._free:
            self._free.popleft().ask(1, self._messages[1])
        await asyncio.sleep(seconds)
        self._eager = False
        return self._over(began_s)

    async def send_at(self, rate: float, seconds: float) -> Seen:
        """Requests at random times, whatever became of those before."""
        self.seen = Seen()
        began_s = due_s = time.monotonic()
        while (now_s := time.monotonic()) < began_s + seconds:
            while due_s <= now_s:
                due_s += self._random.expovariate(rate)
                self._send(self._random.randrange(3))
            await asyncio.sleep(TICK_S)
        return self._over(began_s)

    def _send(self, no: int) -> None:
        self.seen.offered[no] += 1
        while self._free:
            client = self._free.popleft()
            if client in self._open:
                client.ask(no, self._messages[no])
                return
        self.seen.unsent += 1

    def _over(self, began_s: float) -> Seen:
        seen, self.seen = self.seen, Seen()
        seen.seconds = time.monotonic() - began_s
        return seen

    def close(self) -> None:
        for client in list(self._open):
            if client.transport is not None:
                client.transport.abort()


def messages_of(port: int, keys: list[str]) -> tuple[bytes, bytes, bytes]:
    """A request of each class, lowest first."""
    turns = [{"role": ("user", "assistant")[no % 2], "content": f"{no} " + "It flows on. " * (TURN_CHARS // 13)} for no in range(TURNS - 1)]
    body = json.dumps({"model": "m", "max_tokens": 100, "temperature": 0.5, "messages": [*turns, {"role": "user", "content": "Where?"}]})

    def message(key: str, priority: str) -> bytes:
        head = f"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"
        return (
            f"{head}content-type: application/json\r\nx-setpoint-priority: {priority}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
        )

    return message(keys[1], "low"), message(keys[1], "normal"), message(keys[0], "high")


# The measurement


@contextmanager
def child(core: int, *arguments: str) -> Iterator[str]:
    """This file as another process on one core; yields its first line."""
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([sys.executable, "-m", "tools.overload", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        os.sched_setaffinity(process.pid, {core})
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline()
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """CPU time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@dataclass
class Worker:
    """The process that is measured. Its share of the CPU is what the machine gives it, so what it does with a second of it is shown too."""

    pid: int
    before_mb: float = 0.0
    before_cpu_s: float = 0.0

    def begin(self) -> None:
        self.before_mb, self.before_cpu_s = resident_mb(self.pid), cpu_s(self.pid)


def figures(name: str, seen: Seen, capacity: float, worker: Worker) -> dict[str, Any]:
    """One row."""
    used_s = max(0.001, cpu_s(worker.pid) - worker.before_cpu_s)
    cuts = quantiles(seen.waits_s, n=100) if len(seen.waits_s) > 1 else [0.0] * 99
    late = quantiles(seen.refusal_s, n=100) if len(seen.refusal_s) > 1 else [0.0] * 99
    good = sum(seen.good) / seen.seconds
    answered = [max(1, good + refused) for good, refused in zip(seen.good, seen.refused, strict=True)]
    return {
        "load": name,
        "offered/s": round(sum(seen.offered) / seen.seconds),
        "unsent/s": round(seen.unsent / seen.seconds),
        "good/s": round(good),
        "goodput": round(good / capacity, 2) if capacity else 1.0,
        "good/CPU s": round(sum(seen.good) / used_s),
        "CPU": f"{used_s / seen.seconds:.0%}",
        "p50 ms": round(cuts[49] * 1e3, 1),
        "p95 ms": round(cuts[94] * 1e3, 1),
        "p99 ms": round(cuts[98] * 1e3, 1),
        "503 p99 ms": round(late[98] * 1e3, 1),
        **{f"shed {name}": round(seen.refused[no] / answered[no], 3) for no, name in enumerate(CLASSES)},
        "other": sum(seen.other.values()),
        "RSS MB": f"{worker.before_mb:.0f} → {resident_mb(worker.pid):.0f}",
    }


async def measure(port: int, pid: int, keys: list[str], loads: list[float], seconds: float) -> Iterator[dict[str, Any]]:
    """The capacity, then each load."""
    rows = []
    messages = messages_of(port, keys)
    worker = Worker(pid)
    few = Crowd(port, messages, 1)
    await few.connect(CAPACITY_CONNECTIONS)
    await few.wait_for_each(SETTLE_S)
    await asyncio.sleep(0.2)
    worker.begin()
    seen = await few.wait_for_each(seconds)
    capacity = sum(seen.good) / seen.seconds
    rows.append(figures("capacity", seen, capacity, worker))
    few.close()
    crowd = Crowd(port, messages, 2)
    await crowd.connect(CONNECTIONS)
    for load in loads:
        await crowd.send_at(capacity * load, SETTLE_S)
        worker.begin()
        seen = await crowd.send_at(capacity * load, seconds)
        rows.append(figures(f"{load:g}x", seen, capacity, worker))
        await asyncio.sleep(SETTLE_S * 2)
    crowd.close()
    return iter(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="A gateway worker beyond its capacity.")
    parser.add_argument("--loads", default="1,3,10", help="multiples of the capacity")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load")
    parser.add_argument("--cores", default="0,1", help="of the worker, and of clients and provider")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--role", choices=("provider", "worker"), help=argparse.SUPPRESS)
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role == "provider":
        uvloop.run(provide())
        return
    if given.role == "worker":
        serve(given.upstream)
        return
    worker_core, load_core = (int(core) for core in given.cores.split(","))
    os.sched_setaffinity(0, {load_core})
    with child(load_core, "--role", "provider") as port, child(worker_core, "--role", "worker", "--upstream", port.strip()) as said:
        worker = json.loads(said)
        loads = [float(load) for load in given.loads.split(",")]
        rows = list(uvloop.run(measure(worker["port"], worker["pid"], worker["keys"], loads, given.seconds)))
    if given.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    widths = {name: max(len(name), *(len(str(row[name])) for row in rows)) for name in rows[0]}
    print("  ".join(name.rjust(width) for name, width in widths.items()))
    for row in rows:
        print("  ".join(str(row[name]).rjust(width) for name, width in widths.items()))


if __name__ == "__main__":
    main()
