"""The options that say which configuration a command works with, and loading it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from setpoint.app.settings import Settings, SettingsError, load_settings
from setpoint.app.tree import ConfigSource
from setpoint.cli.exits import USAGE, end

DEFAULT_FILES = ("setpoint.yaml", "setpoint.yml", "setpoint.toml")

_CONFIG = typer.Option("--config", "-c", help="Configuration file. Default: setpoint.yaml or .toml here, if any.", show_default=False)
_SET = typer.Option("--set", help="section.key=value; wins over file and environment.", show_default=False)
ConfigOption = Annotated[Path | None, _CONFIG]
SetOption = Annotated[list[str] | None, _SET]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="development, staging or production.", show_default=False)]


def source_of(config: Path | None, overrides: list[str] | None = None, profile: str | None = None) -> ConfigSource:
    """Which file and flags; a file that is named must be there."""
    if config is None:
        found = next((Path(name) for name in DEFAULT_FILES if Path(name).is_file()), None)
    else:
        found = config
        if not config.is_file():
            end(USAGE, f"there is no file {config}. `setpoint init` writes one.")
    return ConfigSource(found.resolve() if found else None, tuple(overrides or ()), profile)


def settings_of(source: ConfigSource) -> Settings:
    """The settings, or every mistake in them and the end of the command."""
    try:
        return load_settings(source.path, os.environ, source.overrides, source.profile)
    except SettingsError as error:
        end(USAGE, str(error))
