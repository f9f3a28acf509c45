"""`setpoint bench faults`, as a person runs it."""

import json
import socket
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from setpoint.cli.main import app


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["bench", "faults", *arguments])


def test_it_judges_setpoint_itself_and_writes_every_cell(tmp_path: Path) -> None:
    told = bench("--self", "--surface", "chat", "--surface", "messages", "--mode", "cut", "--json", str(tmp_path / "cells.json"))
    assert told.exit_code == 0, told.output
    assert "broken_off" in told.stdout
    cells = json.loads((tmp_path / "cells.json").read_text())
    assert cells["met"] == cells["asked"] == len(cells["cells"]) > 40
    assert cells["calls_never_ended"] == []
    assert f"{cells['met']} of {cells['asked']} cells met (100.0%)." in told.stdout
    assert {cell["surface"] for cell in cells["cells"]} == {"chat", "messages"}
    assert {cell["dialect"] for cell in cells["cells"]} == {"openai_chat", "anthropic"}


def test_a_gateway_that_serves_nothing_is_not_judged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    told = bench("--url", f"http://127.0.0.1:{port}", "--mode", "healthy", "--port", "0")
    assert told.exit_code == 1
    assert "nothing could be judged" in told.stderr
    assert told.stderr.count("not judged: ") == 5


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "either --self or --url"),
        (("--self", "--url", "http://127.0.0.1:1"), "either --self or --url"),
        (("--self", "--surface", "telex"), "telex is no surface"),
        (("--self", "--dialect", "telex"), "telex is no dialect"),
        (("--self", "--mode", "no such"), "no mode has no such in its name"),
        (("--url", "ftp://x"), "no address of a gateway"),
        (("--url", "http://127.0.0.1:1", "--model-for", "telex=m"), "telex is no dialect"),
    ],
)
def test_wrong_usage_is_told_in_a_line(arguments: tuple[str, ...], says: str) -> None:
    told = bench(*arguments)
    assert told.exit_code == 2
    assert says in told.stderr
    assert told.stderr.count("\n") == 1


def test_it_says_what_to_configure() -> None:
    told = bench("--show", "words", "--dialect", "anthropic", "--dialect", "gemini", "--port", "9000")
    assert told.exit_code == 0
    for part in ("http://127.0.0.1:9000/v1", "http://127.0.0.1:9001/v1beta", "http://127.0.0.1:9002/v1", "wall-gemini-spared"):
        assert part in told.stdout


def test_it_writes_a_configuration_for_litellm() -> None:
    told = bench("--show", "litellm", "--port", "9000")
    made = yaml.safe_load(told.stdout)
    assert {entry["model_name"] for entry in made["model_list"]} >= {"wall-openai_chat", "wall-anthropic-spared", "spare-anthropic"}
    assert made["litellm_settings"]["fallbacks"] == [
        {"wall-openai_chat-spared": ["spare-openai_chat"]},
        {"wall-anthropic-spared": ["spare-anthropic"]},
    ]
