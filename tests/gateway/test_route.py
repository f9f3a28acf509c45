"""Where a request may go, and in which order."""

import random
from collections import Counter

import pytest
from tests.gateway.world import World, ask, headers_of, plan_of, status_of, upstream, world

from setpoint.domain.plan import Route, Strategy, Target
from setpoint.gateway.published import ResolvedRoute
from setpoint.gateway.stages.route import in_order
from setpoint.gateway.surfaces import CHAT


def resolved(w: World) -> ResolvedRoute:
    found = w.lane.published.resolve("m", CHAT)
    assert found is not None
    return found


def names(route: ResolvedRoute, draws: random.Random) -> list[str]:
    return [candidate.line.upstream.name for candidate in in_order(route, draws.random)]


def plan_with(strategy: Strategy, *weights: float) -> Route:
    return Route("m", tuple(Target(name, "", weight) for name, weight in zip("abc", weights, strict=True)), strategy=strategy)


ABC = (upstream("a"), upstream("b"), upstream("c"))


def test_failover_keeps_the_configured_order() -> None:
    with world(plan_of(*ABC, routes=(plan_with("failover", 1, 5, 9),))) as w:
        assert {tuple(names(resolved(w), random.Random(no))) for no in range(20)} == {("a", "b", "c")}


def test_round_robin_begins_one_further_each_time() -> None:
    with world(plan_of(*ABC, routes=(plan_with("round_robin", 1, 1, 1),))) as w:
        route = resolved(w)
        assert ["".join(names(route, random.Random(0))) for _ in range(4)] == ["abc", "bca", "cab", "abc"]


@pytest.mark.parametrize("weights", [(1, 1, 1), (6, 3, 1), (0.5, 0.25, 0.25), (100, 1, 1)])
def test_weighted_first_choices_are_in_proportion(weights: tuple[float, float, float]) -> None:
    """20,000 draws of a fixed seed; five standard deviations are allowed."""
    count, draws = 20_000, random.Random(7)
    with world(plan_of(*ABC, routes=(plan_with("weighted", *weights),))) as w:
        route = resolved(w)
        firsts = Counter(names(route, draws)[0] for _ in range(count))
    for name, weight in zip("abc", weights, strict=True):
        share = weight / sum(weights)
        assert abs(firsts[name] - count * share) < 5 * (count * share * (1 - share)) ** 0.5


def test_the_rest_of_a_weighted_order_is_in_proportion_too() -> None:
    count, draws = 20_000, random.Random(11)
    with world(plan_of(*ABC, routes=(plan_with("weighted", 6, 3, 1),))) as w:
        route = resolved(w)
        orders = Counter("".join(names(route, draws)) for _ in range(count))
    expected = {"abc": 0.6 * 3 / 4, "acb": 0.6 / 4, "bac": 0.3 * 6 / 7, "bca": 0.3 / 7, "cab": 0.1 * 6 / 9, "cba": 0.1 * 3 / 9}
    for order, share in expected.items():
        assert abs(orders[order] - count * share) < 5 * (count * share * (1 - share)) ** 0.5


def test_a_weight_of_nothing_is_a_last_resort() -> None:
    with world(plan_of(*ABC, routes=(plan_with("weighted", 0, 1, 0),))) as w:
        route = resolved(w)
        assert {tuple(names(route, random.Random(no))) for no in range(50)} == {("b", "a", "c")}


def test_a_draw_of_zero_is_no_trap() -> None:
    with world(plan_of(*ABC, routes=(plan_with("weighted", 1, 1, 1),))) as w:
        assert len(in_order(resolved(w), lambda: 0.0)) == 3


def test_a_model_nobody_serves_is_a_404_that_names_it() -> None:
    with world() as w:
        client = w.client()
        client.says(ask("gpt-99"))
        w.loop.spin()
        assert status_of(client.sent) == 404
        assert b"'gpt-99'" in client.sent
        assert headers_of(client.sent)["x-setpoint-error-code"] == "1003"


def test_a_name_of_any_length_is_refused_briefly_and_not_remembered() -> None:
    with world() as w:
        client = w.client()
        client.says(ask("x" * 100_000))
        w.loop.spin()
        assert status_of(client.sent) == 404
        assert len(client.sent) < 1_500
        assert w.lane.published._resolved == {}
