"""`/api/v1/keys`: gateway keys. A token is in the answer that made it, and in no other."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from setpoint.api.errors import ApiFault
from setpoint.api.identity import PeerPrincipal, require
from setpoint.control.keys import GatewayKeys, Issued, KeyWish
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.gateway_key import GatewayKey
from setpoint.domain.principal import Role
from setpoint.ports.control_store import ControlStoreError
from setpoint.runtime.clock import Clock, rfc3339

OVERLAP_S = 3_600
LIMIT_MAX = 1_000
KEY_NO_DIGITS_MAX = 18
"""Of what the store can hold."""

T = TypeVar("T")
Reader = Annotated[PeerPrincipal, Depends(require("keys:read"))]
Writer = Annotated[PeerPrincipal, Depends(require("keys:write"))]


class NewKey(BaseModel):
    """What the key is to be. `rpm` and `burst` of 0 follow the role; without `expires_at` it never expires."""

    model_config = ConfigDict(extra="forbid")

    name: str
    role: Role = "developer"
    project: str = "default"
    rpm: int = 0
    burst: int = 0
    expires_at: AwareDatetime | None = None


class Rotation(BaseModel):
    """How long the secret that the key has now goes on working."""

    model_config = ConfigDict(extra="forbid")

    overlap_s: int = Field(OVERLAP_S, description="Seconds.")


def router(keys: GatewayKeys, clock: Clock) -> APIRouter:
    """The handlers are plain functions, so that the web framework's threads wait for the disk and its loop does not."""
    routes = APIRouter(prefix="/api/v1", tags=["keys"])

    @routes.get("/keys", summary="Every gateway key, oldest first")
    def list_keys(_: Reader, limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 50, cursor: str | None = None) -> dict[str, Any]:
        after = _key_no(cursor)
        found = _stored(lambda: keys.page(after, limit + 1))
        following = _cursor(found[limit - 1].key_no) if len(found) > limit else None
        return {"data": [_shown(key, clock) for key in found[:limit]], "meta": {"cursor": following}}

    @routes.post("/keys", status_code=201, summary="Make a gateway key; its token is shown this once")
    def create(principal: Writer, wanted: NewKey) -> dict[str, Any]:
        expires_s = int(wanted.expires_at.timestamp()) if wanted.expires_at else 0
        wish = KeyWish(wanted.name, wanted.role, wanted.project, wanted.rpm, wanted.burst, expires_s)
        return _issued(_stored(lambda: keys.create(wish, principal.public_id)), clock)

    @routes.get("/keys/{public_id}", summary="One gateway key")
    def show(_: Reader, public_id: str) -> dict[str, Any]:
        return {"data": _shown(_good(_stored(lambda: keys.find(public_id))), clock)}

    @routes.post("/keys/{public_id}:rotate", summary="Give a key another secret; the old one works on for the overlap")
    def rotate(principal: Writer, public_id: str, rotation: Rotation | None = None) -> dict[str, Any]:
        overlap_s = (rotation or Rotation()).overlap_s  # type: ignore[call-arg]
        return _issued(_stored(lambda: keys.rotate(public_id, overlap_s, principal.public_id)), clock)

    @routes.delete("/keys/{public_id}", summary="Revoke a key for good, on every worker within a second")
    def revoke(principal: Writer, public_id: str) -> dict[str, Any]:
        return {"data": _shown(_good(_stored(lambda: keys.revoke(public_id, principal.public_id))), clock)}

    return routes


def _stored(act: Callable[[], T]) -> T:
    """What `act` gives; a store or disk that refuses becomes a fault that says so."""
    try:
        return act()
    except ControlStoreError as error:
        raise ApiFault(Fault(FaultKind.overloaded, f"The change was not made: {error}")) from error
    except OSError as error:
        said = f"The change is stored, but did not reach the workers: {error.strerror or error}. It will with the next change that does."
        raise ApiFault(Fault(FaultKind.overloaded, said)) from error


def _good(result: T | Fault) -> T:
    if isinstance(result, Fault):
        raise ApiFault(result)
    return result


def _issued(result: Issued | Fault, clock: Clock) -> dict[str, Any]:
    issued = _good(result)
    return {"data": _shown(issued.key, clock) | {"token": issued.token}}


def _shown(key: GatewayKey, clock: Clock) -> dict[str, Any]:
    return {
        "public_id": key.public_id,
        "name": key.name,
        "role": key.role,
        "project": key.project,
        "state": key.state_at(clock.wall_ns() // 1_000_000_000),
        "rpm": key.rpm,
        "burst": key.burst,
        "created_at": _time(key.created_s),
        "expires_at": _time(key.expires_s),
        "rotated_at": _time(key.rotated_s),
        "revoked_at": _time(key.revoked_s),
        "origin": key.origin,
    }


def _time(unix_s: int) -> str | None:
    return rfc3339(unix_s * 1_000_000_000) if unix_s else None


def _cursor(key_no: int) -> str:
    return base64.urlsafe_b64encode(f"key {key_no}".encode()).decode().rstrip("=")


def _key_no(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        number = text.removeprefix("key ")
        if number == text or not number.isdigit() or len(number) > KEY_NO_DIGITS_MAX:
            raise ValueError(text)
        return int(number)
    except (binascii.Error, ValueError):
        raise ApiFault(Fault(FaultKind.bad_request, "This cursor is not one that a list of keys gave.", "cursor")) from None
