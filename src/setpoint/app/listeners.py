"""The listening sockets: bound once by the supervisor, shared by every worker.

One inherited socket per port, never SO_REUSEPORT: with it, connections that the kernel had hashed to a dead worker's socket are lost, while
a shared accept queue outlives any worker. Under systemd socket activation the queue outlives the supervisor too.
"""

import errno
import os
import socket
import time
from dataclasses import dataclass
from typing import Literal

from setpoint.runtime.log import Log

Purpose = Literal["main", "metrics"]
BACKLOG = 1024
BIND_WAIT_S = 10.0
"""How long a port may stay taken at start: workers of a killed predecessor need a moment to let go."""
_FIRST_PASSED_FD = 3


class ListenError(Exception):
    """A port cannot be had; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket and what it serves."""

    sock: socket.socket
    purpose: Purpose
    host: str
    port: int


def listen(host: str, port: int, purpose: Purpose, log: Log, wait_s: float = BIND_WAIT_S) -> Bound:
    """Binds and listens; port 0 takes any free one. Waits up to `wait_s` for a taken port. Raises ListenError."""
    deadline_s = time.monotonic() + wait_s
    told = False
    while True:
        try:
            return _bind(host, port, purpose)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= deadline_s:
                raise ListenError(_explain(host, port, purpose, error)) from error
        if not told:
            log.warning("port is taken; waiting for its owner to let go", port=port, wait_s=wait_s)
            told = True
        time.sleep(0.05)


def activated() -> dict[int, socket.socket]:
    """Sockets passed by systemd (LISTEN_FDS), by their port. The variables are taken out, so that children do not see them."""
    count, pid = os.environ.pop("LISTEN_FDS", "0"), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not count.isdigit() or pid not in ("", str(os.getpid())):
        return {}
    passed = [socket.socket(fileno=fd) for fd in range(_FIRST_PASSED_FD, _FIRST_PASSED_FD + int(count))]
    for sock in passed:
        sock.set_inheritable(False)
    return {sock.getsockname()[1]: sock for sock in passed}


def _bind(host: str, port: int, purpose: Purpose) -> Bound:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    sock = socket.socket(family, kind)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return Bound(sock, purpose, host, sock.getsockname()[1])


def _explain(host: str, port: int, purpose: Purpose, error: OSError) -> str:
    setting = "server.port" if purpose == "main" else "server.metrics_port"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program. Stop it, or set {setting} to a free port."
    return f"cannot listen on {host} port {port}: {error.strerror or error}. Check server.host and {setting}."
