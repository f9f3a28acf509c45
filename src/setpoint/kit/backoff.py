"""When to try again, and whether there is still budget for it.

`delay_s` is exponential backoff with full jitter: a uniform draw between nothing and the cap of this retry, which spreads a crowd of
retriers better than a fixed delay with a little noise (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture
Blog, 2015).

`RetryBudget` keeps retries from becoming the storm: over the last ten seconds they may be at most a fifth of the requests,
plus a floor so that a quiet gateway still retries at all (the rule of Finagle and linkerd, `RetryBudget`). It bounds the load that
an ill upstream gets to 1.2 of what the clients send, whatever the number of attempts allowed to a request.
"""

WINDOW_S = 10
RATIO = 0.2
FLOOR_RETRIES = 10
"""Retries always allowed in a window."""


def delay_s(base_s: float, factor: float, cap_s: float, retry_no: int, uniform: float) -> float:
    """Seconds to wait before retry `retry_no` (the first is 0), given a draw `uniform` from [0, 1)."""
    try:
        ceiling_s = base_s * factor**retry_no
    except OverflowError:
        ceiling_s = cap_s
    return uniform * min(cap_s, ceiling_s)


class RetryBudget:
    """Requests and retries of the last WINDOW_S seconds, in cells of one second; constant memory, O(1) each.

    A retry is charged when it is granted; a request counts from its arrival.
    """

    __slots__ = ("_at", "_floor", "_ratio", "_request_sum", "_requests", "_retries", "_retry_sum")

    def __init__(self, ratio: float = RATIO, floor_retries: int = FLOOR_RETRIES) -> None:
        self._ratio = ratio
        self._floor = floor_retries
        self._at = -1
        self._requests = [0] * WINDOW_S
        self._retries = [0] * WINDOW_S
        self._request_sum = 0
        self._retry_sum = 0

    def requested(self, now_s: float) -> None:
        """A client's request arrived."""
        second = int(now_s)
        if second > self._at:
            self._forget(second)
        self._requests[self._at % WINDOW_S] += 1
        self._request_sum += 1

    def take(self, now_s: float) -> bool:
        """Whether one more retry is within the budget; True spends it."""
        second = int(now_s)
        if second > self._at:
            self._forget(second)
        if self._retry_sum + 1 > self._floor + self._ratio * self._request_sum:
            return False
        self._retries[self._at % WINDOW_S] += 1
        self._retry_sum += 1
        return True

    def _forget(self, second: int) -> None:
        """Clear the cells of the seconds that passed since the last call."""
        for passed in range(max(self._at + 1, second - WINDOW_S + 1), second + 1):
            cell = passed % WINDOW_S
            self._request_sum -= self._requests[cell]
            self._retry_sum -= self._retries[cell]
            self._requests[cell] = self._retries[cell] = 0
        self._at = second
