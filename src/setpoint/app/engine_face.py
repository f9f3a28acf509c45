"""The engine's HTTP face: the routers, the server, its Unix socket. Apart from `app.engine`, because it takes long to load."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter

from setpoint.analytics.client import TraceClient
from setpoint.api.app import build
from setpoint.api.errors import ApiFault
from setpoint.api.rest import config as config_page
from setpoint.api.rest import events, keys, services, traces
from setpoint.app.ctl_client import SupervisorGoneError, ask_async
from setpoint.app.data_directory import socket_path
from setpoint.app.engine_control import Control
from setpoint.app.service_context import ServiceContext
from setpoint.domain.faults import Fault, FaultKind
from setpoint.runtime.clock import Clock

SOCKET_NAME = "engine.sock"
QUERY_SOCKET = "query.sock"
BACKLOG = 1024
HEAD_BYTES_MAX = 64 * 1024
"""More than the worker lets through, so the worker is the one that refuses."""


def _routers(context: ServiceContext, clock: Clock, control: Control) -> list[APIRouter]:
    async def ask(request: str) -> dict[str, Any]:
        try:
            return await ask_async(context.data_dir, request)
        except SupervisorGoneError as gone:
            raise ApiFault(Fault(FaultKind.overloaded, str(gone))) from gone

    return [
        services.router(ask),
        events.router(ask, clock),
        keys.router(control.keys, clock),
        config_page.router(lambda: control.plan),
        traces.router(TraceClient(socket_path(context.data_dir, QUERY_SOCKET))),
    ]


def listen(data_dir: Path) -> socket.socket:
    """The engine's socket. The predecessor's file may still lie there."""
    path = socket_path(data_dir, SOCKET_NAME)
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    Path(path).chmod(0o600)
    sock.listen(BACKLOG)
    return sock


class EngineServer(uvicorn.Server):
    """The supervisor is who stops the engine; signals are not."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def server_of(context: ServiceContext, clock: Clock, control: Control) -> EngineServer:
    """The server with every face mounted; it does not listen yet."""
    config = uvicorn.Config(
        build(_routers(context, clock, control), context.log, clock),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        h11_max_incomplete_event_size=HEAD_BYTES_MAX,
    )
    return EngineServer(config)
