"""The providers of the wall, on real sockets: for each dialect one that breaks and one that never does.

A request says by its prompt which cell it belongs to (`wall-0000002a`), so that cells can be asked for at the same time through a gateway
that knows nothing of them. A request without such a mark is answered in good health.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, Self

import msgspec

from setpoint.adapters.sim.http import Heard
from setpoint.testing.answers import Answer, answer
from setpoint.testing.fault_wall.modes import Mode, Spot
from setpoint.testing.fault_wall.surfaces import BASE_PATHS, UpstreamDialect
from setpoint.testing.replies import Refusal, Reply, text
from setpoint.testing.upstream_book import Seen, UpstreamBook
from setpoint.testing.upstream_connection import UpstreamConnection
from setpoint.testing.wire_faults import Step, WireFault, steps

Part = Literal["breaks", "spare"]

SAID = text("good ", "day, Zoë ", "🙂", input_tokens=11, output_tokens=4)
"""What a provider says that breaks, as far as it comes."""
SPARE = text("from the ", "spare", input_tokens=13, output_tokens=6)
HEALTHY = text("all is ", "well")
MARK_BYTES_MAX = 65_536
"""How far into a request that is still arriving its mark is looked for."""
_MARK = re.compile(rb"wall-([0-9a-f]{8})")
BACKLOG = 1024
TURNS_TO_BE_KNOWN = 20


class Order(msgspec.Struct):
    """One cell under way: how its requests are to be answered, and the calls that came."""

    no: int
    mode: Mode
    broken_calls: list[Seen] = []
    spare_calls: list[Seen] = []

    @property
    def mark(self) -> str:
        return f"wall-{self.no:08x}"

    @property
    def calls(self) -> list[Seen]:
        return self.broken_calls + self.spare_calls


class _Call(Seen):
    """A request and the order it belongs to."""

    order: Order | None = None


class Orders:
    """All cells so far."""

    def __init__(self) -> None:
        self._by_no: dict[int, Order] = {}
        self._news = asyncio.Event()

    def place(self, mode: Mode) -> Order:
        order = Order(len(self._by_no) + 1, mode)
        self._by_no[order.no] = order
        return order

    def find(self, body: bytes) -> Order | None:
        """The order that a request belongs to, or a part of one."""
        found = _MARK.search(body)
        return self._by_no.get(int(found[1], 16)) if found else None

    def stir(self) -> None:
        """Something happened at a provider."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def wait_for(self, condition: Callable[[], bool], patience_s: float) -> bool:
        """Whether `condition` came to hold in time; it is looked at whenever something happened."""
        try:
            async with asyncio.timeout(patience_s):
                while not condition():
                    await self._news.wait()
        except TimeoutError:
            return condition()
        return True

    def unended(self) -> list[str]:
        """Calls that were neither answered nor hung up on, in words."""
        return [
            f"{order.mode.name}: call {seen.no} of {seen.path} on connection {seen.connection}"
            for order in self._by_no.values()
            for seen in order.calls
            if not seen.answered_ns and not seen.hung_up_ns
        ]


class WallBook(UpstreamBook):
    """What one provider of the wall does."""

    def __init__(self, orders: Orders, part: Part) -> None:
        super().__init__()
        self.orders = orders
        self.part = part

    def strikes(self, no: int) -> WireFault | None:  # noqa: ARG002  which request it is, only its body tells
        return None

    def note(self, change: Callable[[], None]) -> None:
        super().note(change)
        self.orders.stir()

    def begin(self, request: Heard, connection: int, now_ns: int) -> Seen:
        call = _Call(0, connection, now_ns, request, order=self.orders.find(request.body or b""))
        if call.order is not None:
            listed = call.order.broken_calls if self.part == "breaks" else call.order.spare_calls
            listed.append(call)
            call.no = len(listed)
            self.orders.stir()
        return call

    def next_steps(self, seen: Seen) -> list[Step]:
        order = seen.order if isinstance(seen, _Call) else None
        body, seen.request.body = seen.request.body, b""
        if order is None or self.part == "spare":
            return steps(answer(HEALTHY if order is None else SPARE, seen.request.target, body))
        return play(order.mode, seen.no, seen.request.target, body)


