"""Who is served first when there is more to do than a worker can: the classes of requests, and the share that each gets.

A request's class comes from its route, if that names one; else from the header `x-setpoint-priority`, which can lower it at will and raise
it up to what the role of its key allows; else it is `normal`, or lower where the role allows no more. A request with a key that nobody
issued is `low`.

Sharing is by what each class asks for, not by who is there: low gives way first, then normal, then high; but every class keeps `FLOOR` of
what it asks for, so none starves up to twentyfold overload, and beyond that all have the same small part. So always

    fraction(low) <= fraction(normal) <= fraction(high)
"""

from setpoint.domain.plan import PRIORITIES, Priority
from setpoint.gateway.published import Caller

LOW, NORMAL, HIGH = range(3)
NUMBER: dict[str, int] = {name: no for no, name in enumerate(PRIORITIES)}
HEADER = b"x-setpoint-priority"
FLOOR = 0.05
"""The part of what a class asks for that it keeps while a higher class is not served whole."""

Three = tuple[float, float, float]
"""One figure for each class, lowest class first."""
ALL: Three = (1.0, 1.0, 1.0)
NONE: Three = (0.0, 0.0, 0.0)


def priority_of(caller: Caller | None, header: bytes | None, route: Priority | None = None) -> int:
    """The class of a request; a header that says something else than a class is ignored."""
    if route is not None:
        return NUMBER[route]
    if caller is None:
        return LOW
    highest = caller.priority
    asked = NORMAL if header is None else NUMBER.get(header.strip().lower().decode("latin-1"), NORMAL)
    return asked if asked < highest else highest


def fractions(capacity: float, asked: Three) -> Three:
    """Which part of each class is admitted, so that together they are `capacity` (or all that is asked for)."""
    whole = sum(asked)
    if whole <= capacity or not whole:
        return ALL
    if capacity <= FLOOR * whole:
        same = max(0.0, capacity) / whole
        return (same, same, same)
    low, normal, high = asked
    high_part, spare = _filled(high, capacity - FLOOR * whole)
    normal_part, spare = _filled(normal, spare)
    low_part, _ = _filled(low, spare)
    return (min(low_part, normal_part, high_part), min(normal_part, high_part), high_part)


def _filled(asked: float, spare: float) -> tuple[float, float]:
    """The fraction of one class, and what is left for those below. A class that asks for nothing may have what is left."""
    wants = asked * (1.0 - FLOOR)
    if wants <= spare:
        return (1.0 if spare > 0.0 else FLOOR), spare - wants
    return FLOOR + (1.0 - FLOOR) * spare / wants, 0.0
