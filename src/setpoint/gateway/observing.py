"""What each call tells of its endpoint, for the strategies that choose by speed or reliability.

Only exchanges that were routed by such a strategy are observed: where nobody asks how good a target is, nobody pays for it.
"""

from collections.abc import Awaitable, Callable

from setpoint.domain.faults import Fault
from setpoint.gateway.exchange import Exchange, Result
from setpoint.gateway.payload import streams
from setpoint.gateway.published import Candidate
from setpoint.gateway.scoring import NO_FIGURE

CallOne = Callable[[Exchange, Candidate], Awaitable[Result]]

TOKENS_MIN = 16
"""A shorter answer says nothing about tokens a second."""


def observed(call: CallOne, mono_ns: Callable[[], int], now_s: Callable[[], float]) -> CallOne:
    """`call`, and what it told is remembered."""

    async def watched(exchange: Exchange, candidate: Candidate) -> Result:
        began_ns = mono_ns()
        result: Result | None = None
        try:
            result = await call(exchange, candidate)
            return result
        finally:
            remember(exchange, candidate, result, began_ns, mono_ns(), now_s())

    def choose(exchange: Exchange, candidate: Candidate) -> Awaitable[Result]:
        decision = exchange.decision
        return call(exchange, candidate) if decision is None or not decision.ranked.measured else watched(exchange, candidate)

    return choose


def remember(exchange: Exchange, candidate: Candidate, result: Result | None, began_ns: int, ended_ns: int, now_s: float) -> None:
    """`result` is None when the call was given up. The deadline of what failed is the route's for this form of answer."""
    track, stream = candidate.track, streams(exchange)
    took_s = (ended_ns - began_ns) / 1e9
    if result is None:
        track.given_up(took_s, now_s, stream=stream)
        return
    fault = result if isinstance(result, Fault) else exchange.fault
    if fault is not None:
        if fault.kind not in NO_FIGURE:
            resolved = exchange.route
            assert resolved is not None
            timeouts = resolved.route.timeouts
            deadline_s = timeouts.first_byte_s if stream else timeouts.unary_total_s
            track.failed(max(took_s, deadline_s), now_s, stream=stream)
        return
    if exchange.candidate is not candidate:
        return  # another call answered
    first_ns = exchange.started_ns + exchange.ttft_ns - began_ns if exchange.ttft_ns else 0
    track.worked(first_ns / 1e9 if stream and first_ns > 0 else took_s, now_s, stream=stream)
    usage = exchange.usage
    if usage is not None and usage.completion_total >= TOKENS_MIN and not usage.estimated:
        writing_s = took_s - max(0, first_ns) / 1e9
        if writing_s > 0:
            track.tokens_a_second.add(usage.completion_total / writing_s, now_s)
