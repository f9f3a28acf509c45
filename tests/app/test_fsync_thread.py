"""Which spools are synced, and what a disk that refuses leads to."""

import errno
from pathlib import Path

from tests.app.process_tree import until

from setpoint.app.fsync_thread import FsyncThread, SpoolSync


class Disk:
    """Counts syncs; refuses those of the files named."""

    def __init__(self) -> None:
        self.synced: list[str] = []
        self.broken: set[str] = set()
        self.alarms: list[str] = []

    def sync(self, fd: int) -> None:
        name = Path(f"/proc/self/fd/{fd}").readlink().name
        self.synced.append(name)
        if name in self.broken:
            raise OSError(errno.EIO, "Input/output error")

    def alarm(self, name: str, error: OSError) -> None:
        self.alarms.append(f"{name}: {error.strerror}")


def test_only_what_grew_is_synced(tmp_path: Path) -> None:
    disk = Disk()
    spools = SpoolSync(tmp_path, disk.alarm, disk.sync)
    assert spools.tick() == 0
    (tmp_path / "a.sp").write_bytes(b"x")
    (tmp_path / "b.sp").write_bytes(b"x")
    (tmp_path / "other").write_bytes(b"x")
    assert spools.tick() == 2
    assert spools.tick() == 0
    (tmp_path / "a.sp").write_bytes(b"xx")
    assert spools.tick() == 1
    assert disk.synced[-1] == "a.sp"
    spools.close()


def test_a_failed_sync_is_told_once_and_never_tried_again(tmp_path: Path) -> None:
    disk = Disk()
    disk.broken = {"a.sp"}
    spools = SpoolSync(tmp_path, disk.alarm, disk.sync)
    for size in (1, 2, 3):
        (tmp_path / "a.sp").write_bytes(b"x" * size)
        spools.tick()
    assert disk.synced == ["a.sp"]
    assert disk.alarms == ["a.sp: Input/output error"]
    assert spools.suspect == {"a.sp"}
    spools.close()


def test_a_file_that_was_sealed_away_is_forgotten_and_its_descriptor_closed(tmp_path: Path) -> None:
    disk = Disk()
    spools = SpoolSync(tmp_path, disk.alarm, disk.sync)
    (tmp_path / "a.sp").write_bytes(b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    spools.tick()
    (tmp_path / "a.sp").unlink()
    spools.tick()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    (tmp_path / "a.sp").write_bytes(b"x")
    assert spools.tick() == 1
    spools.close()


def test_the_thread_syncs_what_came_last_before_it_ends(tmp_path: Path) -> None:
    disk = Disk()
    thread = FsyncThread(SpoolSync(tmp_path, disk.alarm, disk.sync), period_s=60)
    thread.start()
    (tmp_path / "a.sp").write_bytes(b"x")
    thread.close()
    assert disk.synced == ["a.sp"]


def test_a_directory_that_cannot_be_read_for_a_while_is_told_once_and_read_again(tmp_path: Path) -> None:
    disk = Disk()
    folder = tmp_path / "spool"
    spools = SpoolSync(folder, disk.alarm, disk.sync)
    thread = FsyncThread(spools, period_s=0.001)
    thread.start()
    until(lambda: disk.alarms, "the alarm")
    folder.mkdir()
    (folder / "a.sp").write_bytes(b"x")
    until(lambda: disk.synced, "the sync")
    thread.close()
    assert disk.alarms == [f"{folder}: No such file or directory"]
