"""`setpoint init`: a configuration file to start from, and the key file that belongs to it."""

from pathlib import Path
from typing import Annotated

import typer

from setpoint.app import key_file
from setpoint.app.config_template import config_template
from setpoint.cli.exits import FAILED, REFUSED, end


def init(path: Annotated[Path, typer.Argument(help="The file to write.")] = Path("setpoint.yaml")) -> None:
    """Write a commented configuration and a key file; neither is ever replaced."""
    key = path.resolve().parent / key_file.NAME
    for taken in (path, key):
        if taken.exists():
            end(REFUSED, f"{taken} is there already and is not replaced. Name another file, or remove it first.")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(config_template())
        key_file.make(key)
    except (OSError, key_file.KeyFileError) as error:
        end(FAILED, f"cannot write: {error}")
    typer.echo(f"wrote {path} and {key} (keep a copy of the key file, apart from the data). Next: setpoint serve -c {path}", err=True)
