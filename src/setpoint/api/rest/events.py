"""`/api/v1/events`: a WebSocket that says hello, then tells every change in the state of the tree, with a heartbeat in between.

Messages are JSON objects with `type` (`hello`, `services`, `heartbeat`, `echo`) and `timestamp`. A text sent by the client comes back as an
`echo`, so that it can measure the way there and back.
"""

import asyncio
from typing import Any

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from setpoint import __version__
from setpoint.api.errors import ApiFault
from setpoint.api.identity import require
from setpoint.api.rest.services import Ask
from setpoint.domain.faults import Fault, FaultKind
from setpoint.runtime.clock import Clock, rfc3339

POLL_S = 1.0
HEARTBEAT_POLLS = 15
CONNECTIONS_MAX = 200
ECHO_CHARS_MAX = 1_024


def router(ask: Ask, clock: Clock) -> APIRouter:
    routes = APIRouter(prefix="/api/v1")
    check = require("events:read")
    open_now: set[WebSocket] = set()

    @routes.websocket("/events")
    async def events(connection: WebSocket) -> None:
        principal = check(connection)
        if len(open_now) >= CONNECTIONS_MAX:
            raise ApiFault(Fault(FaultKind.overloaded, f"{CONNECTIONS_MAX} listeners are connected, which is the most there may be."))
        open_now.add(connection)
        try:
            await connection.accept()
            await _Listener(connection, ask, clock).serve(principal.role)
        except (WebSocketDisconnect, RuntimeError):
            pass  # the client left while something was being sent: nobody is there to hear of it
        finally:
            open_now.discard(connection)

    return routes


class _Listener:
    """One client that listens."""

    def __init__(self, connection: WebSocket, ask: Ask, clock: Clock) -> None:
        self._connection, self._ask, self._clock = connection, ask, clock

    async def serve(self, role: str) -> None:
        await self._say("hello", version=__version__, role=role)
        told: list[Any] = []
        silent_polls = 0
        while True:
            states = _states(await self._ask("status"))
            if states != told:
                told, silent_polls = states, 0
                await self._say("services", services=states)
            elif silent_polls >= HEARTBEAT_POLLS:
                silent_polls = 0
                await self._say("heartbeat")
            silent_polls += 1
            await self._echo_until(self._clock.now_s() + POLL_S)

    async def _echo_until(self, end_s: float) -> None:
        while (wait_s := end_s - self._clock.now_s()) > 0:
            try:
                text = await asyncio.wait_for(self._connection.receive_text(), wait_s)
            except TimeoutError:
                return
            await self._say("echo", text=text[:ECHO_CHARS_MAX])

    async def _say(self, kind: str, **more: Any) -> None:
        await self._connection.send_json({"type": kind, "timestamp": rfc3339(self._clock.wall_ns()), **more})


def _states(status: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: service[name] for name in ("name", "state", "restarts")} for service in status["services"]]
