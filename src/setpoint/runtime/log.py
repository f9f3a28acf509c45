"""Structured log lines: {timestamp, level, target, message, fields}, as JSON or for a person.

Standard library only, so that every process of the tree can afford it. One line is one write, so lines of several processes on the same
stderr never mix. Values whose name says that they are secret are masked here, whoever logs them.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable
from typing import Literal

from setpoint.runtime.clock import rfc3339

Level = Literal["trace", "debug", "info", "warn", "error"]
LEVELS: tuple[Level, ...] = ("trace", "debug", "info", "warn", "error")
VALUE_CHARS_MAX = 4_096
"""A longer value is cut; a log line is no place for a body."""

_SECRET_NAME = re.compile(r"(secret|token|password|api_?key|authorization|pepper|kek|credential)", re.IGNORECASE)
_SECRET_TEXT = re.compile(r"(sk-[A-Za-z0-9]{2,}-)[A-Za-z0-9_\-]{8,}|(Bearer\s+)\S+")
_COLOUR = {"trace": "2", "debug": "2", "info": "32", "warn": "33", "error": "31"}

Write = Callable[[str], None]


class Log:
    """Writes the lines of one part of the program. `target` names the part."""

    __slots__ = ("_pretty", "_threshold", "_write", "target")

    def __init__(self, target: str, level: Level = "info", pretty: bool = False, write: Write | None = None) -> None:
        self.target = target
        self._threshold = LEVELS.index(level)
        self._pretty = pretty
        self._write = write or _to_stderr

    def child(self, target: str) -> "Log":
        """A log of another part that goes to the same place."""
        return Log(target, LEVELS[self._threshold], self._pretty, self._write)

    def debug(self, message: str, **fields: object) -> None:
        self._line("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        self._line("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        self._line("warn", message, fields)

    def error(self, message: str, **fields: object) -> None:
        self._line("error", message, fields)

    def _line(self, level: Level, message: str, fields: dict[str, object]) -> None:
        if LEVELS.index(level) < self._threshold:
            return
        shown = {name: masked(name, value) for name, value in fields.items()}
        render = _pretty_line if self._pretty else _json_line
        self._write(render(rfc3339(time.time_ns()), level, self.target, _mask_text(message), shown))


def masked(name: str, value: object) -> object:
    """The value as it may be logged: secrets by name become `***`, key-shaped text is cut, long text is shortened."""
    if _SECRET_NAME.search(name):
        return "***"
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(name, item) for item in value]
    if isinstance(value, dict):
        return {str(key): masked(str(key), item) for key, item in value.items()}
    return _mask_text(str(value))[:VALUE_CHARS_MAX]


def _mask_text(text: str) -> str:
    return _SECRET_TEXT.sub(lambda found: (found[1] or found[2]) + "***", text)


def _json_line(timestamp: str, level: Level, target: str, message: str, fields: dict[str, object]) -> str:
    line = {"timestamp": timestamp, "level": level, "target": target, "message": message, "fields": fields}
    return json.dumps(line, ensure_ascii=False, default=str) + "\n"


def _pretty_line(timestamp: str, level: Level, target: str, message: str, fields: dict[str, object]) -> str:
    tail = "".join(f" {name}={value}" for name, value in fields.items())
    if not sys.stderr.isatty():
        return f"{timestamp[11:23]} {level:<5} {target:<12} {message}{tail}\n"
    return f"{timestamp[11:23]} \x1b[{_COLOUR[level]}m{level:<5}\x1b[0m {target:<12} {message}\x1b[2m{tail}\x1b[0m\n"


def _to_stderr(line: str) -> None:
    """A log that cannot be written is dropped: a full disk or a closed terminal must not stop traffic."""
    try:
        os.write(sys.stderr.fileno(), line.encode("utf-8", "replace"))
    except (OSError, ValueError):
        return
