"""What the circuits must be, from the calls alone: each call's start and end as the network saw them, put through the table of transitions.

The gateway decides by itself which calls to report to which circuit, and as what. Here the same is done by somebody who knows how each
upstream was told to answer. Where that does not decide it (an answer cut at any byte), the gateway's own circuit is taken over.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec
from tests.simulation.upstreams import CallSeen

from setpoint.domain.faults import FaultKind
from setpoint.gateway.published import Line
from setpoint.gateway.upstream import Call
from setpoint.kit.breaker import REFUSED, Breaker, Circuit, Limits, State, after_abandoned, after_ask, after_failure, after_success

Outcome = Literal["good", "ill", "says nothing", "unknown"]
_ILL = frozenset(
    {
        FaultKind.upstream_server, FaultKind.upstream_unreachable, FaultKind.upstream_timeout, FaultKind.upstream_cut,
        FaultKind.upstream_overloaded,
    }
)  # fmt: skip


class Sent(msgspec.Struct, eq=False):
    """A call that the gateway gave to a pool. `seen` is what its upstream saw of it: once as a rule, never when nothing arrived, twice when
    a kept connection was closed just then.
    """

    ask: int
    line: Line
    endpoint: str
    at_s: float
    call: Call
    streamed: bool
    seen: list[CallSeen] = []
    admission: int = 0


def outcome(sent: Sent, now_s: float) -> Outcome:
    """How a call that is over ended, as far as its upstream's health goes."""
    fault, seen = sent.call.fault, sent.seen
    if sent.admission and sent.streamed:
        return "unknown"  # the first content of a probe told already
    if fault is not None:
        if sent.call.streaming:
            return "unknown"  # whether the finish had come already is for the judge of answers
        if fault.kind is FaultKind.upstream_timeout and now_s - (seen[-1] if seen else sent).at_s < sent.call.timeouts.first_byte_s:
            return "unknown"  # the request's own time was up, which is nobody's fault
        return "ill" if fault.kind in _ILL else "says nothing"
    if not seen:
        return "unknown"
    match seen[-1].play.fault_class(streamed=sent.streamed):
        case "harmless":
            return "good"
        case "failed" | "broken_off":
            return "ill"
        case "busy" | "told_to_wait" | "refused" | "credential":
            return "says nothing"
        case _:
            return "unknown"


class Circuits:
    """One circuit an endpoint, kept beside the gateway's own."""

    def __init__(self, limits: Limits, now_s: Callable[[], float], protest: Callable[[str], None]) -> None:
        self._limits = limits
        self._now_s = now_s
        self._protest = protest
        self._circuits: dict[tuple[int, str], Circuit] = {}
        self._open: list[Sent] = []

    def started(self, sent: Sent) -> None:
        """The gateway makes a call now: may it?"""
        self.settle()
        key = (id(sent.line), sent.endpoint)
        after, sent.admission = after_ask(self._circuits.get(key, Circuit()), self._limits, self._now_s())
        self._circuits[key] = after
        theirs = next(_breaker(sent.line, sent.endpoint), None)
        if theirs is not None and any(
            each.admission and each.call.streaming and (id(each.line), each.endpoint) == key for each in self._open
        ):
            # The first content of a stream that was a probe told the circuit already; how far it came is not seen from here.
            self._circuits[key], sent.admission = theirs.circuit, theirs.circuit.probe * (theirs.state is State.half_open)
        elif sent.admission == REFUSED:
            self._protest(f"a call to {sent.line.upstream.name} ({sent.endpoint}) although its circuit is {after.state.name}")
        self._open.append(sent)

    def refuses(self, line: Line, endpoint: str) -> bool:
        """Whether a call would be refused now."""
        self.settle()
        return after_ask(self._circuits.get((id(line), endpoint), Circuit()), self._limits, self._now_s())[1] == REFUSED

    def settle(self) -> None:
        """Take note of the calls that have ended since, and compare."""
        over = [sent for sent in self._open if sent.call.over]
        if not over:
            return
        self._open = [sent for sent in self._open if not sent.call.over]
        ends: dict[tuple[int, str], list[Sent]] = {}
        for sent in over:
            ends.setdefault((id(sent.line), sent.endpoint), []).append(sent)
        for key, ended in ends.items():
            self._compare(key, ended)

    def _compare(self, key: tuple[int, str], ended: list[Sent]) -> None:
        theirs = next(_breaker(ended[0].line, ended[0].endpoint), None)
        if theirs is None:
            return
        outcomes = {outcome(sent, self._now_s()) for sent in ended}
        if "unknown" in outcomes or len(ended) > 1:  # of several in one turn, the order is not seen from here
            self._circuits[key] = theirs.circuit
            return
        (sent,) = ended
        before = self._circuits.get(key, Circuit())
        ended_as = outcomes.pop()
        match ended_as:
            case "good":
                ours = after_success(before, self._limits, sent.admission)
            case "ill":
                ours = after_failure(before, self._limits, sent.admission, self._now_s())
            case _:
                ours = after_abandoned(before, sent.admission)
        self._circuits[key] = ours
        if (ours.state, ours.count, ours.until_s > self._now_s()) != (
            theirs.state,
            theirs.circuit.count,
            theirs.circuit.until_s > self._now_s(),
        ):
            name = sent.line.upstream.name
            self._protest(
                f"the circuit of {name} ({sent.endpoint}) is {theirs.circuit} after a call that was {ended_as!r}; it must be {ours}"
            )
            self._circuits[key] = theirs.circuit


def _breaker(line: Line, endpoint: str) -> Iterator[Breaker]:
    return (breaker for path, _, breaker in line.breakers() if path.endswith("/" + endpoint))
