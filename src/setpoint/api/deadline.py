"""What surrounds every request of the management interface: one deadline, and one spelling per path."""

import asyncio

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from setpoint.api.errors import Rescue
from setpoint.domain.faults import Fault, FaultKind
from setpoint.wire.http_path import BadPath, canonical


class Deadline:
    """Answers 504 (1800) when a request has not begun to answer after `request_s`; an answer under way may stream on."""

    def __init__(self, app: ASGIApp, rescue: Rescue, request_s: float) -> None:
        self._app, self._rescue, self._request_s = app, rescue, request_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False
        try:
            async with asyncio.timeout(self._request_s) as deadline:

                async def send_on(message: Message) -> None:
                    nonlocal begun
                    if not begun:
                        begun = True
                        deadline.reschedule(None)
                    await send(message)

                await self._app(scope, receive, send_on)
        except TimeoutError:
            if begun or not deadline.expired():
                raise
            await self._rescue.answer(HTTPConnection(scope), _late(self._request_s))(scope, receive, send)


class OneSpelling:
    """Refuses a path that is not in its one canonical spelling. The worker rewrites paths before it decides who may see them, so any
    other spelling here means that somebody found a way around it."""

    def __init__(self, app: ASGIApp, rescue: Rescue) -> None:
        self._app, self._rescue = app, rescue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._app
        if scope["type"] == "http" and (reason := _objection(scope["raw_path"])):
            app = self._rescue.answer(HTTPConnection(scope), Fault(FaultKind.bad_request, f"The path cannot be used: {reason}."))
        await app(scope, receive, send)


def _objection(path: bytes) -> str:
    found = canonical(path)
    if isinstance(found, BadPath):
        return found.reason
    return "" if found == path else "it is not in its canonical spelling"


def _late(request_s: float) -> Fault:
    advice = "Ask for less (a shorter time range, a smaller limit), or try again."
    return Fault(FaultKind.management_timeout, f"The answer was not there after {request_s:g} s. {advice}")
