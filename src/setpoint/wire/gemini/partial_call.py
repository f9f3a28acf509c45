"""A function call whose arguments come in pieces, each for a place named by a JSON path
(https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/function-calling, `streamFunctionCallArguments`).

    {"name": "look", "willContinue": true}
    {"partialArgs": [{"jsonPath": "$.city", "stringValue": "Bos", "willContinue": true}], "willContinue": true}
    {"partialArgs": [{"jsonPath": "$.city", "stringValue": "ton"}], "willContinue": true}
    {}
"""

import itertools
import re

import msgspec

from setpoint.wire.gemini.shapes import PartialArg

_STEP = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\[(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\]""")
_encode = msgspec.json.Encoder().encode

STEPS_MAX = 64
"""The deepest place a path may name; a longer path is left out."""

Container = dict[str, object] | list[object]


class PartialArguments:
    """The arguments so far. A list grows by one item at a time, whatever number a path names."""

    __slots__ = ("_continued", "_root", "given")

    def __init__(self) -> None:
        self._root: dict[str, object] = {}
        self._continued: set[str] = set()
        self.given = False

    def add(self, piece: PartialArg) -> None:
        steps = _steps(piece.json_path or "")
        if not steps or len(steps) > STEPS_MAX:
            return
        self.given = True
        container: Container = self._root
        for step, following in itertools.pairwise(steps):
            container = _inner(container, step, following)
        before = _get(container, steps[-1]) if piece.json_path in self._continued else None
        value = _value(piece)
        if isinstance(before, str) and isinstance(value, str):
            value = before + value
        _put(container, steps[-1], value)
        if piece.will_continue and piece.json_path:
            self._continued.add(piece.json_path)
        else:
            self._continued.discard(piece.json_path or "")

    def json(self) -> str:
        return _encode(self._root).decode()


def _steps(path: str) -> list[str | int]:
    """`$.a[0]['b']` as ["a", 0, "b"]; empty when it is no path."""
    if not path.startswith("$"):
        return []
    found: list[str | int] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            return []
        name, number, single, double = match.groups()
        quoted = single if single is not None else double
        found.append(int(number) if number else name if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        at = match.end()
    return found if found and isinstance(found[0], str) else []


def _value(piece: PartialArg) -> object:
    if piece.string_value is not None:
        return piece.string_value
    return piece.bool_value if piece.bool_value is not None else piece.number_value


def _inner(container: Container, step: str | int, following: str | int) -> Container:
    found = _get(container, step)
    if isinstance(found, list if isinstance(following, int) else dict):
        return found
    made: Container = [] if isinstance(following, int) else {}
    _put(container, step, made)
    return made


def _get(container: Container, step: str | int) -> object:
    if isinstance(container, list):
        return container[step] if isinstance(step, int) and step < len(container) else None
    return container.get(str(step))


def _put(container: Container, step: str | int, value: object) -> None:
    if isinstance(container, dict):
        container[str(step)] = value
    elif isinstance(step, int) and step < len(container):
        container[step] = value
    else:
        container.append(value)
