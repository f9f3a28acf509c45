"""Turning requests away before any work is done for them: who asks, in which class, and may it in? (See `gateway.admission`.)

Only what is cheap is looked at. The key is found in the plan's memo; the body is decoded only where a route has a class of its own. Nothing
that is turned away becomes an exchange, so it leaves no trace; it is counted by class.
"""

from typing import Protocol

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import DialectName, Priority
from setpoint.gateway.admission import Admission
from setpoint.gateway.meter import Meter
from setpoint.gateway.priority import HEADER, priority_of
from setpoint.gateway.published import Published
from setpoint.gateway.server import ClientConnection, Request
from setpoint.gateway.stages.authenticate import TOKEN_BYTES_MAX, token_of
from setpoint.gateway.surfaces import HOT_PATHS, HotSurface, Place, place_of

FULL = Fault(FaultKind.overloaded, "This gateway worker holds as many bytes as it may. Try again shortly.", retry_after_s=1.0)
ROUTE_HEADER = b"x-setpoint-route"


class Refuse(Protocol):
    """Answers a request that never became an exchange."""

    def __call__(self, connection: ClientConnection, request: Request, path: bytes, fault: Fault, *, dialect: DialectName) -> None: ...


class Shedding:
    """What the lane and its connections ask while `Admission.busy`."""

    __slots__ = ("_meter", "_refuse", "admission")

    def __init__(self, admission: Admission, meter: Meter, refuse: Refuse) -> None:
        self.admission = admission
        self._meter = meter
        self._refuse = refuse

    def turns_away(
        self, published: Published, connection: ClientConnection, request: Request, surface: HotSurface, place: Place | None
    ) -> bool:
        """Whether `request` was refused; it is answered then."""
        if request.admitted:
            return False
        route = _priority_of_route(published, request, surface, place) if published.has_priorities else None
        fault = self._decide(published, request, route, stale=connection.stale)
        if fault is None:
            return False
        self._refuse(connection, request, b"", fault, dialect=surface.dialect)
        if rest_s := self.admission.rest_s():
            connection.rest(rest_s)
        return True

    def at_head(self, published: Published, connection: ClientConnection, request: Request) -> Fault | None:
        """The same for a large request of which only the head is here. None too when its body has to be seen first."""
        path, _, query = request.target.partition(b"?")
        if published.has_priorities or (path not in HOT_PATHS and place_of(path, query) is None):
            return None
        fault = self._decide(published, request, None, stale=connection.stale)
        request.admitted = fault is None
        return fault

    def _decide(self, published: Published, request: Request, route: Priority | None, *, stale: bool) -> Fault | None:
        admission = self.admission
        if admission.full:
            return FULL
        token = token_of(request)
        caller = published.caller(token) if 0 < len(token) <= TOKEN_BYTES_MAX else None if token else published.keyless
        priority = priority_of(caller, request.headers.get(HEADER), route)
        if admission.admit(priority, stale=stale):
            return None
        self._meter.shed(priority)
        return admission.refusal(priority)


def _priority_of_route(published: Published, request: Request, surface: HotSurface, place: Place | None) -> Priority | None:
    """The class that the route of a request names. A body that cannot be read has none; that is said later, by who reads it."""
    if surface.kind == "passing":
        return None
    try:
        model = (place is not None and place.model) or surface.decode(request.body).model
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    forced = request.headers.get(ROUTE_HEADER, b"").decode("latin-1").strip()
    resolved = published.resolve(model, surface, forced)
    return None if resolved is None else resolved.route.priority
