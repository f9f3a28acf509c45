"""The arithmetic of a rate with a burst."""

from hypothesis import given
from hypothesis import strategies as st

from setpoint.kit.token_bucket import Bucket, Limit, after_return, after_take, full, full_in_s, limit_per_minute, refilled, wait_s

limits = st.builds(limit_per_minute, st.integers(1, 200_000), st.integers(1, 200_000))
steps = st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 50)), max_size=40)


@given(limits, steps, st.floats(0.0, 1e7))
def test_a_bucket_never_gives_more_than_burst_plus_rate_times_time(limit: Limit, steps: list[tuple[float, int]], start_s: float) -> None:
    bucket, now_s, given_out = full(limit, start_s), start_s, 0
    for pause_s, wanted in steps:
        now_s += pause_s
        bucket, taken = after_take(bucket, limit, wanted, now_s)
        assert 0 <= taken <= wanted
        given_out += taken
        assert given_out <= limit.burst + limit.rate_per_s * (now_s - start_s) + 0.01


@given(limits, st.floats(0.0, 1e7), st.integers(0, 200_000))
def test_whoever_waits_as_long_as_told_finds_a_token(limit: Limit, now_s: float, drained: int) -> None:
    bucket, _ = after_take(full(limit, now_s), limit, drained, now_s)
    _, taken = after_take(bucket, limit, 1, now_s + wait_s(bucket, limit))
    assert taken == 1


@given(limits, st.floats(0.0, 1e6), st.integers(0, 200_000))
def test_a_bucket_is_full_when_it_said_it_would_be(limit: Limit, now_s: float, drained: int) -> None:
    bucket, _ = after_take(full(limit, now_s), limit, drained, now_s)
    later = refilled(bucket, limit, now_s + full_in_s(bucket, limit))
    assert later.level >= limit.burst - 0.001


def test_a_wait_just_short_of_what_was_told_finds_none() -> None:
    limit = Limit(1.0, 1)
    bucket, _ = after_take(full(limit, 0.0), limit, 1, 0.0)
    assert after_take(bucket, limit, 1, 0.99)[1] == 0
    assert after_take(bucket, limit, 1, 1.0)[1] == 1


def test_tokens_that_come_back_never_pass_the_burst() -> None:
    limit = Limit(10.0, 5)
    assert after_return(full(limit, 0.0), limit, 3, 0.0).level == 5.0


def test_credit_is_charged_before_the_next_token() -> None:
    limit = Limit(1.0, 5)
    owing = after_return(Bucket(0.0, 0.0), limit, -1, 0.0)
    assert wait_s(owing, limit) == 2.0


def test_time_that_runs_backwards_refills_nothing() -> None:
    limit = Limit(100.0, 100)
    assert refilled(Bucket(1.0, 50.0), limit, 10.0) == Bucket(1.0, 50.0)


def test_a_burst_of_nothing_counts_as_one() -> None:
    assert limit_per_minute(60, 0).burst == 1
