"""What the demonstration keeps and what it starts; the whole of it is walked by a journey."""

import os
import sys
from pathlib import Path

import pytest

from setpoint.cli.demo import GREETING, LOCAL_MODEL, SIMULATED_MODEL, Server, admin_key, configuration, serve_command
from setpoint.cli.tour import Gateway, TourError


def test_the_key_stays_the_same_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert admin_key(folder) == admin_key(folder)
    assert admin_key(folder).startswith("sk-sp-demo-")
    assert (folder / "demo.key").stat().st_mode & 0o777 == 0o600


def test_a_configuration_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "setpoint.yaml").write_text("service: {name: mine}")
    assert configuration(tmp_path).read_text() == "service: {name: mine}"


def test_a_missing_configuration_is_written_with_its_key_file(tmp_path: Path) -> None:
    assert configuration(tmp_path / "data").exists()
    assert (tmp_path / "data" / "setpoint.key").stat().st_mode & 0o777 == 0o600


def test_the_local_model_is_switched_off_for_a_simulated_demonstration() -> None:
    gateway = Gateway("127.0.0.1", 1234, "k")
    off = "providers.local.enabled=false"
    assert off in serve_command(Path("c"), gateway, 9, SIMULATED_MODEL)
    assert off not in serve_command(Path("c"), gateway, 9, LOCAL_MODEL)
    assert "k" not in serve_command(Path("c"), gateway, 9, LOCAL_MODEL), "a key in an argument shows in ps"


def saying(program: str) -> Server:
    return Server([sys.executable, "-c", f"import sys, time\n{program}"], dict(os.environ))


def test_a_gateway_serves_once_its_greeting_has_ended(capfd: pytest.CaptureFixture[str]) -> None:
    server = saying(f"print('\\n{GREETING}http\\n    data\\n', file=sys.stderr, flush=True); time.sleep(600)")
    server.wait_until_it_greets()
    assert capfd.readouterr().err.endswith(f"{GREETING}http\n    data\n\n")
    server.stop()
    assert server.process.returncode == -15


def test_a_gateway_that_ends_before_its_greeting_is_reported(capfd: pytest.CaptureFixture[str]) -> None:
    server = saying("sys.exit('the port is taken')")
    with pytest.raises(TourError, match="ended with status 1"):
        server.wait_until_it_greets()
    server.stop()
    assert "the port is taken" in capfd.readouterr().err
