"""From a seed to a schedule. Most are a mixture of everything; some have a theme, so that what is rare in the mixture is common there."""

from collections.abc import Iterator
from random import Random
from typing import Any, get_args

import msgspec
from tests.simulation.schedule import MODEL, NEVER, Ask, Event, Leave, OwnPlay, Play, Schedule, Session, Setting

from setpoint.domain.plan import BreakerLimits, CachePolicy, Retries, Route, Target, Timeouts
from setpoint.testing.fault_wall.modes import MODES
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES, UNARY_ONLY, UPSTREAM_DIALECTS, SurfaceName, pairs

_WALL_PLAYS = {
    streamed: tuple(mode.name for mode in MODES if mode.of(streamed=streamed) not in (None, "recovers") and mode.name != "healthy")
    for streamed in (False, True)
}


class Theme(msgspec.Struct, frozen=True):
    """What is drawn from. `plays` None: everything; `healthy`: how many calls go well all the same."""

    sessions: tuple[int, ...] = (1, 1, 2, 3, 4)
    asks: tuple[int, ...] = (1, 1, 2, 3, 5)
    upstreams: tuple[int, ...] = (1, 2, 2, 3)
    connections: tuple[int, ...] = (1, 2, 64, 64, 64)
    frail: float = 0.4
    failures: tuple[int, ...] = (1, 2, 3)
    attempts: tuple[int, ...] = (1, 2, 3, 3, 4)
    streams: float = 0.55
    leaves: float = 0.2
    healthy: float = 0.35
    plays: tuple[str, ...] | None = None
    gap_s: float = 2.0
    slow: float = 0.15
    events: tuple[int, ...] = (0, 0, 0, 1, 2, 3)


MIXTURE = Theme()
CIRCUITS = Theme(
    sessions=(1, 2), asks=(6, 8), upstreams=(1, 1, 2), frail=1.0, failures=(1,), attempts=(1, 2), leaves=0.5, healthy=0.3,
    plays=("status 503", "reset_before_head", "wait first", "wait first", "cut at"), gap_s=1.2,
)  # fmt: skip
QUEUES = Theme(
    sessions=(3, 4, 6), asks=(1, 2), upstreams=(1,), connections=(1,), leaves=0.4, plays=("wait first", "stall at", "hang_before_head"),
    gap_s=0.3, healthy=0.5,
)  # fmt: skip
CUTS = Theme(streams=1.0, healthy=0.1, plays=("cut at", "reset at", "stall at", "split random"), events=(0,), asks=(1, 2, 3))
THEMES = (MIXTURE, MIXTURE, MIXTURE, MIXTURE, MIXTURE, CIRCUITS, QUEUES, CUTS)


def draw(seed: int) -> Schedule:
    """The schedule of a seed."""
    rng = Random(f"schedule {seed}")
    theme = rng.choice(THEMES)
    setting = _setting(rng, theme)
    drawn: list[Ask] = []
    sessions = tuple(_session(rng, theme, setting, no, drawn) for no in range(rng.choice(theme.sessions)))
    return Schedule(seed, setting, sessions, tuple(_events(rng, theme, setting)))


def _setting(rng: Random, theme: Theme) -> Setting:
    own = rng.choice(UPSTREAM_DIALECTS)
    names = [f"up{no}" for no in range(rng.choice(theme.upstreams))]
    upstreams = tuple((name, own if rng.random() < 0.5 else rng.choice(UPSTREAM_DIALECTS)) for name in names)
    routes = tuple(_route(rng, theme, f"r{no}", names) for no in range(rng.choice((1, 2))))
    breaker = BreakerLimits(NEVER)
    if rng.random() < theme.frail:
        breaker = BreakerLimits(rng.choice(theme.failures), rng.choice((1.0, 3.0)), rng.choice((1, 2)))
    return Setting(upstreams, routes, breaker, rng.choice(theme.connections), rng.choice((2, 10_000, 10_000, 10_000)))


