"""Setpoint itself before the wall: a worker in a thread, configured as the wall wants it, and what its records charge."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from setpoint.domain.plan import BreakerLimits, Capture, Plan, Retries, Route, Target, Timeouts, Upstream
from setpoint.gateway.dialects import DIALECTS
from setpoint.testing.fault_wall.client import Gateway
from setpoint.testing.fault_wall.surfaces import BASE_PATHS, UPSTREAM_DIALECTS, UpstreamDialect
from setpoint.testing.fault_wall.upstreams import Part, WallUpstreams
from setpoint.testing.fault_wall.verdict import Result, billing_misses
from setpoint.testing.gateway import RunningGateway, TestKey, running_gateway
from setpoint.testing.plans import NEVER_OPEN, PATIENT_TIMEOUTS, PRICES, PROVIDER

SPOKEN: tuple[UpstreamDialect, ...] = tuple(dialect for dialect in UPSTREAM_DIALECTS if dialect in DIALECTS)
SHORT_TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=0.3, idle_s=0.3, unary_total_s=10.0, stream_total_s=10.0)
"""For cells that stall; a spare that answers late on a busy machine has the whole of it."""
RETRIES = Retries(attempts=2, base_s=0.001, factor=1.0, cap_s=0.002)
NO_LIMIT = 1_000_000_000


def model_for(dialect: UpstreamDialect, spared: bool, stalls: bool) -> str:
    """The name of a route."""
    return f"wall-{dialect}{'-spared' if spared else ''}{'-short' if stalls else ''}"


def wall_plan(upstreams: WallUpstreams, dialects: Sequence[UpstreamDialect], breaker: BreakerLimits = NEVER_OPEN) -> Plan:
    """Two upstreams and four routes a dialect."""

    def upstream(dialect: UpstreamDialect, part: Part) -> Upstream:
        port, base = upstreams.ports[dialect, part], BASE_PATHS.get(dialect, "")
        return Upstream(f"{dialect}-{part}", PROVIDER, dialect, upstreams.host, port, False, base, "none", breaker=breaker)

    listed = [upstream(dialect, part) for dialect in dialects for part in ("breaks", "spare")]
    routes = [_route(dialect, spared, stalls) for dialect in dialects for spared in (False, True) for stalls in (False, True)]
    capture = Capture(prompts=False, answers=False)
    return Plan(1, 1, 1_700_000_000_000_000_000, tuple(listed), tuple(routes), prices=PRICES, capture=capture)


def _route(dialect: UpstreamDialect, spared: bool, stalls: bool) -> Route:
    targets = [Target(f"{dialect}-breaks", "fake-1"), *([Target(f"{dialect}-spare", "fake-1")] if spared else [])]
    timeouts = SHORT_TIMEOUTS if stalls else PATIENT_TIMEOUTS
    return Route(model_for(dialect, spared, stalls), tuple(targets), timeouts=timeouts, retries=RETRIES)


@contextmanager
def own_gateway(upstreams: WallUpstreams, dialects: Sequence[UpstreamDialect] = SPOKEN) -> Iterator[tuple[Gateway, RunningGateway]]:
    """A worker of this very version before these providers."""
    with running_gateway(wall_plan(upstreams, dialects), TestKey(1, rpm=NO_LIMIT, burst=NO_LIMIT)) as running:
        yield Gateway("127.0.0.1", running.port, running.key), running


def check_billing(results: Sequence[Result], running: RunningGateway) -> None:
    """Adds to each result what its record charges wrongly. One record an exchange, and it must say what the client was told."""
    heads = {record.head.request_id.hex(): record.head for record in running.ends()}
    for result in results:
        if result.cell.leaves or not result.request_id:
            continue
        head = heads.get(result.request_id)
        if head is None:
            result.misses.append("the gateway has no record of it")
            continue
        charged = (head.input + head.cached_read + head.cache_write, head.output + head.reasoning)
        moved = result.ending == "whole" and result.spare_calls > 0
        result.misses += billing_misses(result.cell, result.ending, charged, moved=moved)
        if head.status != result.status:
            result.misses.append(f"its record says status {head.status}")
