"""Circuit breaker: stop calling what keeps failing, and find out with one call at a time whether it is well again.

                      failures in a row == limit
        closed ───────────────────────────────────────▶ open
          ▲                                              │  open_s have passed: the next caller probes
          │                                              ▼
          └──────── successes == limit ◀─────────── half-open ───── a probe failed ──▶ open
                                                    one probe at a time

- closed: calls pass. A success forgets earlier failures, so only failures in a row open the circuit.
- open: calls are refused at once, with the seconds until a probe may go.
- half-open: one caller is let through as a probe; the others are refused until it reports. `successes` good probes one after
  another close the circuit, one bad probe opens it for another `open_s`.

A probe whose caller vanished (cancelled, or a bug) must not hold half-open for ever: after `open_s` without a report the next
caller becomes the probe. A report that comes later than that still counts, because calls may take longer than `open_s` as a rule:
if only the latest probe were heard, such an endpoint would never close again. Each probe has its number, so that reports of an
earlier half-open time, and of ordinary calls that began before the circuit opened, count for nothing while it is not closed.

`hasten` is for somebody who knows that the upstream is back: an open circuit need not wait any longer for its first probe.

Which faults are failures is the caller's decision: a caller's own mistake (400) says nothing about the health of an upstream.

Left out: failure rates over a window (a row of failures needs no traffic estimate and opens sooner), and gossip between workers
(each worker finds out by itself within `failures` calls).

Source: M. Nygard, "Release It!", 2nd edition, section 5.2; names as in Hystrix.
"""

from enum import IntEnum
from math import inf

import msgspec


class State(IntEnum):
    """The values go into a gauge."""

    closed = 0
    half_open = 1
    open = 2


class Limits(msgspec.Struct, frozen=True, gc=False):
    """`failures` in a row open the circuit for `open_s`; `successes` good probes in a row close it."""

    failures: int = 5
    open_s: float = 30.0
    successes: int = 2


class Circuit(msgspec.Struct, frozen=True, gc=False):
    """`count` is failures in a row (closed) or good probes (half-open). `until_s`: when the next probe may go (open, half-open).

    `probe` numbers the probe last sent, over the life of the circuit; `since` is the first one of this half-open time.
    """

    state: State = State.closed
    count: int = 0
    until_s: float = -inf
    probe: int = 0
    since: int = 0


CALL = 0
"""An ordinary call, admitted because the circuit is closed."""
REFUSED = -1


def after_ask(circuit: Circuit, limits: Limits, now_s: float) -> tuple[Circuit, int]:
    """Somebody wants to call: `CALL`, `REFUSED`, or the number (from 1) of the probe the caller now is."""
    if circuit.state is State.closed:
        return circuit, CALL
    if now_s < circuit.until_s:
        return circuit, REFUSED
    number = circuit.probe + 1
    if circuit.state is State.half_open:
        return Circuit(State.half_open, circuit.count, now_s + limits.open_s, number, circuit.since), number
    return Circuit(State.half_open, 0, now_s + limits.open_s, number, number), number


def after_success(circuit: Circuit, limits: Limits, admission: int) -> Circuit:
    """The call admitted as `admission` succeeded."""
    if circuit.state is State.closed:
        return Circuit(probe=circuit.probe) if circuit.count else circuit
    if not _counts(circuit, admission):
        return circuit
    if circuit.count + 1 >= limits.successes:
        return Circuit(probe=circuit.probe)
    return Circuit(State.half_open, circuit.count + 1, _until_s(circuit, admission), circuit.probe, circuit.since)


def after_failure(circuit: Circuit, limits: Limits, admission: int, now_s: float) -> Circuit:
    """The call admitted as `admission` failed in a way that tells of the upstream's health."""
    if circuit.state is State.closed:
        if circuit.count + 1 < limits.failures:
            return Circuit(State.closed, circuit.count + 1, -inf, circuit.probe)
    elif not _counts(circuit, admission):
        return circuit
    return Circuit(State.open, 0, now_s + limits.open_s, circuit.probe)


def after_abandoned(circuit: Circuit, admission: int) -> Circuit:
    """The call ended without telling anything (client gone, caller's own fault): the next caller may probe at once."""
    if circuit.state is State.closed or not _counts(circuit, admission):
        return circuit
    return Circuit(circuit.state, circuit.count, _until_s(circuit, admission), circuit.probe, circuit.since)


def after_hint(circuit: Circuit, now_s: float) -> Circuit:
    """Somebody saw the upstream well: the first probe of an open circuit may go at once."""
    if circuit.state is not State.open or circuit.until_s <= now_s:
        return circuit
    return Circuit(State.open, 0, now_s, circuit.probe)


def _counts(circuit: Circuit, admission: int) -> bool:
    """Whether a report is from a probe of this half-open time (`until_s` is -inf once the latest one has reported)."""
    if circuit.state is not State.half_open or not circuit.since <= admission <= circuit.probe:
        return False
    return admission < circuit.probe or circuit.until_s > -inf


def _until_s(circuit: Circuit, admission: int) -> float:
    """The latest probe's report makes room for the next one; an earlier one's does not."""
    return -inf if admission == circuit.probe else circuit.until_s


class Breaker:
    """The variable that holds a circuit. Pass what `admit` gave to exactly one of `succeeded`, `failed`, `abandoned`."""

    __slots__ = ("_circuit", "_clean", "limits")

    def __init__(self, failures: int = 5, open_s: float = 30.0, successes: int = 2) -> None:
        self.limits = Limits(failures, open_s, successes)
        self._circuit = Circuit()
        self._clean = True

    @property
    def circuit(self) -> Circuit:
        return self._circuit

    @property
    def state(self) -> State:
        return self._circuit.state

    def admit(self, now_s: float) -> int:
        """`CALL` (0), `REFUSED` (-1), or a probe's number; hand it back with the outcome."""
        if self._clean:
            return CALL
        self._circuit, admission = after_ask(self._circuit, self.limits, now_s)
        return admission

    def succeeded(self, admission: int) -> None:
        if not self._clean:
            self._become(after_success(self._circuit, self.limits, admission))

    def failed(self, admission: int, now_s: float) -> None:
        self._become(after_failure(self._circuit, self.limits, admission, now_s))

    def abandoned(self, admission: int) -> None:
        if not self._clean:
            self._become(after_abandoned(self._circuit, admission))

    def hasten(self, now_s: float) -> None:
        """The upstream was seen well."""
        if not self._clean:
            self._become(after_hint(self._circuit, now_s))

    def retry_after_s(self, now_s: float) -> float:
        """Seconds until a call may be admitted; 0 when one would be now. Changes nothing."""
        return max(0.0, self._circuit.until_s - now_s)

    def _become(self, circuit: Circuit) -> None:
        self._circuit = circuit
        # Nearly every call finds the circuit closed without a failure; one flag answers for all of it.
        self._clean = circuit.state is State.closed and circuit.count == 0
