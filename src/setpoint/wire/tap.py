"""The part that every tap shares: whole events out of bytes cut anywhere, at next to no cost when nothing is cut.

A tap lies on the hot lane: it sees every chunk of every relayed stream. A network read nearly always ends with a complete event, so
`feed` asks for that first and hands the chunk on untouched; only a chunk that is cut, or has carriage returns, is put together in a
carry. An event is passed on when it is whole: if the upstream breaks off in the middle of one, an error event can still follow.

What is interesting in a region of whole events is asked with a few substring searches over all of it; the names searched for cannot
occur inside a JSON string, where quotes are escaped. Only a region with a hit is taken apart.

An event over its bound is held back whole and becomes an error, so that an error event can follow what was forwarded.
"""

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.usage import Usage
from setpoint.wire.bodies import is_complete_json
from setpoint.wire.sse import BOM, EVENT_BYTES_MAX, SseEvent, blocks, complete_until, parse_block

_FIRST_LINE = (b"data:", BOM + b"data:")


def data_lines(region: bytes) -> int:
    """How many lines of `region` begin with `data:`."""
    n = region.count(b"\ndata:") + region.startswith(_FIRST_LINE)
    return n if b"\r" not in region else n + region.count(b"\rdata:")


class Tap:
    """Base of the dialects' taps: they say what is plain and what an event means."""

    __slots__ = ("_carry", "content_started", "done", "error", "event_bytes_max", "events", "finish", "model", "usage")

    def __init__(self) -> None:
        self._carry = bytearray()
        self.event_bytes_max = EVENT_BYTES_MAX
        """Lowered by a route that wants it; -1 behind an event that was too long."""
        self.events = 0
        self.content_started = False
        self.usage: Usage | None = None
        self.model = ""
        self.finish = ""
        self.done = False
        self.error: Fault | None = None

    def feed(self, data: bytes) -> bytes:
        """Observe; return what is whole by now, `data` itself as a rule."""
        if not self._carry and data.endswith(b"\n\n") and b"\r" not in data and len(data) <= self.event_bytes_max:
            self._observe(data)
            return data
        return self._shown(self._collect(data))

    def flush(self) -> bytes:
        """The stream ended: the last event, if only its empty line is missing. Half an event is no answer and is not passed on.

        A finish reason is as good an end as the dialect's terminal, which some servers forget.
        """
        rest = bytes(self._carry)
        self._carry.clear()
        event = parse_block(rest)
        if event is not None and event.data != b"[DONE]" and not is_complete_json(event.data):
            rest = b""
        if rest:
            self._observe(rest)
        if self.finish and self.error is None:
            self.done = True
        rest = self._shown(rest)
        says = event is not None and event.data != b"[DONE]"  # without its empty line a client would not take it for an event
        return rest + b"\n\n" if rest and (says or not self.done) and not rest.endswith((b"\r\r", b"\n\r")) else rest

    def _shown(self, region: bytes) -> bytes:
        """What of whole events the client gets to see."""
        return region

    def _collect(self, data: bytes) -> bytes:
        """Add to the carry; observe and return what is complete now."""
        most = self.event_bytes_max
        if most < 0:
            return b""
        carry = self._carry
        before = len(carry)
        carry += data
        end = complete_until(carry, max(0, before - 3))
        region = bytes(carry[:end])
        del carry[:end]
        if end > most:
            region = self._up_to_the_first_over(region, most)
        if region:
            self._observe(region)
        if len(carry) > most:
            self._overflow(most)
        return region

    def _up_to_the_first_over(self, region: bytes, most: int) -> bytes:
        good = 0
        for block in blocks(region):
            if len(block) > most:
                self._carry += block
                break
            good += len(block)
        return region[:good]

    def _overflow(self, most: int) -> None:
        self._carry.clear()
        self.event_bytes_max = -1
        self.error = self.error or Fault(FaultKind.upstream_server, f"The provider sent an event of more than {most} bytes.")

    def _observe(self, region: bytes) -> bool:
        """Look at whole events. True when none of them could change what is known."""
        lines = data_lines(region)
        self.events += lines
        if self._plain(region, lines):
            return True
        for block in blocks(region):
            if (event := parse_block(block)) is not None:
                self._event(event)
        return False

    def _plain(self, region: bytes, lines: int) -> bool:
        """True when no event of `region`, which has `lines` lines of data, can change what is known."""
        raise NotImplementedError

    def _event(self, event: SseEvent) -> None:
        raise NotImplementedError
