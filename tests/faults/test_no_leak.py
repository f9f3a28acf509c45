"""Ten thousand mixed faults, with clients that leave among them, leave nothing behind: no connection, no task, no timer, no exchange.

A worker in memory on a settable clock, so that hours of stalls pass in seconds; exchanges run beside each other, a step at a time.
"""

import asyncio
import random
from collections.abc import Iterator

from tests.gateway.network import Wire
from tests.gateway.world import TOKEN, World, key_table, status_of, world

from setpoint.domain.plan import BreakerLimits, Plan
from setpoint.domain.principal import Principal
from setpoint.domain.trace import RecordKind
from setpoint.gateway.upstream import IDLE_S
from setpoint.testing.answers import answer
from setpoint.testing.fault_wall.cells import Cell, cells
from setpoint.testing.fault_wall.modes import LEAVING, MODE_OF, MODES, Mode
from setpoint.testing.fault_wall.own import NO_LIMIT, SPOKEN, model_for, wall_plan
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES, SURFACES, request
from setpoint.testing.fault_wall.upstreams import HEALTHY, SPARE, Part, WallUpstreams, play
from setpoint.testing.wire_faults import Close, Pause, Send, Stall, Step, steps
from setpoint.wire import gauge_page as at
from setpoint.wire.spool import encode_block, read_block, records

EXCHANGES = 10_000
BESIDE = 24
"""How many exchanges run at a time."""
LEAVE_CHANCE = 0.003
"""At each step, of each client."""
CLIENT_S_MAX = 60.0
"""Longer than any deadline of the plan: a client that waits so long was forgotten."""
BREAKER = BreakerLimits(failures=50, open_s=1.0, successes=1)
"""Opens now and then, so that probes and open circuits are among what must not leak."""
PARTS: tuple[Part, ...] = ("breaks", "spare")
PORTS = {(dialect, part): 1_000 + 10 * i + j for i, dialect in enumerate(SPOKEN) for j, part in enumerate(PARTS)}
PART_AT = {port: part for (_, part), port in PORTS.items()}


