"""Composing the control plane: store, keys, publisher and settings, as the engine process uses them.

At a start: make sure an admin key exists, bring the published keys up to the store, and publish the plan of the settings if it is not the
one that counts. After that the workers have all they need, whatever becomes of this process.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from setpoint.adapters.files.snapshots import SnapshotFiles
from setpoint.adapters.sqlite.control_store import SqliteControlStore
from setpoint.app.checking import draft_here
from setpoint.app.settings import Settings, SettingsError, load_settings
from setpoint.app.tree import ConfigSource
from setpoint.control.compile import Seal, Unseal
from setpoint.control.draft import Problem
from setpoint.control.keys import GatewayKeys
from setpoint.control.prices import price_book
from setpoint.control.publish import Publisher
from setpoint.domain.plan import Plan
from setpoint.domain.snapshot import Current
from setpoint.kit.sealing import Keyring, SealBroken, open_sealed, seal
from setpoint.ports.control_store import ControlStore
from setpoint.runtime.clock import Clock

RESTART_SECTIONS = ("server", "storage", "security")
"""Sections that only the next start reads."""


class Reloaded(msgspec.Struct, frozen=True):
    """What a reload came to: the plan that counts now, and the settings that only count after a restart."""

    plan: Plan
    restart_needed: tuple[str, ...] = ()
    first_admin: str | None = None
    """The token of an admin key that had to be made because the settings took theirs away. Show it to a person, once."""


def outcome(result: Reloaded | tuple[Problem, ...]) -> dict[str, Any]:
    """What a reload came to, for who asked for it. No token is in it."""
    if isinstance(result, Reloaded):
        return {"version": result.plan.version, "restart_needed": list(result.restart_needed), "problems": []}
    return {"version": None, "restart_needed": [], "problems": [str(problem) for problem in result]}


@dataclass(slots=True)
class Control:
    """The control plane of one data directory. Its methods may be called from any thread, and wait for the disk."""

    settings: Settings | None
    """What counts now; None while the file that says so cannot be read and an earlier plan counts."""
    keys: GatewayKeys
    store: ControlStore
    publisher: Publisher
    data_dir: Path
    clock: Clock
    first_admin: str | None = None
    """The token of the admin key that this start had to make. It is nowhere else: show it to a person, once."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the settings, while an earlier plan goes on counting."""

    @property
    def plan(self) -> Plan | None:
        """The plan that counts now; credentials in it are sealed."""
        return self.publisher.plan

    def publish(self, settings: Settings, actor: str) -> Plan | tuple[Problem, ...]:
        """Makes `settings` count, or says why not and leaves everything as it was."""
        draft = draft_here(settings, self.data_dir)
        at = datetime.fromtimestamp(self.clock.wall_ns() / 1e9, UTC)
        published = self.publisher.publish_draft(draft, price_book({upstream.provider for upstream in draft.upstreams}, at), actor)
        if isinstance(published, Plan):
            self.settings = settings
        return published

    def reload(self, source: ConfigSource, environ: Mapping[str, str] | None = None) -> Reloaded | tuple[Problem, ...]:
        """Reads the configuration again. One with a mistake changes nothing, and an empty file is one: somebody is still writing it."""
        before = self.settings
        if source.path is not None and is_blank(source.path):
            return (Problem(str(source.path), "is empty; the settings in use stay. Write a comment into it to mean the defaults"),)
        try:
            settings = load_settings(source.path, os.environ if environ is None else environ, source.overrides, source.profile)
        except SettingsError as error:
            return error.problems
        published = self.publish(settings, "reload")
        if not isinstance(published, Plan):
            return published
        made = self.keys.ensure_admin(_fixed_admin(settings))
        changed = [name for name in RESTART_SECTIONS if before is not None and getattr(before, name) != getattr(settings, name)]
        return Reloaded(published, tuple(changed), made)

    def start(self, settings: Settings) -> tuple[Problem, ...]:
        """Makes `settings` count and an admin key exist; returns what keeps them from counting."""
        self.first_admin = self.keys.ensure_admin(_fixed_admin(settings))
        published = self.publish(settings, "start")
        return () if isinstance(published, Plan) else published

    def take_back(self, name: str) -> Plan | None:
        """A worker refused plan `name`: the one before it counts again. None when there is nothing to go back to."""
        return self.publisher.take_back(name, "refused")

    def close(self) -> None:
        self.store.close()


def is_blank(path: Path) -> bool:
    """Whether a file is there and has nothing in it: what an editor that truncates first, or a full disk, leaves behind."""
    return path.is_file() and not path.read_bytes().strip()


def open_control(
    data_dir: Path,
    settings: Settings | tuple[Problem, ...],
    keyring: Keyring,
    clock: Clock,
    announce: Callable[[Current], None] | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Control:
    """The control plane, with `settings` published; or what keeps them from being read, so that keys can be revoked meanwhile all the same.

    `announce` is told of each publication and must not wait. Raises ControlStoreError or OSError when the directory cannot be used, and
    SettingsError when the settings make no plan and none was published before; else the plan that counts goes on counting.
    """
    (data_dir / "control").mkdir(mode=0o700, parents=True, exist_ok=True)
    store = SqliteControlStore(data_dir / "control" / "control.db")
    files = SnapshotFiles(data_dir)
    publisher = Publisher(store, files, files, clock, _sealer(keyring, random_bytes), _unsealer(keyring), announce or _tell_nobody)
    keys = GatewayKeys(store, publisher, keyring.pepper, clock, random_bytes)
    control = Control(settings if isinstance(settings, Settings) else None, keys, store, publisher, data_dir, clock)
    publisher.catch_up()
    control.problems = control.start(settings) if isinstance(settings, Settings) else settings
    if control.problems and control.plan is None:
        raise SettingsError(control.problems)
    return control


def _tell_nobody(_: Current) -> None:
    """The workers look for themselves."""


def _fixed_admin(settings: Settings) -> str | None:
    return settings.keys.admin.reveal() if settings.keys.admin else None


def _sealer(keyring: Keyring, random_bytes: Callable[[int], bytes]) -> Seal:
    return lambda name, key: seal(keyring.kek, random_bytes(12), key.encode(), b"upstream/" + name.encode())


def _unsealer(keyring: Keyring) -> Unseal:
    def unseal(name: str, sealed: bytes) -> str | None:
        try:
            return open_sealed(keyring.kek, sealed, b"upstream/" + name.encode()).decode()
        except SealBroken:
            return None

    return unseal
