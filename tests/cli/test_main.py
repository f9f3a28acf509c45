"""The command line: what is printed where, exit codes, and that it starts light."""

import json
import os
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from setpoint import __version__
from setpoint.app.listeners import Bound
from setpoint.app.settings import load_settings
from setpoint.app.tree import ConfigSource
from setpoint.cli.main import COMMANDS
from setpoint.cli.serve import greeting

SRC = Path(__file__).resolve().parents[2] / "src"
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("SETPOINT_") and not name.endswith(("_KEY", "_BASE"))}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from setpoint.cli.main import main; sys.argv[0] = 'setpoint'; main()"
    argv = [sys.executable, "-c", program, *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, env={**CLEAN, "PYTHONPATH": str(SRC)}, timeout=60)


def test_version_goes_to_stdout(tmp_path: Path) -> None:
    ran = run(tmp_path, "version")
    assert (ran.returncode, ran.stdout) == (0, __version__ + "\n")


def test_help_lists_every_command_without_importing_any(tmp_path: Path) -> None:
    shown = run(tmp_path, "--help").stdout
    assert all(f"  {name} " in shown for name in COMMANDS if find_spec(COMMANDS[name][0]))


def test_an_unknown_command_is_wrong_usage(tmp_path: Path) -> None:
    assert run(tmp_path, "dance").returncode == 2


def test_the_command_line_does_not_import_the_engine(tmp_path: Path) -> None:
    heavy = ("fastapi", "pydantic", "sqlalchemy", "duckdb")
    program = f"import sys; import setpoint.cli.serve; print([m for m in {heavy} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env={**CLEAN, "PYTHONPATH": str(SRC)})
    assert ran.stdout == "[]\n", ran.stderr


def test_the_default_configuration_is_printed_and_valid(tmp_path: Path) -> None:
    printed = run(tmp_path, "serve", "--print-default-config")
    (tmp_path / "setpoint.yaml").write_text(printed.stdout)
    checked = run(tmp_path, "serve", "--validate-config")
    assert (checked.returncode, checked.stdout) == (0, "")
    assert "setpoint.yaml is valid" in checked.stderr


def test_a_configuration_with_mistakes_is_wrong_usage_and_all_are_told(tmp_path: Path) -> None:
    ran = run(tmp_path, "serve", "--validate-config", "--set", "server.prt=1", "--set", "cache.mode=sometimes")
    assert ran.returncode == 2
    assert "server.prt" in ran.stderr
    assert "cache.mode" in ran.stderr


def test_a_route_to_nowhere_is_found_before_the_start(tmp_path: Path) -> None:
    ran = run(tmp_path, "serve", "--validate-config", "--set", "routes.fast=nobody/knows")
    assert ran.returncode == 2
    assert "nobody" in ran.stderr


def test_a_certificate_that_is_not_there_is_told_before_the_start(tmp_path: Path) -> None:
    ran = run(tmp_path, "serve", "--set", "server.tls.cert=cert.pem", "--set", "server.tls.key=key.pem")
    assert ran.returncode == 2
    assert "there is no file" in ran.stderr
    assert "cert.pem" in ran.stderr


@pytest.mark.parametrize("arguments", [("serve", "-c", "nowhere.yaml"), ("serve", "--log-level", "loud"), ("doctor", "-o", "xml")])
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert run(tmp_path, *arguments).returncode == 2


def test_init_writes_both_files_once(tmp_path: Path) -> None:
    assert run(tmp_path, "init").returncode == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == {"setpoint.yaml", "setpoint.key"}
    assert (tmp_path / "setpoint.key").stat().st_mode & 0o777 == 0o600
    again = run(tmp_path, "init")
    assert again.returncode == 4
    assert "is there already" in again.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("command", ["status", "roll", "reload", "stop"])
def test_a_gateway_that_does_not_run_is_unreachable(tmp_path: Path, command: str) -> None:
    ran = run(tmp_path, command)
    assert ran.returncode == 3
    assert "Is `setpoint serve` running" in ran.stderr


def test_a_directory_in_use_is_refused(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "setpoint-data").mkdir()
    with (tmp_path / "setpoint-data" / "LOCK").open("w") as lock:
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = run(tmp_path, "serve")
    assert ran.returncode == 4
    assert f"process {os.getpid()}" in ran.stderr


def test_doctor_tells_what_is_wrong_and_ends_with_1(tmp_path: Path) -> None:
    assert run(tmp_path, "init").returncode == 0
    arguments = ("--set", "server.port=0", "--set", "server.metrics_port=0", "-o", "json")
    well = run(tmp_path, "doctor", *arguments)
    assert well.returncode == 0, well.stdout
    assert all(finding["verdict"] != "wrong" for finding in json.loads(well.stdout))
    (tmp_path / "setpoint.key").chmod(0o644)
    ill = run(tmp_path, "doctor", *arguments)
    assert ill.returncode == 1
    [finding] = [finding for finding in json.loads(ill.stdout) if finding["verdict"] == "wrong"]
    assert finding["check"] == "key file"
    assert "chmod 600" in finding["found"]


def greet(environ: dict[str, str], *overrides: str) -> str:
    settings = load_settings(None, environ, overrides)
    with socket.socket() as sock:
        return "\n".join(greeting(settings, ConfigSource(), (Bound(sock, "main", settings.host, 8080),), ["admin key      sk-sp-x"]))


def test_the_greeting_says_where_how_and_the_key() -> None:
    text = greet({})
    assert "http://127.0.0.1:8080" in text
    assert "sk-sp-x" in text
    assert "To add a real provider" in text


def test_the_greeting_is_short_when_there_is_a_provider() -> None:
    text = greet({"OPENAI_API_KEY": "x" * 20})
    assert "openai, sim" in text
    assert "To add" not in text


def test_the_greeting_names_an_address_that_a_client_can_use() -> None:
    assert "http://127.0.0.1:8080" in greet({}, "server.host=0.0.0.0")
    assert "http://[::1]:8080" in greet({}, "server.host=::1")
