"""Who is asking."""

from typing import Literal

import msgspec

Role = Literal["admin", "developer", "viewer", "billing", "auditor", "service"]
ROLES: tuple[Role, ...] = ("admin", "developer", "viewer", "billing", "auditor", "service")
"""The order is the number of the role in the key table; append only."""


class Principal(msgspec.Struct, frozen=True):
    """The holder of a gateway key, as the key table describes it.

    `key_no` is a small number that never is reused; buckets and records refer to the key by it. `public_id` is the part of the
    key that may be shown (`sk-sp-<public id>-<secret>`). `rpm` and `burst` are 0 where the role's own limit applies.
    `expires_s` is Unix seconds, 0 for never.
    """

    key_no: int
    public_id: str
    role: Role
    project: str = "default"
    rpm: int = 0
    burst: int = 0
    expires_s: int = 0


INFERENCE_ROLES: frozenset[Role] = frozenset({"admin", "developer", "service"})
"""Roles that may call a model; viewer, billing and auditor only read."""
