"""What the hot lane counts, as additions to the worker's page of numbers (see `wire.gauge_page`)."""

from setpoint.domain.faults import Fault
from setpoint.domain.trace import CacheTier, Outcome
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.hedging import HedgeOutcome
from setpoint.wire import gauge_page as at
from setpoint.wire.gauge_page import Page, observe


class Meter:
    """One worker's counters. Nothing here allocates."""

    __slots__ = ("page",)

    def __init__(self, page: Page) -> None:
        self.page = page

    def started(self) -> None:
        self.page[at.IN_FLIGHT] += 1

    def finished(self, exchange: Exchange, outcome: Outcome, status: int, duration_ns: int) -> None:
        """An exchange ended: everything that is known of it only now."""
        page = self.page
        page[at.IN_FLIGHT] -= 1
        if exchange.streamed:
            page[at.OPEN_STREAMS] -= 1
        seen = 0 if outcome is Outcome.client_gone and not exchange.streamed else status // 100
        page[at.REQUESTS + exchange.surface.number * at.STATUS_CLASSES + seen] += 1
        page[at.ATTEMPTS] += exchange.attempts
        page[at.REQUEST_BYTES] += len(exchange.request.body)
        page[at.RESPONSE_BYTES] += exchange.answer_bytes
        observe(page, at.DURATION, duration_ns)
        observe(page, at.OVERHEAD, duration_ns - exchange.upstream_ns)
        if exchange.ttft_ns:
            observe(page, at.FIRST_TOKEN, exchange.ttft_ns)
        if exchange.fault is not None:
            page[at.ERRORS[exchange.fault.kind]] += 1
        if exchange.attempts > 1:
            page[at.FALLBACKS] += exchange.moves
            page[at.RETRIES] += max(0, exchange.attempts - 1 - exchange.moves - bool(exchange.hedged))
        tier = exchange.cache_tier
        if tier is CacheTier.hit_l1:
            page[at.CACHE_HITS_L1] += 1
            page[at.SAVED_NANOUSD] += exchange.saved_nanousd
            return
        if tier is CacheTier.miss:
            page[at.CACHE_MISSES_L1] += 1
        self._settled(exchange)

    def _settled(self, exchange: Exchange) -> None:
        page, usage = self.page, exchange.usage
        if usage is None:
            return
        page[at.TOKENS_INPUT] += usage.input
        page[at.TOKENS_OUTPUT] += usage.output
        if usage.cached_read or usage.cache_write or usage.reasoning or usage.audio_input or usage.audio_output or usage.image_input:
            page[at.TOKENS_CACHED_READ] += usage.cached_read
            page[at.TOKENS_CACHE_WRITE] += usage.cache_write
            page[at.TOKENS_REASONING] += usage.reasoning
            page[at.TOKENS_AUDIO_INPUT] += usage.audio_input
            page[at.TOKENS_AUDIO_OUTPUT] += usage.audio_output
            page[at.TOKENS_IMAGE_INPUT] += usage.image_input
        if exchange.cost_nanousd >= 0:
            page[at.COST_NANOUSD] += exchange.cost_nanousd
        else:
            page[at.UNPRICED_ANSWERS] += 1

    def connected(self) -> None:
        """A client's connection was accepted."""
        self.page[at.CONNECTIONS] += 1

    def stream_opened(self) -> None:
        """A stream is committed; `finished` closes it."""
        self.page[at.OPEN_STREAMS] += 1

    def limit_refused(self) -> None:
        self.page[at.LIMIT_REFUSALS_REQUESTS] += 1

    def hedged(self, outcome: HedgeOutcome) -> None:
        """What became of a second call besides a slow one."""
        self.page[at.HEDGES[outcome]] += 1

    def shed(self, priority: int) -> None:
        """Refused because the worker has more to do than it can; by class."""
        self.page[at.SHED + priority] += 1

    def followed(self) -> None:
        self.page[at.SINGLE_FLIGHT_FOLLOWERS] += 1

    def refused(self, fault: Fault) -> None:
        """A request that never became an exchange."""
        self.page[at.REQUESTS + fault.http_status // 100] += 1
        self.page[at.ERRORS[fault.kind]] += 1

    def records(self, written: int) -> None:
        self.page[at.TRACE_RECORDS] += written

    def records_lost(self, lost: int) -> None:
        self.page[at.SPOOL_ERRORS] += 1
        self.page[at.TRACE_DROPS] += lost
