"""The page of numbers each gateway worker keeps.

A page is 4 KiB of signed 64-bit integers in a file that all workers map (`run/gauges.shm`). The hot lane adds to it by index:

    page[ATTEMPTS] += 1
    page[REQUESTS + surface * STATUS_CLASSES + status // 100] += 1
    observe(page, OVERHEAD, overhead_ns)

No lock, no object, no metric library: one process writes a page, anybody reads it. `FAMILIES` below is the whole schema: what
is counted, under which name and labels, and (by its order) where in the page. Change it freely: the file does not outlive
a start of the tree, and all its readers run the same version.

Counters of a page are never reset while the tree lives: a worker that takes over a dead worker's page counts on from there, so sums
over all pages only grow. Gauges describe a living process: they start at 0 and count only while the page's owner lives.

Metrics with labels that are not known beforehand (models, upstreams) are not here; they are folded from the trace records, under other
names (`setpoint_tokens_total` by model there, `setpoint_worker_tokens_total` here), so that nothing is summed twice.
`wire.prometheus_text` renders pages.
"""

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate
from typing import Literal

import msgspec

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import PRIORITIES
from setpoint.domain.trace import Surface

PAGE_BYTES = 4096
PAGES = 64
"""Workers whose numbers one tree can hold; a rolling restart has two for a slot."""

Page = memoryview
"""`memoryview` of PAGE_BYTES // 8 signed integers; see `new_page`."""

Kind = Literal["counter", "gauge", "histogram"]
Across = Literal["sum", "max", "min"]

NS = 1e-9
DURATION_BOUNDS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The buckets that OpenTelemetry advises for gen_ai.client.operation.duration, and one below."""
OVERHEAD_BOUNDS_S = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
FIRST_TOKEN_BOUNDS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The buckets that OpenTelemetry advises for gen_ai.server.time_to_first_token."""

STATUS_CLASSES = 6
_STATUS_NAMES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
_TIERS = ("l1",)
_TOKEN_CLASSES = ("input", "cached_read", "cache_write", "output", "reasoning", "audio_input", "audio_output", "image_input")
_HEDGES = ("won", "lost", "failed", "abandoned", "withheld")
_LIMITS = ("requests", "tokens", "streams")


