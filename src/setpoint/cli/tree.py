"""Commands that ask or tell the supervisor of a running gateway: status, roll, reload, stop; and version."""

import time
from typing import Any

import typer

from setpoint import __version__
from setpoint.app.ctl_client import SupervisorGoneError, ask
from setpoint.app.data_directory import is_locked
from setpoint.cli.configuration import ConfigOption, SetOption, settings_of, source_of
from setpoint.cli.exits import FAILED, REFUSED, UNREACHABLE, end
from setpoint.cli.output import OutputOption, render

ROLL_TIMEOUT_S = 120.0
RELOAD_TIMEOUT_S = 30.0
STOP_MARGIN_S = 5.0
"""Beyond the tree's own deadline, at which it kills what is left."""
LOOK_S = 0.05
_COLUMNS = ("name", "state", "pid", "restarts", "uptime_s")


def status(config: ConfigOption = None, overrides: SetOption = None, output: OutputOption = "table") -> None:
    found = _ask(config, overrides, "status")
    typer.echo(f"{found['state']}, process {found['pid']}, version {found['version']}", err=True)
    typer.echo(render(output, _COLUMNS, found["services"]))


def roll(config: ConfigOption = None, overrides: SetOption = None) -> None:
    found = _ask(config, overrides, "roll", ROLL_TIMEOUT_S)
    if found["error"]:
        end(FAILED, found["error"])
    typer.echo(f"replaced {found['rolled']} workers", err=True)


def reload(config: ConfigOption = None, overrides: SetOption = None) -> None:
    found = _ask(config, overrides, "reload", RELOAD_TIMEOUT_S)
    if found["error"]:
        end(FAILED, found["error"])
    if found["problems"]:
        end(REFUSED, "\n  ".join(["the configuration cannot be used; the one in use stays:", *found["problems"]]))
    typer.echo(f"configuration read again, now at version {found['version']}", err=True)
    if found["restart_needed"]:
        typer.echo(f"these sections count after the next start only: {', '.join(found['restart_needed'])}", err=True)


def stop(config: ConfigOption = None, overrides: SetOption = None) -> None:
    data_dir = settings_of(source_of(config, overrides)).data_dir
    found = _ask(config, overrides, "stop")
    typer.echo("stopping", err=True)
    until_s = time.monotonic() + found["stop_s"] + STOP_MARGIN_S
    while is_locked(data_dir):
        if time.monotonic() > until_s:
            end(FAILED, f"it has not ended within {found['stop_s'] + STOP_MARGIN_S:g} s; its log says what it waits for")
        time.sleep(LOOK_S)
    typer.echo("stopped", err=True)


def version() -> None:
    typer.echo(__version__)


def _ask(config: Any, overrides: list[str] | None, request: str, timeout_s: float = 10.0) -> dict[str, Any]:
    settings = settings_of(source_of(config, overrides))
    try:
        return ask(settings.data_dir, request, timeout_s)
    except SupervisorGoneError as gone:
        end(UNREACHABLE, str(gone))
