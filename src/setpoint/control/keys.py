"""Gateway keys: made, listed, rotated, revoked.

A key is shown once, when it is made; from then on only its digest exists. Rotation gives a key another secret and lets the old one
live on for an overlap, under the same number, so limits, budgets and records stay together. Revocation ends all its secrets at once.
"""

from collections.abc import Callable, Sequence

import msgspec

from setpoint.control.publish import Publisher
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.gateway_key import GatewayKey, KeyOrigin, KeySecret
from setpoint.domain.principal import ROLES, Role
from setpoint.domain.snapshot import Change, Revoke, Upsert
from setpoint.kit.sealing import key_digest, mint_token, public_id_of, token_of
from setpoint.ports.control_store import AuditEntry, ControlStore
from setpoint.runtime.clock import Clock

NAME_CHARS_MAX = 100
RATE_MAX = 2**31
OVERLAP_S_MAX = 30 * 24 * 3600
EXPIRES_S_MAX = 253_402_300_799
"""The last second of the year 9999 (UTC), after which no RFC 3339 time can be written."""
SECRETS_MAX = 8
"""Live secrets of one key; more means that rotations overlap without end."""


class KeyWish(msgspec.Struct, frozen=True):
    """What somebody wants a new key to be. `rpm` and `burst` of 0 follow the role; `expires_s` is Unix seconds, 0 never."""

    name: str
    role: Role = "developer"
    project: str = "default"
    rpm: int = 0
    burst: int = 0
    expires_s: int = 0


class Issued(msgspec.Struct, frozen=True):
    """A key and, this once, its token. Do not log it."""

    key: GatewayKey
    token: str


class GatewayKeys:
    """All changes of keys go through here. Methods may be called from any thread, and may raise ControlStoreError or OSError."""

    def __init__(
        self, store: ControlStore, publisher: Publisher, pepper: bytes, clock: Clock, random_bytes: Callable[[int], bytes]
    ) -> None:
        self._store, self._publisher, self._pepper = store, publisher, pepper
        self._clock, self._random_bytes = clock, random_bytes

    def page(self, after: int = 0, limit: int | None = None) -> list[GatewayKey]:
        """Keys with a number above `after`, oldest first, revoked ones too."""
        return self._store.find_keys(after, limit)

    def find(self, public_id: str) -> GatewayKey | Fault:
        return self._store.key(public_id) or _unknown(public_id)

    def create(self, wish: KeyWish, actor: str) -> Issued | Fault:
        """A new key. Its token is nowhere but in the answer."""
        fault = _objection(wish, self._now_s())
        if fault is not None:
            return fault
        public_id, token = mint_token(self._random_bytes(16), self._random_bytes(32))
        return self._add(wish, public_id, token, "issued", actor)

    def rotate(self, public_id: str, overlap_s: int, actor: str) -> Issued | Fault:
        """Another secret for the same key; the secrets it had end after `overlap_s`."""
        with self._publisher.turn:
            key = self._live(public_id)
            if isinstance(key, Fault):
                return key
            now_s = self._now_s()
            old = [secret for secret in self._store.secrets_of(key.key_no) if not secret.expires_s or secret.expires_s > now_s]
            fault = _rotation_objection(key, overlap_s, len(old))
            if fault is not None:
                return fault
            token = token_of(public_id, self._random_bytes(32))
            ending = [_ending(secret, now_s + overlap_s) for secret in old]
            fresh = KeySecret(key_digest(self._pepper, token.encode()), key.key_no)
            rotated = msgspec.structs.replace(key, rotated_s=now_s)
            kept = [secret for secret in ending if secret.expires_s > now_s]
            self._put(rotated, [*kept, fresh], "key.rotate", actor, overlap_s=overlap_s)
            self._publisher.publish_changes(_changes(rotated, [*ending, fresh], now_s))
            return Issued(rotated, token)

    def revoke(self, public_id: str, actor: str) -> GatewayKey | Fault:
        """Ends the key for good. A key that is revoked already stays as it is, but workers that missed it hear of it."""
        with self._publisher.turn:
            key = self.find(public_id)
            if isinstance(key, Fault):
                return key
            if key.revoked_s:
                self._publisher.settle()
                return key
            fault = self._last_admin_objection(key)
            if fault is not None:
                return fault
            secrets = self._store.secrets_of(key.key_no)
            revoked = msgspec.structs.replace(key, revoked_s=self._now_s())
            self._put(revoked, [], "key.revoke", actor)
            self._publisher.publish_changes([Revoke(secret.digest) for secret in secrets])
            return revoked

    def ensure_admin(self, fixed_token: str | None) -> str | None:
        """At a start: there is an admin key. Returns the token of one that had to be made, for the person at the console.

        `fixed_token` is the key that the configuration gives; another one that it gave earlier is revoked.
        """
        with self._publisher.turn:
            self._settle_fixed(fixed_token)
            if self._active_admins():
                return None
            made = self.create(KeyWish("first admin", "admin"), "bootstrap")
            assert isinstance(made, Issued)
            return made.token

    def _settle_fixed(self, token: str | None) -> None:
        digest = key_digest(self._pepper, token.encode()) if token else b""
        for key in self._store.find_keys(role="admin"):
            if key.origin == "settings" and not key.revoked_s:
                secrets = self._store.secrets_of(key.key_no)
                if any(secret.digest == digest for secret in secrets):
                    return
                self._put(msgspec.structs.replace(key, revoked_s=self._now_s()), [], "key.revoke", "settings")
                self._publisher.publish_changes([Revoke(secret.digest) for secret in secrets])
        if token:
            public_id = public_id_of(token) or f"fixed-{digest.hex()[:12]}"
            taken = self._store.key(public_id) is not None
            made_up = f"fixed-{self._random_bytes(6).hex()}" if taken else public_id
            self._add(KeyWish("admin of the configuration", "admin"), made_up, token, "settings", "settings")

    def _last_admin_objection(self, key: GatewayKey) -> Fault | None:
        """Without any admin key nobody could make another one before the next start."""
        if [other.key_no for other in self._active_admins()] != [key.key_no]:
            return None
        return Fault(FaultKind.bad_request, f"{key.public_id} is the only admin key; create another one first, then revoke this one")

    def _active_admins(self) -> list[GatewayKey]:
        now_s = self._now_s()
        return [key for key in self._store.find_keys(role="admin") if key.state_at(now_s) == "active"]

    def _add(self, wish: KeyWish, public_id: str, token: str, origin: KeyOrigin, actor: str) -> Issued:
        with self._publisher.turn:
            now_s = self._now_s()
            values = msgspec.structs.asdict(wish)
            key = GatewayKey(key_no=0, public_id=public_id, created_s=now_s, origin=origin, **values)
            digest = key_digest(self._pepper, token.encode())
            added = self._store.add_key(key, digest, self._entry(actor, "key.create", public_id, role=wish.role, name=wish.name))
            self._publisher.publish_changes([Upsert(digest, added.principal())])
            return Issued(added, token)

    def _put(self, key: GatewayKey, secrets: Sequence[KeySecret], action: str, actor: str, **detail: str | int) -> None:
        self._store.put_key(key, secrets, self._entry(actor, action, key.public_id, **detail))

    def _live(self, public_id: str) -> GatewayKey | Fault:
        key = self.find(public_id)
        if isinstance(key, Fault):
            return key
        state = key.state_at(self._now_s())
        return key if state == "active" else Fault(FaultKind.bad_request, f"the key {public_id} is {state}; create a new one instead")

    def _entry(self, actor: str, action: str, subject: str, **detail: str | int) -> AuditEntry:
        return AuditEntry(self._clock.wall_ns(), actor, action, subject, detail)

    def _now_s(self) -> int:
        return self._clock.wall_ns() // 1_000_000_000


