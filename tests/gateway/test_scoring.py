"""Rankings: plain figures in, an order out; and what a worker remembers of an endpoint."""

import random
from collections import Counter
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from setpoint.domain.money import Price, cost_nanousd
from setpoint.domain.plan import HybridWeights
from setpoint.domain.usage import Usage
from setpoint.gateway.scoring import (
    EXPLORE_S,
    FORGET_S,
    TAU_S,
    WEIGHT_MAX,
    Average,
    Track,
    by_cost,
    by_load,
    by_score,
    by_speed,
    by_turn,
    by_weight,
    cost_of,
    to_explore,
)

picousd = st.integers(0, 10**8)
prices = st.none() | st.builds(Price, picousd, picousd, request_picousd=st.integers(0, 10**10))


# ---- cost


@given(st.lists(prices, min_size=1, max_size=8), st.integers(0, 10**5), st.integers(0, 500))
def test_the_order_by_cost_is_that_of_what_each_would_charge(listed: list[Price | None], prompt: int, answer: int) -> None:
    """Brute force: no later target has a lower bill than an earlier one, and none without a price is before one with."""
    ranking = by_cost([cost_of(price, prompt, answer) for price in listed])
    assert sorted(ranking.order) == list(range(len(listed)))
    bills = [None if (price := listed[at]) is None else cost_nanousd(price, Usage(input=prompt, output=answer)) for at in ranking.order]
    known = [bill for bill in bills if bill is not None]
    assert bills == known + [None] * (len(bills) - len(known))
    assert known == sorted(known)


def test_equal_costs_stay_as_configured() -> None:
    assert by_cost([2.0, None, 1.0, None, 1.0]).order == (2, 4, 0, 1, 3)


def test_long_prompts_and_long_answers_have_different_cheapest_targets() -> None:
    cheap_prompt, cheap_answer = Price(1, 100), Price(10, 10)
    assert by_cost([cost_of(price, 1_000, 10) for price in (cheap_answer, cheap_prompt)]).order == (1, 0)
    assert by_cost([cost_of(price, 10, 500) for price in (cheap_prompt, cheap_answer)]).order == (1, 0)


# ---- chance and turns


@pytest.mark.parametrize("weights", [(1, 1, 1), (6, 3, 1), (0.5, 0.25, 0.25), (100, 1, 1)])
def test_weighted_first_choices_are_in_proportion_and_say_their_probability(weights: tuple[float, float, float]) -> None:
    """20,000 draws of a fixed seed; five standard deviations are allowed."""
    count, draws = 20_000, random.Random(7)
    rankings = [by_weight(weights, [draws.random() for _ in weights]) for _ in range(count)]
    firsts = Counter(ranking.order[0] for ranking in rankings)
    for at, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(firsts[at] - count * share) < 5 * (count * share * (1 - share)) ** 0.5
    assert all(ranking.propensity == pytest.approx(weights[ranking.order[0]] / sum(weights)) for ranking in rankings)


def test_the_rest_of_a_weighted_order_is_in_proportion_too() -> None:
    count, draws = 20_000, random.Random(11)
    orders = Counter(by_weight((6, 3, 1), [draws.random() for _ in range(3)]).order for _ in range(count))
    expected = {(0, 1, 2): 0.6 * 3 / 4, (0, 2, 1): 0.6 / 4, (1, 0, 2): 0.3 * 6 / 7, (1, 2, 0): 0.3 / 7, (2, 0, 1): 0.1 * 6 / 9}
    for order, share in expected.items():
        assert abs(orders[order] - count * share) < 5 * (count * share * (1 - share)) ** 0.5


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=3, max_size=3))
def test_a_weight_of_nothing_is_a_last_resort(draws: list[float]) -> None:
    assert by_weight((0, 1, 0), draws).order == (1, 0, 2)


def test_each_turn_begins_one_further() -> None:
    assert [by_turn(3, turn).order for turn in range(4)] == [(0, 1, 2), (1, 2, 0), (2, 0, 1), (0, 1, 2)]


def test_the_least_busy_is_first_and_equals_stay_as_configured() -> None:
    assert by_load([2, 0, 1, 0]).order == (1, 3, 2, 0)


# ---- memory


