"""The control store on SQLite: what is written is there after a crash, and what is refused changed nothing."""

import os
import sqlite3
from pathlib import Path

import pytest

from setpoint.adapters.sqlite.control_store import FORMAT, SqliteControlStore
from setpoint.domain.gateway_key import GatewayKey, KeySecret
from setpoint.ports.control_store import AuditEntry, ControlStore, ControlStoreError, Progress

AUDIT = AuditEntry(1, "test", "key.create", "x", {"role": "admin", "n": 1})
KEY = GatewayKey(0, "pub", "a name", "service", "research", 60, 90, 1, 2, 0, 0, "settings")


@pytest.fixture
def store(tmp_path: Path) -> ControlStore:
    return SqliteControlStore(tmp_path / "control.db")


def test_a_new_store_is_empty(store: ControlStore) -> None:
    assert (store.find_keys(), store.secrets(), store.audit(9)) == ([], [], [])
    assert (store.revision(), store.epoch(), store.progress()) == (0, 1, Progress())


def test_a_key_reads_back_as_written_by_another_process_too(store: ControlStore, tmp_path: Path) -> None:
    added = store.add_key(KEY, b"d" * 16, AUDIT)
    again = SqliteControlStore(tmp_path / "control.db")
    assert again.find_keys() == [added] == [again.key("pub")]
    assert again.secrets() == [(added, KeySecret(b"d" * 16, added.key_no))]
    assert again.audit(1) == [AuditEntry(1, "test", "key.create", "x", {"role": "admin", "n": 1}, 1)]
    assert (again.revision(), again.secret_count()) == (1, 1)


def test_a_public_id_or_a_digest_that_is_taken_is_refused_and_nothing_changed(store: ControlStore) -> None:
    added = store.add_key(KEY, b"d" * 16, AUDIT)
    with pytest.raises(ControlStoreError, match="UNIQUE"):
        store.add_key(KEY, b"e" * 16, AUDIT)
    with pytest.raises(ControlStoreError, match="UNIQUE"):
        store.add_key(GatewayKey(0, "other", "n", "viewer"), b"d" * 16, AUDIT)
    assert (store.find_keys(), store.revision(), len(store.audit(9))) == ([added], 1, 1)


def test_a_key_is_put_with_exactly_the_secrets_it_is_given(store: ControlStore) -> None:
    added = store.add_key(KEY, b"d" * 16, AUDIT)
    secrets = [KeySecret(b"e" * 16, added.key_no, 7), KeySecret(b"f" * 16, added.key_no)]
    store.put_key(added, secrets, AUDIT)
    assert store.secrets_of(added.key_no) == secrets
    store.put_key(added, [], AUDIT)
    assert (store.secrets_of(added.key_no), store.revision()) == ([], 3)


def test_a_key_that_is_not_there_cannot_be_put(store: ControlStore) -> None:
    with pytest.raises(ControlStoreError, match="no key number 9"):
        store.put_key(GatewayKey(9, "p", "n", "viewer"), [], AUDIT)
    assert (store.revision(), store.audit(9)) == (0, [])


def test_the_newest_audit_entries_come_first(store: ControlStore) -> None:
    for number in range(5):
        store.record(AuditEntry(number, "test", "act", str(number)))
    assert [entry.subject for entry in store.audit(2)] == ["4", "3"]


def test_keys_are_found_by_number_and_role(store: ControlStore) -> None:
    for number, role in enumerate(("admin", "viewer", "admin"), 1):
        store.add_key(GatewayKey(0, f"p{number}", "n", role), bytes([number]) * 16, AUDIT)  # type: ignore[arg-type]
    assert [key.key_no for key in store.find_keys(role="admin")] == [1, 3]
    assert [key.key_no for key in store.find_keys(after=1, limit=1)] == [2]


def test_progress_is_kept(store: ControlStore) -> None:
    store.set_progress(Progress(3, 2, 40))
    store.set_progress(Progress(4, 2, 80))
    assert store.progress() == Progress(4, 2, 80)


def test_a_commit_is_on_disk_before_the_call_returns(store: ControlStore, tmp_path: Path) -> None:
    """Full synchronous write-ahead log; a process that dies at once after the call loses nothing."""
    pid = os.fork()
    if pid == 0:
        try:
            SqliteControlStore(tmp_path / "control.db").add_key(KEY, b"d" * 16, AUDIT)
        finally:
            os._exit(9)
    os.waitpid(pid, 0)
    assert [key.public_id for key in store.find_keys()] == ["pub"]
    with sqlite3.connect(tmp_path / "control.db") as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    db.close()


def test_a_file_of_a_later_version_is_refused_with_advice(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "control.db") as db:
        db.execute(f"PRAGMA user_version={FORMAT + 1}")
    db.close()
    with pytest.raises(ControlStoreError, match="use the version that wrote it"):
        SqliteControlStore(tmp_path / "control.db")


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ControlStoreError, match="not a database"):
        SqliteControlStore(tmp_path / "control.db")
