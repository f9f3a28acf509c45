"""`/api/v1/config/plan`: what counts now, as the workers have it, without its secrets."""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query

from setpoint.api.errors import ApiFault
from setpoint.api.identity import PeerPrincipal, require
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Plan
from setpoint.runtime.clock import rfc3339

MASK = "••••"


def router(plan: Callable[[], Plan | None]) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["config"])

    @routes.get("/config/plan", summary="The plan that the workers serve by")
    def show(
        _: Annotated[PeerPrincipal, Depends(require("config:read"))],
        prices: Annotated[bool, Query(description="With the price table, which is long.")] = False,
    ) -> dict[str, Any]:
        found = plan()
        if found is None:
            raise ApiFault(Fault(FaultKind.not_found, "Nothing has been published yet; the engine's log says why."))
        meta = {"version": f"{found.epoch}-{found.version}", "created_at": rfc3339(found.created_ns)}
        return {"data": masked(found, prices), "meta": meta}

    return routes


def masked(plan: Plan, prices: bool) -> dict[str, Any]:
    """The plan as JSON can carry it: credentials hidden, header values too, for one of them may be a secret."""
    shown: dict[str, Any] = msgspec.to_builtins(plan)
    for upstream in shown["upstreams"]:
        upstream["api_key_sealed"] = MASK if upstream["api_key_sealed"] else None
        upstream["headers"] = [[name, MASK] for name, _ in upstream["headers"]]
    if not prices:
        shown["prices"] = {"version": plan.prices.version}
    return shown
