"""The simulated models as a service of the process tree, on `run/sim.sock`.

When the supervisor dies, the workers drain, and what they drain may be waiting for an answer from here. So this service stays for
`ORPHAN_S_MIN`, and then until its last connection is closed; a successor on the same path does not disturb it.
"""

import asyncio

from setpoint.adapters.sim.server import BACKLOG, SimProtocol
from setpoint.app.data_directory import socket_path
from setpoint.app.service_context import Conversation, ServiceContext
from setpoint.runtime.clock import SystemClock

SOCKET = "sim.sock"
ORPHAN_S_MIN = 8.0
"""A little more than a draining worker keeps an idle connection open."""
ORPHAN_S_MAX = 40.0
_LOOK_S = 0.2


def run(context: ServiceContext) -> None:
    """Serves until told to stop, or until nobody needs it any more after the supervisor is gone."""
    asyncio.run(_serve(context))


async def _serve(context: ServiceContext) -> None:
    loop, clock = asyncio.get_running_loop(), SystemClock()
    open_now: set[SimProtocol] = set()

    class Counted(SimProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            open_now.add(self)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            open_now.discard(self)
            super().connection_lost(exc)

    conversation = Conversation(context)
    await loop.create_unix_server(lambda: Counted(loop, clock), socket_path(context.data_dir, SOCKET), backlog=BACKLOG)
    context.tell("ready")
    await conversation.follow()
    if conversation.stop_s == 0:
        await _until_unneeded(open_now)


async def _until_unneeded(open_now: set[SimProtocol]) -> None:
    await asyncio.sleep(ORPHAN_S_MIN)
    for _ in range(int((ORPHAN_S_MAX - ORPHAN_S_MIN) / _LOOK_S)):
        if not open_now:
            return
        await asyncio.sleep(_LOOK_S)
