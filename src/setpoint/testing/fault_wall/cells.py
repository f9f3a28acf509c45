"""The cells of the wall: which mode is asked for by which surface, of which provider, streamed or not, alone or beside a healthy one."""

from collections.abc import Iterable, Iterator

import msgspec

from setpoint.testing.fault_wall.modes import LEAVING, FaultClass, Mode
from setpoint.testing.fault_wall.rules import RULES, Rule
from setpoint.testing.fault_wall.surfaces import UNARY_ONLY, SurfaceName, UpstreamDialect, pairs

_BY_FIRST_LINE = frozenset({"comments", "bom"})
"""Modes that only streams of server-sent events can show."""
_NO_EVENTS: frozenset[UpstreamDialect] = frozenset({"bedrock_converse", "ollama"})
_STATUSES: dict[UpstreamDialect, frozenset[int]] = {
    "gemini": frozenset({400, 401, 403, 404, 429, 500, 503, 504}),
    "bedrock_converse": frozenset({400, 403, 404, 408, 424, 429, 500, 503}),
}
"""Statuses for which these vendors' own errors have names; they send no others (what stands before them does, as HTML)."""


class Cell(msgspec.Struct, frozen=True):
    """`spared`: the gateway has a healthy provider of the same dialect to fall back to."""

    mode: Mode
    surface: SurfaceName
    dialect: UpstreamDialect
    streamed: bool
    spared: bool = False

    @property
    def fault_class(self) -> FaultClass:
        found = self.mode.of(streamed=self.streamed)
        assert found is not None  # `cells` makes no others
        return found

    @property
    def rule(self) -> Rule:
        return RULES[self.fault_class]

    @property
    def leaves(self) -> bool:
        """Whether it is the client that goes away."""
        return self.mode in LEAVING

    def __str__(self) -> str:
        form = "stream" if self.streamed else "unary"
        return f"{self.mode.name} · {self.surface} {form} · {self.dialect}{' + spare' if self.spared else ''}"


def cells(
    modes: Iterable[Mode], surfaces: Iterable[SurfaceName], dialects: Iterable[UpstreamDialect], spared: Iterable[bool] = (False, True)
) -> Iterator[Cell]:
    """Every combination that can occur."""
    surfaces, dialects, spared = tuple(surfaces), tuple(dialects), tuple(spared)
    for mode in modes:
        for surface in surfaces:
            for dialect in dialects:
                for streamed in (False, True):
                    if _occurs(mode, surface, dialect, streamed=streamed):
                        yield from (Cell(mode, surface, dialect, streamed, one) for one in spared if not (one and mode in LEAVING))


def _occurs(mode: Mode, surface: SurfaceName, dialect: UpstreamDialect, *, streamed: bool) -> bool:
    if mode.of(streamed=streamed) is None or not pairs(surface, dialect) or (streamed and surface in UNARY_ONLY):
        return False
    if mode.says is not None and mode.says.status not in _STATUSES.get(dialect, {mode.says.status}):
        return False
    return not (mode.name in _BY_FIRST_LINE and dialect in _NO_EVENTS)
