"""Exchanges whose client has left and whose answer is read on all the same, because their route says `on_client_gone: drain`.

Such an answer is paid for anyway, so it is read to its end for its true usage, and for the cache. It holds an upstream connection for as
long as its deadlines allow, so there is a bound of how many a worker reads on; beyond it the upstream is hung up on as on any other route.
"""

from setpoint.gateway.exchange import Exchange
from setpoint.gateway.relay import Relay

LEAVERS_MAX = 100


class Leavers:
    """Those of one worker."""

    __slots__ = ("_exchanges", "_most")

    def __init__(self, most: int = LEAVERS_MAX) -> None:
        self._exchanges: set[Exchange] = set()
        self._most = most

    def __len__(self) -> int:
        return len(self._exchanges)

    def keep(self, exchange: Exchange) -> bool:
        """Whether this one, whose client has just left, is read on."""
        route, call = exchange.route, exchange.streaming_call
        if route is None or route.route.on_client_gone != "drain" or exchange.surface.kind == "passing":
            return False
        if call is None or call.over or (exchange.racer is not None and not exchange.streamed) or len(self._exchanges) >= self._most:
            return False
        if isinstance(call.relay, Relay) and call.relay.over:
            return False  # it had its whole answer, or is told of an error
        self._exchanges.add(exchange)
        exchange.gone = True
        return True

    def over(self, exchange: Exchange) -> None:
        self._exchanges.discard(exchange)

    def all(self) -> list[Exchange]:
        return list(self._exchanges)
