"""Snapshot files: a reader sees the snapshot before or the one after, whatever happens to the writer."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from setpoint.adapters.files.snapshots import KEEP_NEWEST, SnapshotFiles
from setpoint.domain.plan import Plan
from setpoint.domain.principal import Principal
from setpoint.domain.snapshot import Revoke, Upsert
from setpoint.ports.snapshots import Loaded, SnapshotReader, SnapshotWriter, Unloadable

ALICE, BOB = Principal(1, "alice", "developer"), Principal(2, "bob", "admin")
A, B = b"a" * 16, b"b" * 16


def plan(version: int, epoch: int = 1) -> Plan:
    return Plan(epoch, version, 1000 + version, (), ())


def loaded(found: Loaded | Unloadable) -> Loaded:
    assert isinstance(found, Loaded), found
    return found


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def test_it_is_both_reader_and_writer(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    reader: SnapshotReader = files
    writer: SnapshotWriter = files
    assert (reader, writer) == (files, files)


def test_before_the_first_publication_there_is_nothing_and_it_says_so(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    assert files.current() is None
    assert files.newest() == (0, 0)
    assert files.load() == files.load_any() == Unloadable("nothing has been published yet")
    assert not files.changed(None)


def test_what_is_published_is_loaded(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    found = loaded(SnapshotFiles(tmp_path).load())
    assert found.plan == plan(1)
    assert (found.keys.find(A), found.keys.find(B)) == (ALICE, None)
    assert (found.current, found.note) == (files.current(), "")


def test_every_publication_is_seen_by_its_stamp_even_within_one_tick_of_the_clock(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    stamps = [files.stamp()]
    files.publish(plan(1), [])
    for i in range(200):
        stamps.append(files.stamp())
        files.publish_changes([Upsert(A, Principal(i, "alice", "developer"))])
    assert len(set(stamps)) == len(stamps)
    assert files.changed(stamps[-1])
    assert not files.changed(files.stamp())


def test_a_revocation_reaches_a_reader_without_reading_plan_or_table_again(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    first = loaded(files.load())
    files.publish_changes([Upsert(B, BOB)])
    second = loaded(files.load(first))
    files.publish_changes([Revoke(A)])
    (tmp_path / "snapshots/1-1.plan").unlink()
    (tmp_path / "snapshots/1.keys").unlink()
    third = loaded(files.load(second))
    assert third.plan is first.plan
    assert (second.keys.find(A), second.keys.find(B)) == (ALICE, BOB)
    assert (third.keys.find(A), third.keys.find(B)) == (None, BOB)
    assert first.current.order < second.current.order < third.current.order


def test_a_plan_without_rows_keeps_keys_and_their_changes(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    files.publish_changes([Revoke(A)])
    files.publish(plan(2))
    found = loaded(files.load())
    assert (found.plan, found.keys.find(A)) == (plan(2), None)


def test_a_new_table_takes_the_place_of_table_and_log(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    before = loaded(files.load())
    files.publish_changes([Revoke(A)])
    files.publish_table([(B, BOB)])
    found = loaded(files.load(before))
    assert (found.keys.find(A), found.keys.find(B), found.current.delta_len) == (None, BOB, 0)
    assert files.keys_whole(found.current)


@pytest.mark.parametrize("version", [1, 2])
def test_a_published_name_is_never_used_again(tmp_path: Path, version: int) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(2), [])
    with pytest.raises(ValueError, match="not newer than"):
        files.publish(plan(version))
    assert files.newest() == (1, 2)


def test_changes_and_plans_need_a_first_publication_with_rows(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    with pytest.raises(ValueError, match="first publication"):
        files.publish(plan(1))
    with pytest.raises(ValueError, match="published snapshot"):
        files.publish_changes([Revoke(A)])
    with pytest.raises(ValueError, match="published plan"):
        files.publish_table([])


def test_a_damaged_plan_is_not_loaded_and_a_start_takes_the_one_before_with_the_keys_of_now(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE), (B, BOB)])
    files.publish(plan(2))
    files.publish_changes([Revoke(A)])
    damage(tmp_path / "snapshots/1-2.plan")
    assert isinstance(files.load(), Unloadable)
    found = loaded(files.load_any())
    assert found.plan == plan(1)
    assert (found.keys.find(A), found.keys.find(B)) == (None, BOB)
    assert "hash" in found.note
    assert found.stamp is None, "the start must look at CURRENT again"


def test_a_damaged_current_is_survived(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    files.publish(plan(2))
    damage(tmp_path / "snapshots/CURRENT")
    found = loaded(files.load_any())
    assert (found.plan, found.keys.find(A)) == (plan(2), ALICE)


def test_revoked_keys_never_come_back_from_an_older_table(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    files.publish(plan(2), [(B, BOB)])
    (tmp_path / "snapshots/2.keys").write_bytes(b"")
    assert isinstance(files.load_any(), Unloadable)
    assert not files.keys_whole(files.current())  # type: ignore[arg-type]


def test_a_log_that_lost_a_revocation_is_not_used(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    files.publish_changes([Revoke(A)])
    damage(tmp_path / "snapshots/1.delta")
    assert isinstance(files.load(), Unloadable)
    assert isinstance(files.load_any(), Unloadable)


def test_bytes_of_a_log_that_never_counted_are_cut_off(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    files.publish_changes([Upsert(B, BOB)])
    with (tmp_path / "snapshots/1.delta").open("ab") as log:
        log.write(b"torn")
    assert loaded(files.load()).keys.find(A) == ALICE
    files.publish_changes([Revoke(A)])
    found = loaded(files.load())
    assert (found.keys.find(A), found.keys.find(B)) == (None, BOB)


def test_the_newest_three_and_those_in_use_are_kept(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    for version in range(1, 8):
        files.publish(plan(version), [(A, ALICE)])
    files.prune(in_use=[(1, 2)])
    names = {path.name for path in (tmp_path / "snapshots").iterdir()}
    assert names == {"CURRENT", "1-2.plan", "1-5.plan", "1-6.plan", "1-7.plan", "5.keys", "6.keys", "7.keys"}
    assert KEEP_NEWEST == 3
    assert loaded(files.load()).plan == plan(7)


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    files = SnapshotFiles(tmp_path)
    files.publish(plan(1), [(A, ALICE)])
    files.publish_changes([Revoke(A)])
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "snapshots").iterdir()} == {0o600}
    assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700


def test_a_reader_beside_a_busy_writer_sees_whole_snapshots_in_order(tmp_path: Path) -> None:
    """Each publication says the same number in plan and keys; a reader that meets two different ones has seen a mixture."""
    files = SnapshotFiles(tmp_path)

    def principal(version: int) -> Principal:
        return Principal(version, "alice", "developer")

    files.publish(plan(1), [(A, principal(1))])
    done = threading.Event()

    def write() -> None:
        for version in range(2, 60):
            files.publish(plan(version), [(A, principal(version))])
            files.publish_changes([Upsert(B, principal(version))])
            files.prune()
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    reader, seen = SnapshotFiles(tmp_path), [loaded(files.load_any())]
    while not done.is_set() or reader.changed(seen[-1].stamp):
        found = reader.load(seen[-1])
        if isinstance(found, Unloadable):
            continue  # it was pruned while it was being read, so a newer one is there
        holder = found.keys.find(A)
        assert holder is not None
        assert holder.key_no == found.plan.version == found.current.version
        if found.current.delta_len:
            assert found.keys.find(B) == principal(found.plan.version)
        seen.append(found)
    writer.join()
    orders = [found.current.order for found in seen]
    assert orders == sorted(orders)
    assert seen[-1].current.version == 59


# A crash at each step. The child dies just before its n-th call to the kernel, or in the middle of its n-th write.

CALLS = ("open", "write", "fsync", "rename", "ftruncate", "utime", "lseek")


def die_at(step: int, torn: bool) -> None:
    """In this process, the `step`-th of CALLS kills instead; `torn` lets half of a write through first."""
    left = [step]

    def deadly(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                if torn and name == "write":
                    real(args[0], bytes(args[1])[: len(bytes(args[1])) // 2])  # type: ignore[call-overload]
                os._exit(9)
            return real(*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, deadly(name, getattr(os, name)))


def in_child(act: Callable[[], object], step: int, torn: bool) -> bool:
    """Whether `act` came to its end before it was killed."""
    pid = os.fork()
    if pid == 0:
        try:
            die_at(step, torn)
            act()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


ACTS: dict[str, Callable[[SnapshotFiles], object]] = {
    "plan": lambda files: files.publish(plan(2)),
    "plan and keys": lambda files: files.publish(plan(2), [(B, BOB)]),
    "revocation": lambda files: files.publish_changes([Revoke(A), Upsert(B, BOB)]),
    "new table": lambda files: files.publish_table([(B, BOB)]),
}


@pytest.mark.parametrize("torn", [False, True])
@pytest.mark.parametrize("name", ACTS)
def test_a_writer_killed_at_any_step_leaves_the_snapshot_before_or_the_one_after(tmp_path: Path, name: str, torn: bool) -> None:
    survived = False
    step = 0
    while not survived:
        step += 1
        files = SnapshotFiles(tmp_path / f"{step}")
        files.publish(plan(1), [(A, ALICE)])
        files.publish_changes([Upsert(b"c" * 16, ALICE)])
        before = loaded(files.load())
        survived = in_child(lambda files=files: ACTS[name](files), step, torn)  # type: ignore[misc]

        found = loaded(SnapshotFiles(tmp_path / f"{step}").load())
        keys = (found.keys.find(A), found.keys.find(B))
        if found.current.order == before.current.order:
            assert (found.plan, keys) == (plan(1), (ALICE, None))
        else:
            assert found.plan == plan(1 if name in {"revocation", "new table"} else 2)
            assert keys == ((ALICE, None) if name == "plan" else (None, BOB))
        after_restart = Plan(1, files.newest()[1] + 1, 0, (), ())
        files.publish(after_restart, [(B, BOB)])
        files.publish_changes([Upsert(A, ALICE)])
        again = loaded(files.load(found))
        assert (again.plan, again.keys.find(A), again.keys.find(B)) == (after_restart, ALICE, BOB)
    assert step > 8
