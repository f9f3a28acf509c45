"""What happens in one simulated life of a worker, as data; `drawing` draws it from a seed.

A schedule is a plan (upstreams, routes, limits), clients with their requests, how each call of each request goes wrong at the upstream,
what the clients do meanwhile, and events: a changed plan, upstreams that cannot be reached, a drain. `without` leaves parts out, so that
a failing schedule can be made small.
"""

from collections.abc import Collection, Iterator
from typing import Any, Literal

import msgspec
from tests.gateway.world import PRICES, WALL_NS

from setpoint.domain.plan import BreakerLimits, Plan, Route, Upstream
from setpoint.testing.fault_wall.modes import MODE_OF, FaultClass
from setpoint.testing.fault_wall.surfaces import (
    BASE_PATHS,
    SurfaceName,
    UpstreamDialect,
)

MODEL = "m-1"
NEVER = 1_000_000
SLOW_HIGH_BYTES = 1_024
BadAsk = Literal["", "bad_key", "no_key", "no_model", "not_json", "no_body"]
OwnPlay = Literal["cut at", "reset at", "stall at", "wait first", "503 and wait", "429 and wait"]


class Play(msgspec.Struct, frozen=True):
    """How an upstream answers one call: a mode of the fault wall, or an OwnPlay. `at` is how far the answer comes, of 1; `wait_s` a
    pause, or the seconds of Retry-After; `gap_s` lies between two writes.
    """

    name: str = "healthy"
    at: float = 0.5
    wait_s: float = 0.0
    gap_s: float = 0.0

    def fault_class(self, *, streamed: bool) -> FaultClass | Literal["cut anywhere"]:
        """The class of the fault wall's rules; `cut anywhere` where only the bytes tell."""
        if self.name in MODE_OF:
            return MODE_OF[self.name].of(streamed=streamed) or "harmless"
        own: dict[str, Any] = {"wait first": "harmless", "503 and wait": "failed", "429 and wait": "told_to_wait"}
        return own.get(self.name, "cut anywhere")  # type: ignore[no-any-return]

    @property
    def stalls(self) -> bool:
        return self.name == "stall at" or (self.name in MODE_OF and MODE_OF[self.name].stalls)


class Leave(msgspec.Struct, frozen=True):
    """A client hangs up: so many seconds after it asked, or after so many bytes of the answer; whichever comes first."""

    after_s: float = 1e9
    after_bytes: int = NEVER
    reset: bool = False


class Ask(msgspec.Struct, frozen=True):
    """One request. `mark` stands in its prompt and is shared by twins; `plays` are the calls made for it, the last one again and again."""

    no: int
    surface: SurfaceName
    streamed: bool
    route: str
    mark: int
    plays: tuple[Play, ...] = (Play(),)
    gap_s: float = 0.0
    leave: Leave | None = None
    bad: BadAsk = ""
    cache: str = ""
    http10: bool = False
    prompt_bytes: int = 0
    cuts: int = 1

    def play(self, call_no: int) -> Play:
        return self.plays[min(call_no, len(self.plays)) - 1]


class Session(msgspec.Struct, frozen=True):
    """One client's connection and what it asks for there. `pace_s` and `quota_bytes` make it a slow reader; 0 is as fast as can be.

    `stalls_s`: from then on it reads nothing for so long, once.
    """

    no: int
    begins_s: float
    asks: tuple[Ask, ...]
    pipelined: bool = False
    pace_s: float = 0.0
    quota_bytes: int = NEVER
    stalls_s: tuple[float, float] = (0.0, 0.0)


class Event(msgspec.Struct, frozen=True):
    """swap: a new version of the plan. move: one in which `upstream` is another one. refuse, hang: nobody can connect to `upstream` for
    `lasts_s`. drain: the worker is to leave, and ends what is left after `lasts_s`.
    """

    no: int
    kind: Literal["swap", "move", "refuse", "hang", "drain"]
    at_s: float
    upstream: str = ""
    lasts_s: float = 0.0


class Setting(msgspec.Struct, frozen=True):
    """What does not change in the schedule."""

    upstreams: tuple[tuple[str, UpstreamDialect], ...]
    routes: tuple[Route, ...]
    breaker: BreakerLimits
    connections_max: int
    in_flight_max: int

    def plan(self, version: int = 1, moved: Collection[str] = ()) -> Plan:
        """A version of the plan, in which the moved upstreams have other limits, so other connections and circuits."""
        listed = tuple(
            Upstream(
                name, "acme", dialect, f"{name}.test", 80, False, BASE_PATHS.get(dialect, ""), "none", breaker=self.breaker,
                connections_max=self.connections_max + (version if name in moved else 0),
            )
            for name, dialect in self.upstreams
        )  # fmt: skip
        plan = Plan(1, version, WALL_NS, listed, self.routes, prices=PRICES)
        return msgspec.structs.replace(plan, limits=msgspec.structs.replace(plan.limits, in_flight_max=self.in_flight_max))

    def route(self, name: str) -> Route:
        return next(route for route in self.routes if route.model == name)

    def dialect(self, upstream: str) -> UpstreamDialect:
        return dict(self.upstreams)[upstream]

    @property
    def breaks(self) -> bool:
        return self.breaker.failures < NEVER


class Schedule(msgspec.Struct, frozen=True):
    seed: int
    setting: Setting
    sessions: tuple[Session, ...]
    events: tuple[Event, ...]

    @property
    def asks(self) -> Iterator[Ask]:
        for session in self.sessions:
            yield from session.asks

    @property
    def drains(self) -> bool:
        return any(event.kind == "drain" for event in self.events)

    def parts(self) -> list[str]:
        """Names of what can be left out, the largest first."""
        found = [f"session{session.no}" for session in self.sessions]
        found += [f"ask{ask.no}" for ask in self.asks]
        found += [f"event{event.no}" for event in self.events]
        found += [f"pace{session.no}" for session in self.sessions if session.pace_s or session.stalls_s[1] or session.pipelined]
        for ask in self.asks:
            found += [f"leave{ask.no}"] if ask.leave else []
            found += [f"cuts{ask.no}"] if ask.cuts > 1 else []
            found += [f"play{ask.no}.{no}" for no, play in enumerate(ask.plays) if play != Play()]
        return found

    def without(self, parts: Collection[str]) -> "Schedule":
        """The schedule without some of its parts; a play left out becomes a healthy answer."""
        sessions = [_session_without(session, parts) for session in self.sessions if f"session{session.no}" not in parts]
        return msgspec.structs.replace(
            self,
            sessions=tuple(session for session in sessions if session.asks),
            events=tuple(event for event in self.events if f"event{event.no}" not in parts),
        )


def _session_without(session: Session, parts: Collection[str]) -> Session:
    if f"pace{session.no}" in parts:
        session = msgspec.structs.replace(session, pace_s=0.0, stalls_s=(0.0, 0.0), pipelined=False)
    asks = tuple(_ask_without(ask, parts) for ask in session.asks if f"ask{ask.no}" not in parts)
    return msgspec.structs.replace(session, asks=asks)


def _ask_without(ask: Ask, parts: Collection[str]) -> Ask:
    plays = tuple(Play() if f"play{ask.no}.{no}" in parts else play for no, play in enumerate(ask.plays))
    leave = None if f"leave{ask.no}" in parts else ask.leave
    return msgspec.structs.replace(ask, plays=plays, leave=leave, cuts=1 if f"cuts{ask.no}" in parts else ask.cuts)
