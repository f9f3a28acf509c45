"""Requests that are not inference: answered here, or passed to the engine."""

import re
from collections.abc import Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.engine import EngineDoor
from setpoint.gateway.lane import GatewayLane
from setpoint.gateway.local import JSON, Local, ModelsAsked, model_body, models_asked, models_body
from setpoint.gateway.server import ClientConnection, Request
from setpoint.gateway.stages.authenticate import identify

_KEY_PARAMETER = re.compile(rb"(?:^|&)key=[^&]*")


def without_key(query: bytes) -> bytes:
    """`query` without a gateway key: it was read here, and nobody behind needs a secret in an address."""
    return _KEY_PARAMETER.sub(b"", query).lstrip(b"&") if b"key=" in query else query


class Switch:
    """Serves every path that is not hot. On the metrics port there is nothing but health and metrics."""

    def __init__(self, lane: GatewayLane, local: Local, door: EngineDoor, wall_s: Callable[[], float]) -> None:
        self._lane = lane
        self._local = local
        self._door = door
        self._wall_s = wall_s

    def serve(self, connection: ClientConnection, request: Request, path: bytes, query: bytes) -> None:
        """Answer, or have it answered."""
        lane = self._lane
        found = self._local.answer(path, lane.published) if request.method in (b"GET", b"HEAD") else None
        if found is not None:
            lane.reply(connection, request, *found)
        elif connection.purpose == "metrics":
            lane.refuse(
                connection,
                request,
                path,
                Fault(FaultKind.not_found, "This port has /metrics and /health only; everything else is on the main port."),
            )
        elif request.method in (b"GET", b"HEAD") and (asked := models_asked(path, request.headers)) is not None:
            self._models(connection, request, path, asked)
        else:
            who = identify(lane.published, request, self._wall_s)
            query = without_key(query)
            target = path + b"?" + query if query else path
            self._door.pass_on(connection, request, target, None if isinstance(who, Fault) else who)

    def _models(self, connection: ClientConnection, request: Request, path: bytes, asked: ModelsAsked) -> None:
        lane = self._lane
        who = identify(lane.published, request, self._wall_s)
        body: bytes | Fault
        if isinstance(who, Fault):
            body = who
        elif asked.name:
            body = model_body(lane.published, asked.dialect, asked.name)
        else:
            body = models_body(lane.published, asked.dialect)
        if isinstance(body, Fault):
            lane.refuse(connection, request, path, body, dialect=asked.dialect)
        else:
            lane.reply(connection, request, 200, JSON, body)
