"""What a worker holds in memory for its clients, weighed four times a second.

Each kind of bytes has a bound of its own, but the bounds are per request or per connection, and there may be thousands of these. So all
of it together has one too, `limits.held_bytes_max`. At it the worker takes in no more requests; and if what clients do not read is what
weighs, the connection with the most unread bytes is cut, then the next, until it fits. A stream is not in danger: what its client does
not read stays with the upstream.
"""

from collections.abc import Iterable

from setpoint.gateway.exchange import Exchange
from setpoint.gateway.relay import Relay
from setpoint.gateway.server import ClientConnection


def held_by(connection: ClientConnection) -> int:
    """Bytes that are held for one client, besides the bodies of its requests."""
    held = connection.ahead_bytes + connection.unsent_bytes
    work = connection.work
    if not isinstance(work, Exchange):
        return held
    held += len(work.captured)
    if (call := work.call) is not None:
        held += call.held_bytes
        if isinstance(call.relay, Relay):
            held += call.relay.held_bytes
    return held


def weigh(connections: Iterable[ClientConnection]) -> int:
    """All of it."""
    return sum(held_by(connection) for connection in connections)


def cut_slowest(connections: Iterable[ClientConnection], excess: int) -> int:
    """Cuts the connections with the most unread bytes, until `excess` bytes are free; returns how many it cut."""
    slow = sorted((connection for connection in connections if connection.unsent_bytes), key=lambda each: -each.unsent_bytes)
    count = 0
    while excess > 0 and count < len(slow):
        excess -= slow[count].unsent_bytes
        slow[count].abort()
        count += 1
    return count
