"""A whole worker in memory: lane, stages, pools and spool records are the real ones; sockets, clocks and shared memory are not.

with world(plan) as w:
    client = w.client()
    client.says(ask())
    w.up().says(answer())
    assert client.sent.startswith(b"HTTP/1.1 200")
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from tests.gateway.network import VirtualLoop, Wire, virtual_loop

from setpoint.adapters.memory.response_cache import MemoryResponseCache
from setpoint.domain.money import Price
from setpoint.domain.plan import BreakerLimits, Plan, PriceBook, Retries, Route, Target, Timeouts, Upstream
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Current
from setpoint.domain.trace import RecordKind
from setpoint.gateway.calling import Calling
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.elsewhere import Switch
from setpoint.gateway.engine import EngineDoor, engine_upstream
from setpoint.gateway.fallback import with_fallbacks
from setpoint.gateway.ids import RequestIds
from setpoint.gateway.lane import GatewayLane
from setpoint.gateway.local import Local
from setpoint.gateway.meter import Meter
from setpoint.gateway.observing import observed
from setpoint.gateway.plan_swap import Workshop
from setpoint.gateway.server import ClientConnection
from setpoint.gateway.stack import checks, stack
from setpoint.gateway.stages.admit import admit
from setpoint.gateway.stages.attempt import Attempt
from setpoint.gateway.stages.authenticate import authenticate
from setpoint.gateway.stages.cache import Cache, CachedAnswer
from setpoint.gateway.stages.limit import limit
from setpoint.gateway.stages.read import read
from setpoint.gateway.stages.record import record
from setpoint.gateway.stages.route import route
from setpoint.gateway.turn import Turn
from setpoint.gateway.upstream import Pool
from setpoint.kit.backoff import RetryBudget
from setpoint.kit.sealing import Keyring, key_digest
from setpoint.ports.limit_ledger import UNLIMITED, Grant
from setpoint.ports.snapshots import Loaded
from setpoint.runtime.log import Log
from setpoint.wire.gauge_page import Page, new_page
from setpoint.wire.keytable import KeyTable, encode_table
from setpoint.wire.spool import Record, encode_block, read_block, records

KEYRING = Keyring(bytes(range(32)), bytes(range(32, 64)))
TOKEN = "sk-sp-test-0123456789"
WALL_NS = 1_700_000_000_000_000_000
PRICES = PriceBook("test", {"acme": {"m-1": Price(1_000_000, 2_000_000, source="test")}})
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "model": "m-1-2026",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
}


class LoopClock:
    """The clock of a worker on a virtual loop: both of its clocks move with the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now_s(self) -> float:
        return self._loop.time()

    def mono_ns(self) -> int:
        return round(self._loop.time() * 1e9)

    def wall_ns(self) -> int:
        return WALL_NS + round((self._loop.time() - 1_000.0) * 1e9)


