"""Snapshots as files in `DATA/snapshots`.

Order is everything here. A publication writes the new files under names nobody has seen, then CURRENT, each by: write in `tmp/`,
fsync, rename, fsync of the directory. Until the rename of CURRENT a crash leaves the old snapshot counting, and after it the new one.
The key log is the one file that is appended to: the bytes are synced before CURRENT says how many of them count, and a writer that
finds more bytes than CURRENT counts cuts them off first.

Fallback at a start: a plan proves itself by its own hash, so an older one can be taken. Keys are never taken from an older
generation than the newest there is, for that would bring revoked keys back to life.
"""

import hashlib
import mmap
import os
import re
import zlib
from collections.abc import Collection, Iterable
from pathlib import Path

from setpoint.domain.plan import Plan
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Change, Current
from setpoint.ports.snapshots import Keys, Loaded, Stamp, Unloadable
from setpoint.wire.keytable import KeyTable, TableDamaged, decode_changes, encode_change, encode_table, read_changes
from setpoint.wire.snapshot import SnapshotDamaged, decode_current, decode_plan, encode_current, encode_plan, plan_sha256

KEEP_NEWEST = 3

_PLAN_NAME = re.compile(r"(\d+)-(\d+)\.plan")
_KEYS_NAME = re.compile(r"(\d+)\.keys")


