"""Asking for every cell, many at a time."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from setpoint.testing.fault_wall.cells import Cell
from setpoint.testing.fault_wall.client import Gateway, ask, ask_and_leave
from setpoint.testing.fault_wall.judge import judge
from setpoint.testing.fault_wall.modes import LEAVES_IN_STREAM, MODE_OF
from setpoint.testing.fault_wall.rules import CANCEL_S_MAX
from setpoint.testing.fault_wall.surfaces import SURFACES, SurfaceName, UpstreamDialect, request
from setpoint.testing.fault_wall.upstreams import SAID, WallUpstreams
from setpoint.testing.fault_wall.verdict import Result, leaving_misses, misses, texts

PADDING = " and so on" * 20_000
"""Makes a request too long for one write, so that a provider can hang up on it half way."""
PREPARED = 4
"""Healthy requests ahead of one that must be tried again: a gateway may allow retries only as a share of its requests."""

ModelFor = Callable[[UpstreamDialect, bool, bool], str]
"""The model to ask the gateway for: at this dialect's provider, with a healthy one behind it or not, with short deadlines or not."""


class Settings(msgspec.Struct, frozen=True):
    """`patience_s` is how long a client waits before it calls an answer a hang. `prepared` see PREPARED."""

    gateway: Gateway
    model_for: ModelFor
    parallel: int = 32
    patience_s: float = 15.0
    prepared: int = PREPARED
    request_id_header: str = "x-setpoint-request-id"


class Wall:
    """Asks through one gateway, of providers that run already."""

    def __init__(self, settings: Settings, upstreams: WallUpstreams) -> None:
        self._settings = settings
        self._upstreams = upstreams

    async def served(self, wanted: Sequence[tuple[SurfaceName, UpstreamDialect]]) -> dict[tuple[SurfaceName, UpstreamDialect], str]:
        """Which surfaces the gateway serves from which providers at all, and why not (empty: it does)."""
        results = [await self.ask(Cell(MODE_OF["healthy"], surface, dialect, streamed=False)) for surface, dialect in wanted]
        return {pair: "; ".join(result.misses) for pair, result in zip(wanted, results, strict=True)}

    async def run(self, cells: Iterable[Cell], on_result: Callable[[Result], None] = lambda _: None) -> list[Result]:
        """The results in the order of the cells."""
        listed = list(cells)
        results: list[Result | None] = [None] * len(listed)
        todo = iter(enumerate(listed))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(self._settings.parallel, len(listed))):
                group.create_task(self._work(todo, results, on_result))
        return [result for result in results if result is not None]

    async def _work(self, todo: Iterator[tuple[int, Cell]], results: list[Result | None], on_result: Callable[[Result], None]) -> None:
        for at, cell in todo:
            result = results[at] = await (self.leave(cell) if cell.leaves else self.ask(cell))
            on_result(result)

    async def ask(self, cell: Cell) -> Result:
        """Ask for one cell and judge what came."""
        if not cell.spared and (cell.rule.again == "again" or cell.fault_class == "recovers"):
            await self._prepare(cell)
        order = self._upstreams.orders.place(cell.mode)
        began_s = time.monotonic()
        got = await ask(self._settings.gateway, self._request(cell, order.mark), self._settings.patience_s)
        heard = judge(cell.surface, got, frozenset(texts(cell.surface)), streamed=cell.streamed)
        return Result(
            cell, heard.ending, got.status, len(order.broken_calls), len(order.spare_calls), time.monotonic() - began_s,
            misses(cell, got, heard, order), got.headers.get(self._settings.request_id_header, ""),
        )  # fmt: skip

    async def leave(self, cell: Cell) -> Result:
        """Ask for one cell, hang up, and see whether the provider is let go of."""
        order = self._upstreams.orders.place(cell.mode)
        first = SAID.pieces[0].strip().encode()
        in_stream = cell.mode is LEAVES_IN_STREAM
        began_s = time.monotonic()
        left_ns, got = await ask_and_leave(
            self._settings.gateway,
            self._request(cell, order.mark),
            (lambda body: first in body) if in_stream else (lambda _: bool(order.calls)),
            self._settings.patience_s,
        )
        if left_ns:
            await self._upstreams.orders.wait_for(lambda: all(call.hung_up_ns for call in order.calls), 2 * CANCEL_S_MAX)
        calls = len(order.broken_calls)
        return Result(
            cell, "left", 0, calls, len(order.spare_calls), time.monotonic() - began_s, leaving_misses(left_ns, order),
            got.headers.get(self._settings.request_id_header, ""),
        )  # fmt: skip

    async def _prepare(self, cell: Cell) -> None:
        healthy = Cell(MODE_OF["healthy"], cell.surface, cell.dialect, streamed=False)
        for _ in range(self._settings.prepared):
            await ask(self._settings.gateway, self._request(healthy, "hello"), self._settings.patience_s)

    def _request(self, cell: Cell, prompt: str) -> bytes:
        settings = self._settings
        gateway = settings.gateway
        if cell.mode.name == "early_reset":
            prompt += PADDING
        model = settings.model_for(cell.dialect, cell.spared, cell.mode.stalls)
        surface = SURFACES[cell.surface]
        if gateway.prefix:
            path = surface.path
            surface = msgspec.structs.replace(surface, path=lambda m, s: gateway.prefix + path(m, s))
        return request(surface, gateway.host, model, prompt, gateway.key, streamed=cell.streamed, extra=gateway.headers)
