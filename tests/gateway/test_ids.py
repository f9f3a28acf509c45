"""Request ids sort by time, whatever the clock does, and never repeat."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.gateway.ids import RANDOM_AHEAD, RequestIds


@given(st.lists(st.integers(0, 2**62), max_size=50))
def test_ids_only_grow_even_when_the_clock_steps_back(walls: list[int]) -> None:
    ids = RequestIds(bytes)
    made = [ids.next(wall_ns) for wall_ns in walls]
    assert made == sorted(set(made))
    assert {len(each) for each in made} <= {16}


def test_the_second_half_is_random_and_drawn_ahead() -> None:
    drawn: list[int] = []

    def random_bytes(count: int) -> bytes:
        drawn.append(count)
        return b"".join((len(drawn) * RANDOM_AHEAD + no).to_bytes(8, "big") for no in range(count // 8))

    ids = RequestIds(random_bytes)
    halves = [ids.next(no)[8:] for no in range(2 * RANDOM_AHEAD)]
    assert len(set(halves)) == 2 * RANDOM_AHEAD
    assert drawn == [8 * RANDOM_AHEAD] * 2