def play(mode: Mode, no: int, target: str, body: bytes) -> list[Step]:
    """What a provider does to call `no` of a cell."""
    says: Reply | Refusal = mode.says or SAID
    whole = answer(says, target, body)
    if mode.framing is not None:
        whole = msgspec.structs.replace(whole, framing=mode.framing)
    fault = mode.fault if mode.fault is not None and mode.fault.strikes(no) else None
    if fault is not None:
        fault = msgspec.structs.replace(fault, after_pieces=pieces_before(whole, mode.spot))
    return steps(whole, fault, mode.split, no)


def pieces_before(whole: Answer, spot: Spot) -> int:
    """How many events of a stream come before that spot."""
    first, last = (_index(whole.pieces, piece) for piece in (SAID.pieces[0], SAID.pieces[-1]))
    return {"opening": first, "content": first + 1, "all": last + 1}[spot]


def _index(pieces: Sequence[bytes], part: str) -> int:
    return next((at for at, piece in enumerate(pieces) if part.encode() in piece), 0)


class WallConnection(UpstreamConnection):
    """Resets a connection while the request still arrives, for whom that is the order."""

    def __init__(self, book: WallBook, open_ones: set[UpstreamConnection]) -> None:
        super().__init__(book, open_ones, lambda: None)
        self._wall = book

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self._wall.part == "breaks" and self._body_bytes - len(body) < MARK_BYTES_MAX:
            self._reset_early(b"".join(self._pieces))

    def _reset_early(self, so_far: bytes) -> None:
        order = self._wall.orders.find(so_far)
        fault = order.mode.fault if order else None
        if fault is not None and fault.name == "early_reset" and not self.transport.is_closing():
            self._request.body = so_far
            self._begin(self._request)
            self._close(reset=True)


class WallUpstreams:
    """All providers, in the loop that enters this. `ports` are asked for in order; with none, any free ones."""

    def __init__(self, dialects: Sequence[UpstreamDialect], host: str = "127.0.0.1", first_port: int = 0) -> None:
        self.orders = Orders()
        self.host = host
        self._wanted: list[tuple[UpstreamDialect, Part]] = [(dialect, part) for part in ("breaks", "spare") for dialect in dialects]
        self._first_port = first_port
        self._servers: list[asyncio.Server] = []
        self._open: set[UpstreamConnection] = set()
        self.ports: dict[tuple[UpstreamDialect, Part], int] = {}

    def base_url(self, dialect: UpstreamDialect, part: Part) -> str:
        return f"http://{self.host}:{self.ports[dialect, part]}{BASE_PATHS.get(dialect, '')}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for at, (dialect, part) in enumerate(self._wanted):
            factory = partial(WallConnection, WallBook(self.orders, part), self._open)
            port = self._first_port + at if self._first_port else 0
            server = await loop.create_server(factory, self.host, port, backlog=BACKLOG)
            self._servers.append(server)
            self.ports[dialect, part] = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            for sock in server.sockets:
                asyncio.get_running_loop().remove_reader(sock.fileno())
        await _some_turns()  # a connection that was just accepted is known only some turns later
        for server in self._servers:
            server.close()
        for connection in list(self._open):
            connection.transport.abort()
        await _some_turns()

    def connections_open(self) -> int:
        return len(self._open)

    async def all_ended(self, patience_s: float) -> list[str]:
        """Calls that have not ended after some patience: the gateway forgot to hang up."""
        await self.orders.wait_for(lambda: not self.orders.unended(), patience_s)
        return self.orders.unended()


async def _some_turns() -> None:
    for _ in range(TURNS_TO_BE_KNOWN):
        await asyncio.sleep(0)
