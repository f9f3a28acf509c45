"""How a provider breaks, as data, and which class of fault that is for a whole answer and for a stream.

What must come of a fault depends on its class alone (see `rules`), so a new mode needs no new rule.
"""

from typing import Any, Literal, get_args

import msgspec

from setpoint.testing.answers import Framing
from setpoint.testing.replies import Refusal, status
from setpoint.testing.splits import SplitMode
from setpoint.testing.wire_faults import FAULT_NAMES, FaultName, WireFault

FaultClass = Literal[
    "harmless", "recovers", "failed", "busy", "told_to_wait", "refused", "credential", "broken_off", "unterminated", "garbled",
]  # fmt: skip

Spot = Literal["opening", "content", "all"]
"""Where in a stream it breaks: before the first content, after it, or after all of it but before the finish."""


class Mode(msgspec.Struct, frozen=True):
    """`unary` and `stream` are its classes there; None where it cannot happen. `stalls`: the provider says nothing more, so only a deadline
    of the gateway can help.
    """

    name: str
    unary: FaultClass | None
    stream: FaultClass | None
    fault: WireFault | None = None
    says: Refusal | None = None
    spot: Spot = "content"
    split: SplitMode = "as_recorded"
    framing: Framing | None = None
    stalls: bool = False

    @property
    def status(self) -> int:
        """The status of the error answer that the provider gives; 0 when it gives none."""
        if self.says is not None:
            return self.says.status
        return self.fault.code if self.fault is not None and self.fault.name in ("status", "html_error", "empty_error") else 0

    def of(self, *, streamed: bool) -> FaultClass | None:
        """Its class for a stream, or for a whole answer."""
        return self.stream if streamed else self.unary


LONG_WAIT = "60"
"""Seconds that no gateway should let a client wait for."""
_FAR_DATE = "Wed, 21 Oct 2099 07:28:00 GMT"


def _wire(fault: FaultName, unary: FaultClass | None, stream: FaultClass | None, /, **members: Any) -> Mode:
    return msgspec.structs.replace(Mode(fault, unary, stream, WireFault(fault)), **members)


def _refuses(code: int, as_a: FaultClass) -> Mode:
    return Mode(f"status {code}", as_a, as_a, says=status(code))


def _whole_or_opening(name: FaultName, **members: Any) -> tuple[Mode, Mode]:
    """A fault in the body of an answer, before a client has seen any of it and after."""
    early = _wire(name, None, "failed", name=f"{name}, at once", spot="opening", **members)
    return early, _wire(name, "failed", "broken_off", **members)


def _once(name: str, fault: WireFault, **members: Any) -> Mode:
    return msgspec.structs.replace(Mode(f"{name}, once", "recovers", "recovers", fault=fault), **members)


_EVENTS_ONLY: tuple[FaultName, ...] = ("comments", "crlf", "bom", "huge_chunk")

MODES: tuple[Mode, ...] = (
    Mode("healthy", "harmless", "harmless"),
    # unusual, and right
    *(_wire(name, None, "harmless") for name in _EVENTS_ONLY),
    *(_wire(n, "harmless", "harmless") for n in ("slow_drip", "pause_mid_body", "gzip", "duplicate_headers", "early_hints")),
    _wire("close_after_answer", "harmless", "harmless"),
    *(Mode(f"split {mode}", "harmless", "harmless", split=mode) for mode in get_args(SplitMode) if mode != "as_recorded"),
    Mode("ends with the connection", "harmless", "harmless", framing="close"),
    # another answer than asked for
    _wire("rate_limited_seconds", "told_to_wait", "told_to_wait", fault=WireFault("rate_limited_seconds", retry_after=LONG_WAIT)),
    _wire("rate_limited_date", "told_to_wait", "told_to_wait", fault=WireFault("rate_limited_date", retry_after=_FAR_DATE)),
    _refuses(429, "busy"),
    _wire("html_error", "busy", "busy", name="html_error 429", fault=WireFault("html_error", code=429)),
    _wire("html_error", "refused", "refused", name="html_error 413", fault=WireFault("html_error", code=413)),
    *(_refuses(code, "refused") for code in (400, 413, 422)),
    *(_refuses(code, "credential") for code in (401, 402, 403)),
    *(_refuses(code, "failed") for code in (500, 502, 503, 504, 529)),
    _wire("status", "failed", "failed", name="another vendor's error"),
    _wire("html_error", "failed", "failed", fault=WireFault("html_error", code=502)),
    _wire("empty_error", "failed", "failed"),
    # no answer
    *(_wire(name, "failed", "failed") for name in ("early_reset", "reset_before_head", "close_before_head")),
    *(_wire(name, "failed", "failed", stalls=True) for name in ("hang_before_head", "head_then_hang")),
    # half an answer
    *_whole_or_opening("cut"),
    *_whole_or_opening("reset_mid_body"),
    *_whole_or_opening("ended_early"),
    *_whole_or_opening("stall_mid_body", stalls=True),
    _wire("cut_in_character", "failed", "broken_off"),
    _wire("error_event", None, "failed", name="error_event, at once", spot="opening"),
    _wire("error_event", None, "broken_off"),
    # nearly an answer
    _wire("missing_terminator", "failed", "unterminated"),
    _wire("ended_early", None, "unterminated", name="ended_early, before the finish", spot="all"),
    _wire("short_content_length", "failed", "unterminated"),
    _wire("long_content_length", "failed", "unterminated"),
    _wire("bad_json", "failed", "garbled"),
    _wire("bad_sse", None, "garbled"),
    # only the first time
    _once("status 503", WireFault("status", first=1)),
    _once("cut", WireFault("cut", first=1), spot="opening"),
    _once("reset_before_head", WireFault("reset_before_head", first=1)),
    _once("hang_before_head", WireFault("hang_before_head", first=1), stalls=True),
)

MODE_OF = {mode.name: mode for mode in MODES}
COVERED: frozenset[FaultName] = frozenset(mode.fault.name for mode in MODES if mode.fault is not None)
assert set(FAULT_NAMES) == COVERED, "a wire fault without a mode"

LEAVES_WAITING = Mode("client leaves while it waits", "harmless", "harmless", fault=WireFault("hang_before_head"))
LEAVES_IN_STREAM = Mode("client leaves in mid-stream", None, "harmless", fault=WireFault("stall_mid_body"))
LEAVING: tuple[Mode, ...] = (LEAVES_WAITING, LEAVES_IN_STREAM)
"""Here the client breaks; the provider must be let go of."""
