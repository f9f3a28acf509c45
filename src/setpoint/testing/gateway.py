"""A real gateway worker in a thread, on a port and a data directory of its own.

    with running_gateway(plan) as gateway:
        openai.OpenAI(base_url=gateway.url + "/v1", api_key=gateway.key)

Nothing is replaced: listener, protocol, stages, spool are the ones that serve in production. Only the supervisor is missing; what it would
hand down is made here. The spool can be read back with `records()`.
"""

import os
import socket
import ssl
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.app import worker
from setpoint.app.context import Listener, WorkerContext
from setpoint.app.data_directory import FOLDERS, socket_path
from setpoint.domain.plan import Plan
from setpoint.domain.principal import Principal, Role
from setpoint.domain.trace import RecordKind
from setpoint.kit.sealing import Keyring, key_digest, mint_token, seal
from setpoint.testing.certificates import Certificate
from setpoint.wire.spool import FILE_HEADER_BYTES, KIND_RECORDS, Record, decode_file_header, read_block, records

_T = TypeVar("_T")

DEADLINE_S = 10.0
KEYRING = Keyring(bytes(range(32)), bytes(range(32, 64)))
"""Known to everybody, so good for tests only."""


def sealed_key(upstream: str, api_key: str) -> bytes:
    """A provider credential as the plan of upstream `upstream` carries it in a test."""
    return seal(KEYRING.kek, os.urandom(12), api_key.encode(), b"upstream/" + upstream.encode())


class TestKey:
    """A gateway key: `token` is what a client sends, `principal` what the worker finds by it."""

    __test__ = False

    def __init__(self, key_no: int, role: Role = "developer", *, rpm: int = 0, burst: int = 0, expires_s: int = 0) -> None:
        public_id, self.token = mint_token(os.urandom(16), os.urandom(32))
        self.principal = Principal(key_no, public_id, role, rpm=rpm, burst=burst, expires_s=expires_s)

    @property
    def row(self) -> tuple[bytes, Principal]:
        return key_digest(KEYRING.pepper, self.token.encode()), self.principal


class RunningGateway:
    """What a test needs to know of the worker. `key` is the token of the first key."""

    def __init__(self, data_dir: Path, port: int, keys: Sequence[TestKey], ctl: socket.socket, certificate: Certificate | None) -> None:
        self.data_dir = data_dir
        self.port = port
        self.keys = keys
        self.key = keys[0].token
        self.certificate = certificate
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{port}"
        self.engine_path = socket_path(data_dir, "engine.sock")
        self._ctl = ctl
        self._lines = b""
        self._snapshots = SnapshotFiles(data_dir)

    @property
    def client_tls(self) -> ssl.SSLContext | None:
        """What a client needs to trust this listener."""
        return self.certificate.client_context() if self.certificate else None

    def publish(self, plan: Plan) -> None:
        """Make the worker serve by `plan`, which must be newer, and wait until it does."""
        self._snapshots.publish(plan)
        self._ctl.sendall(b"publish\n")
        self.wait_for_line(f"acked {plan.epoch}-{plan.version}")

    def wait_for_line(self, line: str) -> None:
        """Until the worker has said `line` to its supervisor. Raises EOFError, TimeoutError."""
        while line.encode() + b"\n" not in self._lines:
            self._lines += self._read()

    def tell(self, line: str) -> None:
        """Say a line to the worker as its supervisor would."""
        self._ctl.sendall(line.encode() + b"\n")

    def records(self) -> list[Record]:
        """All records that are in the spool now, oldest first."""
        return [record for path in sorted((self.data_dir / "spool").glob("*.sp")) for record in _records_of(path)]

    def ends(self) -> list[Record]:
        """The END records."""
        return [record for record in self.records() if record.head.kind == RecordKind.end]

    def wait_for_ends(self, count: int, deadline_s: float = DEADLINE_S) -> list[Record]:
        """Until there are `count` END records; for exchanges whose client left and sees no answer. Raises TimeoutError."""
        return wait_for(lambda: ends if len(ends := self.ends()) >= count else [], f"{count} END records", deadline_s)

    def _read(self) -> bytes:
        data = self._ctl.recv(65_536)
        if not data:
            raise EOFError(f"the worker ended; it had said {self._lines!r}")
        return data


def wait_for(ask: Callable[[], _T], what: str, deadline_s: float = DEADLINE_S) -> _T:
    """The first true answer of `ask`. Raises TimeoutError, which names `what`."""
    until_s = time.monotonic() + deadline_s
    while not (answer := ask()):
        if time.monotonic() > until_s:
            raise TimeoutError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.001)
    return answer


@contextmanager
def running_gateway(plan: Plan, *keys: TestKey, certificate: Certificate | None = None) -> Iterator[RunningGateway]:
    """Serve by `plan` until the end of the block. Without `keys` one developer key is made. `certificate` makes the listener speak TLS."""
    held = keys or (TestKey(1),)
    with tempfile.TemporaryDirectory(prefix="setpoint-") as folder, socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        data_dir = Path(folder)
        _lay_out(data_dir)
        SnapshotFiles(data_dir).publish(plan, [key.row for key in held])
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE_S)
        context = _context(data_dir, listener, theirs, certificate)
        thread = threading.Thread(target=worker.run, args=(context,), name="gateway-worker", daemon=True)
        gateway = RunningGateway(data_dir, listener.getsockname()[1], held, ours, certificate)
        thread.start()
        try:
            gateway.wait_for_line("ready")
            yield gateway
        finally:
            _end(ours)
            ours.close()
            thread.join(DEADLINE_S)
            theirs.close()


def _context(data_dir: Path, listener: socket.socket, ctl: socket.socket, certificate: Certificate | None) -> WorkerContext:
    tls = certificate.server_context() if certificate else None
    boot = int.from_bytes(os.urandom(8), "big")
    listeners = (Listener(listener, "main", tls),)
    return WorkerContext(0, 1, boot, data_dir, listeners, KEYRING, ctl, time.time_ns())


def _end(ctl: socket.socket) -> None:
    """Drain without patience. A worker that died already is what the test is about to tell."""
    with suppress(OSError):
        ctl.sendall(b"drain 0 stop\n")
        while (said := ctl.recv(65_536)) and b"drained\n" not in said:
            continue


def _lay_out(data_dir: Path) -> None:
    for name in FOLDERS:
        (data_dir / name).mkdir(parents=True, exist_ok=True)


def _records_of(path: Path) -> Iterator[Record]:
    data, at = path.read_bytes(), FILE_HEADER_BYTES
    header = decode_file_header(data[:FILE_HEADER_BYTES])
    while header and (block := read_block(data, at, header.boot)) is not None:
        if block.kind == KIND_RECORDS:
            yield from records(block)
        at = block.end
