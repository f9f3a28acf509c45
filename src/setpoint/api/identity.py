"""Who is asking the management interface, and what they may do.

The worker has already authenticated the key; it passes what it found in one header that only the engine's Unix socket is trusted for
(mode 0600, and the worker drops every such header that a client sends).
"""

from collections.abc import Callable

import msgspec
from starlette.requests import HTTPConnection

from setpoint.api.errors import ApiFault
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.principal import Role

PEER_HEADER = "x-setpoint-internal-peer"


class PeerPrincipal(msgspec.Struct, frozen=True):
    """The holder of the key that came with the request."""

    key_no: int
    public_id: str
    role: Role
    project: str = "default"


class Peer(msgspec.Struct, frozen=True):
    """Where a request came from, as the worker saw it. `principal` is None when it had no good key."""

    ip: str = ""
    tls: bool = False
    principal: PeerPrincipal | None = None


ALLOWED: dict[Role, frozenset[str]] = {"admin": frozenset({"*"})}
"""Permissions (`resource:action`) by role; `*` is all of them. A role that is not here has none."""

_decode_peer = msgspec.json.Decoder(Peer).decode


def peer_of(connection: HTTPConnection) -> Peer:
    """What the worker says about the client; nobody when the header is missing or unreadable."""
    header = connection.headers.get(PEER_HEADER)
    if not header:
        return Peer()
    try:
        return _decode_peer(header)
    except msgspec.MsgspecError:
        return Peer()


def is_allowed(role: Role, permission: str) -> bool:
    granted = ALLOWED.get(role, frozenset())
    return "*" in granted or permission in granted


def require(permission: str) -> Callable[[HTTPConnection], PeerPrincipal]:
    """A dependency that lets only holders of `permission` through and says who they are. Raises ApiFault 1101 or 1102."""

    def check(connection: HTTPConnection) -> PeerPrincipal:
        principal = peer_of(connection).principal
        if principal is None:
            raise ApiFault(Fault(FaultKind.unauthenticated, _NO_KEY))
        if not is_allowed(principal.role, permission):
            who = f"The key {principal.public_id} (role {principal.role})"
            raise ApiFault(Fault(FaultKind.forbidden, f"{who} may not {permission}. Use a key of an admin."))
        return principal

    return check


_NO_KEY = (
    "This path needs a gateway key with the role admin. Send it as `Authorization: Bearer sk-sp-...` or `x-api-key`; "
    "`setpoint keys create --role admin` makes one."
)