class Family(msgspec.Struct, frozen=True):
    """One metric. Each combination of `labels` values has a place, the last label varying fastest.

    A stored integer times `unit` is the value shown. `across` joins the pages of living workers (gauges only). A histogram has a
    place for each bound, one for all above, and one for the sum of nanoseconds.
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    unit: float = 1
    across: Across = "sum"
    bounds_s: tuple[float, ...] = ()

    @property
    def places(self) -> int:
        size = len(self.bounds_s) + 2 if self.kind == "histogram" else 1
        for _, values in self.labels:
            size *= len(values)
        return size


FAMILIES = (
    Family(
        "setpoint_requests_total",
        "counter",
        "Client requests answered, by surface and class of HTTP status (none: the client left before one was chosen).",
        (("surface", tuple(surface.name for surface in Surface)), ("status_class", _STATUS_NAMES)),
    ),
    Family(
        "setpoint_errors_total",
        "counter",
        "Requests that ended in a fault, by its kind.",
        (("error", tuple(kind.name for kind in FaultKind)),),
    ),
    Family("setpoint_worker_attempts_total", "counter", "Calls made to upstreams."),
    Family("setpoint_retries_total", "counter", "Calls made after an earlier call of the same request failed, to the same target."),
    Family("setpoint_fallbacks_total", "counter", "Calls made after an earlier call of the same request failed, to another target."),
    Family(
        "setpoint_hedges_total",
        "counter",
        "Second calls because the first was slow, by what became of them (withheld: not made, because of the ratio).",
        (("outcome", _HEDGES),),
    ),
    Family("setpoint_cache_hits_total", "counter", "Requests answered from the cache, by tier.", (("tier", _TIERS),)),
    Family("setpoint_cache_misses_total", "counter", "Requests looked up in the cache and not found, by tier.", (("tier", _TIERS),)),
    Family("setpoint_single_flight_followers_total", "counter", "Requests that waited for an equal request under way."),
    Family("setpoint_limit_refusals_total", "counter", "Requests refused by a limit of their key or role.", (("limit", _LIMITS),)),
    Family(
        "setpoint_shed_total",
        "counter",
        "Requests refused because the worker had more to do than it can, by their class.",
        (("priority", PRIORITIES),),
    ),
    Family("setpoint_slow_readers_cut_total", "counter", "Connections cut because of what their clients did not read."),
    Family("setpoint_worker_tokens_total", "counter", "Tokens of answers, in classes that do not overlap.", (("class", _TOKEN_CLASSES),)),
    Family("setpoint_worker_cost_usd_total", "counter", "Cost of answers whose price is known, in US dollars.", unit=NS),
    Family("setpoint_worker_saved_usd_total", "counter", "What cached answers had cost, in US dollars.", unit=NS),
    Family("setpoint_worker_unpriced_total", "counter", "Answers of models whose price is not known."),
    Family("setpoint_request_bytes_total", "counter", "Bytes of request bodies received."),
    Family("setpoint_response_bytes_total", "counter", "Bytes of response bodies sent."),
    Family("setpoint_connections_total", "counter", "Client connections accepted."),
    Family("setpoint_upstream_connections_total", "counter", "Connections opened to upstreams."),
    Family("setpoint_worker_records_total", "counter", "Trace records written to the spool."),
    Family("setpoint_spool_errors_total", "counter", "Writes to the spool that failed."),
    Family("setpoint_trace_drops_total", "counter", "Trace records lost because the spool could not take them."),
    Family("setpoint_config_reloads_total", "counter", "Configuration versions taken into use by workers."),
    Family("setpoint_config_rejections_total", "counter", "Configuration versions workers could not use."),
    Family(
        "setpoint_request_duration_seconds", "histogram", "From the request's head to the end of its answer.", bounds_s=DURATION_BOUNDS_S
    ),
    Family(
        "setpoint_overhead_seconds",
        "histogram",
        "Time in the gateway itself: duration less the wait for upstreams.",
        bounds_s=OVERHEAD_BOUNDS_S,
    ),
    Family(
        "setpoint_time_to_first_token_seconds",
        "histogram",
        "From the request's head to the first token, streams.",
        bounds_s=FIRST_TOKEN_BOUNDS_S,
    ),
    Family("setpoint_in_flight_requests", "gauge", "Requests being served."),
    Family("setpoint_open_streams", "gauge", "Answers being streamed."),
    Family("setpoint_active_connections", "gauge", "Open client connections."),
    Family("setpoint_upstream_connections", "gauge", "Open connections to upstreams, idle ones included."),
    Family("setpoint_queued_requests", "gauge", "Requests that wait for a connection to their upstream."),
    Family("setpoint_body_bytes_held", "gauge", "Bytes of request and response bodies in memory."),
    Family("setpoint_held_bytes", "gauge", "All bytes held for clients: requests, answers, kept text, what is not read."),
    Family("setpoint_cache_entries", "gauge", "Entries in the cache.", (("tier", _TIERS),)),
    Family("setpoint_cache_bytes", "gauge", "Bytes in the cache.", (("tier", _TIERS),)),
    Family("setpoint_open_breakers", "gauge", "Endpoints whose circuit is not closed, in the worker that has most.", across="max"),
    Family("setpoint_loop_lag_seconds", "gauge", "How late the slowest worker's event loop runs.", unit=NS, across="max"),
    Family("setpoint_standing_delay_seconds", "gauge", "Shortest turn of the slowest worker's loop lately.", unit=NS, across="max"),
    Family("setpoint_workers_shedding", "gauge", "Workers that refuse requests because they have more to do than they can."),
    Family("setpoint_worker_resident_bytes", "gauge", "Resident memory of the workers."),
    Family("setpoint_worker_cpu_seconds", "gauge", "CPU time of the living workers.", unit=NS),
    Family("setpoint_config_epoch", "gauge", "Epoch of the oldest configuration a worker uses for new requests.", across="min"),
    Family("setpoint_config_version", "gauge", "Oldest configuration version a worker uses for new requests.", across="min"),
    Family("setpoint_config_oldest_epoch", "gauge", "Epoch of the oldest configuration a request under way still uses.", across="min"),
    Family("setpoint_config_oldest_version", "gauge", "Oldest configuration version a request under way still uses.", across="min"),
    Family("setpoint_workers_draining", "gauge", "Workers that take no new requests."),
    Family("setpoint_worker_start_time_seconds", "gauge", "Start of the oldest living worker, Unix time.", unit=NS, across="min"),
)

BOOT = 0
"""Random number of the owner's life, as a signed integer. 0: nobody ever had this page."""
PID = 1
LIVES = 2
"""How many processes have had this page."""
FIRST_PLACE = 8
_STARTS = tuple(accumulate((family.places for family in FAMILIES), initial=FIRST_PLACE))
PLACED = tuple(zip(FAMILIES, _STARTS, strict=False))
"""Each family with the index of its first place."""
_PLACE = {family.name: start for family, start in PLACED}
PLACES = _STARTS[-1]
STANDINGS_MAX = 128
"""Upstreams whose standing a page holds; see `wire.standing`."""
STANDINGS = PAGE_BYTES // 8 - STANDINGS_MAX
assert PLACES <= STANDINGS, "the families do not fit a page"


