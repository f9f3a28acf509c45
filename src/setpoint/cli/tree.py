"""Commands that ask or tell the supervisor of a running gateway: status, roll, reload, stop; and version."""

from typing import Any

import typer

from setpoint import __version__
from setpoint.app.ctl_client import SupervisorGoneError, ask
from setpoint.cli.configuration import ConfigOption, SetOption, settings_of, source_of
from setpoint.cli.exits import FAILED, UNREACHABLE, end
from setpoint.cli.output import OutputOption, render

ROLL_TIMEOUT_S = 120.0
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
    _ask(config, overrides, "reload")
    typer.echo("told the engine to read its configuration again; its log says what came of it", err=True)


def stop(config: ConfigOption = None, overrides: SetOption = None) -> None:
    _ask(config, overrides, "stop")
    typer.echo("stopping", err=True)


def version() -> None:
    typer.echo(__version__)


def _ask(config: Any, overrides: list[str] | None, request: str, timeout_s: float = 10.0) -> dict[str, Any]:
    settings = settings_of(source_of(config, overrides))
    try:
        return ask(settings.data_dir, request, timeout_s)
    except SupervisorGoneError as gone:
        end(UNREACHABLE, str(gone))
