"""Cutting a body never changes it."""

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from setpoint.testing.splits import SplitMode, split


@given(
    pieces=st.lists(st.binary(max_size=60) | st.text("aü🙂\r\n:", max_size=30).map(str.encode)).map(tuple),
    mode=st.sampled_from(get_args(SplitMode)),
    seed=st.integers(0, 9),
)
def test_the_pieces_join_to_the_same_body(pieces: tuple[bytes, ...], mode: SplitMode, seed: int) -> None:
    assert b"".join(split(pieces, mode, seed)) == b"".join(pieces)


def test_a_cut_inside_a_character_is_one() -> None:
    assert split(("aü".encode(),), "in_characters") == (b"a\xc3", b"\xbc")


def test_a_cut_between_line_ends_is_one() -> None:
    assert split((b"a\r\n\r\nb",), "between_line_ends") == (b"a\r", b"\n", b"\r", b"\nb")


def test_events_are_kept_whole() -> None:
    assert split((b"da", b"ta: 1\n\ndata: 2\n\n"), "per_event") == (b"data: 1\n\n", b"data: 2\n\n")
