"""Where a request may go, and in which order."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from tests.gateway.world import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    World,
    answer,
    ask,
    body_of,
    event,
    headers_of,
    plan_of,
    route_to,
    status_of,
    upstream,
    world,
)

from setpoint.domain.money import Price
from setpoint.domain.plan import HybridWeights, PriceBook, Retries, Route, Strategy, Target
from setpoint.gateway.decision import Cause
from setpoint.gateway.preferences import Providers, Sort
from setpoint.gateway.scoring import EXPECTED_OUTPUT_TOKENS, FORGET_S, Reason
from setpoint.gateway.stages.route import expected_output
from setpoint.gateway.surfaces import CHAT

ABC = (upstream("a"), upstream("b"), upstream("c"))


def plan_with(strategy: Strategy, *weights: float, **members: Any) -> Route:
    return Route("m", tuple(Target(name, "", weight) for name, weight in zip("abc", weights, strict=True)), strategy=strategy, **members)


def serve(w: World, said: bytes | None = None, seconds: float = 0.0, reply: bytes | None = None) -> tuple[str, bytes]:
    """Ask once, and let whoever is asked answer after `seconds`: its name, and what the client got."""
    client = w.client()
    before = {id(wire): wire.sent.count(b"POST ") for wire in w.loop.wires}
    client.says(said or ask("m"))
    w.loop.spin()
    (at,) = [no for no, wire in enumerate(w.loop.wires) if wire.sent.count(b"POST ") > before.get(id(wire), 0)]
    if seconds:
        w.loop.advance(seconds)
    wire = w.loop.wires[at]
    name = wire.sent.rpartition(b"host: ")[2].partition(b".test")[0].decode()
    wire.says(reply or answer())
    w.loop.spin()
    return name, client.sent


def decision_of(w: World) -> dict[str, Any]:
    decided: dict[str, Any] = msgspec.json.decode(w.sink.ends()[-1].tail.decision)
    return decided


def priced(**figures: int) -> PriceBook:
    """Each upstream is its own provider, whose model m costs that many pico-dollars a token."""
    return PriceBook("test", {name: {"m": Price(figure, figure)} for name, figure in figures.items()})


def own(*names: str) -> tuple[Any, ...]:
    return tuple(upstream(name, provider=name) for name in names)


# ---- strategies


def test_failover_keeps_the_configured_order() -> None:
    with world(plan_of(*ABC, routes=(plan_with("failover", 1, 5, 9),))) as w:
        assert {serve(w)[0] for _ in range(5)} == {"a"}


def test_round_robin_begins_one_further_each_time() -> None:
    with world(plan_of(*ABC, routes=(plan_with("round_robin", 1, 1, 1),))) as w:
        assert [serve(w)[0] for _ in range(4)] == ["a", "b", "c", "a"]
        assert decision_of(w) == {"strategy": "round_robin", "reason": "turn", "order": [["a/m"], ["b/m"], ["c/m"]]}


def test_a_weighted_choice_says_how_probable_it_was() -> None:
    with world(plan_of(*ABC, routes=(plan_with("weighted", 6, 3, 1),)), draws=iter([0.1, 0.9, 0.1]).__next__) as w:
        name, sent = serve(w)
        assert name == "b"
        assert headers_of(sent)["x-setpoint-decision"] == "strategy=weighted; reason=drawn; propensity=0.3"
        assert decision_of(w)["propensity"] == 0.3
        assert decision_of(w)["order"] == [["b/m", 3.0], ["a/m", 6.0], ["c/m", 1.0]]


def test_a_draw_of_zero_is_no_trap() -> None:
    with world(plan_of(*ABC, routes=(plan_with("weighted", 1, 1, 1),)), draws=lambda: 0.0) as w:
        assert serve(w)[0] == "a"


def test_the_cheapest_is_asked_first_and_an_unknown_price_last() -> None:
    plan = plan_of(*own("a", "b", "c"), routes=(plan_with("cost", 1, 1, 1),), prices=priced(b=5_000_000, c=1_000_000))
    with world(plan) as w:
        name, sent = serve(w)
        assert name == "c"
        assert headers_of(sent)["x-setpoint-decision"] == "strategy=cost; reason=cheapest"
        assert [row[0] for row in decision_of(w)["order"]] == ["c/m", "b/m", "a/m"]
        assert len(decision_of(w)["order"][2]) == 1


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"max_tokens": 7}', 7),
        (b'{"max_completion_tokens": 9, "max_tokens": 8}', 8),
        (b'{"max_output_tokens": 100000}', EXPECTED_OUTPUT_TOKENS),
        (b"{}", EXPECTED_OUTPUT_TOKENS),
        (b'{"max_tokens": null}', EXPECTED_OUTPUT_TOKENS),
        (b'{"max_tokens": "7"}', EXPECTED_OUTPUT_TOKENS),
        (b'{"max_tokens": -7}', 0),
        (b"\xff", EXPECTED_OUTPUT_TOKENS),
    ],
)
def test_the_answer_is_taken_to_be_as_long_as_the_request_lets_it_be(body: bytes, tokens: int) -> None:
    assert expected_output(body) == tokens


def test_the_fastest_is_asked_once_all_were_tried() -> None:
    slow = {"a": 2.0, "b": 0.2, "c": 1.0}
    with world(plan_of(*ABC, routes=(plan_with("latency", 1, 1, 1),))) as w:
        tried = []
        for _ in range(3):
            client = w.client()
            client.says(ask("m"))
            w.loop.spin()
            name = str(w.loop.asked[-1]["to"][0]).partition(".")[0]
            tried.append(name)
            w.loop.advance(slow[name])
            w.loop.wires[-1].says(answer())
            w.loop.spin()
        assert tried == ["a", "b", "c"]
        assert decision_of(w)["reason"] == "untried"
        assert {serve(w, seconds=0.2)[0] for _ in range(5)} == {"b"}
        assert decision_of(w)["reason"] == "fastest"
        assert [row[0] for row in decision_of(w)["order"]] == ["b/m", "c/m", "a/m"]


def test_of_a_stream_the_time_to_the_first_token_counts() -> None:
    with world(plan_of(*ABC[:2], routes=(route_to("m", "a", "b", strategy="latency"),))) as w:
        for first_s, rest_s in ((0.1, 5.0), (1.0, 0.1)):
            w.client().says(ask("m", stream=True))
            w.up().says(STREAM_HEAD)
            w.loop.advance(first_s)
            w.up().says(event("hello"))
            w.loop.advance(rest_s)
            w.up().says(event(finish="stop") + DONE + STREAM_END)
            w.loop.spin()
        client = w.client()
        client.says(ask("m", stream=True))
        w.loop.spin()
        assert w.loop.wires[0].sent.count(b"POST") == 2
        w.loop.wires[0].says(STREAM_HEAD + event("x") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        (fast, slow) = decision_of(w)["order"]
        assert (fast, slow) == (["a/m", pytest.approx(0.1, abs=0.01)], ["b/m", pytest.approx(1.0, abs=0.01)])


def test_a_target_that_fails_at_once_is_not_the_fastest() -> None:
    plan = plan_of(*ABC[:2], routes=(route_to("m", "a", "b", strategy="latency", retries=Retries(attempts=2)),))
    with world(plan) as w:
        client = w.client()
        client.says(ask("m"))
        w.up(0).says(answer(b"{}", 500))
        w.up(1)
        w.loop.advance(1.0)
        w.up(1).says(answer())
        w.loop.spin()
        assert headers_of(client.sent)["x-setpoint-decision"] == "strategy=latency; reason=untried; fallback=error"
        assert {serve(w, seconds=1.0)[0] for _ in range(5)} == {"b"}
        assert decision_of(w)["order"] == [["b/m", pytest.approx(1.0)], ["a/m", 30.0]]


def test_what_is_old_is_forgotten_and_explored_by_one_request_at_a_time() -> None:
    with world(plan_of(*ABC[:2], routes=(route_to("m", "a", "b", strategy="latency"),))) as w:
        assert [serve(w, seconds=each)[0] for each in (3.0, 0.1)] == ["a", "b"]
        for _ in range(5):
            w.loop.advance(FORGET_S / 6)
            assert serve(w, seconds=0.1)[0] == "b"
        w.loop.advance(FORGET_S / 6)
        before = len(w.loop.asked)
        for _ in range(4):
            w.client().says(ask("m"))
            w.loop.spin()
        opened = [str(each["to"][0])[0] for each in w.loop.asked[before:]]
        assert (opened.count("a"), opened.count("b")) == (1, 2)  # and one more on the connection to b that was open


def test_the_least_busy_upstream_is_asked() -> None:
    with world(plan_of(*ABC, routes=(plan_with("least_busy", 1, 1, 1),))) as w:
        for _ in range(5):
            w.client().says(ask("m"))
            w.loop.spin()
        asked = [str(each["to"][0])[0] for each in w.loop.asked]
        assert asked == ["a", "b", "c", "a", "b"]


def test_hybrid_weighs_cost_and_speed_and_its_weights_can_be_set() -> None:
    for weights, expected in ((HybridWeights(1, 0, 0), "a"), (HybridWeights(0.1, 0.9, 0), "b")):
        route = route_to("m", "a", "b", strategy="hybrid", hybrid=weights)
        with world(plan_of(*own("a", "b"), routes=(route,), prices=priced(a=1_000_000, b=2_000_000))) as w:
            for name, seconds in (("a", 4.0), ("b", 0.5)):
                candidate = next(c for c in w.lane.published.resolve("m", CHAT).candidates if c.line.upstream.name == name)  # type: ignore[union-attr]
                candidate.track.worked(seconds, w.loop.time(), stream=False)
            assert serve(w)[0] == expected
            assert decision_of(w)["reason"] == "best score"


def test_by_model_the_name_chooses_the_target() -> None:
    targets = (
        Target("a", match=("claude-*",)),
        Target("b", match=("gpt-*", "o?-*")),
        Target("c", "fallback-model"),
    )
    with world(plan_of(*ABC, routes=(Route("*", targets, strategy="model"),))) as w:
        assert [serve(w, ask(name))[0] for name in ("claude-x", "gpt-5", "o3-mini", "llama")] == ["a", "b", "b", "c"]
        serve(w, ask("claude-x"))
        assert decision_of(w) == {"strategy": "model", "reason": "configured", "order": [["a/claude-x"], ["c/fallback-model"]]}


def test_by_model_a_name_that_no_pattern_takes_is_unknown() -> None:
    with world(plan_of(*ABC, routes=(Route("*", (Target("a", match=("claude-*",)),), strategy="model"),))) as w:
        client = w.client()
        client.says(ask("gpt-5"))
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["x-setpoint-error-code"]) == (404, "1003")


def test_patterns_are_for_the_name_behind_the_routes_own_prefix() -> None:
    with world(plan_of(*ABC, routes=(Route("auto/*", (Target("b", match=("claude-*",)),), strategy="model"),))) as w:
        name, sent = serve(w, ask("auto/claude-x"))
        assert (name, headers_of(sent)["x-setpoint-model"]) == ("b", "claude-x")


# ---- what is decided is told


def test_a_single_target_has_no_decision() -> None:
    with world() as w:
        _, sent = serve(w, ask())
        assert "x-setpoint-decision" not in headers_of(sent)
        assert w.sink.ends()[-1].tail.decision == ""


def test_a_long_order_is_cut_and_says_so() -> None:
    listed = [upstream(f"u{no}") for no in range(20)]
    with world(plan_of(*listed, routes=(route_to("m", *(each.name for each in listed)),))) as w:
        serve(w)
        assert (len(decision_of(w)["order"]), decision_of(w)["more"]) == (16, 4)


def test_the_page_about_routing_names_every_word() -> None:
    page = (Path(__file__).parents[2] / "docs/routing.md").read_text()
    words = {*get_args(Strategy), *get_args(Reason), *get_args(Cause), *get_args(Sort), *Providers.__struct_fields__[:5]}
    words |= {"models", "fallbacks", "max_price", "x-setpoint-route", "x-setpoint-decision", "setpoint_route_decisions_total"}
    assert [word for word in sorted(words) if word not in page] == []


# ---- the name


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
        for said in (ask("x" * 100_000), ask("m-1", headers={"x-setpoint-route": "y" * 20_000})):
            client = w.client()
            client.says(said)
            w.loop.spin()
            assert status_of(client.sent) in (400, 404)
            assert len(client.sent) < 1_500
        assert w.lane.published._resolved == {}


def test_a_header_forces_a_route_by_its_name() -> None:
    routes = (route_to("m-1", "a"), Route("other", (Target("b", "fixed"),)), Route("wild/*", (Target("c"),)))
    with world(plan_of(*ABC, routes=routes)) as w:
        seen = []
        for forced in ("other", "wild/*", "m-1"):
            name, sent = serve(w, ask(headers={"x-setpoint-route": forced}))
            seen.append((name, headers_of(sent)["x-setpoint-route"], headers_of(sent)["x-setpoint-model"]))
        assert seen == [("b", "other", "fixed"), ("c", "wild/*", "m-1"), ("a", "m-1", "m-1")]


def test_a_forced_route_takes_its_own_prefix_off_the_name() -> None:
    with world(plan_of(*ABC, routes=(Route("wild/*", (Target("c"),)),))) as w:
        _, sent = serve(w, ask("wild/x", headers={"x-setpoint-route": "wild/*"}))
        assert headers_of(sent)["x-setpoint-model"] == "x"


def test_a_route_that_does_not_exist_is_a_400_that_names_the_header() -> None:
    with world() as w:
        client = w.client()
        client.says(ask(headers={"x-setpoint-route": "nope"}))
        w.loop.spin()
        error = msgspec.json.decode(body_of(client.sent))["error"]
        assert (status_of(client.sent), error["param"]) == (400, "x-setpoint-route")
        assert "'nope'" in error["message"]
