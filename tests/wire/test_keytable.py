"""A key table finds exactly the keys it was made of, whatever is asked of it, and says when it is damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.principal import ROLES, Principal
from setpoint.domain.snapshot import Change, Revoke, Upsert
from setpoint.wire.keytable import FRAME_BYTES_MAX, KeyTable, TableDamaged, decode_changes, encode_change, encode_table, read_changes

digests = st.binary(min_size=16, max_size=16)
u32 = st.integers(0, 2**32 - 1)
principals = st.builds(
    Principal,
    key_no=u32,
    public_id=st.text(max_size=30),
    role=st.sampled_from(ROLES),
    project=st.text(max_size=30),
    rpm=u32,
    burst=u32,
    expires_s=st.integers(0, 2**63),
)
tables = st.dictionaries(digests, principals, max_size=40)
changes: st.SearchStrategy[Change] = st.one_of(st.builds(Upsert, digests, principals), st.builds(Revoke, digests))
ALICE = Principal(1, "alice", "developer")
BOB = Principal(2, "bob", "admin", "research", 60, 90, 1_900_000_000)


@given(tables, digests)
def test_a_table_finds_its_rows_and_nobody_else(rows: dict[bytes, Principal], stranger: bytes) -> None:
    table = KeyTable(encode_table(rows.items()))
    assert {digest: table.find(digest) for digest in rows} == rows
    assert table.find(stranger) == rows.get(stranger)
    assert table.rows == len(rows)


@given(tables, st.lists(changes, max_size=20))
def test_a_changed_table_answers_like_a_changed_dictionary(rows: dict[bytes, Principal], log: list[Change]) -> None:
    expected: dict[bytes, Principal | None] = dict(rows)
    for change in log:
        expected[change.digest] = change.principal if isinstance(change, Upsert) else None
    before = KeyTable(encode_table(rows.items()))
    after = before.changed(log)
    assert {digest: after.find(digest) for digest in expected} == expected
    assert {digest: before.find(digest) for digest in rows} == rows


@given(st.lists(changes, max_size=10), st.integers(0, 10_000))
def test_a_log_cut_anywhere_gives_its_whole_frames_and_no_more(log: list[Change], cut: int) -> None:
    frames = [encode_change(change) for change in log]
    whole = b"".join(frames)
    kept, used = read_changes(whole[: cut % (len(whole) + 1)])
    assert kept == log[: len(kept)]
    assert used == sum(len(frame) for frame in frames[: len(kept)])
    assert decode_changes(whole) == log


@given(st.lists(changes, min_size=1, max_size=5), st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_byte_in_a_log_is_noticed(log: list[Change], at: int, flip: int) -> None:
    whole = bytearray(b"".join(encode_change(change) for change in log))
    whole[at % len(whole)] ^= flip
    with pytest.raises(TableDamaged, match="whole frames"):
        decode_changes(bytes(whole))


@given(st.integers(0, 27), st.integers(1, 255))
def test_a_damaged_header_is_noticed(at: int, flip: int) -> None:
    data = bytearray(encode_table([(bytes(16), ALICE)]))
    data[at] ^= flip
    with pytest.raises(TableDamaged):
        KeyTable(bytes(data))


def test_a_table_cut_short_is_noticed() -> None:
    data = encode_table([(bytes(16), ALICE), (b"b" * 16, BOB)])
    for end in range(len(data)):
        with pytest.raises(TableDamaged):
            KeyTable(data[:end])


def test_each_name_is_stored_once() -> None:
    one = len(encode_table([(bytes([i]) * 16, Principal(i, "p", "viewer", "the-same-project")) for i in range(10)]))
    two = len(encode_table([(bytes([i]) * 16, Principal(i, "p", "viewer", "the-same-project")) for i in range(11)]))
    assert two - one == 48


def test_a_row_of_a_role_of_a_later_version_is_damage_and_not_a_guess() -> None:
    data = bytearray(encode_table([(bytes(16), ALICE)]))
    data[32 + 20] = len(ROLES)
    with pytest.raises(TableDamaged, match="does not know"):
        KeyTable(bytes(data)).find(bytes(16))


@pytest.mark.parametrize(
    "rows",
    [
        [(b"short", ALICE)],
        [(bytes(16), ALICE), (bytes(16), BOB)],
        [(bytes(16), Principal(1, "x" * 256, "viewer"))],
    ],
    ids=["digest of the wrong size", "digest twice", "name too long"],
)
def test_rows_that_cannot_be_told_apart_or_stored_are_refused(rows: list[tuple[bytes, Principal]]) -> None:
    with pytest.raises(ValueError):
        encode_table(rows)


def test_a_change_that_no_reader_would_accept_is_not_written() -> None:
    with pytest.raises(ValueError, match=str(FRAME_BYTES_MAX)):
        encode_change(Upsert(bytes(16), Principal(1, "x" * FRAME_BYTES_MAX, "viewer")))