class ListSink:
    """A spool in memory: blocks as they would be written. `refusing`: the disk is full."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.refusing = False
        self.told: Callable[[], None] = lambda: None

    def append(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool:
        self.told()
        if self.refusing:
            return False
        self.blocks.append(encode_block(heads, tails, bodies, len(self.records())))
        return True

    def records(self) -> list[Record]:
        found: list[Record] = []
        for data in self.blocks:
            block = read_block(data, 0)
            assert block is not None
            found += records(block)
        return found

    def ends(self) -> list[Record]:
        return [each for each in self.records() if each.head.kind == RecordKind.end]

    def kinds(self) -> list[int]:
        return [each.head.kind for each in self.records()]


class GrantingLedger:
    """Gives what it was told to give."""

    def __init__(self) -> None:
        self.grant: Grant = UNLIMITED
        self.taken: list[tuple[int, int, int]] = []

    def take(self, scope: int, rpm: int, burst: int, now_s: float) -> Grant:
        self.taken.append((scope, rpm, burst))
        return self.grant

    def open_stream(self, scope: int, streams_max: int, now_s: float) -> bool:
        return True

    def close_stream(self, scope: int) -> None: ...
    def tick(self, now_s: float) -> None: ...
    def drain(self, now_s: float) -> None: ...
    def statistics(self, now_s: float) -> Any: ...
    def close(self) -> None: ...


def upstream(name: str = "one", **members: Any) -> Upstream:
    """An upstream that speaks OpenAI chat, in the clear, to `<name>.test:80`."""
    given: dict[str, Any] = {
        "provider": "acme", "dialect": "openai_chat", "host": f"{name}.test", "port": 80, "tls": False, "base_path": "/v1", "auth": "none",
        "breaker": BreakerLimits(failures=1_000), **members,
    }  # fmt: skip
    return Upstream(name=name, **given)


def route_to(model: str, *names: str, **members: Any) -> Route:
    given: dict[str, Any] = {"retries": Retries(attempts=1), "timeouts": Timeouts(), **members}
    return Route(model, tuple(Target(name) for name in names), **given)


def plan_of(*upstreams: Upstream, routes: Iterable[Route] = (), **members: Any) -> Plan:
    """Version 1.1, with a route `m-1` to the first upstream unless routes are given."""
    listed = upstreams or (upstream(),)
    given: dict[str, Any] = {"epoch": 1, "version": 1, "created_ns": WALL_NS, "prices": PRICES, **members}
    return Plan(upstreams=listed, routes=tuple(routes) or (route_to("m-1", listed[0].name),), **given)


def key_table(*principals: Principal, token: str = TOKEN) -> KeyTable:
    """One key per principal; the first one's token is `token`, the others' `token` with their number behind."""
    tokens = [token if no == 0 else f"{token}-{no}" for no in range(len(principals))]
    return KeyTable(encode_table((key_digest(KEYRING.pepper, each.encode()), who) for each, who in zip(tokens, principals, strict=True)))


def loaded(plan: Plan, keys: KeyTable | None = None) -> Loaded:
    return Loaded(Current(plan.epoch, plan.version, b"", 1, b""), plan, keys or key_table(Principal(7, "pub7", "developer")), None)


class World:
    """See the module."""

    def __init__(self, loop: VirtualLoop, plan: Plan, keys: KeyTable | None = None, draws: Callable[[], float] = lambda: 0.5) -> None:
        self.loop = loop
        self.clock = LoopClock(loop)
        self.deadlines = Deadlines(loop)
        self.sink = ListSink()
        self.page: Page = new_page()
        self.log: list[str] = []
        self.ledger = GrantingLedger()
        self.workshop = Workshop(loop, self.deadlines, KEYRING, lambda _: None)
        published = self.workshop.build(loaded(plan, keys))
        self.workshop.adopt(published)
        meter = Meter(self.page)
        self.turn = Turn(self.sink, loop.call_soon, meter.records, meter.records_lost)
        self.lane = GatewayLane(
            loop, self.clock, self.deadlines, self.turn, RequestIds(bytes), meter, published, Log("test", write=self.log.append), draws
        )
        limits = plan.limits
        self.store: MemoryResponseCache[CachedAnswer] = MemoryResponseCache(limits.cache_bytes_max, limits.cache_entry_bytes_max)
        self.cache = Cache(self.store, self.deadlines, meter.followed)
        self.engine = Pool(engine_upstream("engine.sock"), None, loop, self.deadlines)
        self.engine_up = True
        local = Local(lambda: 1.5, lambda: "setpoint_up 1\n", lambda: self.engine_up, lambda: self.lane.draining)
        self.door = EngineDoor(self.lane, self.engine, loop)
        self.lane.elsewhere = Switch(self.lane, local, self.door, self.wall_s)
        self.budget = RetryBudget()
        attempt = Attempt(
            observed(Calling(self.lane.commit, self.clock.mono_ns, self.wall_s).call, self.clock.mono_ns, self.deadlines.now_s),
            self.deadlines,
            draws,
            self.budget,
            self.lane.attempt_failed,
            meter.hedged,
        )
        handle = stack(
            checks(
                admit(lambda: self.lane.in_flight),
                authenticate(self.wall_s),
                limit(self.ledger, self.deadlines.now_s, meter.limit_refused),
                read,
                route(draws, self.deadlines.now_s),
            ),
            self.cache.stage(),
            core=with_fallbacks(attempt.handle, self.lane.attempt_failed, self.deadlines.now_s),
        )
        self.lane.handle = record(handle, self.lane.finish, self.lane.on_bug)

    def wall_s(self) -> float:
        return self.clock.wall_ns() / 1e9

    def client(self, purpose: str = "main") -> Wire:
        """A client that has just connected."""
        connection = ClientConnection(self.lane, purpose, tls=False)
        wire = Wire(self.loop, connection)
        connection.connection_made(wire)
        return wire

    def up(self, no: int = -1) -> Wire:
        """The connection to an upstream that was opened as `no`; the latest by default."""
        self.loop.spin()
        return self.loop.wires[no]

    def adopt(self, plan: Plan, keys: KeyTable | None = None) -> None:
        published = self.workshop.build(loaded(plan, keys))
        self.workshop.adopt(published)
        self.lane.take_over(published)

    @property
    def clean(self) -> bool:
        """Nothing is under way, nothing is held."""
        return self.lane.in_flight == 0 and self.lane.body_bytes_held == 0


@contextmanager
def world(plan: Plan | None = None, keys: KeyTable | None = None, **members: Any) -> Iterator[World]:
    with virtual_loop() as loop:
        w = World(loop, plan or plan_of(), keys, **members)
        try:
            yield w
        finally:
            w.lane.abort_all()
            loop.spin()
            w.workshop.abort()
            w.engine.abort()


# ---- what is said on the wires


def post(body: bytes, path: str = "/v1/chat/completions", token: str = TOKEN, version: str = "1.1", **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/{version}", "host: gw.test", f"content-length: {len(body)}"]
    if token:
        lines.append(f"authorization: Bearer {token}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chat_body(model: str = "m-1", **members: Any) -> bytes:
    return msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "hi"}], **members})


def ask(model: str = "m-1", *, headers: dict[str, str] | None = None, version: str = "1.1", token: str = TOKEN, **members: Any) -> bytes:
    """A chat request; `members` are of its body."""
    return post(chat_body(model, **members), version=version, token=token, **(headers or {}))


def answer(body: bytes | None = None, status: int = 200, *lines: str, close: bool = False) -> bytes:
    """A complete answer of an upstream."""
    content = msgspec.json.encode(ANSWER) if body is None else body
    head = [f"HTTP/1.1 {status} Whatever", "content-type: application/json", f"content-length: {len(content)}", *lines]
    return "\r\n".join([*head, *(["connection: close"] if close else []), "", ""]).encode() + content


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str = "", finish: str | None = None, usage: dict[str, int] | None = None) -> bytes:
    """One event of an OpenAI chat stream, as one HTTP chunk."""
    delta = {"content": text} if text else {}
    shape: dict[str, Any] = {"id": "c", "model": "m-1-2026", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    if usage is not None:
        shape = {"id": "c", "model": "m-1-2026", "choices": [], "usage": usage}
    return chunk(b"data: " + msgspec.json.encode(shape) + b"\n\n")


DONE = chunk(b"data: [DONE]\n\n")


def status_of(sent: bytes) -> int:
    return int(sent.split(b" ", 2)[1])


def headers_of(sent: bytes) -> dict[str, str]:
    lines = sent.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def body_of(sent: bytes) -> bytes:
    """The body behind the first head, as it stands on the wire."""
    return sent.partition(b"\r\n\r\n")[2]