class Histogram(msgspec.Struct, frozen=True, gc=False):
    """Where a histogram lies in the page."""

    first: int
    bounds_ns: tuple[int, ...]
    sum_at: int


def _histogram(name: str) -> Histogram:
    bounds_s = next(family.bounds_s for family in FAMILIES if family.name == name)
    return Histogram(_PLACE[name], tuple(round(bound / NS) for bound in bounds_s), _PLACE[name] + len(bounds_s) + 1)


REQUESTS = _PLACE["setpoint_requests_total"]
"""Add `surface * STATUS_CLASSES + status // 100` (status 0: none was chosen)."""
ERRORS = {kind: _PLACE["setpoint_errors_total"] + position for position, kind in enumerate(FaultKind)}
"""The place of each kind of fault."""
ATTEMPTS = _PLACE["setpoint_worker_attempts_total"]
RETRIES = _PLACE["setpoint_retries_total"]
FALLBACKS = _PLACE["setpoint_fallbacks_total"]
HEDGES = {outcome: _PLACE["setpoint_hedges_total"] + position for position, outcome in enumerate(_HEDGES)}
"""The place of each outcome."""
CACHE_HITS_L1 = _PLACE["setpoint_cache_hits_total"]
CACHE_MISSES_L1 = _PLACE["setpoint_cache_misses_total"]
SINGLE_FLIGHT_FOLLOWERS = _PLACE["setpoint_single_flight_followers_total"]
LIMIT_REFUSALS_REQUESTS = _PLACE["setpoint_limit_refusals_total"]
LIMIT_REFUSALS_TOKENS = LIMIT_REFUSALS_REQUESTS + 1
LIMIT_REFUSALS_STREAMS = LIMIT_REFUSALS_REQUESTS + 2
SHED = _PLACE["setpoint_shed_total"]
"""Add the number of the class, lowest first."""
SLOW_READERS_CUT = _PLACE["setpoint_slow_readers_cut_total"]
TOKENS_INPUT = _PLACE["setpoint_worker_tokens_total"]
TOKENS_CACHED_READ = TOKENS_INPUT + 1
TOKENS_CACHE_WRITE = TOKENS_INPUT + 2
TOKENS_OUTPUT = TOKENS_INPUT + 3
TOKENS_REASONING = TOKENS_INPUT + 4
TOKENS_AUDIO_INPUT = TOKENS_INPUT + 5
TOKENS_AUDIO_OUTPUT = TOKENS_INPUT + 6
TOKENS_IMAGE_INPUT = TOKENS_INPUT + 7
COST_NANOUSD = _PLACE["setpoint_worker_cost_usd_total"]
SAVED_NANOUSD = _PLACE["setpoint_worker_saved_usd_total"]
UNPRICED_ANSWERS = _PLACE["setpoint_worker_unpriced_total"]
REQUEST_BYTES = _PLACE["setpoint_request_bytes_total"]
RESPONSE_BYTES = _PLACE["setpoint_response_bytes_total"]
CONNECTIONS = _PLACE["setpoint_connections_total"]
UPSTREAM_CONNECTIONS_OPENED = _PLACE["setpoint_upstream_connections_total"]
TRACE_RECORDS = _PLACE["setpoint_worker_records_total"]
SPOOL_ERRORS = _PLACE["setpoint_spool_errors_total"]
TRACE_DROPS = _PLACE["setpoint_trace_drops_total"]
CONFIG_RELOADS = _PLACE["setpoint_config_reloads_total"]
CONFIG_REJECTIONS = _PLACE["setpoint_config_rejections_total"]

