"""What came of a wall, for people and for programs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from setpoint.testing.fault_wall.modes import LEAVING, MODES, FaultClass
from setpoint.testing.fault_wall.rules import RULES
from setpoint.testing.fault_wall.surfaces import SURFACE_NAMES, SurfaceName
from setpoint.testing.fault_wall.verdict import Result

MISSES_SHOWN = 25
Column = tuple[SurfaceName, bool]
_SHORT: dict[SurfaceName, str] = {"completions": "complet.", "embeddings": "embed.", "responses": "respon."}


def table(results: Sequence[Result]) -> list[str]:
    """A row a mode, a column a surface, unary and streamed; each cell says how many of those asked for met the rule."""
    columns = [(surface, streamed) for surface in SURFACE_NAMES for streamed in (False, True)]
    columns = [column for column in columns if any(_column(result) == column for result in results)]
    rows = [["", *(_SHORT.get(surface, surface) for surface, _ in columns)], ["", *("stream" if s else "unary" for _, s in columns)]]
    for mode in (*MODES, *LEAVING):
        mine = [result for result in results if result.cell.mode is mode]
        if mine:
            rows.append([mode.name, *(_count([result for result in mine if _column(result) == column]) for column in columns)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def by_rule(results: Iterable[Result]) -> list[str]:
    """A line a rule: what it asks for, and how often it was met."""
    lines = []
    for name, mine in _by_class(results):
        met = sum(not result.misses for result in mine)
        lines.append(f"{met:>6} of {len(mine):<6} {name:<13} {_WHY.get(name) or RULES[name].why}")  # type: ignore[index]  # a class else
    return lines


_WHY = {"client leaves": "the provider is let go of within a second, and not called again"}


def _by_class(results: Iterable[Result]) -> Iterator[tuple[str, list[Result]]]:
    listed = list(results)
    names: tuple[FaultClass, ...] = tuple(RULES)
    for name in names:
        mine = [result for result in listed if not result.cell.leaves and result.cell.fault_class == name]
        if mine:
            yield name, mine
    leaving = [result for result in listed if result.cell.leaves]
    if leaving:
        yield "client leaves", leaving


def shown_misses(results: Iterable[Result], most: int = MISSES_SHOWN) -> list[str]:
    """The first misses, one line each."""
    missed = [result for result in results if result.misses]
    lines = [f"{result.cell}: {'; '.join(result.misses)}" for result in missed[:most]]
    return [*lines, f"... and {len(missed) - most} more; --json FILE has all of them"] if len(missed) > most else lines


def document(results: Sequence[Result], unended: Sequence[str], unserved: dict[tuple[str, str], str]) -> dict[str, Any]:
    """All of it."""
    return {
        "met": sum(not result.misses for result in results),
        "asked": len(results),
        "calls_never_ended": list(unended),
        "not_served": [{"surface": surface, "dialect": dialect, "why": why} for (surface, dialect), why in unserved.items()],
        "rules": {name: rule.why for name, rule in RULES.items()},
        "cells": [_row(result) for result in results],
    }


def as_json(results: Sequence[Result], unended: Sequence[str], unserved: dict[tuple[str, str], str]) -> str:
    return json.dumps(document(results, unended, unserved), indent=1, ensure_ascii=False)


def _row(result: Result) -> dict[str, Any]:
    cell = result.cell
    return {
        "mode": cell.mode.name, "rule": "client leaves" if cell.leaves else cell.fault_class, "surface": cell.surface,
        "stream": cell.streamed, "dialect": cell.dialect, "spare": cell.spared, "ending": result.ending, "status": result.status,
        "calls": result.broken_calls, "spare_calls": result.spare_calls, "took_s": round(result.took_s, 4), "misses": result.misses,
    }  # fmt: skip


def _column(result: Result) -> Column:
    return result.cell.surface, result.cell.streamed


def _count(results: list[Result]) -> str:
    if not results:
        return ""
    met = sum(not result.misses for result in results)
    return f"{met}" if met == len(results) else f"{met}/{len(results)}!"
