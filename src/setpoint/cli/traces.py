"""`setpoint traces list|get|tail`: traces of a running gateway, over its management interface."""

import csv
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPResponse
from typing import Annotated, Any, Literal

import typer
import yaml

from setpoint.cli.exits import UNREACHABLE, USAGE, end
from setpoint.cli.management import exit_code, management

COLUMNS = "start_time,id,status,model,provider,duration_ms,input_tokens,output_tokens,cost"
TIMEOUT_S = 35.0
TAIL_TIMEOUT_S = 60.0
"""The server sends a comment every 15 s, so silence for longer means that it is gone."""

Output = Literal["table", "json", "yaml", "csv"]
UrlOption = Annotated[str, typer.Option("--url", envvar="SETPOINT_URL", help="The gateway's base URL.")]
KeyOption = Annotated[str, typer.Option("--key", envvar="SETPOINT_KEY", help="A gateway key with the role admin.")]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="table, json, yaml or csv.")]
FilterOption = Annotated[
    list[str] | None,
    typer.Option(
        "--filter", "-f", metavar="NAME=VALUE", help="For example model=gpt-4o, outcome=fault, status=429, min_cost=0.01. Repeatable."
    ),
]
URL = "http://127.0.0.1:8080"
_SPELT = {"key": "key_id"}
"""The column is called `key`; in an address that name belongs to a credential."""

app = typer.Typer(help="List, show and follow traces.", no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.command("list")
def list_traces(
    filters: FilterOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many.")] = 20,
    sort: Annotated[str, typer.Option("--sort", help="-start_time, start_time, -cost, cost, -latency, latency.")] = "-start_time",
    fields: Annotated[str, typer.Option("--fields", help="Columns, separated by commas.")] = COLUMNS,
    output: OutputOption = "table",
    url: UrlOption = URL,
    key: KeyOption = "",
) -> None:
    """The latest traces, or the dearest, or the slowest."""
    parameters = {**_filters(filters), "limit": str(limit), "sort": sort, "fields": fields}
    with _open(url, "/api/v1/traces", parameters, key) as answer:
        page = json.load(answer)
    typer.echo(rendered(page["data"], fields.split(","), output), nl=False)
    if page["meta"].get("cursor"):
        typer.echo(f"there are more; -n gives up to 1000, or go on with -f cursor={page['meta']['cursor']}", err=True)


@app.command("get")
def get_trace(
    trace_id: Annotated[str, typer.Argument(help="Request id, trace id, or the client's own request id.")],
    output: OutputOption = "json",
    url: UrlOption = URL,
    key: KeyOption = "",
) -> None:
    """One trace with attempts, usage, prompt and answer."""
    with _open(url, f"/api/v1/traces/{urllib.parse.quote(trace_id, safe='')}", {}, key) as answer:
        trace = json.load(answer)
    if output in ("json", "yaml"):
        typer.echo(rendered([trace], [], output, single=True), nl=False)
        return
    rows = [{"field": name, "value": value} for name, value in trace.items()]
    typer.echo(rendered(rows, ["field", "value"], output), nl=False)


@app.command("tail")
def tail_traces(
    filters: FilterOption = None,
    fields: Annotated[str, typer.Option("--fields", help="Columns, separated by commas.")] = COLUMNS,
    output: OutputOption = "table",
    url: UrlOption = URL,
    key: KeyOption = "",
) -> None:
    """New traces as they come, until interrupted."""
    with _open(url, "/api/v1/traces/tail", {**_filters(filters), "fields": fields}, key, TAIL_TIMEOUT_S) as answer:
        try:
            for trace in events(answer):
                typer.echo(_one_line(trace, fields.split(","), output), nl=False)
        except (OSError, HTTPException) as gone:
            end(UNREACHABLE, f"{url} has ended the stream: {gone}")
        except KeyboardInterrupt:
            return
    end(UNREACHABLE, f"{url} has ended the stream")


def events(lines: Iterator[bytes] | HTTPResponse) -> Iterator[dict[str, Any]]:
    """The traces in a stream of server-sent events."""
    kind = ""
    for line in lines:
        text = line.decode().rstrip("\r\n")
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: ") and kind == "trace":
            yield json.loads(text.removeprefix("data: "))


def rendered(rows: list[dict[str, Any]], columns: list[str], output: Output, *, single: bool = False) -> str:
    """Rows as text that ends with a newline."""
    if output == "json":
        return json.dumps(rows[0] if single else rows, indent=2, ensure_ascii=False) + "\n"
    if output == "yaml":
        return yaml.safe_dump(rows[0] if single else rows, sort_keys=False, allow_unicode=True)
    cells = [[_cell(row, name) for name in columns] for row in rows]
    if output == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([columns, *cells])
        return text.getvalue()
    table = [[name.upper() for name in columns], *cells]
    widths = [max(len(line[at]) for line in table) for at in range(len(columns))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in table)


def _one_line(trace: dict[str, Any], columns: list[str], output: Output) -> str:
    if output == "json":
        return json.dumps(trace, ensure_ascii=False) + "\n"
    if output == "yaml":
        return "---\n" + yaml.safe_dump(trace, sort_keys=False, allow_unicode=True)
    separator = "," if output == "csv" else "  "
    return separator.join(_cell(trace, name) for name in columns) + "\n"


def _cell(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None and name.startswith("attributes."):
        value = row.get("attributes", {}).get(name.removeprefix("attributes."))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return "-" if value is None else str(value)


def _filters(given: list[str] | None) -> dict[str, str]:
    pairs = [text.partition("=") for text in given or []]
    for name, equals, _ in pairs:
        if not equals:
            end(USAGE, f"'{name}' is no filter; write NAME=VALUE, for example model=gpt-4o")
    return {_SPELT.get(name, name): value for name, _, value in pairs}


def _open(url: str, path: str, parameters: dict[str, str], key: str, timeout_s: float = TIMEOUT_S) -> HTTPResponse:
    gateway = management(url, key)
    address = gateway.url + path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {gateway.key}"})  # noqa: S310  the scheme was checked
    try:
        opened: HTTPResponse = urllib.request.urlopen(request, timeout=timeout_s)  # noqa: S310
    except urllib.error.HTTPError as answer:
        with answer:
            end(exit_code(answer.code), _message(answer.read(), answer.code))
    except (OSError, HTTPException) as error:
        end(UNREACHABLE, f"{url} does not answer ({error}); is the gateway running, and is --url or SETPOINT_URL right?")
    return opened


def _message(body: bytes, status: int) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered with status {status}"
