"""Full jitter and the retry budget."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.kit.backoff import FLOOR_RETRIES, RATIO, WINDOW_S, RetryBudget, delay_s


def test_the_ceiling_grows_by_the_factor_up_to_the_cap() -> None:
    assert [delay_s(1.0, 2.0, 10.0, retry_no, 1.0) for retry_no in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@given(st.integers(0, 10_000), st.floats(0.0, 1.0, exclude_max=True))
def test_jitter_is_full_and_never_passes_the_cap(retry_no: int, uniform: float) -> None:
    drawn_s = delay_s(0.05, 1.5, 1.0, retry_no, uniform)
    assert 0.0 <= drawn_s < 1.0
    assert delay_s(0.05, 1.5, 1.0, retry_no, 0.0) == 0.0


def test_a_quiet_gateway_may_retry_up_to_the_floor() -> None:
    budget = RetryBudget()
    assert [budget.take(5.0) for _ in range(FLOOR_RETRIES + 2)] == [True] * FLOOR_RETRIES + [False, False]


def test_what_happened_before_the_window_counts_no_more() -> None:
    budget = RetryBudget()
    for _ in range(100):
        budget.requested(0.5)
    assert sum(budget.take(9.9) for _ in range(100)) == FLOOR_RETRIES + 20
    assert sum(budget.take(10.1) for _ in range(100)) == 0
    assert sum(budget.take(18.9) for _ in range(100)) == 0
    assert sum(budget.take(29.9) for _ in range(100)) == FLOOR_RETRIES


def test_a_pause_longer_than_the_window_forgets_every_second_of_it() -> None:
    for second in range(WINDOW_S):
        budget = RetryBudget()
        for _ in range(100):
            budget.requested(second)
        assert sum(budget.take(20.0) for _ in range(100)) == FLOOR_RETRIES


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 20), st.integers(0, 20)), max_size=60))
def test_retries_are_never_more_than_the_ratio_and_the_floor(steps: list[tuple[float, int, int]]) -> None:
    """Counted over the ten one-second cells that end with each step."""
    budget, now_s = RetryBudget(), 0.0
    requests: list[int] = []
    retries: list[int] = []
    for pause_s, asked, retried in steps:
        now_s += pause_s
        for _ in range(asked):
            budget.requested(now_s)
            requests.append(int(now_s))
        for _ in range(retried):
            if budget.take(now_s):
                retries.append(int(now_s))
                recent = [second for second in requests if second > int(now_s) - WINDOW_S]
                assert len([second for second in retries if second > int(now_s) - WINDOW_S]) <= FLOOR_RETRIES + RATIO * len(recent)
