"""The zygote: one warm process from which workers are forked.

It has imported everything a worker needs and made the TLS context, so a worker is there in milliseconds, shares those pages, and accepts
session tickets that another worker gave out. It stays single-threaded, opens nothing, and serves nobody: it only waits for commands.

A worker is forked twice over: its parent exits at once, so the kernel gives it to the supervisor (a subreaper). Workers therefore never
notice when the zygote dies or is replaced, and the supervisor sees each of them end.
"""

import gc
import importlib
import json
import os
import select
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

from setpoint.app.child import entry, set_oom_score
from setpoint.app.context import Listener, WorkerContext
from setpoint.app.prctl import take_name
from setpoint.app.service_context import ServiceContext
from setpoint.app.tls import server_context
from setpoint.kit.sealing import Keyring
from setpoint.runtime.log import Log

COMMAND_BYTES_MAX = 4_096
_WARM = ("uvloop", "httptools", "msgspec", "ssl", "asyncio")


def run(context: ServiceContext) -> None:
    """Warms up, says `ready`, forks on command until the supervisor is gone."""
    for module in _WARM:
        importlib.import_module(module)
    start_worker = entry(context.worker_entry)
    listeners = _listeners(context)
    gc.collect()
    gc.freeze()
    context.tell("ready")
    commands = context.commands
    assert commands is not None, "the zygote is always born with a command socket"
    while _wait(context.ctl, commands):
        data, fds, _, _ = socket.recv_fds(commands, COMMAND_BYTES_MAX, 1)
        if not fds:
            return
        if _fork_twice():
            _become_worker(context, listeners, json.loads(data), socket.socket(fileno=fds[0]), start_worker)
        os.close(fds[0])


def _listeners(context: ServiceContext) -> tuple[Listener, ...]:
    tls = server_context(context.tls) if context.tls else None
    return tuple(
        Listener(sock, "main" if purpose == "main" else "metrics", tls if purpose == "main" else None)
        for sock, purpose in context.listeners
    )


def _wait(ctl: socket.socket, commands: socket.socket) -> bool:
    """True when a command waits; False when the supervisor is gone or wants no more workers."""
    while True:
        readable, _, _ = select.select([ctl, commands], [], [])
        if ctl in readable:
            said = ctl.recv(COMMAND_BYTES_MAX)
            if not said or b"stop" in said:
                return False
            if b"ping" in said:
                ctl.sendall(b"pong\n")
        if commands in readable:
            return True


def _fork_twice() -> bool:
    """True in the grandchild, which by then belongs to the supervisor."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return False
    if os.fork():
        os._exit(0)
    return True


def _become_worker(
    context: ServiceContext,
    listeners: tuple[Listener, ...],
    command: dict[str, int],
    ctl: socket.socket,
    start: Callable[..., None],
) -> NoReturn:
    """Never returns: the worker runs and the process ends."""
    slot = command["slot"]
    log = Log(f"worker-{slot}", context.log_level, context.log_pretty)
    context.ctl.close()
    if context.commands:
        context.commands.close()
    take_name(f"setpoint-w{slot}")
    set_oom_score(command["oom_score_adj"])
    ctl.sendall(f"pid {os.getpid()}\n".encode())
    status = 0
    try:
        start(_worker_context(context, listeners, command, ctl))
    except BaseException as error:  # noqa: BLE001  the boundary of the process: whatever it is, the supervisor restarts the worker
        import traceback

        log.error("died of an exception", error=repr(error), trace=traceback.format_exc())  # noqa: TRY400
        status = 1
    sys.stderr.flush()
    os._exit(status)


def _worker_context(context: ServiceContext, listeners: tuple[Listener, ...], command: dict[str, int], ctl: socket.socket) -> WorkerContext:
    return WorkerContext(
        slot=command["slot"],
        workers=command["workers"],
        boot=command["boot"],
        data_dir=context.data_dir,
        listeners=listeners,
        keyring=context.keyring or Keyring(b"", b""),
        ctl=ctl,
        started_ns=context.started_ns,
        spool_sync="always" if context.spool_sync == "always" else "interval",
    )