def _route(rng: Random, theme: Theme, name: str, upstreams: list[str]) -> Route:
    targets = tuple(Target(upstream, MODEL, rng.choice((1.0, 3.0))) for upstream in rng.sample(upstreams, rng.randint(1, len(upstreams))))
    timeouts = Timeouts(
        connect_s=rng.choice((0.5, 1.0)), first_byte_s=rng.choice((0.6, 2.0)), idle_s=rng.choice((0.6, 1.5)),
        unary_total_s=rng.choice((3.0, 8.0)), stream_total_s=rng.choice((4.0, 10.0)),
    )  # fmt: skip
    retries = Retries(rng.choice(theme.attempts), rng.choice((0.05, 0.5)), 2.0, rng.choice((0.5, 2.0)))
    strategy: Any = rng.choice(("failover", "failover", "weighted", "round_robin", "cost", "latency", "least_busy", "hybrid"))
    return Route(name, targets, strategy, timeouts, retries, CachePolicy(mode=rng.choice(("off", "off", "all"))))


def _session(rng: Random, theme: Theme, setting: Setting, no: int, drawn: list[Ask]) -> Session:
    asks = tuple(_ask(rng, theme, setting, drawn) for _ in range(rng.choice(theme.asks)))
    slow, stalls = rng.random() < theme.slow, rng.random() < theme.slow / 2
    return Session(
        no, rng.choice((0.0, 0.0, rng.uniform(0, 3))), asks, rng.random() < 0.3, rng.choice((0.01, 0.05)) if slow else 0.0,
        rng.choice((64, 400)) if slow else NEVER, (rng.uniform(0, 2), rng.choice((0.5, 5.0, 60.0))) if stalls else (0.0, 0.0),
    )  # fmt: skip


def _ask(rng: Random, theme: Theme, setting: Setting, drawn: list[Ask]) -> Ask:
    if drawn and rng.random() < 0.15:
        twin = msgspec.structs.replace(rng.choice(drawn), no=len(drawn), gap_s=rng.choice((0.0, 0.3)), leave=_leave(rng, theme), cuts=1)
        drawn.append(twin)
        return twin
    route = rng.choice(setting.routes)
    surface = _surface(rng, setting, route)
    streamed = surface not in UNARY_ONLY and rng.random() < theme.streams
    plays = tuple(_play(rng, theme, streamed=streamed) for _ in range(rng.choice((1, 1, 2, 3, 4))))
    if rng.random() < 0.5:
        plays = (*plays, Play())
    ask = Ask(
        len(drawn), surface, streamed, route.model, len(drawn), plays,
        rng.choice((0.0, 0.0, rng.uniform(0, theme.gap_s))), _leave(rng, theme),
        rng.choice(("bad_key", "no_key", "no_model", "not_json", "no_body")) if rng.random() < 0.05 else "",
        rng.choice(("", "", "", "", "no-store", "no-cache", "ttl=60")), rng.random() < 0.05, rng.choice((0, 0, 0, 300, 70_000)),
        rng.choice((1, 1, 1, 2, 5)),
    )  # fmt: skip
    drawn.append(ask)
    return ask


def _surface(rng: Random, setting: Setting, route: Route) -> SurfaceName:
    dialects = [setting.dialect(target.upstream) for target in route.targets]
    return rng.choice([name for name in SURFACE_NAMES if all(pairs(name, dialect) for dialect in dialects)])


def _leave(rng: Random, theme: Theme) -> Leave | None:
    if rng.random() > theme.leaves:
        return None
    if rng.random() < 0.6:
        return Leave(rng.choice((0.0, rng.uniform(0, 0.1), rng.uniform(0, 3))), NEVER, rng.random() < 0.5)
    return Leave(1e9, rng.choice((1, 40, rng.randint(1, 3_000))), rng.random() < 0.5)


def _play(rng: Random, theme: Theme, *, streamed: bool) -> Play:
    gap_s = rng.choice((0.0, 0.0, 0.01, 0.2))
    if rng.random() < theme.healthy:
        return Play(gap_s=gap_s)
    names = theme.plays or (get_args(OwnPlay) if rng.random() < 0.3 else _WALL_PLAYS[streamed])
    return Play(rng.choice(names), rng.random(), rng.choice((0.3, 1.0, 2.0)), gap_s)


def _events(rng: Random, theme: Theme, setting: Setting) -> Iterator[Event]:
    names = [name for name, _ in setting.upstreams]
    for no in range(rng.choice(theme.events)):
        kind: Any = rng.choice(("swap", "swap", "move", "refuse", "hang", "drain"))
        yield Event(no, kind, rng.uniform(0, 4), rng.choice(names), rng.choice((0.3, 1.0, 4.0)))