DURATION = _histogram("setpoint_request_duration_seconds")
OVERHEAD = _histogram("setpoint_overhead_seconds")
FIRST_TOKEN = _histogram("setpoint_time_to_first_token_seconds")

IN_FLIGHT = _PLACE["setpoint_in_flight_requests"]
OPEN_STREAMS = _PLACE["setpoint_open_streams"]
ACTIVE_CONNECTIONS = _PLACE["setpoint_active_connections"]
UPSTREAM_CONNECTIONS = _PLACE["setpoint_upstream_connections"]
QUEUED = _PLACE["setpoint_queued_requests"]
BODY_BYTES_HELD = _PLACE["setpoint_body_bytes_held"]
HELD_BYTES = _PLACE["setpoint_held_bytes"]
CACHE_ENTRIES_L1 = _PLACE["setpoint_cache_entries"]
CACHE_BYTES_L1 = _PLACE["setpoint_cache_bytes"]
OPEN_BREAKERS = _PLACE["setpoint_open_breakers"]
LOOP_LAG_NS = _PLACE["setpoint_loop_lag_seconds"]
STANDING_DELAY_NS = _PLACE["setpoint_standing_delay_seconds"]
SHEDDING = _PLACE["setpoint_workers_shedding"]
RESIDENT_BYTES = _PLACE["setpoint_worker_resident_bytes"]
CPU_NS = _PLACE["setpoint_worker_cpu_seconds"]
CONFIG_EPOCH = _PLACE["setpoint_config_epoch"]
CONFIG_VERSION = _PLACE["setpoint_config_version"]
CONFIG_OLDEST_EPOCH = _PLACE["setpoint_config_oldest_epoch"]
CONFIG_OLDEST_VERSION = _PLACE["setpoint_config_oldest_version"]
DRAINING = _PLACE["setpoint_workers_draining"]
STARTED_NS = _PLACE["setpoint_worker_start_time_seconds"]


class Seen(msgspec.Struct, frozen=True):
    """A page as a reader finds it. `live`: its owner runs."""

    page: Page
    live: bool


def new_page() -> Page:
    """A page in this process's own memory, for a worker without a file, and for tests."""
    return memoryview(bytearray(PAGE_BYTES)).cast("q")


def observe(page: Page, histogram: Histogram, duration_ns: int) -> None:
    """Count one duration; a bucket's bound belongs to it, as Prometheus has it."""
    page[histogram.first + bisect_left(histogram.bounds_ns, duration_ns)] += 1
    page[histogram.sum_at] += duration_ns


def begin_life(page: Page, boot: int, pid: int, started_ns: int) -> None:
    """The page has a new owner: gauges start again, counters go on. `boot` is any unsigned 64-bit number but 0."""
    for family, start in PLACED:
        if family.kind == "gauge":
            for place in range(start, start + family.places):
                page[place] = 0
    for place in range(STANDINGS, STANDINGS + STANDINGS_MAX):
        page[place] = 0
    page[LIVES] += 1
    page[PID] = pid
    page[STARTED_NS] = started_ns
    page[BOOT] = boot - (1 << 64) if boot >> 63 else boot


def versions_in_use(pages: Iterable[Seen]) -> set[tuple[int, int]]:
    """The (epoch, version) of every plan that a living worker uses, for new requests or for those under way."""
    pairs = ((CONFIG_EPOCH, CONFIG_VERSION), (CONFIG_OLDEST_EPOCH, CONFIG_OLDEST_VERSION))
    found = {(seen.page[epoch], seen.page[version]) for seen in pages if seen.live for epoch, version in pairs}
    return found - {(0, 0)}