def test_an_average_of_equal_figures_is_that_figure() -> None:
    average = Average()
    for no in range(100):
        average.add(0.5, no * 0.1)
        assert average.value(no * 0.1) == pytest.approx(0.5)


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 10_000), st.floats(0, 1))
def test_an_average_converges_on_what_is_true_now(before: float, after: float, seen: int, gap_s: float) -> None:
    """However much was seen before, 200 figures move it to within 1 % of the difference."""
    average = Average()
    for no in range(min(seen, 300)):
        average.add(before, no * gap_s)
    began_s = min(seen, 300) * gap_s
    for no in range(200):
        average.add(after, began_s + no * gap_s)
    value = average.value(began_s + 199 * gap_s)
    assert value is not None
    assert abs(value - after) <= abs(before - after) * 0.01 + 1e-9


def test_a_figure_counts_e_times_less_after_tau() -> None:
    average = Average()
    average.add(0.0, 0.0)
    average.add(1.0, TAU_S)
    assert average.value(TAU_S) == pytest.approx(1 / (1 + 1 / 2.718281828))


def test_the_next_figure_always_counts_for_something() -> None:
    average = Average()
    for _ in range(100_000):
        average.add(0.0, 1.0)
    average.add(1.0, 1.0)
    assert average.value(1.0) == pytest.approx(1 / (WEIGHT_MAX + 1))


def test_what_is_old_is_forgotten() -> None:
    average = Average()
    average.add(30.0, 0.0)
    assert average.value(FORGET_S - 0.001) == 30.0
    assert average.value(FORGET_S) is None
    average.add(1.0, FORGET_S)
    assert average.value(FORGET_S) == 1.0


def test_a_clock_that_stands_still_is_no_trap() -> None:
    average = Average()
    average.add(1.0, 5.0)
    average.add(3.0, 5.0)
    average.add(5.0, 4.0)
    assert average.value(5.0) == pytest.approx(3.0)


def test_streams_and_whole_answers_are_remembered_apart() -> None:
    track = Track()
    track.worked(0.2, 1.0, stream=True)
    track.worked(4.0, 1.0, stream=False)
    assert (track.stream.seconds.value(1.0), track.unary.seconds.value(1.0)) == (0.2, 4.0)


def test_a_call_that_fails_fast_is_not_fast() -> None:
    track = Track()
    track.failed(30.0, 1.0, stream=False)
    assert (track.unary.seconds.value(1.0), track.reliability.value(1.0)) == (30.0, 0.0)


def test_a_call_that_was_given_up_counts_only_when_it_was_slower_than_known() -> None:
    track = Track()
    track.given_up(9.0, 1.0, stream=False)
    assert track.unary.seconds.value(1.0) is None
    track.worked(1.0, 1.0, stream=False)
    track.given_up(0.5, 1.0, stream=False)
    assert track.unary.seconds.value(1.0) == 1.0
    track.given_up(9.0, 1.0, stream=False)
    assert track.unary.seconds.value(1.0) == 5.0


# ---- speed


def test_the_fastest_is_first_and_the_unknown_explored_one_last() -> None:
    ranking = by_speed([2.0, None, 1.0], [-inf, 99.0, -inf], 50.0)
    assert (ranking.order, ranking.reason, ranking.scores) == ((2, 0, 1), "fastest", (1.0, 2.0, None))


def test_one_that_nobody_has_tried_is_tried_first() -> None:
    ranking = by_speed([2.0, None, None], [-inf, -inf, -inf], 50.0)
    assert (ranking.order, ranking.reason) == ((1, 0, 2), "untried")


def test_when_all_are_being_explored_the_one_that_waited_longest_is_asked() -> None:
    assert by_speed([None, None, None], [70.0, 60.0, 80.0], 50.0).order == (1, 0, 2)


def play(true_s: list[float], rate: float, for_s: float, tracks: list[Track], began_s: float = 0.0) -> Counter[int]:
    """Who is asked first when requests come at `rate` a second, one after another, and each target takes its true time."""
    asked: Counter[int] = Counter()
    pending: list[tuple[float, int, float]] = []
    for no in range(round(rate * for_s)):
        now_s = began_s + no / rate
        for end_s, at, seconds in [each for each in pending if each[0] <= now_s]:
            tracks[at].worked(seconds, end_s, stream=False)
        pending = [each for each in pending if each[0] > now_s]
        forms = [track.unary for track in tracks]
        known, explored = [form.seconds.value(now_s) for form in forms], [form.explored_until_s for form in forms]
        ranking = by_speed(known, explored, now_s)
        first = ranking.order[0]
        if ranking.reason == "untried":
            forms[first].explored_until_s = now_s + EXPLORE_S
        asked[first] += 1
        pending.append((now_s + true_s[first], first, true_s[first]))
    return asked


