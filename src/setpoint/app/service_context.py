"""What a child process other than a worker is handed at birth, and the words it speaks with the supervisor.

Lines to the supervisor: `ready` once it can be used, `pong` in answer to a ping, `show <text>` before `ready` for what the person who
started the gateway should see once.
Lines from it: `ping`, `reload`, `stop <seconds>`. End of file means that the supervisor is gone: exit.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from setpoint.app.tree import ConfigSource, ServiceSpec, TlsFiles
from setpoint.kit.sealing import Keyring
from setpoint.runtime.log import Level, Log


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """Everything a service cannot make for itself. `keyring` is there only for services that need it."""

    spec: ServiceSpec
    data_dir: Path
    ctl: socket.socket
    started_ns: int
    config: ConfigSource
    log: Log
    log_level: Level = "info"
    log_pretty: bool = False
    keyring: Keyring | None = None
    tls: TlsFiles | None = None
    listeners: tuple[tuple[socket.socket, str], ...] = ()
    """Listening sockets and their purpose; for the zygote only."""
    commands: socket.socket | None = None
    """Where fork commands come from; for the zygote only."""
    worker_entry: str = ""
    spool_sync: str = "interval"

    def tell(self, line: str) -> None:
        """Says one line to the supervisor; a supervisor that is gone is noticed elsewhere."""
        try:
            self.ctl.sendall(line.encode() + b"\n")
        except OSError:
            return


@dataclass(slots=True)
class Conversation:
    """The supervisor's lines in a service that runs an asyncio loop. `stop` is set by `stop <seconds>` and by end of file."""

    context: ServiceContext
    reload: Callable[[str], None] | None = None
    """Called with the number of the request, which belongs into the line `reloaded <number> <what came of it>`."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    stop_s: float = 0.0
    """How long the supervisor will wait; 0 when it is gone."""

    async def follow(self) -> None:
        """Answers until the supervisor is gone; run it as a task of its own."""
        self.context.ctl.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=self.context.ctl)
        try:
            while line := await reader.readline():
                self._obey(line.decode().split())
        except ConnectionError:
            pass  # the end of the supervisor, in another form
        finally:
            self.stop.set()
            writer.close()

    def _obey(self, words: list[str]) -> None:
        match words:
            case ["ping"]:
                self.context.tell("pong")
            case ["stop", seconds]:
                self.stop_s = float(seconds)
                self.stop.set()
            case ["reload", number] if self.reload:
                self.reload(number)
            case _:
                self.context.log.debug("not understood", line=" ".join(words))
