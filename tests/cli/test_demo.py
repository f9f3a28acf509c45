"""What the demonstration keeps and what it starts; the whole of it is walked by a journey."""

from pathlib import Path

from setpoint.cli.demo import LOCAL_MODEL, SIMULATED_MODEL, admin_key, configuration, serve_command
from setpoint.cli.tour import Gateway


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
