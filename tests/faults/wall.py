"""The wall before this gateway: the cells of a test, asked for in one go."""

import asyncio
from collections.abc import Iterable, Sequence

from setpoint.testing.fault_wall.cells import Cell
from setpoint.testing.fault_wall.own import SPOKEN, check_records, model_for, own_gateway
from setpoint.testing.fault_wall.run import Settings, Wall
from setpoint.testing.fault_wall.upstreams import WallUpstreams
from setpoint.testing.fault_wall.verdict import Result

PARALLEL = 32
PATIENCE_S = 60.0
"""Longer than any stall of a busy machine."""
ENDED_S = 20.0


def asked(cells: Iterable[Cell]) -> tuple[list[Result], list[str]]:
    """What came of each cell, billing included, and which calls were never ended."""
    return asyncio.run(_asked(list(cells)))


async def _asked(cells: Sequence[Cell]) -> tuple[list[Result], list[str]]:
    async with WallUpstreams(SPOKEN) as upstreams:
        with own_gateway(upstreams) as (gateway, running):
            results = await Wall(Settings(gateway, model_for, PARALLEL, PATIENCE_S), upstreams).run(cells)
            unended = await upstreams.all_ended(ENDED_S)
            check_records(results, running)
            return results, unended
