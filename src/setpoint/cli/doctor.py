"""`setpoint doctor`: looks at everything that has to be right, says what is not and what to do. Exit 1 when something is wrong."""

from typing import Annotated

import typer

from setpoint.app.diagnosis import Finding, examine
from setpoint.cli.configuration import ConfigOption, ProfileOption, SetOption, source_of
from setpoint.cli.exits import FAILED
from setpoint.cli.output import OutputOption, render

COLUMNS = ("check", "verdict", "found", "advice")


def doctor(
    config: ConfigOption = None,
    overrides: SetOption = None,
    profile: ProfileOption = None,
    providers: Annotated[bool, typer.Option("--providers", help="Also connect to every provider.")] = False,
    output: OutputOption = "table",
) -> None:
    findings = examine(source_of(config, overrides, profile), providers)
    typer.echo(render(output, COLUMNS, [as_row(finding) for finding in findings]))
    wrong = [finding for finding in findings if finding.verdict == "wrong"]
    typer.echo("all is well" if not wrong else f"{len(wrong)} of {len(findings)} checks found something wrong", err=True)
    raise typer.Exit(FAILED if wrong else 0)


def as_row(finding: Finding) -> dict[str, str]:
    return {"check": finding.check, "verdict": finding.verdict, "found": finding.found, "advice": finding.advice}
