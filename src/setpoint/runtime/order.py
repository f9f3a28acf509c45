"""In which order services start: each after all it depends on. They stop in reverse."""

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter


class UnorderableError(ValueError):
    """The dependencies cannot be ordered; the message names the services."""


def start_order(depends_on: Mapping[str, Collection[str]]) -> list[str]:
    """Names so that each follows everything it depends on; equal ones in the order given.

    Raises UnorderableError for a cycle (with its members in order) and for a dependency that nobody declares.
    """
    for name, needs in depends_on.items():
        for need in needs:
            if need not in depends_on:
                raise UnorderableError(f"service {name} depends on {need}, which is not a service")
    try:
        return list(TopologicalSorter(depends_on).static_order())
    except CycleError as cycle:
        raise UnorderableError("services depend on each other in a circle: " + " -> ".join(reversed(cycle.args[1]))) from None