def _objection(wish: KeyWish, now_s: int) -> Fault | None:
    """Why such a key is not made."""
    if not wish.name.strip() or len(wish.name) > NAME_CHARS_MAX or not wish.name.isprintable():
        return _bad("name", f"a key needs a name of 1 to {NAME_CHARS_MAX} printable characters, for those who will wonder what it is for")
    if not wish.project.strip() or len(wish.project) > NAME_CHARS_MAX or not wish.project.isprintable():
        return _bad("project", f"a project has a name of 1 to {NAME_CHARS_MAX} printable characters")
    if wish.role not in ROLES:
        return _bad("role", f"{wish.role!r} is not a role; roles are: {', '.join(ROLES)}")
    if not (0 <= wish.rpm <= RATE_MAX and 0 <= wish.burst <= RATE_MAX):
        return _bad("rpm", f"rpm and burst are between 0 (as the role has it) and {RATE_MAX}")
    if wish.expires_s and wish.expires_s <= now_s:
        return _bad("expires_at", "the key would have expired already; give a time in the future, or none")
    if wish.expires_s > EXPIRES_S_MAX:
        return _bad("expires_at", "the key would outlive the calendar; give an earlier time, or none, and it never expires")
    return None


def _rotation_objection(key: GatewayKey, overlap_s: int, live: int) -> Fault | None:
    if key.origin == "settings":
        return Fault(FaultKind.bad_request, f"{key.public_id} comes from the configuration (keys.admin); change it there and reload")
    if not 0 <= overlap_s <= OVERLAP_S_MAX:
        return _bad("overlap_s", f"the overlap is between 0 and {OVERLAP_S_MAX} seconds")
    if live >= SECRETS_MAX:
        return _bad("overlap_s", f"{key.public_id} has {live} secrets that still work; wait until some of them end")
    return None


def _bad(param: str, message: str) -> Fault:
    return Fault(FaultKind.bad_request, message, param)


def _unknown(public_id: str) -> Fault:
    return Fault(FaultKind.not_found, f"there is no key with the public id {public_id!r}; `setpoint keys list` shows all of them")


def _ending(secret: KeySecret, at_s: int) -> KeySecret:
    """The secret with an end no later than `at_s`."""
    return msgspec.structs.replace(secret, expires_s=min(secret.expires_s or at_s, at_s))


def _changes(key: GatewayKey, secrets: Sequence[KeySecret], now_s: int) -> list[Change]:
    return [
        Revoke(secret.digest) if secret.expires_s and secret.expires_s <= now_s else Upsert(secret.digest, key.principal(secret.expires_s))
        for secret in secrets
    ]
