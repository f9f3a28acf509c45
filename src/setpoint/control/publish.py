"""Publishing: what was decided becomes what the workers serve.

The store is the truth, the snapshot files are what workers read. A change goes to the store first and to the files second, so that
after a crash between the two the files are behind and never ahead; `catch_up` at the next start brings them up. Numbers only grow:

    a plan        takes the version after the greatest that any file bears; a greater epoch in the store (a restored backup raises it)
                  starts again at version 1 of that epoch, which still is greater
    a key change  keeps the version and grows the log, or, when the log has become long, starts a new generation of the table

A publication that fails leaves `behind` set, and the next one publishes the whole table instead of a change.
"""

import threading
from collections.abc import Callable, Sequence

import msgspec

from setpoint.control.compile import Seal, Unseal, compile_plan, reseal, same_content
from setpoint.control.draft import Draft, Problem
from setpoint.domain.plan import Plan, PriceBook
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Change, Current
from setpoint.ports.control_store import AuditEntry, ControlStore, Progress
from setpoint.ports.snapshots import Loaded, SnapshotReader, SnapshotWriter
from setpoint.runtime.clock import Clock
from setpoint.wire.snapshot import SnapshotDamaged

LOG_CHANGES_MAX = 5_000
LOG_SHARE_MAX = 0.05
"""Of the rows of the table; above either, the log is folded into a new table."""
LOG_CHANGES_FREE = 100
"""Below this a log is short whatever the size of the table."""


class Publisher:
    """The one that publishes. Its methods may be called from any thread; one at a time goes through."""

    def __init__(
        self,
        store: ControlStore,
        files: SnapshotWriter,
        reader: SnapshotReader,
        clock: Clock,
        seal: Seal,
        unseal: Unseal,
        announce: Callable[[Current], None],
    ) -> None:
        """`announce` is told of every publication; it must not wait."""
        self.turn = threading.RLock()
        self._store, self._files, self._reader, self._clock = store, files, reader, clock
        self._seal, self._unseal, self._announce = seal, unseal, announce
        self._log_changes = 0
        self._rows = 0
        self._replaced: tuple[str, Plan] | None = None
        self.behind = False

    @property
    def plan(self) -> Plan | None:
        """The plan that counts now."""
        loaded = self._reader.load()
        return loaded.plan if isinstance(loaded, Loaded) else None

    def publish_draft(self, draft: Draft, prices: PriceBook, actor: str) -> Plan | tuple[Problem, ...]:
        """Compiles and publishes `draft`; the plan that counts already is not published again. Problems leave everything as it was."""
        with self.turn:
            epoch, version = next_number(self._files.newest(), self._store.epoch())
            served = self._reader.load()
            before = served.plan if isinstance(served, Loaded) else None
            seal = self._seal if before is None else reseal(before, self._seal, self._unseal)
            plan = compile_plan(draft, epoch, version, self._clock.wall_ns(), seal, prices)
            if not isinstance(plan, Plan):
                return plan
            if before is not None and before.epoch == epoch and same_content(before, plan):
                return before
            self._publish_plan(plan, whole_keys=before is not None and not self.behind, actor=actor)
            self._replaced = None if before is None else (f"{epoch}-{version}", before)
            return plan

    def take_back(self, name: str, actor: str) -> Plan | None:
        """A worker refused plan `name` (`<epoch>-<version>`): what counted before it counts again, under a new version.

        None when that plan no longer counts, when there was none before it, or when it was taken back already: a plan that comes back
        is not taken back itself, so two plans that workers refuse do not chase each other.
        """
        with self.turn:
            if self._replaced is None or self._replaced[0] != name:
                return None
            epoch, version = next_number(self._files.newest(), self._store.epoch())
            plan = msgspec.structs.replace(self._replaced[1], epoch=epoch, version=version, created_ns=self._clock.wall_ns())
            self._publish_plan(plan, whole_keys=not self.behind, actor=actor)
            self._replaced = None
            return plan

    def catch_up(self) -> None:
        """At a start: the keys in the files become those in the store, if they are not so already."""
        with self.turn:
            current = self._current()
            if current is None:
                return  # the first plan takes its keys from the store
            if current.delta_len == 0 and self._is_published(current):
                self._rows = self._store.secret_count()
            else:
                self._publish_table()

    def settle(self) -> None:
        """What an earlier publication of keys could not bring to the workers, once more. Raises OSError when the disk still refuses."""
        with self.turn:
            if self.behind and self._current() is not None:
                self._publish_table()

    def publish_changes(self, changes: Sequence[Change]) -> None:
        """Keys that the store holds already, to the workers. Raises OSError when the disk refuses; the store then is ahead."""
        with self.turn:
            if self._current() is None:
                return
            if self.behind or self._is_log_full(len(changes)):
                self._publish_table()
                return
            self.behind = True
            current = self._files.publish_changes(changes)
            self._log_changes += len(changes)
            self._published(current)

    def _current(self) -> Current | None:
        try:
            return self._files.current()
        except SnapshotDamaged:
            return None

    def _publish_plan(self, plan: Plan, whole_keys: bool, actor: str) -> None:
        rows = None if whole_keys else self._key_rows()
        revision = self._store.revision()
        current = self._files.publish(plan, rows)
        if rows is not None:
            self._log_changes = 0
            self._note_progress(current, revision)
        self._store.record(AuditEntry(self._clock.wall_ns(), actor, "plan.publish", current.name))
        self._files.prune()
        self._announce(current)

    def _publish_table(self) -> None:
        self.behind = True
        current = self._files.publish_table(self._key_rows())
        self._log_changes = 0
        self._files.prune()
        self._published(current)

    def _published(self, current: Current) -> None:
        self._note_progress(current, self._store.revision())
        self._announce(current)

    def _note_progress(self, current: Current, revision: int) -> None:
        self._store.set_progress(Progress(revision, current.gen, current.delta_len))
        self.behind = False

    def _is_published(self, current: Current) -> bool:
        noted = self._store.progress()
        is_same = (noted.gen, noted.delta_len) == (current.gen, current.delta_len)
        return noted.revision == self._store.revision() and is_same and self._files.keys_whole(current)

    def _is_log_full(self, more: int) -> bool:
        changes = self._log_changes + more
        return changes > LOG_CHANGES_MAX or changes > max(LOG_CHANGES_FREE, LOG_SHARE_MAX * self._rows)

    def _key_rows(self) -> list[tuple[bytes, Principal]]:
        now_s = self._clock.wall_ns() // 1_000_000_000
        holders = [(secret.digest, key.principal(secret.expires_s)) for key, secret in self._store.secrets()]
        rows = [(digest, holder) for digest, holder in holders if not holder.expires_s or holder.expires_s > now_s]
        self._rows = len(rows)
        return rows


def next_number(newest: tuple[int, int], epoch: int) -> tuple[int, int]:
    """The (epoch, version) after `newest`, in `epoch` unless the files are ahead of it."""
    return (epoch, 1) if epoch > newest[0] else (newest[0], newest[1] + 1)
