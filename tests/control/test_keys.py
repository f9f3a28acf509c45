"""Gateway keys over their life, seen as a worker sees them: by what the published files say."""

import sqlite3
from pathlib import Path

import pytest
from tests.control.control_desk import START_S, Desk, fault_of, issued, key_of

from setpoint.control.keys import OVERLAP_S_MAX, SECRETS_MAX, KeyWish
from setpoint.domain.faults import FaultKind
from setpoint.domain.principal import Principal

FIXED = "a-fixed-key-for-automation"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.keys.ensure_admin(None)
    desk.publish("a")
    return desk


def test_a_new_key_works_and_says_what_was_wished(desk: Desk) -> None:
    made = desk.create("ci", role="service", project="research", rpm=60, burst=90, expires_s=START_S + 10)
    assert desk.holder(made.token) == Principal(made.key.key_no, made.key.public_id, "service", "research", 60, 90, START_S + 10)
    assert made.token.startswith(f"sk-sp-{made.key.public_id}-")


def test_a_key_stops_when_it_expires(desk: Desk) -> None:
    made = desk.create(expires_s=START_S + 10)
    desk.clock.advance(10)
    assert desk.holder(made.token) is None
    assert key_of(desk.keys.find(made.key.public_id)).state_at(desk.now_s) == "expired"


def test_numbers_are_never_used_again(desk: Desk) -> None:
    first = desk.create()
    desk.keys.revoke(first.key.public_id, "test")
    assert desk.create().key.key_no > first.key.key_no


def test_a_revoked_key_is_nobody_at_once_and_its_past_stays(desk: Desk) -> None:
    made = desk.create()
    revoked = key_of(desk.keys.revoke(made.key.public_id, "test"))
    assert desk.holder(made.token) is None
    assert revoked.state_at(desk.now_s) == "revoked"
    assert made.key.public_id in [key.public_id for key in desk.keys.page()]
    assert desk.keys.revoke(made.key.public_id, "test") == revoked


def test_rotation_keeps_the_number_and_lets_the_old_secret_live_for_the_overlap(desk: Desk) -> None:
    old = desk.create()
    new = issued(desk.keys.rotate(old.key.public_id, 60, "test"))
    assert new.token != old.token
    assert (new.key.key_no, new.key.public_id) == (old.key.key_no, old.key.public_id)
    assert desk.holder(old.token) is not None
    desk.clock.advance(60)
    assert desk.holder(old.token) is None
    assert desk.holder(new.token) is not None


def test_rotation_without_overlap_ends_the_old_secret_at_once(desk: Desk) -> None:
    old = desk.create()
    new = issued(desk.keys.rotate(old.key.public_id, 0, "test"))
    assert desk.holder(old.token) is None
    assert desk.holder(new.token) is not None


def test_a_later_rotation_never_gives_an_ending_secret_more_time(desk: Desk) -> None:
    old = desk.create()
    issued(desk.keys.rotate(old.key.public_id, 60, "test"))
    issued(desk.keys.rotate(old.key.public_id, 600, "test"))
    desk.clock.advance(60)
    assert desk.holder(old.token) is None


def test_a_secret_never_outlives_its_key(desk: Desk) -> None:
    old = desk.create(expires_s=START_S + 5)
    new = issued(desk.keys.rotate(old.key.public_id, 600, "test"))
    desk.clock.advance(5)
    assert desk.holder(old.token) is None
    assert desk.holder(new.token) is None


def test_revocation_ends_every_secret_of_a_rotated_key(desk: Desk) -> None:
    old = desk.create()
    new = issued(desk.keys.rotate(old.key.public_id, 600, "test"))
    desk.keys.revoke(old.key.public_id, "test")
    assert (desk.holder(old.token), desk.holder(new.token)) == (None, None)


def test_rotations_that_overlap_without_end_are_stopped(desk: Desk) -> None:
    made = desk.create()
    for _ in range(SECRETS_MAX - 1):
        issued(desk.keys.rotate(made.key.public_id, 600, "test"))
    assert "still work" in fault_of(desk.keys.rotate(made.key.public_id, 600, "test")).message
    desk.clock.advance(600)
    issued(desk.keys.rotate(made.key.public_id, 600, "test"))


@pytest.mark.parametrize("state", ["expired", "revoked"])
def test_a_key_that_ended_is_not_rotated_back_to_life(desk: Desk, state: str) -> None:
    made = desk.create(expires_s=START_S + 5)
    if state == "revoked":
        desk.keys.revoke(made.key.public_id, "test")
    else:
        desk.clock.advance(5)
    assert state in fault_of(desk.keys.rotate(made.key.public_id, 0, "test")).message


