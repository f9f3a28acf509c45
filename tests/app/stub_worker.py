"""A worker for tests of the process tree: answers every request with its pid, drains when told. It is handed to the supervisor by name."""

import asyncio
import os
from typing import Any

from setpoint.app.context import WorkerContext

TURNS_TO_BE_KNOWN = 20
"""A connection that was accepted is somebody's only some turns of the loop later."""


def run(ctx: WorkerContext) -> None:
    asyncio.run(_serve(ctx))


async def _serve(ctx: WorkerContext) -> None:
    answering: set[asyncio.Task[Any]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        await _answer(reader, writer)
        answering.discard(task)

    servers = [await asyncio.start_server(answer, sock=listener.sock, ssl=listener.tls) for listener in ctx.listeners]
    ctx.ctl.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=ctx.ctl)
    writer.write(b"ready\n")
    while line := await reader.readline():
        if line.startswith(b"drain"):
            break
        if line == b"ping\n" and os.environ.get("STUB_WORKER") != "deaf":
            writer.write(b"pong\n")
        if line == b"publish\n":
            writer.write(b"acked 1-1\n")
    # asyncio drops a connection that it accepted but has not attached yet when its server closes, so first only stop to accept.
    for server in servers:
        for sock in server.sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
    for _ in range(TURNS_TO_BE_KNOWN):
        await asyncio.sleep(0)
    for server in servers:
        server.close()
    while answering:
        await asyncio.wait(answering)
    try:
        writer.write(b"drained\n")
        await writer.drain()
    except ConnectionError:
        pass


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await reader.readuntil(b"\r\n\r\n")
        body = str(os.getpid()).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()
