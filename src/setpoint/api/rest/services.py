"""`/api/v1/services` and `/api/v1/admin`: the process tree, as its supervisor tells it."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from setpoint.api.identity import PeerPrincipal, require

Ask = Callable[[str], Awaitable[dict[str, Any]]]
"""Puts one request line to the supervisor and gives its answer. Raises ApiFault when there is none."""


def router(ask: Ask) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["services"])

    @routes.get("/services", summary="Every process of the tree: state, restarts, uptime")
    async def services(_: Annotated[PeerPrincipal, Depends(require("services:read"))]) -> dict[str, Any]:
        status = await ask("status")
        return {"data": status.pop("services"), "meta": status}

    @routes.post("/admin/roll", summary="Replace the workers one by one, without losing a request")
    async def roll(_: Annotated[PeerPrincipal, Depends(require("admin:roll"))]) -> dict[str, Any]:
        return {"data": await ask("roll")}

    return routes
