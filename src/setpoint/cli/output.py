"""Results on stdout, in the form that was asked for: a table for people, json, yaml or csv for programs."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import typer
import yaml

Form = Literal["table", "json", "yaml", "csv"]
OutputOption = Annotated[Form, typer.Option("--output", "-o", help="table, json, yaml or csv.")]


def render(form: Form, columns: Sequence[str], rows: list[dict[str, Any]]) -> str:
    """`rows` in that form. json and yaml hold every member, table and csv the named columns."""
    match form:
        case "json":
            return json.dumps(rows, indent=2, ensure_ascii=False)
        case "yaml":
            return yaml.safe_dump(rows, sort_keys=False, allow_unicode=True).rstrip()
        case "csv":
            return _csv(columns, rows)
        case "table":
            return "\n".join(_table(columns, rows))


def render_one(form: Form, columns: Sequence[str], row: dict[str, Any]) -> str:
    """`row` in that form. In json and yaml it stands by itself, not in a list of one."""
    if form == "json":
        return json.dumps(row, indent=2, ensure_ascii=False)
    if form == "yaml":
        return yaml.safe_dump(row, sort_keys=False, allow_unicode=True).rstrip()
    return render(form, columns, [row])


def _csv(columns: Sequence[str], rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([["" if row.get(name) is None else row[name] for name in columns] for row in rows])
    return text.getvalue().rstrip("\n")


def _table(columns: Sequence[str], rows: list[dict[str, Any]]) -> list[str]:
    cells = [[name.upper() for name in columns], *([_cell(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _cell(value: Any) -> str:
    return "-" if value is None or value == "" else str(value)