@pytest.mark.parametrize("overlap_s", [-1, OVERLAP_S_MAX + 1])
def test_an_overlap_has_its_limits(desk: Desk, overlap_s: int) -> None:
    assert fault_of(desk.keys.rotate(desk.create().key.public_id, overlap_s, "test")).param == "overlap_s"


def test_an_unknown_key_is_not_found(desk: Desk) -> None:
    for fault in (desk.keys.find("x"), desk.keys.revoke("x", "test"), desk.keys.rotate("x", 0, "test")):
        assert fault_of(fault).kind is FaultKind.not_found


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        (KeyWish(""), "name"),
        (KeyWish("x" * 101), "name"),
        (KeyWish("a\nb"), "name"),
        (KeyWish("a", project=" "), "project"),
        (KeyWish("a", role="root"), "role"),  # type: ignore[arg-type]
        (KeyWish("a", rpm=-1), "rpm"),
        (KeyWish("a", burst=2**40), "rpm"),
        (KeyWish("a", expires_s=START_S), "expires_at"),
        (KeyWish("a", expires_s=253_402_300_800), "expires_at"),
    ],
)
def test_a_wish_that_makes_no_sense_says_which_part(desk: Desk, wish: KeyWish, param: str) -> None:
    before = len(desk.keys.page())
    assert fault_of(desk.keys.create(wish, "test")).param == param
    assert len(desk.keys.page()) == before


def test_the_only_admin_key_cannot_be_revoked(desk: Desk) -> None:
    admin = desk.keys.page()[0]
    assert "only admin key" in fault_of(desk.keys.revoke(admin.public_id, "test")).message
    desk.create("another", role="admin")
    assert key_of(desk.keys.revoke(admin.public_id, "test")).revoked_s


def test_no_token_is_in_the_data_directory(desk: Desk, tmp_path: Path) -> None:
    made = desk.create()
    secret = made.token.rpartition("-")[2].encode()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 4
    assert not [path for path in files if secret in path.read_bytes()]


def test_every_change_leaves_an_audit_entry_of_its_own(desk: Desk) -> None:
    made = desk.create("ci")
    desk.keys.rotate(made.key.public_id, 60, "alice")
    desk.keys.revoke(made.key.public_id, "bob")
    entries = [(entry.actor, entry.action) for entry in desk.store.audit(3)]
    assert entries == [("bob", "key.revoke"), ("alice", "key.rotate"), ("test", "key.create")]
    assert made.token not in repr(desk.store.audit(100))


def test_a_change_and_its_audit_entry_are_one_transaction(desk: Desk, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "control/control.db") as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    db.close()
    before = (desk.keys.page(), desk.store.revision())
    with pytest.raises(Exception, match="the disk is full"):
        desk.create()
    assert (desk.keys.page(), desk.store.revision()) == before


# The first admin key


def test_the_first_start_makes_an_admin_key_and_the_next_one_does_not(tmp_path: Path) -> None:
    first = Desk(tmp_path)
    token = first.keys.ensure_admin(None)
    first.publish("a")
    assert token is not None
    holder = first.holder(token)
    assert holder is not None
    assert holder.role == "admin"
    assert Desk(tmp_path, first_random=50).keys.ensure_admin(None) is None


def test_a_fixed_admin_key_takes_the_place_of_a_made_one(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert desk.keys.ensure_admin(FIXED) is None
    desk.publish("a")
    holder = desk.holder(FIXED)
    assert holder is not None
    assert holder.role == "admin"
    assert "change it there" in fault_of(desk.keys.rotate(holder.public_id, 0, "test")).message
    assert desk.keys.ensure_admin(FIXED) is None
    assert len(desk.keys.page()) == 1


def test_another_fixed_key_ends_the_one_before(desk: Desk) -> None:
    desk.keys.ensure_admin(FIXED)
    desk.keys.ensure_admin(FIXED + "-2")
    assert desk.holder(FIXED) is None
    assert desk.holder(FIXED + "-2") is not None
    desk.keys.ensure_admin(None)
    assert desk.holder(FIXED + "-2") is None


def test_a_fixed_key_in_our_own_form_keeps_its_public_id_and_may_come_back(desk: Desk) -> None:
    token = "sk-sp-" + "A" * 12 + "-" + "b" * 43
    for given in (token, None, token):
        desk.keys.ensure_admin(given)
        holder = desk.holder(token)
        assert (holder is not None) == (given is not None)
    assert [key.public_id for key in desk.keys.page()].count("A" * 12) == 1