class SnapshotFiles:
    """Reader and writer of one data directory's snapshots (`ports.snapshots`). Only one process may publish."""

    def __init__(self, data_dir: Path) -> None:
        self._dir = data_dir / "snapshots"
        self._tmp = data_dir / "tmp"
        self._current = self._dir / "CURRENT"

    # Reading

    def stamp(self) -> Stamp | None:
        """Changes with every publication; None while there is none."""
        try:
            found = self._current.stat()
        except FileNotFoundError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)

    def changed(self, since: Stamp | None) -> bool:
        return self.stamp() != since

    def current(self) -> Current | None:
        """What counts now; None if nothing was published yet. Raises SnapshotDamaged."""
        try:
            return decode_current(self._current.read_bytes())
        except FileNotFoundError:
            return None

    def load(self, before: Loaded | None = None) -> Loaded | Unloadable:
        stamp = self.stamp()
        try:
            current = self.current()
            if current is None:
                return Unloadable("nothing has been published yet")
            return self._load(current, stamp, before)
        except (OSError, SnapshotDamaged, TableDamaged) as error:
            return Unloadable(str(error))

    def load_any(self) -> Loaded | Unloadable:
        loaded = self.load()
        if isinstance(loaded, Loaded) or not self._plan_names():
            return loaded
        return self._load_earlier(loaded.reason)

    def _load(self, current: Current, stamp: Stamp | None, before: Loaded | None) -> Loaded:
        same_plan = before is not None and before.current.plan_sha256 == current.plan_sha256
        plan = before.plan if before is not None and same_plan else self._read_plan(current)
        return Loaded(current, plan, self._load_keys(current, before), stamp)

    def _read_plan(self, current: Current) -> Plan:
        data = self._plan_path(current.epoch, current.version).read_bytes()
        if plan_sha256(data) != current.plan_sha256:
            raise SnapshotDamaged(f"plan {current.epoch}-{current.version} is not the one that CURRENT names")
        return decode_plan(data)

    def _load_keys(self, current: Current, before: Loaded | None) -> Keys:
        if before is not None and before.current.gen == current.gen and before.current.delta_len <= current.delta_len:
            keys, start, crc = before.keys, before.current.delta_len, before.current.delta_crc
        else:
            keys, start, crc = self._map_keys(current.gen), 0, 0
        if start == current.delta_len:
            return keys
        log = self._read_delta(current.gen, start, current.delta_len)
        if zlib.crc32(log, crc) != current.delta_crc:
            raise TableDamaged(f"the key log {current.gen}.delta is not what was published")
        return keys.changed(decode_changes(log))

    def _map_keys(self, gen: int) -> KeyTable:
        with self._keys_path(gen).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise TableDamaged(f"the key table {gen}.keys is empty")
            return KeyTable(memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)))

    def _read_delta(self, gen: int, start: int, end: int) -> bytes:
        with self._delta_path(gen).open("rb") as file:
            file.seek(start)
            return file.read(end - start)

    def _load_earlier(self, reason: str) -> Loaded | Unloadable:
        """The newest plan that is whole, with the newest keys there are."""
        try:
            counted = self.current()
        except SnapshotDamaged:
            counted = None
        limit = (counted.epoch, counted.version) if counted else None
        for epoch, version in sorted(self._plan_names(), reverse=True):
            if limit is not None and (epoch, version) > limit:
                continue
            try:
                data = self._plan_path(epoch, version).read_bytes()
                plan = decode_plan(data)
            except (OSError, SnapshotDamaged):
                continue
            return self._with_newest_keys(plan, plan_sha256(data), counted, reason)
        return Unloadable(f"{reason}; no earlier plan is whole either")

    def _with_newest_keys(self, plan: Plan, sha256: bytes, counted: Current | None, reason: str) -> Loaded | Unloadable:
        try:
            gen = max(self._gens())
            table = self._map_keys(gen)
            log = self._delta_path(gen).read_bytes() if self._delta_path(gen).exists() else b""
        except (OSError, ValueError, TableDamaged) as error:
            return Unloadable(f"{reason}; {error}")
        changes, used = read_changes(log)
        if counted is not None and counted.gen == gen and used < counted.delta_len:
            return Unloadable(f"{reason}; the key log {gen}.delta is shorter than what was published")
        current = Current(plan.epoch, plan.version, sha256, gen, b"", used, zlib.crc32(log[:used]))
        return Loaded(current, plan, table.changed(changes), None, f"plan {plan.epoch}-{plan.version} in its place: {reason}")

    # Writing

    def publish(self, plan: Plan, rows: Iterable[tuple[bytes, Principal]] | None = None) -> Current:
        if (plan.epoch, plan.version) <= self.newest():
            raise ValueError(f"plan {plan.epoch}-{plan.version} is not newer than {self.newest()}, which is published already")
        before = self._current_or_none()
        if rows is None and before is None:
            raise ValueError("the first publication needs the rows of the key table")
        data = encode_plan(plan)
        self._put(self._plan_path(plan.epoch, plan.version), data)
        if rows is None and before is not None:
            gen, keys_hash, length, crc = before.gen, before.keys_sha256, before.delta_len, before.delta_crc
        else:
            (gen, keys_hash), length, crc = self._put_table(rows or ()), 0, 0
        return self._count(Current(plan.epoch, plan.version, plan_sha256(data), gen, keys_hash, length, crc))

    def publish_changes(self, changes: Iterable[Change]) -> Current:
        before = self.current()
        if before is None:
            raise ValueError("changes of keys need a published snapshot to change")
        frames = b"".join(encode_change(change) for change in changes)
        self._append_delta(before, frames)
        return self._count(
            Current(
                before.epoch,
                before.version,
                before.plan_sha256,
                before.gen,
                before.keys_sha256,
                before.delta_len + len(frames),
                zlib.crc32(frames, before.delta_crc),
            )
        )

    def publish_table(self, rows: Iterable[tuple[bytes, Principal]]) -> Current:
        """A new generation of keys under the same plan: what a long log turns into."""
        before = self.current()
        if before is None:
            raise ValueError("a new key table needs a published plan")
        gen, keys_hash = self._put_table(rows)
        return self._count(Current(before.epoch, before.version, before.plan_sha256, gen, keys_hash))

    def keys_whole(self, current: Current) -> bool:
        """Whether the key table still has the hash it was published with. Reads all of it: for the publisher's start, not for workers."""
        try:
            return hashlib.sha256(self._keys_path(current.gen).read_bytes()).digest() == current.keys_sha256
        except OSError:
            return False

    def newest(self) -> tuple[int, int]:
        current = self._current_or_none()
        return max([*self._plan_names(), (current.epoch, current.version) if current else (0, 0)])

    def prune(self, in_use: Collection[tuple[int, int]] = ()) -> None:
        current = self._current_or_none()
        if current is None:
            return
        keep = {(current.epoch, current.version), *in_use, *sorted(self._plan_names())[-KEEP_NEWEST:]}
        for name in set(self._plan_names()) - keep:
            self._plan_path(*name).unlink(missing_ok=True)
        for gen in set(self._gens()) - {current.gen, *sorted(self._gens())[-KEEP_NEWEST:]}:
            self._keys_path(gen).unlink(missing_ok=True)
            self._delta_path(gen).unlink(missing_ok=True)

    def _current_or_none(self) -> Current | None:
        try:
            return self.current()
        except SnapshotDamaged:
            return None

    def _put_table(self, rows: Iterable[tuple[bytes, Principal]]) -> tuple[int, bytes]:
        data = encode_table(rows)
        gen = max(self._gens(), default=0) + 1
        self._put(self._keys_path(gen), data)
        return gen, hashlib.sha256(data).digest()

    def _append_delta(self, before: Current, frames: bytes) -> None:
        path = self._delta_path(before.gen)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(descriptor, before.delta_len)
            os.lseek(descriptor, 0, os.SEEK_END)
            _write_all(descriptor, frames)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if before.delta_len == 0:
            _sync_dir(self._dir)

    def _count(self, current: Current) -> Current:
        """From here on `current` counts."""
        previous = self.stamp()
        self._put(self._current, encode_current(current), mtime_ns_min=previous[1] + 1 if previous else 0)
        return current

    def _put(self, path: Path, data: bytes, mtime_ns_min: int = 0) -> None:
        """Publish one file. `mtime_ns_min`: two files in one tick of the kernel's clock may get the same inode and time, and a reader
        that goes by the stamp would miss the second; so the time is pushed on."""
        self._dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._tmp.mkdir(mode=0o700, exist_ok=True)
        draft = self._tmp / f"snapshot-{path.name}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _write_all(descriptor, data)
            if os.fstat(descriptor).st_mtime_ns < mtime_ns_min:
                os.utime(descriptor, ns=(mtime_ns_min, mtime_ns_min))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.rename(path)
        _sync_dir(self._dir)

    # Names

    def _plan_path(self, epoch: int, version: int) -> Path:
        return self._dir / f"{epoch}-{version}.plan"

    def _keys_path(self, gen: int) -> Path:
        return self._dir / f"{gen}.keys"

    def _delta_path(self, gen: int) -> Path:
        return self._dir / f"{gen}.delta"

    def _plan_names(self) -> list[tuple[int, int]]:
        return [(int(found[1]), int(found[2])) for found in map(_PLAN_NAME.fullmatch, self._names()) if found]

    def _gens(self) -> list[int]:
        return [int(found[1]) for found in map(_KEYS_NAME.fullmatch, self._names()) if found]

    def _names(self) -> list[str]:
        try:
            return [entry.name for entry in self._dir.iterdir()]
        except FileNotFoundError:
            return []


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
