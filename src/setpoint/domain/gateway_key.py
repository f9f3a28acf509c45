"""A gateway key as its owner sees it. What a worker knows of it is `domain.principal.Principal`."""

from typing import Literal

import msgspec

from setpoint.domain.principal import Principal, Role

KeyState = Literal["active", "expired", "revoked"]
KeyOrigin = Literal["issued", "settings"]
"""settings: the fixed admin key that the configuration gives."""


class GatewayKey(msgspec.Struct, frozen=True):
    """One key over its whole life; rotation gives it another secret, not another number. Times are Unix seconds, 0 is never."""

    key_no: int
    public_id: str
    name: str
    role: Role
    project: str = "default"
    rpm: int = 0
    burst: int = 0
    created_s: int = 0
    expires_s: int = 0
    revoked_s: int = 0
    rotated_s: int = 0
    origin: KeyOrigin = "issued"

    def state_at(self, now_s: int) -> KeyState:
        if self.revoked_s:
            return "revoked"
        return "expired" if self.expires_s and self.expires_s <= now_s else "active"

    def principal(self, secret_expires_s: int = 0) -> Principal:
        """The holder of one of its secrets, which may end before the key does."""
        ends = [moment for moment in (self.expires_s, secret_expires_s) if moment]
        return Principal(self.key_no, self.public_id, self.role, self.project, self.rpm, self.burst, min(ends, default=0))


class KeySecret(msgspec.Struct, frozen=True):
    """What is kept of one secret: its digest, and when it ends (0: with its key)."""

    digest: bytes
    key_no: int
    expires_s: int = 0
