"""Credentials that are more than a header known in advance: a signature of each request, or a token that runs out."""

from typing import Protocol

from setpoint.domain.faults import Fault
from setpoint.gateway.drive import Drive


class Credential(Protocol):
    """What proves to an upstream who asks, made for each request."""

    async def lines(self, drive: Drive, method: str, path: str, body: bytes) -> bytes | Fault:
        """Header lines to add, each ending in CRLF. `path` is the whole request target. May wait, on the exchange's drive."""
        ...
