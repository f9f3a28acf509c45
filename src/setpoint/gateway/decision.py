"""Why an exchange went where it went: built while it is routed, kept in its trace, said in short to the client.

There is none for a request with one place to go, so that one pays nothing.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from setpoint.domain.faults import Fault
from setpoint.domain.usage import Usage
from setpoint.gateway.published import Candidate
from setpoint.gateway.scoring import Reason

SHOWN_MAX = 16
"""Targets that a decision lists; a longer order is cut, and says so."""
Cause = Literal["error", "context_window", "content_filter", "refusal"]
Chains = Mapping[str, tuple[Candidate, ...]]
"""Targets by the cause that makes a request go to them."""

_encode = msgspec.json.Encoder().encode


class Ranked(msgspec.Struct):
    """Targets in the order to try, each with its score (None: there is none, or it is unknown), and why the first one is the first.

    `propensity` is the probability with which chance made the first choice; None where no chance was involved. `measured`: how long the
    calls take is remembered, because the order depends on it.
    """

    rows: tuple[tuple[Candidate, float | None], ...]
    strategy: str
    reason: Reason
    propensity: float | None = None
    measured: bool = False
    text: str = ""
    line: bytes = b""
    """Of a decision that is this and nothing else, made once."""


class Refused(msgspec.Struct, frozen=True):
    """A refusal that was turned away, with all the exchange knew of it, in case that nobody says more. `result` is an answer or a fault."""

    result: Any
    candidate: Candidate | None
    model_served: str
    finish: str


class Decision:
    """One exchange's. `chains` are what is tried when nothing else would be; None when there are none."""

    __slots__ = ("applied", "cause", "chains", "kept", "ranked", "refused", "spent", "spent_nanousd", "tried")

    def __init__(self, ranked: Ranked, applied: tuple[str, ...] = (), chains: Chains | None = None) -> None:
        self.ranked = ranked
        self.applied = applied
        """What the request asked for, and was heeded."""
        self.chains = chains
        self.cause: Cause | None = None
        """Why a target of a chain was tried."""
        self.tried: set[str] = set()
        """Who turned the request away for a cause that has a chain."""
        self.refused: Fault | None = None
        """A stream was a refusal before any content; this stands for it."""
        self.kept: Refused | None = None
        self.spent: Usage | None = None
        self.spent_nanousd = 0
        """What refusals that were turned away used and cost."""

    def text(self, failovers: int) -> str:
        """Compact JSON for the trace."""
        if self.applied or self.fallback(failovers) is not None:
            return self._text(failovers)
        ranked = self.ranked
        ranked.text = ranked.text or self._text(failovers)
        return ranked.text

    def line(self, failovers: int) -> bytes:
        """The header for the client."""
        if self.fallback(failovers) is not None:
            return self._line(failovers)
        ranked = self.ranked
        ranked.line = ranked.line or self._line(failovers)
        return ranked.line

    def fallback(self, failovers: int) -> Cause | None:
        """Why it did not stay with the first choice."""
        return self.cause or ("error" if failovers else None)

    def _text(self, failovers: int) -> str:
        ranked = self.ranked
        shown = [[candidate.name] if score is None else [candidate.name, round(score, 9)] for candidate, score in ranked.rows[:SHOWN_MAX]]
        said: dict[str, Any] = {"strategy": ranked.strategy, "reason": ranked.reason, "order": shown}
        if len(ranked.rows) > SHOWN_MAX:
            said["more"] = len(ranked.rows) - SHOWN_MAX
        if ranked.propensity is not None:
            said["propensity"] = round(ranked.propensity, 9)
        if self.applied:
            said["preferences"] = self.applied
        if (cause := self.fallback(failovers)) is not None:
            said["fallback"] = cause
        return _encode(said).decode()

    def _line(self, failovers: int) -> bytes:
        ranked = self.ranked
        words = [f"strategy={ranked.strategy}", f"reason={ranked.reason.replace(' ', '-')}"]
        if ranked.propensity is not None:
            words.append(f"propensity={ranked.propensity:.4g}")
        if (cause := self.fallback(failovers)) is not None:
            words.append(f"fallback={cause}")
        return b"x-setpoint-decision: %b\r\n" % "; ".join(words).encode()
