"""`setpoint keys`: make, list, rotate and revoke gateway keys of a running gateway."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from setpoint.cli.exits import USAGE, end
from setpoint.cli.management import DEFAULT_URL, KeyOption, UrlOption, management
from setpoint.cli.output import Form, OutputOption, render, render_one

app = typer.Typer(help="Make, list, rotate and revoke gateway keys.", no_args_is_help=True, add_completion=False, rich_markup_mode=None)

COLUMNS = ("public_id", "name", "role", "project", "state", "rpm", "burst", "created_at", "expires_at")
PAGE = 1_000
TIME_S_MAX = 100 * 365 * 86_400
TIME_DIGITS_MAX = 10
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

PublicId = Annotated[str, typer.Argument(help="The public id, as `setpoint keys list` shows it.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    role: Annotated[str, typer.Option(help="admin, developer, viewer, billing, auditor or service.")] = "developer",
    project: Annotated[str, typer.Option(help="The project it belongs to.")] = "default",
    rpm: Annotated[int, typer.Option(help="Requests a minute; 0 is as the role has it.")] = 0,
    burst: Annotated[int, typer.Option(help="Requests at once after a pause; 0 is as the role has it.")] = 0,
    expires_in: Annotated[str | None, typer.Option(help="Like 90d, 12h or 30m; else it never expires.", show_default=False)] = None,
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
    output: OutputOption = "table",
) -> None:
    """Make a key. It is shown this once."""
    wanted = {"name": name, "role": role, "project": project, "rpm": rpm, "burst": burst}
    if expires_in:
        wanted["expires_at"] = (datetime.now(UTC) + timedelta(seconds=seconds(expires_in))).isoformat()
    _show_issued(management(url, key).ask("POST", "/api/v1/keys", wanted)["data"], output)


@app.command("list")
def list_keys(url: UrlOption = DEFAULT_URL, key: KeyOption = None, output: OutputOption = "table") -> None:
    """Show every key, oldest first."""
    gateway = management(url, key)
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = gateway.ask("GET", "/api/v1/keys?" + urlencode({"limit": PAGE} | ({"cursor": cursor} if cursor else {})))
        rows += page["data"]
        cursor = page["meta"]["cursor"]
    typer.echo(render(output, COLUMNS, rows))


@app.command()
def rotate(
    public_id: PublicId,
    overlap: Annotated[str, typer.Option(help="How long the present secret works on, like 1h or 0s.")] = "1h",
    url: UrlOption = DEFAULT_URL,
    key: KeyOption = None,
    output: OutputOption = "table",
) -> None:
    """Give a key another secret. It is shown this once."""
    path = f"/api/v1/keys/{quote(public_id, safe='')}:rotate"
    _show_issued(management(url, key).ask("POST", path, {"overlap_s": seconds(overlap)})["data"], output)


@app.command()
def revoke(public_id: PublicId, url: UrlOption = DEFAULT_URL, key: KeyOption = None) -> None:
    """End a key for good."""
    ended = management(url, key).ask("DELETE", f"/api/v1/keys/{quote(public_id, safe='')}")["data"]
    typer.echo(f"revoked {ended['public_id']} ({ended['name']})", err=True)


def seconds(text: str) -> int:
    """`90d`, `12h`, `30m`, `5s` or a number of seconds; anything else ends the command."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS_S else (text, "s")
    if not (number.isascii() and number.isdigit()):
        end(USAGE, f"{text!r} is not a time like 90d, 12h, 30m or 5s")
    found = int(number[:TIME_DIGITS_MAX]) * _UNITS_S[unit]
    if len(number) > TIME_DIGITS_MAX or found > TIME_S_MAX:
        end(USAGE, f"{text!r} is longer than a hundred years; leave it out for no end")
    return found


def _show_issued(issued: dict[str, Any], output: Form) -> None:
    """The token alone on stdout, so that it can go into a variable; what it is goes to stderr."""
    if output == "table":
        typer.echo(f"{issued['public_id']} ({issued['name']}, {issued['role']}); the key is shown this once:", err=True)
        typer.echo(issued["token"])
    else:
        typer.echo(render_one(output, (*COLUMNS, "token"), issued))
