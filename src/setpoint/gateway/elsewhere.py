"""Requests that are not inference: answered here, or passed to the engine."""

import re
from collections.abc import Callable
from urllib.parse import unquote

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.engine import EngineDoor
from setpoint.gateway.lane import GatewayLane
from setpoint.gateway.local import JSON, MODEL_PATHS, Local, model_body, models_body
from setpoint.gateway.server import ClientConnection, Request
from setpoint.gateway.stages.authenticate import identify

_KEY_PARAMETER = re.compile(rb"(?:^|&)key=[^&]*")
_MODEL_PREFIXES = (b"/v1/models/", b"/models/")


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
        elif request.method in (b"GET", b"HEAD") and (path in MODEL_PATHS or path.startswith(_MODEL_PREFIXES)):
            self._models(connection, request, path)
        else:
            who = identify(lane.published, request, self._wall_s)
            query = without_key(query)
            target = path + b"?" + query if query else path
            self._door.pass_on(connection, request, target, None if isinstance(who, Fault) else who)

    def _models(self, connection: ClientConnection, request: Request, path: bytes) -> None:
        lane = self._lane
        who = identify(lane.published, request, self._wall_s)
        shape = b"/v1/messages" if b"anthropic-version" in request.headers else b"/v1/models"
        if isinstance(who, Fault):
            lane.refuse(connection, request, shape, who)
            return
        if path in MODEL_PATHS:
            lane.reply(connection, request, 200, JSON, models_body(lane.published, request))
            return
        body = model_body(lane.published, request, unquote(path.partition(b"models/")[2].decode("latin-1")))
        if isinstance(body, Fault):
            lane.refuse(connection, request, shape, body)
        else:
            lane.reply(connection, request, 200, JSON, body)
