"""Who is asking? Identity comes before limits, and both before anybody looks into the body."""

from collections.abc import Callable
from urllib.parse import parse_qs

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.published import Caller, Published
from setpoint.gateway.server import Request
from setpoint.gateway.stack import Check

KEY_HEADERS = (b"x-api-key", b"api-key", b"x-goog-api-key")
TOKEN_BYTES_MAX = 512

MISSING = Fault(FaultKind.unauthenticated, "No gateway key was sent. Send one as 'Authorization: Bearer sk-sp-...' or 'x-api-key'.")
UNKNOWN = Fault(FaultKind.unauthenticated, "This gateway key is not known here: it is mistyped, revoked, or from another installation.")
EXPIRED = Fault(FaultKind.unauthenticated, "This gateway key has expired. Ask for a new one, or rotate it with 'setpoint keys rotate'.")
FORBIDDEN = Fault(FaultKind.forbidden, "This gateway key may read but not call a model: its role is not admin, developer or service.")


def token_of(request: Request) -> bytes:
    """The gateway key of a request, wherever the client's SDK puts it; empty when there is none."""
    headers = request.headers
    bearer = headers.get(b"authorization", b"")
    if bearer[:7].lower() == b"bearer ":
        return bearer[7:].strip()
    for name in KEY_HEADERS:
        if name in headers:
            return headers[name]
    _, _, query = request.target.partition(b"?")
    if b"key=" in query:
        return parse_qs(query.decode("latin-1")).get("key", [""])[0].encode()
    return b""


def identify(published: Published, request: Request, wall_s: Callable[[], float]) -> Caller | Fault:
    """The holder of the key that came with a request, or why there is none."""
    token = token_of(request)
    if not token:
        return published.keyless or MISSING
    caller = published.caller(token) if len(token) <= TOKEN_BYTES_MAX else None
    if caller is None:
        return UNKNOWN
    if caller.expires_s and caller.expires_s <= wall_s():
        return EXPIRED
    return caller


def authenticate(wall_s: Callable[[], float]) -> Check:
    """Sets `exchange.caller`; 401 without a good key, 403 for one whose role may not call models."""

    def check(exchange: Exchange) -> Fault | None:
        who = identify(exchange.published, exchange.request, wall_s)
        if isinstance(who, Fault):
            return who
        exchange.caller = who
        return None if who.may_infer else FORBIDDEN

    return check
