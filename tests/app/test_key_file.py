"""The key file: made once, never replaced, never readable by others."""

import base64
from pathlib import Path

import pytest

from setpoint.app import key_file
from setpoint.app.key_file import KeyFileError, load, load_or_make
from setpoint.app.settings import Settings, load_settings


def settings_in(folder: Path, *overrides: str) -> tuple[Settings, Path]:
    config = folder / "setpoint.yaml"
    config.write_text("{}")
    return load_settings(config, {}, overrides), config


def test_the_first_start_makes_it_beside_the_configuration(tmp_path: Path) -> None:
    settings, config = settings_in(tmp_path)
    made = load_or_make(settings, config)
    path = tmp_path / "setpoint.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make(settings, config) == made == load(settings, config)
    assert len(made.kek) == len(made.pepper) == 32


def test_it_is_not_replaced(tmp_path: Path) -> None:
    key_file.make(tmp_path / "k")
    with pytest.raises(KeyFileError, match="not replaced"):
        key_file.make(tmp_path / "k")


def test_a_lost_key_file_is_not_made_anew_for_data_that_it_sealed(tmp_path: Path) -> None:
    settings, config = settings_in(tmp_path)
    (settings.data_dir / "control").mkdir(parents=True)
    (settings.data_dir / "control" / "control.db").touch()
    with pytest.raises(KeyFileError, match="Restore it"):
        load_or_make(settings, config)
    assert not (tmp_path / "setpoint.key").exists()


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings, config = settings_in(tmp_path)
    load_or_make(settings, config)
    (tmp_path / "setpoint.key").chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load(settings, config)


@pytest.mark.parametrize("content", ["", "short", base64.b64encode(b"x" * 63).decode(), "é" * 88])
def test_a_damaged_file_is_explained_without_its_content(tmp_path: Path, content: str) -> None:
    settings, config = settings_in(tmp_path)
    (tmp_path / "setpoint.key").write_text(content)
    (tmp_path / "setpoint.key").chmod(0o600)
    with pytest.raises(KeyFileError) as caught:
        load(settings, config)
    assert str(tmp_path / "setpoint.key") in str(caught.value)
    assert not content or content not in str(caught.value)


def test_the_key_can_come_from_the_settings(tmp_path: Path) -> None:
    raw = bytes(range(64))
    settings, config = settings_in(tmp_path, f"security.key={base64.b64encode(raw).decode()}")
    assert load_or_make(settings, config).kek == raw[:32]
    assert not (tmp_path / "setpoint.key").exists()
