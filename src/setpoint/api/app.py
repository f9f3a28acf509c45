"""The engine's web application: the given routers under one error rescue, one deadline and one path rule."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI

from setpoint import __version__
from setpoint.api import docs
from setpoint.api.deadline import Deadline, OneSpelling
from setpoint.api.errors import Rescue
from setpoint.runtime.clock import Clock
from setpoint.runtime.log import Log

REQUEST_S = 30.0
"""A management request that has not begun to answer by then is given up (1800)."""


def build(routers: Sequence[APIRouter], log: Log, clock: Clock, request_s: float = REQUEST_S) -> FastAPI:
    """The application with `routers` mounted; it reads nothing and starts nothing."""
    app = FastAPI(title="Setpoint", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    rescue = Rescue(log, clock)
    rescue.install(app)
    for router in routers:
        app.include_router(router)
    app.include_router(docs.router(app))
    app.add_middleware(Deadline, rescue=rescue, request_s=request_s)
    app.add_middleware(OneSpelling, rescue=rescue)
    return app
