"""Where the control plane keeps what it must never lose: gateway keys, the audit of every change, and how far it has published.

One process writes. Every change of keys and its audit entry are one transaction, on disk before the call returns; each raises the
`revision` by one. Only digests of keys are ever handed to a store. Every method may raise ControlStoreError, and then nothing changed.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from setpoint.domain.gateway_key import GatewayKey, KeySecret
from setpoint.domain.principal import Role


class ControlStoreError(Exception):
    """The store could not do it; the message says why, for the operator."""


class AuditEntry(msgspec.Struct, frozen=True):
    """Who did what to which thing, and when. `seq` is given by the store."""

    at_ns: int
    actor: str
    action: str
    subject: str
    detail: dict[str, str | int] = {}
    seq: int = 0


class Progress(msgspec.Struct, frozen=True):
    """How far keys were published: the revision, and the table and length of log that hold it."""

    revision: int = -1
    gen: int = 0
    delta_len: int = 0


class ControlStore(Protocol):
    """The control plane's own store."""

    def find_keys(self, after: int = 0, limit: int | None = None, role: Role | None = None) -> list[GatewayKey]:
        """Keys that ever were with a number above `after`, oldest first: at most `limit`, only of `role`."""

    def key(self, public_id: str) -> GatewayKey | None: ...

    def secrets(self) -> list[tuple[GatewayKey, KeySecret]]:
        """Every secret of a key that is not revoked."""

    def secret_count(self) -> int:
        """How many secrets there are, without reading them."""

    def secrets_of(self, key_no: int) -> list[KeySecret]: ...

    def add_key(self, key: GatewayKey, digest: bytes, audit: AuditEntry) -> GatewayKey:
        """A new key with its secret; `key.key_no` is ignored, the key comes back with a number that was never used before."""

    def put_key(self, key: GatewayKey, secrets: Sequence[KeySecret], audit: AuditEntry) -> None:
        """The key of this number as it is now, with exactly these secrets."""

    def audit(self, limit: int) -> list[AuditEntry]:
        """The newest entries, newest first."""

    def record(self, audit: AuditEntry) -> None:
        """An act that changed nothing else here, such as a publication."""

    def revision(self) -> int:
        """How many changes of keys there were."""

    def epoch(self) -> int:
        """The epoch to publish under; a restore from backup raises it."""

    def progress(self) -> Progress: ...

    def set_progress(self, progress: Progress) -> None: ...

    def close(self) -> None: ...
