"""What a gateway worker is handed at birth."""

import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from setpoint.kit.sealing import Keyring


@dataclass(frozen=True, slots=True)
class Listener:
    """A shared listening socket, bound and owned by the supervisor. `metrics` listeners serve health and metrics only."""

    sock: socket.socket
    purpose: Literal["main", "metrics"]
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Everything a worker cannot make for itself.

    `slot` is its number among `workers`; a successor takes the same slot. `boot` is a random number of this life, so that records of
    two lives in one slot are never mixed up. `ctl` is one end of a socket pair with the supervisor: lines of text; end of file
    means that the supervisor is gone.
    """

    slot: int
    workers: int
    boot: int
    data_dir: Path
    listeners: tuple[Listener, ...]
    keyring: Keyring
    ctl: socket.socket
    started_ns: int
    """Wall clock at the start of the whole tree, for uptime."""
    spool_sync: Literal["interval", "always"] = "interval"
