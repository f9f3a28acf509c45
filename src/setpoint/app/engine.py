"""The engine process: control and the management interface, on a Unix socket that only the workers of this tree can reach.

It may die at any time: traffic goes on without it, and its successor finds everything in the data directory.
"""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import APIRouter

from setpoint.api.app import build
from setpoint.api.errors import ApiFault
from setpoint.api.rest import events, services
from setpoint.app.ctl_client import SupervisorGoneError, ask_async
from setpoint.app.data_directory import socket_path
from setpoint.app.service_context import Conversation, ServiceContext
from setpoint.domain.faults import Fault, FaultKind
from setpoint.runtime.clock import Clock, SystemClock

SOCKET_NAME = "engine.sock"
BACKLOG = 1024
HEAD_BYTES_MAX = 64 * 1024
"""More than the worker lets through, so the worker is the one that refuses."""


def run(context: ServiceContext) -> None:
    """Serves until told to stop, or until the supervisor is gone."""
    asyncio.run(_serve(context))


async def _serve(context: ServiceContext) -> None:
    clock = SystemClock()
    conversation = Conversation(context)
    app = build(_routers(context, clock), context.log, clock)
    server = _Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", h11_max_incomplete_event_size=HEAD_BYTES_MAX))
    sock = _listen(socket_path(context.data_dir, SOCKET_NAME))
    async with asyncio.TaskGroup() as group:
        following = group.create_task(conversation.follow())
        serving = group.create_task(server.serve(sockets=[sock]))
        context.tell("ready")
        await conversation.stop.wait()
        server.config.timeout_graceful_shutdown = int(conversation.stop_s)
        server.should_exit = True
        await serving
        following.cancel()


def _routers(context: ServiceContext, clock: Clock) -> list[APIRouter]:
    async def ask(request: str) -> dict[str, Any]:
        try:
            return await ask_async(context.data_dir, request)
        except SupervisorGoneError as gone:
            raise ApiFault(Fault(FaultKind.overloaded, str(gone))) from gone

    return [services.router(ask), events.router(ask, clock)]


def _listen(path: str) -> socket.socket:
    """The predecessor's socket file may still lie there."""
    Path(path).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    Path(path).chmod(0o600)
    sock.listen(BACKLOG)
    return sock


class _Server(uvicorn.Server):
    """The supervisor is who stops the engine; signals are not."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield
