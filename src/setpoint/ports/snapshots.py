"""Published snapshots: what a gateway worker reads, and what the control plane writes."""

from collections.abc import Collection, Iterable
from typing import Protocol

import msgspec

from setpoint.domain.plan import Plan
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Change, Current

Stamp = tuple[int, int, int]
"""What tells one CURRENT from the next without reading it: inode, mtime in ns, size."""


class Keys(Protocol):
    """Who holds which gateway key, at one moment."""

    def find(self, digest: bytes) -> Principal | None:
        """The holder of the key with this 16-byte digest, expired or not; None if nobody holds it. About 10 µs."""

    def changed(self, changes: Iterable[Change]) -> "Keys":
        """The same keys after `changes`, in order; this one stays as it is."""


class Loaded(msgspec.Struct, frozen=True):
    """One snapshot in memory. `stamp` was taken before anything was read, so that a change during loading is seen afterwards.

    `note` is empty when this is what CURRENT names, else it says why something older was taken.
    """

    current: Current
    plan: Plan
    keys: Keys
    stamp: Stamp | None
    note: str = ""


class Unloadable(msgspec.Struct, frozen=True):
    """There is no good snapshot, and why."""

    reason: str


class SnapshotReader(Protocol):
    """What a worker may ask. Nothing here blocks longer than reading a few files takes."""

    def changed(self, since: Stamp | None) -> bool:
        """Whether CURRENT is another one than at `since`. A few microseconds."""

    def load(self, before: Loaded | None = None) -> Loaded | Unloadable:
        """What CURRENT names, hashes checked; parts that `before` has already are taken from there."""

    def load_any(self) -> Loaded | Unloadable:
        """What CURRENT names, else the newest earlier plan whose hash holds: for a start."""


class SnapshotWriter(Protocol):
    """What the one publisher may ask.

    Everything is on disk before a call returns; a crash at any point leaves the snapshot before or the one after, never a mixture.
    """

    def publish(self, plan: Plan, rows: Iterable[tuple[bytes, Principal]] | None = None) -> Current:
        """Make `plan` count, and a new key table of `rows` with it if they are given. Raises ValueError unless it is newer."""

    def publish_changes(self, changes: Iterable[Change]) -> Current:
        """Append to the log of keys, and make it count."""

    def publish_table(self, rows: Iterable[tuple[bytes, Principal]]) -> Current:
        """A new generation of keys under the same plan: what a long log turns into."""

    def current(self) -> Current | None:
        """What counts now; None if nothing was published yet."""

    def keys_whole(self, current: Current) -> bool:
        """Whether the key table still has the hash it was published with. Reads all of it."""

    def newest(self) -> tuple[int, int]:
        """The greatest (epoch, version) that any file bears, counted or not; (0, 0) if there is none."""

    def prune(self, in_use: Collection[tuple[int, int]] = ()) -> None:
        """Delete what is neither among the three newest nor in use."""
