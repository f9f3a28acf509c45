"""What an exchange may do next, as plain functions: which target, how long to wait, until when."""

import re
from collections.abc import Container
from math import inf

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Retries
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.long_models import timeouts_for
from setpoint.gateway.passing import timeouts_of
from setpoint.gateway.published import Candidate, ResolvedRoute
from setpoint.kit.backoff import delay_s
from setpoint.kit.breaker import REFUSED

TOTAL_CALLS = 2
"""The deadline of a whole request, where nobody names one, in times of what one call may take."""
TIMEOUT_HEADER = b"x-setpoint-timeout"
NOTHING: frozenset[object] = frozenset()
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})?")


def wait_before_retry_s(fault: Fault, made: int, retries: Retries, *, elsewhere: bool, left_s: float, uniform: float) -> float | None:
    """How long to wait before the next call; None when there must not be one.

    `made` calls were made. `elsewhere`: another target or another key can be tried. `left_s`: what remains of the exchange's time.
    """
    if made >= retries.attempts or left_s <= 0:
        return None
    if fault.retry == "never" and not (elsewhere and fault.kind is FaultKind.overloaded):
        return None  # `overloaded` here is a full queue before one upstream; another may have room
    if elsewhere:
        return 0.0
    if fault.retry == "elsewhere":
        return None
    wait_s = delay_s(retries.base_s, retries.factor, retries.cap_s, made - 1, uniform)
    if fault.retry_after_s is not None:
        wait_s = max(wait_s, fault.retry_after_s)
    return wait_s if wait_s <= retries.cap_s and wait_s < left_s else None


def usable(candidate: Candidate, now_s: float, refused: Container[object]) -> bool:
    """Whether some key of the target may be used."""
    keys = candidate.line.keys
    return candidate.line not in refused if keys is None else keys.ready(candidate.model, now_s, refused)


def waits_s(candidate: Candidate, now_s: float) -> tuple[float, bool]:
    """How long until the target may be called, and whether it is its keys that are waited for."""
    breaker_s, keys = candidate.breaker.retry_after_s(now_s), candidate.line.keys
    key_s = 0.0 if keys is None else keys.wait_s(candidate.model, now_s)
    return max(breaker_s, key_s), key_s > breaker_s


def unavailable(candidates: tuple[Candidate, ...], now_s: float) -> Fault:
    """No target may be called: the reason of the one that may be first, and when that is."""
    waits = [waits_s(candidate, now_s) for candidate in candidates]
    wait_s, is_key = min(waits)
    first = candidates[waits.index((wait_s, is_key))]
    if is_key and first.line.keys is not None:
        return first.line.keys.unavailable(first.model, now_s)
    wait_s = max(0.001, wait_s)
    text = f"Every upstream of this route is failing and its circuit is open; the next try is possible in {wait_s:.1f} s."
    return Fault(FaultKind.no_target, text, retry_after_s=wait_s)


def next_admitted(
    candidates: tuple[Candidate, ...], start: int, now_s: float, refused: frozenset[object] = NOTHING
) -> tuple[int, int] | None:
    """The first target from `start` on, around the list, that may be called, and its breaker's admission. May take a half-open
    breaker's probe.
    """
    for i in range(start, start + len(candidates)):
        candidate = candidates[i % len(candidates)]
        if (refused or candidate.line.keys is not None) and not usable(candidate, now_s, refused):
            continue
        admission = candidate.breaker.admit(now_s)
        if admission != REFUSED:
            return i, admission
    return None


def ready_after(candidates: tuple[Candidate, ...], at: int, now_s: float, refused: frozenset[object] = NOTHING) -> bool:
    """Whether a target behind `at` would be called now. One with an open circuit is not another chance, but a way back to the same."""
    return any(c.breaker.retry_after_s(now_s) <= 0 and usable(c, now_s, refused) for c in candidates[at + 1 :])


def well_first(candidates: tuple[Candidate, ...]) -> tuple[Candidate, ...]:
    """Those whose health probe fails come last; else the order stays."""
    return tuple(sorted(candidates, key=lambda candidate: candidate.line.ill))


def whole_time_s(exchange: Exchange, resolved: ResolvedRoute) -> float:
    """How long the exchange may take with all its calls and waits, where nobody said."""
    if exchange.surface.kind == "passing":
        return TOTAL_CALLS * timeouts_of(resolved).stream_total_s
    envelope = exchange.envelope
    each = [timeouts_for(resolved, candidate, envelope) for candidate in exchange.candidates]
    stream = envelope is not None and envelope.stream
    return TOTAL_CALLS * max(timeouts.stream_total_s if stream else timeouts.unary_total_s for timeouts in each)


def stated_time_s(exchange: Exchange, resolved: ResolvedRoute) -> float | Fault:
    """How long it may take by the word of the route and of the client; infinite where neither says."""
    total_s = resolved.route.retries.total_s
    header = exchange.request.headers.get(TIMEOUT_HEADER)
    if header is None:
        return inf if total_s is None else total_s
    text = header.decode("latin-1").strip()
    asked_s = float(text) if _SECONDS.fullmatch(text) else 0.0
    if asked_s <= 0:
        return Fault(FaultKind.bad_request, "The header x-setpoint-timeout is a number of seconds, like 12.5.", TIMEOUT_HEADER.decode())
    return asked_s if total_s is None else min(asked_s, total_s)
