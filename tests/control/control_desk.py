"""A control plane on a temporary directory, with a clock that tests move and randomness that counts."""

from itertools import count
from pathlib import Path

from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.adapters.sqlite.control_store import SqliteControlStore
from setpoint.control.draft import Draft, UpstreamDraft
from setpoint.control.keys import GatewayKeys, Issued, KeyWish
from setpoint.control.publish import Publisher
from setpoint.domain.faults import Fault
from setpoint.domain.gateway_key import GatewayKey
from setpoint.domain.plan import Plan, PriceBook
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Current
from setpoint.kit.sealing import key_digest
from setpoint.ports.snapshots import Loaded
from setpoint.testing.clock import WALL_START_NS, SettableClock

PEPPER = b"p" * 32
START_S = WALL_START_NS // 1_000_000_000


class Desk:
    """Store, files, publisher and keys of one data directory; another one over the same directory is a restart."""

    def __init__(self, folder: Path, clock: SettableClock | None = None, first_random: int = 1) -> None:
        (folder / "control").mkdir(exist_ok=True)
        self.clock = clock or SettableClock()
        self.store = SqliteControlStore(folder / "control/control.db")
        self.files = SnapshotFiles(folder)
        self.announced: list[Current] = []
        numbers = self._numbers = count(first_random)
        self.publisher = Publisher(self.store, self.files, self.files, self.clock, self._seal, _unseal, self.announced.append)
        self.keys = GatewayKeys(self.store, self.publisher, PEPPER, self.clock, lambda size: next(numbers).to_bytes(size, "big"))

    def _seal(self, name: str, key: str) -> bytes:
        """Like a real one it never gives the same bytes twice."""
        return f"{name}|{next(self._numbers)}|{key}".encode()

    @property
    def now_s(self) -> int:
        return self.clock.wall_ns() // 1_000_000_000

    def publish(self, *names: str) -> Plan:
        draft = Draft(tuple(UpstreamDraft(name, name, "openai_chat", "http://x", api_key="k") for name in names))
        plan = self.publisher.publish_draft(draft, PriceBook(), "test")
        assert isinstance(plan, Plan)
        return plan

    def create(self, name: str = "a key", **wish: object) -> Issued:
        return issued(self.keys.create(KeyWish(name, **wish), "test"))  # type: ignore[arg-type]

    def served(self) -> Loaded:
        """What a worker that starts now would serve."""
        loaded = self.files.load()
        assert isinstance(loaded, Loaded), loaded
        return loaded

    def holder(self, token: str) -> Principal | None:
        """Whom a worker sees behind `token`; expiry as it decides it."""
        found = self.served().keys.find(key_digest(PEPPER, token.encode()))
        return None if found is None or (found.expires_s and found.expires_s <= self.now_s) else found


def _unseal(name: str, sealed: bytes) -> str:
    return sealed.decode().rpartition("|")[2] if sealed.decode().startswith(f"{name}|") else ""


def issued(result: Issued | Fault) -> Issued:
    assert isinstance(result, Issued), result
    return result


def key_of(result: GatewayKey | Fault) -> GatewayKey:
    assert isinstance(result, GatewayKey), result
    return result


def fault_of(result: object) -> Fault:
    assert isinstance(result, Fault), result
    return result
