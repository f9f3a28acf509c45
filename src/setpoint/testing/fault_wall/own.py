"""Setpoint itself before the wall: a worker in a thread, configured as the wall wants it, and what its records charge."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from setpoint.domain.faults import FAULT_CLASSES, FaultKind
from setpoint.domain.plan import BreakerLimits, Capture, Plan, Retries, Route, Target, Timeouts, Upstream
from setpoint.domain.trace import Outcome, RecordHead, RecordKind
from setpoint.gateway.dialects import DIALECTS
from setpoint.testing.fault_wall.client import Gateway
from setpoint.testing.fault_wall.surfaces import BASE_PATHS, UPSTREAM_DIALECTS, UpstreamDialect
from setpoint.testing.fault_wall.upstreams import Part, WallUpstreams
from setpoint.testing.fault_wall.verdict import Result, billing_misses
from setpoint.testing.gateway import RunningGateway, TestKey, running_gateway
from setpoint.testing.plans import NEVER_OPEN, PATIENT_TIMEOUTS, PRICES, PROVIDER, UNHURRIED

SPOKEN: tuple[UpstreamDialect, ...] = tuple(dialect for dialect in UPSTREAM_DIALECTS if dialect in DIALECTS)
SHORT_TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=0.5, idle_s=0.5, unary_total_s=10.0, stream_total_s=10.0)
"""For cells that stall; a spare that answers late on a busy machine has all of it."""
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
    return Plan(1, 1, 1_700_000_000_000_000_000, tuple(listed), tuple(routes), prices=PRICES, capture=capture, limits=UNHURRIED)


def _route(dialect: UpstreamDialect, spared: bool, stalls: bool) -> Route:
    targets = [Target(f"{dialect}-breaks", "fake-1"), *([Target(f"{dialect}-spare", "fake-1")] if spared else [])]
    timeouts = SHORT_TIMEOUTS if stalls else PATIENT_TIMEOUTS
    return Route(model_for(dialect, spared, stalls), tuple(targets), timeouts=timeouts, retries=RETRIES)


@contextmanager
def own_gateway(upstreams: WallUpstreams, dialects: Sequence[UpstreamDialect] = SPOKEN) -> Iterator[tuple[Gateway, RunningGateway]]:
    """A worker of this very version before these providers."""
    with running_gateway(wall_plan(upstreams, dialects), TestKey(1, rpm=NO_LIMIT, burst=NO_LIMIT)) as running:
        yield Gateway("127.0.0.1", running.port, running.key), running


def check_records(results: Sequence[Result], running: RunningGateway) -> None:
    """Adds to each result what the gateway's own records say wrongly of it, and what they charge wrongly."""
    of: dict[str, list[RecordHead]] = {}
    for record in running.records():
        of.setdefault(record.head.request_id.hex(), []).append(record.head)
    for result in results:
        if result.request_id:  # a client that left while it waited saw no head
            result.misses += _record_misses(result, of.get(result.request_id, []))


def _record_misses(result: Result, heads: Sequence[RecordHead]) -> list[str]:
    """Exactly one END, an ATTEMPT for each call but the last, a BEGIN for a stream whose head was sent; and what END says."""
    kinds = Counter(head.kind for head in heads)
    if kinds[RecordKind.end] != 1:
        return [f"the gateway has {kinds[RecordKind.end]} records of its end"]
    end = next(head for head in heads if head.kind == RecordKind.end)
    result.attempts, result.fault = end.attempts, end.fault
    if result.cell.leaves:
        settled = end.outcome == Outcome.client_gone and end.input > 0
        return [] if settled else [f"of a client that left in mid-stream its record says outcome {end.outcome}, {end.input} tokens"]
    wrong = []
    if kinds[RecordKind.attempt] != end.attempts - 1:
        wrong.append(f"{kinds[RecordKind.attempt]} records of calls that failed, of {end.attempts} calls")
    if kinds[RecordKind.begin] != int(end.streamed and result.status == 200):
        wrong.append("a stream without a record of its begin, or the other way round")
    if end.status != result.status:
        wrong.append(f"its record says status {end.status}")
    if result.ending in ("status", "event") and (end.outcome != Outcome.fault or _blames_no_upstream(end)):
        wrong.append(f"its record says outcome {end.outcome}, fault {end.fault}")
    if result.ending == "whole" and end.outcome != Outcome.ok:
        wrong.append(f"its record says outcome {end.outcome} of a whole answer")
    charged = (end.input + end.cached_read + end.cache_write, end.output + end.reasoning)
    moved = result.ending == "whole" and result.spare_calls > 0
    return wrong + billing_misses(result.cell, result.ending, charged, moved=moved)


def _blames_no_upstream(end: RecordHead) -> bool:
    """Whether it names a fault of the gateway's own; of a request that the provider refused, the caller's are good too."""
    return not end.fault or FAULT_CLASSES[FaultKind(end.fault)].blame == "gateway"
