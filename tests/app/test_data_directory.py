"""Who owns a data directory, and what is in it."""

import fcntl
import os
import socket
from pathlib import Path

import pytest

from setpoint.app import data_directory
from setpoint.app.data_directory import DataDirectoryError, is_locked, owner_pid, socket_path, take


def test_it_is_made_private_with_its_folders_and_marks(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "data"
    directory = take(path)
    assert path.stat().st_mode & 0o777 == 0o700
    assert all((path / folder).is_dir() for folder in data_directory.FOLDERS)
    assert (path / "FORMAT").stat().st_mode & 0o777 == 0o600
    assert owner_pid(path) == os.getpid()
    assert is_locked(path)
    directory.close()
    assert not is_locked(path)


def test_run_and_tmp_are_wiped_and_nothing_else(tmp_path: Path) -> None:
    take(tmp_path).close()
    for name in ("run/limits.shm", "tmp/half", "spool/w00.sp", "snapshots/CURRENT"):
        (tmp_path / name).write_text("x")
    (tmp_path / "tmp" / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "run" / "engine.sock"))
    take(tmp_path).close()
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == ["engine.sock"]  # somebody may still be draining through it
    assert not list((tmp_path / "tmp").iterdir())
    assert (tmp_path / "spool" / "w00.sp").exists()
    assert (tmp_path / "snapshots" / "CURRENT").exists()


def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    first = take(tmp_path)
    with pytest.raises(DataDirectoryError, match=f"process {os.getpid()}"):
        take(tmp_path)
    first.close()
    take(tmp_path).close()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', "\xff"])
def test_a_layout_that_is_not_ours_is_refused_and_left_to_its_owner(tmp_path: Path, text: str) -> None:
    (tmp_path / "FORMAT").write_text(text, "latin-1")
    with pytest.raises(DataDirectoryError, match="this version reads layout 1"):
        take(tmp_path)
    assert not is_locked(tmp_path)
    assert (tmp_path / "FORMAT").read_text("latin-1") == text


def test_a_mark_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "FORMAT").mkdir()
    with pytest.raises(DataDirectoryError, match="FORMAT"):
        take(tmp_path)
    assert not is_locked(tmp_path)


def test_other_keys_than_the_first_are_refused(tmp_path: Path) -> None:
    first = take(tmp_path)
    first.claim("ab")
    first.close()
    again = take(tmp_path)
    again.claim("ab")
    with pytest.raises(DataDirectoryError, match="another key file"):
        again.claim("cd")
    again.close()


def test_a_lock_that_orphans_of_a_dead_owner_hold_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(tmp_path).close()
    orphan = os.open(tmp_path / "LOCK", os.O_RDWR)
    fcntl.flock(orphan, fcntl.LOCK_EX)
    dead = os.fork()
    if dead == 0:
        os._exit(0)
    os.waitpid(dead, 0)
    (tmp_path / "LOCK").write_text(f"{dead}\n")

    looks = []

    def let_go_at_the_third(fd: int) -> bool:
        looks.append(fd)
        if len(looks) == 3:
            os.close(orphan)
        return try_lock(fd)

    try_lock = data_directory._try_lock
    monkeypatch.setattr(data_directory, "_try_lock", let_go_at_the_third)
    take(tmp_path).close()
    assert len(looks) == 3


@pytest.mark.parametrize("mark", ['{"format": 2}', "{}", "garbage", "[]"])
def test_another_layout_is_refused(tmp_path: Path, mark: str) -> None:
    take(tmp_path).close()
    (tmp_path / "FORMAT").write_text(mark)
    with pytest.raises(DataDirectoryError, match="layout"):
        take(tmp_path)


def test_a_place_that_cannot_be_written_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataDirectoryError, match=r"cannot use .*storage\.data_dir"):
        take(tmp_path / "file" / "data")


def test_a_socket_path_too_long_for_the_kernel_moves_to_a_short_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    short = tmp_path / "d"
    assert socket_path(short, "engine.sock") == str(short / "run" / "engine.sock")
    long = tmp_path / ("d" * 100)
    path = socket_path(long, "engine.sock")
    assert len(path) <= data_directory.SOCKET_PATH_BYTES_MAX
    assert path == socket_path(long, "engine.sock")
    assert path != socket_path(tmp_path / ("e" * 100), "engine.sock")
