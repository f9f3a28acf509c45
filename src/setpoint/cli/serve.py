"""`setpoint serve`: start the process tree and stay until told to stop."""

from typing import Annotated

import typer

from setpoint.app.checking import problems_of
from setpoint.app.composition import services, tree_options
from setpoint.app.config_template import config_template
from setpoint.app.data_directory import DataDirectoryError
from setpoint.app.key_file import KeyFileError, load_or_make
from setpoint.app.listeners import Bound, ListenError
from setpoint.app.settings import Settings, SettingsError
from setpoint.app.supervisor import serve as serve_tree
from setpoint.app.tls import problem_with
from setpoint.app.tree import ConfigSource
from setpoint.cli.configuration import ConfigOption, ProfileOption, SetOption, settings_of, source_of
from setpoint.cli.exits import FAILED, REFUSED, USAGE, end
from setpoint.runtime.log import LEVELS, Level, Log

OWN = ("sim", "local")
"""Providers that are processes of this tree."""
HOW_TO_ADD = (
    "Only simulated and local models are configured. To add a real provider:",
    "    export OPENAI_API_KEY=...         (or ANTHROPIC_API_KEY, ...) and start again,",
    "    or add it under `providers:` in setpoint.yaml (`setpoint init` writes one).",
)


def serve(
    config: ConfigOption = None,
    log_level: Annotated[str | None, typer.Option("--log-level", "-l", help="debug, info, warn or error.", show_default=False)] = None,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="Log JSON lines whatever the profile says.")] = False,
    validate_config: Annotated[bool, typer.Option("--validate-config", help="Check the configuration and end.")] = False,
    print_default_config: Annotated[bool, typer.Option("--print-default-config", help="Print a commented configuration and end.")] = False,
    overrides: SetOption = None,
    profile: ProfileOption = None,
) -> None:
    """Run the gateway."""
    if print_default_config:
        typer.echo(config_template(), nl=False)
        return
    source = source_of(config, overrides, profile)
    settings = settings_of(source)
    if problems := problems_of(settings, settings.data_dir):
        end(USAGE, str(SettingsError(problems)))
    if validate_config:
        typer.echo(f"{source.path or 'the default configuration'} is valid", err=True)
        return
    raise typer.Exit(_run(settings, source, _level(log_level, settings), settings.log_pretty and not json_logs))


def _run(settings: Settings, source: ConfigSource, level: Level, pretty: bool) -> int:
    try:
        keyring = load_or_make(settings, source.path)
        options = tree_options(settings, keyring, source, level, pretty)
        if options.tls and (problem := problem_with(options.tls)):
            end(USAGE, problem)
        log = Log("supervisor", level, pretty)
        return serve_tree(options, log, lambda bound, shown: _greet(settings, source, bound, shown), _say)
    except (DataDirectoryError, KeyFileError) as error:
        end(REFUSED, str(error))
    except ListenError as error:
        end(FAILED, str(error))


def _level(given: str | None, settings: Settings) -> Level:
    wanted = (given or settings.observability.log.level).lower().replace("warning", "warn")
    level = next((known for known in LEVELS if known == wanted), None)
    if level is None:
        end(USAGE, f"--log-level {given} is not one of {', '.join(LEVELS)}")
    return level


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _greet(settings: Settings, source: ConfigSource, listeners: tuple[Bound, ...], shown: list[str]) -> None:
    """What a person wants to know first, once the gateway serves."""
    for line in greeting(settings, source, listeners, shown):
        _say(line)


def greeting(settings: Settings, source: ConfigSource, listeners: tuple[Bound, ...], shown: list[str]) -> list[str]:
    """The lines to say. `shown` is what the engine wants to have said, such as the first admin key."""
    real = [name for name, provider in settings.providers.items() if provider.enabled and name not in OWN]
    own = [spec.name for spec in services(settings) if spec.name in OWN]
    lines = [
        "",
        f"Setpoint serves {url_of(settings, listeners)}",
        f"    configuration  {source.path or 'defaults (no setpoint.yaml here)'}",
        f"    data           {settings.data_dir}",
        f"    providers      {', '.join([*real, *own]) or 'none'}",
        *(f"    {line}" for line in shown),
        *(f"    notice         {notice}" for notice in settings.notices),
    ]
    return [*lines, *([] if real else HOW_TO_ADD), ""]


def url_of(settings: Settings, listeners: tuple[Bound, ...]) -> str:
    """The base URL as a client on this machine would write it."""
    main = next(bound for bound in listeners if bound.purpose == "main")
    host = "127.0.0.1" if main.host in ("0.0.0.0", "::", "") else main.host  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    return f"{'https' if settings.server.tls.cert else 'http'}://{host}:{main.port}"
