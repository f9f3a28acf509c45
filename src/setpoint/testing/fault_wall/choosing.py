"""Which cells to ask for: all of them are more than a coffee break allows."""

from collections.abc import Iterable, Iterator, Sequence

from setpoint.testing.fault_wall.cells import Cell, cells
from setpoint.testing.fault_wall.modes import LEAVING, MODES, Mode
from setpoint.testing.fault_wall.surfaces import OWN_DIALECT, SurfaceName, UpstreamDialect

FOREIGN: dict[UpstreamDialect, UpstreamDialect] = {"openai_chat": "anthropic", "openai_responses": "anthropic"}
"""Whom a surface of this dialect is translated for when only one other dialect is asked; of all others, OpenAI's."""


def nearest(surface: SurfaceName, dialects: Sequence[UpstreamDialect]) -> tuple[UpstreamDialect, ...]:
    """A surface's own dialect and one other, as far as they are among `dialects`; the first of them if neither is."""
    own = OWN_DIALECT[surface]
    near = tuple(dialect for dialect in (own, FOREIGN.get(own, "openai_chat")) if dialect in dialects)
    return near or tuple(dialects[:1])


def chosen(
    surfaces: Iterable[SurfaceName], dialects: Sequence[UpstreamDialect], modes: Iterable[Mode] = (*MODES, *LEAVING), *, every_pair: bool
) -> Iterator[Cell]:
    """Every mode on every surface: with its own dialect and one other, or with every one."""
    listed = tuple(modes)
    for surface in surfaces:
        yield from cells(listed, (surface,), dialects if every_pair else nearest(surface, dialects))
