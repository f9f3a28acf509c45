"""How a command ends when it cannot do what was asked: one line to stderr, and an exit code that scripts can tell apart."""

from typing import NoReturn

import typer

FAILED = 1
USAGE = 2
UNREACHABLE = 3
REFUSED = 4


def end(code: int, message: str) -> NoReturn:
    """Says `message` to the person and ends with `code`."""
    typer.echo(f"setpoint: {message}", err=True)
    raise typer.Exit(code)
