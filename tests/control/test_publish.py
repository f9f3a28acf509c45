"""The publisher: what workers are given after changes, failures and restarts."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.control.control_desk import Desk

from setpoint.control.draft import Draft, Problem, UpstreamDraft
from setpoint.control.publish import LOG_CHANGES_FREE, next_number
from setpoint.domain.plan import PriceBook


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.publish("a")
    return desk


def set_fact(folder: Path, name: str, value: str) -> None:
    with sqlite3.connect(folder / "control/control.db") as db:
        db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
    db.close()


@given(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.integers(1, 9))
def test_the_next_number_is_always_greater(newest: tuple[int, int], epoch: int) -> None:
    assert next_number(newest, epoch) > newest
    assert next_number(newest, epoch)[0] >= epoch or newest[0] > epoch


def test_versions_count_up_and_the_same_content_is_not_published_again(desk: Desk) -> None:
    assert desk.publish("a").version == 1
    assert desk.publish("a", "b").version == 2
    assert desk.publish("a", "b").version == 2
    assert desk.publish("a").version == 3
    assert [current.name for current in desk.announced] == ["1-1", "1-2", "1-3"]


def test_a_draft_with_a_mistake_leaves_the_plan_that_counts(desk: Desk) -> None:
    bad = desk.publisher.publish_draft(Draft((UpstreamDraft("x", "x", "openai_chat"),)), PriceBook(), "test")
    assert isinstance(bad, tuple)
    assert isinstance(bad[0], Problem)
    assert desk.served().plan.version == 1


def test_a_plan_that_a_worker_refuses_gives_way_to_the_one_before(desk: Desk) -> None:
    desk.publish("a", "b")
    token = desk.create().token
    back = desk.publisher.take_back("1-2", "test")
    assert back is not None
    assert back.version == desk.served().plan.version == 3
    assert [upstream.name for upstream in desk.served().plan.upstreams] == ["a"]
    assert desk.holder(token) is not None


def test_a_plan_that_came_back_or_no_longer_counts_is_not_taken_back(desk: Desk) -> None:
    assert desk.publisher.take_back("1-1", "test") is None
    desk.publish("b")
    desk.publish("c")
    assert desk.publisher.take_back("1-2", "test") is None
    desk.publisher.take_back("1-3", "test")
    assert desk.publisher.take_back("1-4", "test") is None
    assert desk.served().plan.version == 4


def test_a_restored_backup_publishes_in_a_new_epoch(desk: Desk, tmp_path: Path) -> None:
    desk.publish("b")
    set_fact(tmp_path, "epoch", "2")
    plan = Desk(tmp_path).publish("b")
    assert (plan.epoch, plan.version) == (2, 1)


def test_a_store_older_than_the_files_follows_their_epoch(desk: Desk, tmp_path: Path) -> None:
    set_fact(tmp_path, "epoch", "5")
    Desk(tmp_path).publish("a")
    set_fact(tmp_path, "epoch", "1")
    plan = Desk(tmp_path).publish("b")
    assert (plan.epoch, plan.version) == (5, 2)


def test_a_key_change_is_one_frame_and_not_another_table(desk: Desk) -> None:
    before = desk.served().current
    desk.create()
    after = desk.served().current
    assert (after.gen, after.version) == (before.gen, before.version)
    assert after.delta_len > before.delta_len


def test_a_long_log_is_folded_into_a_new_table(desk: Desk) -> None:
    tokens = [desk.create().token for _ in range(LOG_CHANGES_FREE + 1)]
    current = desk.served().current
    assert (current.gen, current.delta_len) == (2, 0)
    assert all(desk.holder(token) for token in tokens)


def test_a_new_table_leaves_out_what_has_ended(desk: Desk) -> None:
    desk.create(expires_s=desk.now_s + 5)
    desk.create()
    desk.clock.advance(5)
    desk.publisher.behind = True
    desk.create()
    assert desk.served().keys.rows == 2  # type: ignore[attr-defined]


def test_a_change_before_the_first_plan_is_in_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    token = desk.create().token
    desk.publish("a")
    assert desk.holder(token) is not None


def test_a_revocation_that_could_not_be_published_is_said_and_comes_with_the_next_publication(desk: Desk, tmp_path: Path) -> None:
    one, other = desk.create(), desk.create()
    (tmp_path / "tmp").rename(tmp_path / "away")
    (tmp_path / "tmp").write_bytes(b"in the way")
    with pytest.raises(OSError):
        desk.keys.revoke(one.key.public_id, "test")
    assert desk.holder(one.token) is not None
    assert desk.publisher.behind
    (tmp_path / "tmp").unlink()
    desk.keys.revoke(other.key.public_id, "test")
    assert (desk.holder(one.token), desk.holder(other.token)) == (None, None)


def test_a_revocation_that_could_not_be_published_comes_when_it_is_asked_for_again(desk: Desk, tmp_path: Path) -> None:
    one = desk.create()
    (tmp_path / "tmp").rename(tmp_path / "away")
    (tmp_path / "tmp").write_bytes(b"in the way")
    for _ in range(2):
        with pytest.raises(OSError):
            desk.keys.revoke(one.key.public_id, "test")
    assert desk.holder(one.token) is not None
    (tmp_path / "tmp").unlink()
    desk.keys.revoke(one.key.public_id, "test")
    assert desk.holder(one.token) is None
    assert not desk.publisher.behind


def test_settling_what_is_settled_publishes_nothing(desk: Desk) -> None:
    desk.create()
    before = desk.served().current
    desk.publisher.settle()
    assert desk.served().current == before


# Restarts


def crash_between_store_and_files(desk: Desk) -> str:
    """The store has the key, the files do not: as after a kill between the two."""
    desk.publisher.publish_changes = lambda changes: None  # type: ignore[method-assign]
    return desk.create().token


def damage_the_table(desk: Desk, folder: Path) -> None:
    path = folder / f"snapshots/{desk.served().current.gen}.keys"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


def remove_the_log(desk: Desk, folder: Path) -> None:
    (folder / "snapshots/1.delta").unlink()


def damage_current(desk: Desk, folder: Path) -> None:
    (folder / "snapshots/CURRENT").write_bytes(b"nonsense")


def forget_progress(desk: Desk, folder: Path) -> None:
    set_fact(folder, "progress", "{}")


@pytest.mark.parametrize("harm", [damage_the_table, remove_the_log, damage_current, forget_progress])
def test_a_start_makes_the_files_whole_again(tmp_path: Path, harm: Callable[[Desk, Path], None]) -> None:
    desk = Desk(tmp_path)
    desk.publish("a")
    alive, dead = desk.create(), desk.create()
    desk.keys.revoke(dead.key.public_id, "test")
    harm(desk, tmp_path)
    again = Desk(tmp_path, desk.clock, first_random=100)
    again.publisher.catch_up()
    again.publish("a")
    assert again.holder(alive.token) is not None
    assert again.holder(dead.token) is None
    later = again.create()
    assert again.holder(later.token) is not None


def test_a_start_publishes_what_a_crash_kept_from_the_files(desk: Desk, tmp_path: Path) -> None:
    token = crash_between_store_and_files(desk)
    assert desk.holder(token) is None
    again = Desk(tmp_path, desk.clock, first_random=100)
    again.publisher.catch_up()
    assert again.holder(token) is not None


def test_a_start_with_nothing_new_publishes_nothing(desk: Desk, tmp_path: Path) -> None:
    before = desk.served().current
    again = Desk(tmp_path)
    again.publisher.catch_up()
    again.publish("a")
    assert (again.announced, again.served().current) == ([], before)


def test_a_changed_credential_is_published_though_seals_never_look_alike(desk: Desk) -> None:
    def draft(key: str) -> Draft:
        return Draft((UpstreamDraft("a", "a", "openai_chat", "http://x", api_key=key),))

    desk.publisher.publish_draft(draft("k"), PriceBook(), "test")
    assert desk.served().plan.version == 1
    desk.publisher.publish_draft(draft("other"), PriceBook(), "test")
    assert desk.served().plan.version == 2


def test_a_publication_leaves_an_audit_entry(desk: Desk) -> None:
    entry = desk.store.audit(1)[0]
    assert (entry.action, entry.subject, entry.actor) == ("plan.publish", "1-1", "test")


def test_keys_made_by_four_threads_at_once_are_all_served(desk: Desk) -> None:
    with ThreadPoolExecutor(4) as pool:
        tokens = [made.token for made in pool.map(lambda number: desk.create(f"key {number}"), range(60))]
    assert all(desk.holder(token) for token in tokens)
