"""The command `setpoint`. Each command's module is imported only when that command runs, so that `serve` starts at once.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 unreachable, 4 refused.
"""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import typer
import typer.core
import typer.main

COMMANDS: Mapping[str, tuple[str, str]] = {
    "serve": ("setpoint.cli.serve", "Run the gateway."),
    "init": ("setpoint.cli.init", "Write a commented setpoint.yaml and a key file."),
    "doctor": ("setpoint.cli.doctor", "Check configuration, data directory, ports and a running gateway."),
    "status": ("setpoint.cli.tree", "Show the processes of a running gateway."),
    "roll": ("setpoint.cli.tree", "Replace the workers of a running gateway without losing a request."),
    "stop": ("setpoint.cli.tree", "Stop a running gateway gracefully."),
    "reload": ("setpoint.cli.tree", "Have a running gateway read its configuration again."),
    "keys": ("setpoint.cli.keys", "Make, list, rotate and revoke gateway keys."),
    "traces": ("setpoint.cli.traces", "List, show and follow traces."),
    "local": ("setpoint.cli.local", "The local model."),
    "demo": ("setpoint.cli.demo", "Start the gateway and send it a first request."),
    "bench": ("setpoint.cli.bench", "Measure this gateway."),
    "version": ("setpoint.cli.tree", "Print the version."),
}
"""Name: module and one line of help. A module has either a Typer `app` or a function of the command's name."""


class LazyCommands(typer.core.TyperGroup):
    """A group that knows its commands by name and imports one only to run it."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  the signature is Typer's; so below
        return [name for name, (module, _) in COMMANDS.items() if find_spec(module)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS or not find_spec(COMMANDS[cmd_name][0]):
            return None
        command = typer.main.get_command(_app_of(cmd_name))
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The overview, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in self.list_commands(ctx)])


def _app_of(name: str) -> typer.Typer:
    module = import_module(COMMANDS[name][0])
    if hasattr(module, "app"):
        found: typer.Typer = module.app
        return found
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, help=COMMANDS[name][1])(getattr(module, name))
    return single


app = typer.Typer(
    cls=LazyCommands,
    help="Setpoint: the LLM gateway that holds the numbers you set.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _setpoint() -> None:
    """Its presence makes Typer build a group even while no command is registered eagerly."""


def main() -> None:
    """The console script."""
    app()
