"""Single flight: of equal requests under way at one time, one does the work and the others wait for it.

The first to join a key leads; later ones follow until the leader settles. What to tell them is the leader's business: an answer they can
share, or that there is none (it failed, or its answer may not be shared), and then each goes upstream by itself. They do not
elect a new leader: if the work failed for the leader, queueing a thousand behind a second try only makes them later.

No follower waits longer than `wait_s` (a slow leader must not be worse than no cache), and no key has more than `waiters_max`
followers; beyond that a request goes upstream by itself. Only bookkeeping is here: no clock, no future, no callback is called.
A waiter is whatever the caller gives, told apart by identity and hash.
"""

from collections.abc import Hashable
from typing import Generic, Literal, TypeVar

import msgspec

WAITERS_MAX = 1_000
WAIT_S = 5.0

WaiterT = TypeVar("WaiterT", bound=Hashable)


class Follower(msgspec.Struct, frozen=True, gc=False):
    """Wait to be told; at `until_s` at the latest call `leave` and go on alone."""

    until_s: float


Joined = Follower | Literal["leader", "full"]
"""leader: do the work, then `settle`, in every outcome. full: do the work, and tell nobody."""


class SingleFlight(Generic[WaiterT]):
    """The flights of one worker. There are never more keys than leaders, that is requests in flight."""

    __slots__ = ("_flights", "_wait_s", "_waiters_max")

    def __init__(self, waiters_max: int = WAITERS_MAX, wait_s: float = WAIT_S) -> None:
        self._flights: dict[bytes, dict[WaiterT, None]] = {}
        self._waiters_max = waiters_max
        self._wait_s = wait_s

    def __len__(self) -> int:
        return len(self._flights)

    def join(self, key: bytes, waiter: WaiterT, now_s: float) -> Joined:
        """Lead, follow, or go alone."""
        followers = self._flights.get(key)
        if followers is None:
            self._flights[key] = {}
            return "leader"
        if len(followers) >= self._waiters_max:
            return "full"
        followers[waiter] = None
        return Follower(now_s + self._wait_s)

    def settle(self, key: bytes) -> list[WaiterT]:
        """The leader is done, in whatever way: the followers to tell, in the order they came. The next to join leads."""
        return list(self._flights.pop(key, ()))

    def leave(self, key: bytes, waiter: WaiterT) -> bool:
        """A follower gives up or is gone; False when it does not follow any more (settled, or left before)."""
        followers = self._flights.get(key)
        if followers is None or waiter not in followers:
            return False
        del followers[waiter]
        return True
