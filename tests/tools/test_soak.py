"""The soak's own arithmetic: when memory grows, and which goals are missed. The runs themselves take minutes; see docs/proof.md."""

import random

import pytest
from tools.soak import Report, mix
from tools.soak_load import Tally
from tools.soak_trend import mann_kendall, trend
from tools.soak_upstream import PATHS

MINUTES = [float(at) for at in range(0, 600, 3)]


def noisy(slope: float, seed: int, noise: float = 200_000.0) -> list[float]:
    rng = random.Random(seed)
    return [50e6 + slope * at_s + rng.gauss(0, noise) for at_s in MINUTES]


def test_memory_that_grows_is_seen_and_memory_that_swings_is_not() -> None:
    assert all(trend(MINUTES, noisy(5_000, seed)).grows for seed in range(20))
    assert sum(trend(MINUTES, noisy(0, seed)).grows for seed in range(100)) <= 8
    assert not any(trend(MINUTES, noisy(-5_000, seed)).grows for seed in range(20))


def test_the_slope_is_near_the_true_one_whatever_a_few_points_do() -> None:
    values = noisy(5_000, 1)
    values[100] += 1e9
    found = trend(MINUTES, values)
    assert found.slope == pytest.approx(5_000, rel=0.1)
    assert found.low < found.slope < found.high
    assert found.p < 0.001


def test_what_happens_in_the_warm_up_does_not_count() -> None:
    warm = [20e6 + 200_000 * at_s if at_s < 170 else 54e6 for at_s in MINUTES]
    assert not trend(MINUTES, warm).grows


def test_a_series_that_never_changes_has_no_trend() -> None:
    found = trend(MINUTES, [1.0] * len(MINUTES))
    assert (found.slope, found.p, found.grows) == (0.0, 1.0, False)


def test_kendalls_s_counts_the_pairs_and_its_deviation_knows_ties() -> None:
    s, deviation = mann_kendall([1, 2, 3, 4])
    assert s == 6
    assert deviation == pytest.approx((4 * 3 * 13 / 18) ** 0.5)
    assert mann_kendall([4, 3, 2, 1])[0] == -6
    assert mann_kendall([1, 1, 2])[1] == pytest.approx(((3 * 2 * 11 - 2 * 1 * 9) / 18) ** 0.5)


def test_too_few_measurements_say_nothing() -> None:
    with pytest.raises(ValueError, match="too few"):
        trend([0.0, 1.0, 2.0], [1.0, 1.0, 1.0])


def good(**members: object) -> Report:
    tally = Tally(sent=1_000, whole=1_000, seconds=10.0, overhead_ms=[0.1] * 900)
    report = Report(tally, {"w": [(at_s, 1e6) for at_s in MINUTES]}, steady=True, rate=100.0)
    for name, value in members.items():
        setattr(tally if hasattr(tally, name) else report, name, value)
    return report


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"failed": 1}, "no honest way"),
        ({"told": 1}, "1 requests failed"),
        ({"missing": 1}, "1 are missing"),
        ({"doubled": 1}, "1 are double"),
        ({"without_id": 1}, "traces"),
        ({"sent": 900}, "90 requests a second"),
        ({"overhead_ms": [0.1] * 900 + [60.0] * 100}, "95th percentile"),
        ({"overhead_ms": []}, "95th percentile"),
        ({"steady": False, "memory": {"w": list(zip(MINUTES, noisy(9_000, 1), strict=True))}}, "w grows"),
        ({"steady": False, "memory": {}}, "too short"),
    ],
)
def test_each_goal_that_is_missed_is_told(members: dict[str, object], what: str) -> None:
    assert any(what in miss for miss in good(**members).misses())


def test_a_good_run_misses_nothing_and_can_be_read() -> None:
    assert good().misses() == []
    assert good(steady=False).misses() == []
    assert "1000 whole" in next(good().lines())


def test_one_request_in_ten_is_a_stream_in_either_dialect() -> None:
    asked = mix("s")
    streams = [ask for ask in asked if ask.stream]
    assert len(streams) * 10 == len(asked)
    assert {ask.path for ask in streams} == {ask.path for ask in asked} == {"/v1/chat/completions", "/v1/messages"}


def test_the_provider_breaks_in_four_ways_and_answers_well_in_one() -> None:
    for answers in PATHS.values():
        for ways in answers.values():
            good_one, refused, reset, garbage, cut = ways
            assert good_one.data.startswith(b"HTTP/1.1 200")
            assert good_one.close is None
            assert refused.data.startswith(b"HTTP/1.1 503")
            assert (reset.data, reset.close is not None and reset.close.reset) == (b"", True)
            assert b"<html>" in garbage.data
            assert cut.close is not None
            assert 0 < len(cut.data) < len(good_one.data)
