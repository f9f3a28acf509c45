"""What a client must get, by the class of the fault: one table for every surface, dialect and mode."""

from typing import Literal

import msgspec

from setpoint.testing.fault_wall.modes import FaultClass

Ending = Literal["whole", "status", "event", "raises", "truncated", "cut", "hang", "misshapen", "none"]
"""How an answer ended, as the vendor's own client sees it.

    whole      all of it, and its own finish
    status     an error status in the shape of the surface
    event      part of it, and then the surface's own error event
    raises     part of it, and then bytes on which the vendor's client raises an error
    truncated  part of it, and nothing says so
    cut        the connection ended in the middle
    hang       nothing more came, for longer than the client's patience
    misshapen  something that is not of this surface
    none       the connection was closed without an answer

Only the first four are honest.
"""

Again = Literal["never", "elsewhere", "again", "may"]
"""never: no other call can help, or content is out already. elsewhere: only another provider can. again: the same one may work now.
may: both are right.
"""
Billed = Literal["reported", "nothing", "what came", "any"]
"""Which tokens an exchange is charged for: those the provider reported, none, or, by an estimate if need be, those that came."""

CALLS_MAX = 6
"""More calls than this for one request are a storm, whatever the gateway's settings."""
CANCEL_S_MAX = 1.0
"""How soon after its client left a provider must be let go of."""


class Rule(msgspec.Struct, frozen=True):
    """`statuses` are the first and the last good status of an error answer. `terminal`: a whole stream must have the surface's own end."""

    why: str
    ends: tuple[Ending, ...]
    again: Again
    billed: Billed
    statuses: tuple[int, int] = (500, 599)
    same_status: bool = False
    wait_told: bool = False
    terminal: bool = False


RULES: dict[FaultClass, Rule] = {
    "harmless": Rule("unusual but right: the whole answer", ("whole",), "never", "reported", terminal=True),
    "recovers": Rule(
        "the first call fails, the next one works, wherever it goes: nobody notices", ("whole",), "may", "reported", terminal=True
    ),
    "failed": Rule("it failed before content: try again, then 5xx", ("status",), "again", "nothing"),
    "busy": Rule("429 and no word on when to come back: try again, then 429", ("status",), "again", "nothing", (429, 429)),
    "told_to_wait": Rule(
        "429, come back in a minute: no call before, tell the client", ("status",), "elsewhere", "nothing", (429, 429), wait_told=True
    ),
    "refused": Rule("the request itself is refused: the provider's status", ("status",), "never", "nothing", (400, 422), same_status=True),
    "credential": Rule("the gateway's own key or account is refused: not the client's fault, 5xx", ("status",), "elsewhere", "nothing"),
    "broken_off": Rule(
        "content came, then it broke: an error event; a gateway that had not passed it on yet may still try again",
        ("event", "status", "whole"),
        "may",
        "what came",
    ),
    "unterminated": Rule(
        "all content, not the very end: whole if its finish came, else an error", ("whole", "event", "status"), "may", "any"
    ),
    "garbled": Rule("one event makes no sense: all content all the same, or an error", ("whole", "event", "raises"), "never", "any"),
}
