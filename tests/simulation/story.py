"""One schedule, played on a whole worker: what happened, and what was wrong with it."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from random import Random

import msgspec
from tests.gateway.world import World
from tests.simulation.clients import Client, Told
from tests.simulation.links import HIGH_BYTES, Link, RunsForEver, SimLoop
from tests.simulation.reference import Circuits, Sent
from tests.simulation.schedule import SLOW_HIGH_BYTES, Event, Schedule, Session
from tests.simulation.upstreams import CallSeen, Upstreams

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.trace import RecordKind
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Line
from setpoint.gateway.server import ClientConnection
from setpoint.gateway.upstream import Call
from setpoint.kit.breaker import Limits
from setpoint.wire.spool import Record, encode_block, read_block, records

LIFE_S = 400.0
"""Virtual seconds in which every client of a schedule has its end."""
REST_S = 40.0
"""And in which, after that, the worker has let go of everything."""


class Filed(msgspec.Struct, frozen=True):
    """A record, when it was written, and how many were by then."""

    at_s: float
    number: int
    record: Record


class Book:
    """A spool that is read as it is written."""

    def __init__(self, story: "Story") -> None:
        self._story = story
        self.by_ask: dict[int, list[Filed]] = defaultdict(list)
        self.number = 0
        self._attempts: dict[bytes, list[Filed]] = defaultdict(list)

    def append(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool:
        block = read_block(encode_block(heads, tails, bodies, self.number), 0)
        assert block is not None
        for record in records(block):
            self.number += 1
            self._file(record)
        return True

    def _file(self, record: Record) -> None:
        filed = Filed(self._story.loop.now_s, self.number, record)
        if record.head.kind == RecordKind.attempt:  # it does not repeat what the client calls its request
            self._attempts[record.head.request_id].append(filed)
            return
        name = record.tail.client_request_id
        ask = int(name.removeprefix("ask-")) if name.startswith("ask-") else -1
        self.by_ask[ask].append(filed)

    def of(self, ask: int, kind: RecordKind) -> list[Filed]:
        if kind == RecordKind.attempt:
            ids = {filed.record.head.request_id for filed in self.by_ask[ask]}
            return [filed for request_id in ids for filed in self._attempts[request_id]]
        return [filed for filed in self.by_ask[ask] if filed.record.head.kind == kind]


class Story:
    """See the module. `wrong` is what was seen to be wrong while it went on; `verdict` says the rest."""

    def __init__(self, loop: SimLoop, schedule: Schedule) -> None:
        self.loop = loop
        self.schedule = schedule
        self.wrong: list[str] = []
        self.book = Book(self)
        rng = Random(f"draws {schedule.seed}")
        self.world = World(loop, schedule.setting.plan(), draws=rng.random)
        self.world.turn._sink = self.book
        self.circuits = Circuits(Limits(*_numbers(schedule)), lambda: loop.now_s, self.protest)
        self.upstreams = Upstreams(loop, schedule, self.protest, self._on_begin)
        self.sent: list[Sent] = []
        self.versions: list[tuple[float, int]] = [(loop.now_s, 1)]
        self.began_s = loop.now_s
        self.drain_ends_s = 1e12
        self.refusing = False
        self._moved: set[str] = set()
        self._watched: set[int] = set()
        self._lines: list[Line] = []
        self.client_links: list[Link] = []
        self._watch()
        self.clients = [Client(loop, session, self._connect, self._on_answered) for session in schedule.sessions]
        self._links_of: dict[int, list[Link]] = defaultdict(list)
        for event in schedule.events:
            loop.call_later(event.at_s, self._happen, event)
        loop.clockwork.each_turn = self.circuits.settle
        self.in_time = True

    def protest(self, what: str) -> None:
        self.wrong.append(f"{self.loop.now_s - self.began_s:.3f} s: {what}")

    @property
    def told(self) -> Iterator[Told]:
        for client in self.clients:
            yield from client.told.values()

    def play(self) -> None:
        """Until everybody has had an end and the worker is at rest."""
        loop, world = self.loop, self.world
        try:
            self.in_time = loop.run_until(lambda: all(client.finished for client in self.clients), self.began_s + LIFE_S)
            last_s = max((event.at_s + event.lasts_s for event in self.schedule.events), default=0.0)
            loop.run_until(lambda: False, max(loop.now_s, self.began_s + last_s) + 1.0)
            loop.run_until(lambda: world.clean and not self.upstreams.open_calls(), loop.now_s + REST_S)
        except RunsForEver as error:
            self.protest(str(error))
            self.in_time = False

    # ---- watching the gateway

    def _watch(self) -> None:
        """See every call that is given to a pool."""
        for line in self.world.lane.published.lines.values():
            if id(line) not in self._watched:
                self._watched.add(id(line))
                self._lines.append(line)
                pool = line.pool
                pool.send = partial(self._send, line, pool.send)  # type: ignore[method-assign]

    def _send(self, line: Line, send: Callable[[Call], None], call: Call) -> None:
        exchange = self._exchange_of(call)
        ask = -1 if exchange is None else int(exchange.request.headers.get(b"x-request-id", b"ask--1")[4:])
        endpoint = "chat" if exchange is None else exchange.surface.kind
        sent = Sent(ask, line, endpoint, self.loop.now_s, call, call.relay is not None)
        self.sent.append(sent)
        self.circuits.started(sent)
        send(call)

    def _exchange_of(self, call: Call) -> Exchange | None:
        for connection in self.world.lane.connections:
            work = connection.work
            if isinstance(work, Exchange) and (work.drive is call.drive or work.call is call):
                return work
        return None

    def _on_begin(self, link: Link, seen: CallSeen) -> None:
        """An upstream got a request: which of the gateway's calls is it?"""
        call = getattr(link._protocol, "call", None)
        for sent in reversed(self.sent):
            if sent.call is call:
                sent.seen.append(seen)
                return
        self.protest(f"{seen.upstream} got a request that is no call of the gateway")

    def calls_of(self, ask: int) -> list[CallSeen]:
        """The calls of an ask, as the upstreams saw them."""
        return [seen for sent in self.sent if sent.ask == ask for seen in sent.seen]

    # ---- what the schedule does

    def _connect(self, client: Client) -> Link | None:
        if self.refusing:
            return None
        connection = ClientConnection(self.world.lane, "main", tls=False)
        link = Link(self.loop, connection, client, SLOW_HIGH_BYTES if _slow(client.session) else HIGH_BYTES)
        link.stamp = lambda: self.book.number
        self.client_links.append(link)
        connection.connection_made(link)
        return link

    def _on_answered(self, told: Told) -> bool:
        ends = self.book.of(told.ask.no, RecordKind.end)
        links = [link for link in self.client_links if told.ask.no in getattr(link.far, "told", ())]
        told.recorded_in_time = len(ends) == 1 and ends[0].number <= links[-1].heard_stamp
        # A stream that broke takes its connection along, whatever its head had said; so does one that was under way when a drain began.
        return bool(ends) and ends[0].record.head.streamed and (ends[0].record.head.fault != 0 or self.world.lane.draining)

    def _happen(self, event: Event) -> None:
        lane = self.world.lane
        match event.kind:
            case "swap" | "move":
                if event.kind == "move":
                    self._moved = {event.upstream}
                version = self.versions[-1][1] + 1
                self.world.adopt(self.schedule.setting.plan(version, self._moved))
                self.versions.append((self.loop.now_s, version))
                self._watch()
            case "drain":
                lane.draining = self.refusing = True
                self.drain_ends_s = min(self.drain_ends_s, self.loop.now_s + event.lasts_s)
                self.loop.call_later(event.lasts_s, self._end_drain)
            case "refuse" | "hang":
                self.upstreams.close_door(event.upstream, event.kind, event.lasts_s)

    def _end_drain(self) -> None:
        """As `app.worker` does it."""
        lane = self.world.lane
        lane.close_idle()
        lane.end_all(Fault(FaultKind.draining, "The gateway is shutting down.", retry_after_s=1.0))
        self.loop.call_later(1.0, lane.abort_all)


def _slow(session: Session) -> bool:
    return bool(session.pace_s or session.stalls_s[1])


def _numbers(schedule: Schedule) -> tuple[int, float, int]:
    limits = schedule.setting.breaker
    return limits.failures, limits.open_s, limits.successes


@contextmanager
def told(schedule: Schedule) -> Iterator[Story]:
    """A story that was played to its end."""
    loop = SimLoop()
    try:
        story = Story(loop, schedule)
        story.play()
        yield story
    finally:
        loop.close()