@given(st.lists(st.floats(0.05, 5.0), min_size=2, max_size=6))
def test_no_target_starves_and_the_slow_ones_cost_little(true_s: list[float]) -> None:
    """Ten minutes, five requests a second. Each target is tried at least every FORGET_S and its time; the slower ones no more often."""
    for_s = 600.0
    asked = play(true_s, 5.0, for_s, [Track() for _ in true_s])
    fastest = min(true_s)
    for at, seconds in enumerate(true_s):
        assert asked[at] >= 0.9 * for_s / (FORGET_S + seconds + 1)
        if seconds > 1.5 * fastest:
            assert asked[at] <= for_s / FORGET_S + 30  # at the start nobody knows anything, and requests are shared out


def test_a_target_that_becomes_the_fastest_is_found() -> None:
    tracks = [Track(), Track()]
    first = play([0.2, 2.0], 10.0, 120.0, tracks)
    assert first[0] > 10 * first[1]
    later = play([0.2, 0.05], 10.0, 240.0, tracks, 120.0)
    assert later[1] > 1.5 * later[0]


def test_one_that_is_explored_gets_one_request_until_it_answers() -> None:
    seconds, until_s = [0.5, None], [-inf, -inf]
    assert to_explore(seconds, until_s, 10.0) == 1
    until_s[1] = 10.0 + EXPLORE_S
    assert to_explore(seconds, until_s, 10.0 + EXPLORE_S - 0.01) is None
    assert to_explore(seconds, until_s, 10.0 + EXPLORE_S) == 1


# ---- hybrid


def score_of(cost: float | None, seconds: float | None, reliability: float | None) -> float:
    ranking = by_score([0.5, cost], [1.0, seconds], [1.0, reliability], [inf, inf], 0.0, HybridWeights())
    return dict(zip(ranking.order, ranking.scores, strict=True))[1] or 0.0


def test_the_score_is_four_parts_cost_four_parts_speed_two_parts_reliability() -> None:
    assert score_of(0.5, 1.0, 1.0) == pytest.approx(1.0)
    assert score_of(1.0, 1.0, 1.0) == pytest.approx(0.8)
    assert score_of(0.5, 2.0, 1.0) == pytest.approx(0.8)
    assert score_of(0.5, 1.0, 0.5) == pytest.approx(0.9)
    assert score_of(None, 1.0, 1.0) == pytest.approx(0.6)
    assert score_of(0.5, None, None) == pytest.approx(0.6)


def test_weights_count_by_their_proportion() -> None:
    arguments = ([1.0, 0.1], [0.1, 1.0], [1.0, 1.0], [-inf, -inf], 0.0)
    assert by_score(*arguments, HybridWeights(9, 1, 0)).order == (1, 0)
    assert by_score(*arguments, HybridWeights(1, 9, 0)).order == (0, 1)
    assert by_score(*arguments, HybridWeights(0.9, 0.1, 0)).scores == pytest.approx(by_score(*arguments, HybridWeights(9, 1, 0)).scores)


@given(
    st.lists(st.tuples(st.none() | st.floats(0, 10), st.floats(0.01, 10), st.floats(0, 1)), min_size=1, max_size=8),
    st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0, 1),
)  # fmt: skip
def test_scores_are_shares_and_in_order(
    rows: list[tuple[float | None, float, float]], cost: float, latency: float, reliability: float
) -> None:
    costs, seconds, reliabilities = zip(*rows, strict=True)
    ranking = by_score(costs, seconds, reliabilities, [-inf] * len(rows), 0.0, HybridWeights(cost, latency, reliability))
    scores = [score for score in ranking.scores if score is not None]
    assert len(scores) == len(rows)
    assert scores == sorted(scores, reverse=True)
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in scores)


def test_a_free_target_is_the_cheapest_and_not_a_division_by_zero() -> None:
    ranking = by_score([0.0, 1.0], [1.0, 1.0], [1.0, 1.0], [-inf, -inf], 0.0, HybridWeights())
    assert ranking.order == (0, 1)
    assert ranking.scores == pytest.approx((1.0, 0.6))