class CountingSink:
    """Counts END records by their request."""

    def __init__(self) -> None:
        self.ends: list[bytes] = []

    def append(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool:
        block = read_block(encode_block(heads, tails, bodies, 0), 0, 0)
        assert block is not None
        self.ends += [record.head.request_id for record in records(block) if record.head.kind == RecordKind.end]
        return True


def wall_of() -> Plan:
    upstreams = WallUpstreams(SPOKEN)
    upstreams.ports.update(PORTS)
    return wall_plan(upstreams, SPOKEN, BREAKER)


class Provider:
    """Plays to each upstream connection what the cell of its request says."""

    def __init__(self, w: World, mode_of: dict[int, Mode]) -> None:
        self._w = w
        self._mode_of = mode_of
        self._known = 0
        self._live: list[tuple[Wire, Part]] = []
        self._playing: dict[Wire, list[Step]] = {}
        self._calls: dict[int, int] = {}

    def look(self) -> None:
        """Find new connections and new requests."""
        loop = self._w.loop
        for wire, asked in zip(loop.wires[self._known :], loop.asked[self._known :], strict=True):
            self._live.append((wire, PART_AT[asked["to"][1]]))
        self._known = len(loop.wires)
        self._live = [(wire, part) for wire, part in self._live if not wire.gone]
        for wire, part in self._live:
            if wire.sent and not wire.closing:
                self._playing[wire] = self._steps(wire.take(), part)
        for wire in [wire for wire in self._playing if wire.closing]:
            del self._playing[wire]

    def _steps(self, sent: bytes, part: Part) -> list[Step]:
        head, _, body = sent.partition(b"\r\n\r\n")
        target = head.split(b" ")[1].decode()
        at_mark = sent.find(b"wall-")
        while at_mark >= 0 and not sent[at_mark + 5 : at_mark + 13].isdigit():
            at_mark = sent.find(b"wall-", at_mark + 1)
        if at_mark < 0:
            return steps(answer(HEALTHY, target, body))
        no = int(sent[at_mark + 5 : at_mark + 13])
        if part == "spare":
            return steps(answer(SPARE, target, body))
        self._calls[no] = self._calls.get(no, 0) + 1
        return play(self._mode_of[no], self._calls[no], target, body)

    def step(self, rng: random.Random) -> bool:
        """One step of one connection; False when none has any left but to wait."""
        ready = [wire for wire, todo in self._playing.items() if todo and not isinstance(todo[0], Stall)]
        if not ready:
            return False
        wire = rng.choice(ready)
        match self._playing[wire].pop(0):
            case Send(data):
                wire.says(data)
            case Pause(seconds):
                self._w.loop.advance(seconds)
            case Close(reset):
                wire.ends(ConnectionResetError() if reset else None)
        return True

    @property
    def live(self) -> int:
        return sum(not wire.gone for wire, _ in self._live)


class Clients:
    """Some at a time, each asks once."""

    def __init__(self, w: World, todo: Iterator[tuple[int, Cell]], rng: random.Random) -> None:
        self._w = w
        self._todo = todo
        self._rng = rng
        self._under_way: list[tuple[Wire, float]] = []
        self.statuses: list[int] = []

    def look(self) -> bool:
        """Take leave of who is done, let new ones ask. False when nobody is left."""
        for wire, asked_s in list(self._under_way):
            leaves = self._rng.random() < LEAVE_CHANCE
            if leaves and not wire.closing:
                wire.ends()
            if wire.closing or wire.gone:
                self.statuses.append(status_of(wire.sent) if wire.sent else 0)
                self._under_way.remove((wire, asked_s))
            assert self._w.loop.now_s - asked_s < CLIENT_S_MAX, f"nobody answers: {wire.sent!r}"
        while len(self._under_way) < BESIDE and (following := next(self._todo, None)) is not None:
            no, cell = following
            wire = self._w.client()
            model = model_for(cell.dialect, cell.spared, cell.mode.stalls)
            wire.says(request(SURFACES[cell.surface], "gw.test", model, f"wall-{no:08d}", TOKEN, streamed=cell.streamed))
            self._under_way.append((wire, self._w.loop.now_s))
        return bool(self._under_way)


def test_ten_thousand_mixed_faults_leave_nothing_behind() -> None:
    rng = random.Random(20_261_121)
    every = list(cells((*MODES, *LEAVING), SURFACE_NAMES, SPOKEN))
    drawn = {no: rng.choice(every) for no in range(1, EXCHANGES + 1)}
    keys = key_table(Principal(7, "pub7", "developer", rpm=NO_LIMIT, burst=NO_LIMIT))
    with world(wall_of(), keys, draws=rng.random) as w:
        sink = CountingSink()
        w.sink.append = sink.append  # type: ignore[method-assign]  # the world's own looks at all it holds each time
        provider = Provider(w, {no: cell.mode for no, cell in drawn.items()})
        clients = Clients(w, iter(drawn.items()), rng)
        while clients.look():
            w.loop.spin(2)
            provider.look()
            if not provider.step(rng):
                w.loop.advance(0.05)
        w.loop.spin()
        assert len(clients.statuses) == EXCHANGES
        assert clients.statuses.count(200) > EXCHANGES / 4
        assert {status // 100 for status in clients.statuses} == {0, 2, 4, 5}
        assert w.clean
        assert w.page[at.OPEN_STREAMS] == 0
        assert len(sink.ends) == len(set(sink.ends)) == EXCHANGES
        every_route_serves_again(w, provider, rng)
        w.loop.advance(IDLE_S + 1.0)
        provider.look()
        assert provider.live == 0, "every connection to a provider is closed when it was idle for long"
        assert len(w.deadlines) == 0
        assert not asyncio.all_tasks(w.loop)


def every_route_serves_again(w: World, provider: Provider, rng: random.Random) -> None:
    """No breaker waits for a probe that will never report."""
    w.loop.advance(BREAKER.open_s + 0.1)
    healthy = [cell for cell in cells([MODE_OF["healthy"]], ["chat"], SPOKEN) if not cell.streamed]
    for cell in healthy:
        wire = w.client()
        wire.says(request(SURFACES["chat"], "gw.test", model_for(cell.dialect, cell.spared, False), "hello", TOKEN, streamed=False))
        while not wire.closing:
            w.loop.spin(2)
            provider.look()
            assert provider.step(rng) or wire.closing
        assert status_of(wire.sent) == 200, (str(cell), wire.sent)
    assert w.clean
