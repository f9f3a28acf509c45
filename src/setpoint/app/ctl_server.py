"""The supervisor's side of `run/ctl.sock`; what it understands is listed in `ctl_client`."""

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from setpoint.runtime.line_channel import LineChannel
from setpoint.runtime.poll_loop import PollLoop

CONNECTIONS_MAX = 32
Answer = Callable[[dict[str, Any]], None]
Asked = Callable[[str, Answer], None]
"""A request line, and the call that answers it, now or later."""


class CtlServer:
    """Answers requests on a Unix socket that only this user can open."""

    def __init__(self, path: str, loop: PollLoop, asked: Asked) -> None:
        Path(path).unlink(missing_ok=True)
        self._path, self._loop, self._asked = path, loop, asked
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.bind(path)
        Path(path).chmod(0o600)
        self._sock.listen(16)
        self._sock.setblocking(False)
        self._open: set[LineChannel] = set()
        loop.watch(self._sock, self._accept)

    def close(self) -> None:
        self._loop.watch(self._sock, None)
        self._sock.close()
        for channel in list(self._open):
            channel.close()
        Path(self._path).unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        if len(self._open) >= CONNECTIONS_MAX:
            sock.close()
            return
        self._converse(sock)

    def _converse(self, sock: socket.socket) -> None:
        def asked(line: str) -> None:
            self._asked(line, lambda answer: channel.send(json.dumps(answer)))

        channel = LineChannel(self._loop, sock, asked, lambda: self._open.discard(channel))
        self._open.add(channel)
