"""What a request prefers: further models, and OpenRouter's preferences of providers."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.network import Wire
from tests.gateway.world import (
    ANSWER,
    World,
    answer,
    ask,
    body_of,
    chat_body,
    headers_of,
    plan_of,
    post,
    route_to,
    status_of,
    upstream,
    world,
)

from setpoint.domain.capabilities import Capabilities
from setpoint.domain.faults import Fault
from setpoint.domain.money import Price
from setpoint.domain.plan import Fallbacks, Plan, PriceBook, Retries, Route, Target
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.preferences import MODELS_MAX, NAMES_MAX, Providers, first_model, providers_of, wishes_of
from setpoint.gateway.surfaces import CHAT

RETRIES = Retries(attempts=6)


def plan(*routes: Route, **prices: int) -> Plan:
    """Upstreams a, b and c, each its own provider, and `openrouter`. Prices in pico-dollars a token, for every model."""
    listed = [upstream(name, provider=name) for name in ("a", "b", "c", "openrouter")]
    models = ("m", "m2", "m3")
    book = PriceBook("test", {name: {model: Price(figure, 2 * figure) for model in models} for name, figure in prices.items()})
    return plan_of(*listed, routes=routes or (to("m", "a", "b", "c"), to("m2", "b"), to("m3", "c")), prices=book)


def to(model: str, *names: str, **members: Any) -> Route:
    return route_to(model, *names, **{"retries": RETRIES, **members})


def asked(w: World) -> list[str]:
    """Upstreams in the order they were connected to."""
    return [str(each["to"][0]).partition(".")[0] for each in w.loop.asked]


def order_of(w: World) -> list[str]:
    return [row[0] for row in msgspec.json.decode(w.sink.ends()[-1].tail.decision)["order"]]


def told(w: World, **members: Any) -> tuple[list[str], list[str]]:
    """The order that was decided and what was heeded, for a request that the first one answers."""
    serve(w, **members)
    return order_of(w), msgspec.json.decode(w.sink.ends()[-1].tail.decision).get("preferences", [])


def serve(w: World, *replies: bytes, **members: Any) -> Wire:
    """Ask, and let each upstream that is asked answer in turn, with a good answer when the replies are used up."""
    client, left = w.client(), list(replies)
    before = sum(wire.sent.count(b"POST ") for wire in w.loop.wires)
    client.says(ask(members.pop("model", "m"), **members))
    for _ in range(6):
        w.loop.spin()
        calls = {wire: wire.sent.count(b"POST ") for wire in w.loop.wires}
        if client.sent or sum(calls.values()) == before:
            break
        before = sum(calls.values())
        wire = next(each for each in reversed(w.loop.wires) if not each.gone and calls[each] > answered(w).get(each, 0))
        answered(w)[wire] = calls[wire]
        wire.says(left.pop(0) if left else answer())
    w.loop.spin()
    return client


def answered(w: World) -> dict[Wire, int]:
    """How many requests on each connection have had their answer."""
    return w.__dict__.setdefault("_answered", {})  # type: ignore[no-any-return]


def refused(w: World, **members: Any) -> tuple[int, str, str]:
    client = w.client()
    client.says(ask("m", **members))
    w.loop.spin()
    error = msgspec.json.decode(body_of(client.sent))["error"]
    assert w.loop.asked == []
    return status_of(client.sent), error["param"], error["message"]


# ---- providers


def test_order_puts_the_named_ones_in_front() -> None:
    with world(plan()) as w:
        assert told(w, provider={"order": ["c", "nobody", "b"]}) == (["c/m", "b/m", "a/m"], ["order"])


def test_order_without_fallbacks_is_all_there_is() -> None:
    with world(plan()) as w:
        provider = {"order": ["c", "b"], "allow_fallbacks": False}
        assert told(w, provider=provider) == (["c/m", "b/m"], ["order", "allow_fallbacks=false"])


def test_without_fallbacks_there_is_the_first_choice_only() -> None:
    with world(plan()) as w:
        serve(w, answer(b"{}", 500), provider={"allow_fallbacks": False})
        w.loop.advance(10)
        assert asked(w) == ["a"]


def test_only_and_ignore_leave_out_the_others() -> None:
    with world(plan()) as w:
        assert told(w, provider={"only": ["c", "b"]}) == (["b/m", "c/m"], ["only"])
        assert told(w, provider={"ignore": ["A"]}) == (["b/m", "c/m"], ["ignore"])


def test_openrouters_names_of_providers_are_understood() -> None:
    listed = [upstream("aws-east", provider="bedrock"), upstream("vertex", provider="vertex")]
    with world(plan_of(*listed, routes=(to("m", "aws-east", "vertex"),))) as w:
        assert told(w, provider={"order": ["google-vertex/europe"]})[0] == ["vertex/m", "aws-east/m"]
        serve(w, provider={"only": ["Amazon-Bedrock"]})
        assert asked(w)[-1] == "aws-east"


def test_a_wish_that_leaves_nobody_says_who_there_is() -> None:
    with world(plan()) as w:
        status, param, message = refused(w, provider={"only": ["deepinfra"]})
        assert (status, param) == (400, "provider.only")
        assert "leaves no provider for this model. It is served by: a, b, c." in message
        assert refused(w, provider={"ignore": ["a", "b", "c"]})[:2] == (400, "provider.ignore")


def test_sort_by_price_is_the_strategy_cost() -> None:
    with world(plan(a=3, b=1, c=2)) as w:
        assert told(w, provider={"sort": "price"}) == (["b/m", "c/m", "a/m"], ["sort=price"])
        assert told(w, provider={"sort": {"by": "price"}, "order": ["a"]})[0] == ["a/m", "b/m", "c/m"]


def test_sort_by_latency_and_throughput_go_by_what_was_seen() -> None:
    with world(plan()) as w:
        for name, seconds, rate in (("a", 3.0, 5.0), ("b", 1.0, 10.0), ("c", 2.0, 100.0)):
            candidate = next(each for each in w.lane.published.resolve("m", CHAT).candidates if each.line.upstream.name == name)  # type: ignore[union-attr]
            candidate.track.worked(seconds, w.loop.time(), stream=False)
            candidate.track.tokens_a_second.add(rate, w.loop.time())
        assert told(w, provider={"sort": "latency"})[0][:1] == ["b/m"]
        assert told(w, provider={"sort": "throughput"})[0] == ["c/m", "b/m", "a/m"]


def test_tokens_a_second_are_those_of_the_answer_without_the_wait_for_its_first() -> None:
    body = msgspec.json.encode({**ANSWER, "usage": {"prompt_tokens": 1, "completion_tokens": 300}})
    with world(plan()) as w:
        client = w.client()
        client.says(ask("m", provider={"sort": "throughput"}))
        w.up()
        w.loop.advance(3.0)
        w.up().says(answer(body))
        w.loop.spin()
        candidate = w.lane.published.resolve("m", CHAT).candidates[0]  # type: ignore[union-attr]
        assert candidate.track.tokens_a_second.value(w.loop.time()) == pytest.approx(100, rel=0.02)


def test_max_price_leaves_out_what_costs_more_and_what_nobody_knows_the_price_of() -> None:
    with world(plan(a=5_000_000, b=1_000_000)) as w:
        client = serve(w, provider={"max_price": {"prompt": 1, "completion": "2.0"}})
        assert (status_of(client.sent), asked(w)) == (200, ["b"])


def test_a_price_that_nobody_has_says_what_they_cost() -> None:
    with world(plan(a=5_000_000, b=1_000_000)) as w:
        status, param, message = refused(w, provider={"max_price": {"completion": 1.99}})
        assert (status, param) == (400, "provider.max_price")
        assert "a costs 5 and 10; b costs 1 and 2; the price of c is unknown" in message


@pytest.mark.parametrize(
    ("provider", "param", "says"),
    [
        ([], "provider", "an object"),
        ("openai", "provider", "an object"),
        ({"order": "openai"}, "provider.order", "a list"),
        ({"only": [1]}, "provider.only", "a list"),
        ({"ignore": [""]}, "provider.ignore", "a list"),
        ({"order": ["x"] * (NAMES_MAX + 1)}, "provider.order", str(NAMES_MAX)),
        ({"allow_fallbacks": "no"}, "provider.allow_fallbacks", "true or false"),
        ({"sort": "quality"}, "provider.sort", "price, latency, throughput"),
        ({"sort": {}}, "provider.sort", "price, latency, throughput"),
        ({"max_price": 5}, "provider.max_price", "an object"),
        ({"max_price": {"prompt": "cheap"}}, "provider.max_price.prompt", "a number"),
        ({"max_price": {"prompt": -1}}, "provider.max_price.prompt", "a number"),
        ({"max_price": {"prompt": True}}, "provider.max_price.prompt", "a number"),
        ({"max_price": {"image": 1}}, "provider.max_price.image", "Remove it"),
        ({"zdr": True}, "provider.zdr", "Remove it"),
        ({"data_collection": "deny"}, "provider.data_collection", "OpenRouter"),
        ({"quantizations": ["fp8"]}, "provider.quantizations", "OpenRouter"),
        ({"something_new": {"x": 1}}, "provider.something_new", "Remove it"),
    ],
)
def test_a_wish_that_cannot_be_heeded_is_a_400_that_says_what_to_do(provider: Any, param: str, says: str) -> None:
    with world(plan()) as w:
        status, named, message = refused(w, provider=provider)
        assert (status, named) == (400, param)
        assert says in message


@pytest.mark.parametrize(
    "provider", [None, {}, {"zdr": False}, {"data_collection": "allow", "quantizations": None}, {"sort": None, "order": []}]
)
def test_what_asks_for_nothing_changes_nothing(provider: Any) -> None:
    assert providers_of(provider) == Providers()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(
    st.sampled_from(["order", "only", "ignore", "allow_fallbacks", "sort", "max_price", "prompt", "completion", "by", "x"]), x
)))  # fmt: skip
def test_no_wish_is_a_bug(said: Any) -> None:
    envelope = Envelope(model="m", provider=said, models=said, fallbacks=said)
    assert isinstance(providers_of(said), Providers | Fault)
    assert first_model(envelope) == "" or isinstance(said, list)
    wishes_of(envelope, at_openrouter=True)


# ---- further models


def test_models_are_fallen_back_to_in_their_order() -> None:
    with world(plan(to("m", "a"), to("m2", "b"), to("m3", "c"))) as w:
        client = serve(w, answer(b"{}", 500), answer(b"{}", 500), models=["m", "m3", "m2"])
        assert (status_of(client.sent), asked(w)) == (200, ["a", "c", "b"])
        found = headers_of(client.sent)
        assert (found["x-setpoint-route"], found["x-setpoint-fallback"], found["x-setpoint-model"]) == ("m2", "2", "m2")
        assert found["x-setpoint-decision"] == "strategy=failover; reason=configured; fallback=error"


def test_fallbacks_of_litellms_clients_are_the_same() -> None:
    with world(plan(to("m", "a"), to("m2", "b"))) as w:
        client = serve(w, answer(b"{}", 500), fallbacks=["m2"])
        assert (status_of(client.sent), asked(w)) == (200, ["a", "b"])


def test_each_models_own_strategy_orders_its_targets() -> None:
    with world(plan(to("m", "a"), to("m2", "b", "c", strategy="cost"), c=1, b=2)) as w:
        assert told(w, models=["m2"])[0] == ["a/m", "c/m2", "b/m2"]


def test_the_body_that_is_sent_names_the_model_and_none_of_our_members() -> None:
    with world(plan(to("m", "a"), to("m2", "b"))) as w:
        serve(w, answer(b"{}", 500), fallbacks=["m2"], models=["m"], provider={"ignore": ["c"]}, tags=["x"], temperature=1)
        sent = [msgspec.json.decode(body_of(wire.sent)) for wire in w.loop.wires[:2]]
        assert [each.pop("model") for each in sent] == ["m", "m2"]
        assert [sorted(each) for each in sent] == [["messages", "temperature"]] * 2


def test_a_list_of_models_can_be_all_that_names_one() -> None:
    with world(plan(to("m", "a"), to("m2", "b"))) as w:
        client = w.client()
        client.says(post(msgspec.json.encode({"models": ["m2", "m"], "messages": [{"role": "user", "content": "hi"}]})))
        w.up().says(answer(b"{}", 500))
        w.up().says(answer())
        w.loop.spin()
        assert (asked(w), headers_of(client.sent)["x-setpoint-model"]) == (["b", "a"], "m")
        assert [msgspec.json.decode(body_of(wire.sent))["model"] for wire in w.loop.wires[:2]] == ["m2", "m"]


@pytest.mark.parametrize("member", ["models", "fallbacks"])
@pytest.mark.parametrize(
    ("value", "says"),
    [("m2", "a list"), ([{"model": "m2"}], "a list"), ([""], "a list"), (["m2"] * (MODELS_MAX + 1), str(MODELS_MAX)), (["x" * 600], "'xxx"),
     (["nobody"], "'nobody'")],
)  # fmt: skip
def test_a_list_of_models_that_cannot_be_heeded_is_a_400(member: str, value: Any, says: str) -> None:
    with world(plan()) as w:
        status, _, message = refused(w, **{member: value})
        assert status == 400
        assert says in message


@pytest.mark.parametrize("body", [b'{"models":[],"messages":[]}', b'{"models":"m","messages":[]}', b'{"models":[1],"messages":[]}'])
def test_a_list_without_a_model_names_none(body: bytes) -> None:
    with world(plan()) as w:
        client = w.client()
        client.says(post(body))
        w.loop.spin()
        assert (status_of(client.sent), b"does not name a model" in client.sent) == (400, True)


def test_what_is_allowed_counts_for_further_models_and_chains_too() -> None:
    route = to("m", "a", fallbacks=Fallbacks(error=(Target("b"), Target("c"))))
    with world(plan(route, to("m2", "b", "c"))) as w:
        assert told(w, models=["m2"], provider={"ignore": ["b"]})[0] == ["a/m", "c/m2", "c/m"]
        serve(w, provider={"allow_fallbacks": False})
        assert w.sink.ends()[-1].tail.decision == "" or order_of(w) == ["a/m"]


# ---- OpenRouter's own


def test_what_is_openrouters_is_passed_on_to_it() -> None:
    with world(plan(to("m", "openrouter"), to("m2", "b"))) as w:
        serve(w, provider={"order": ["deepinfra"], "zdr": True}, models=["some/model"], cache={"no-cache": True})
        sent = msgspec.json.decode(body_of(w.loop.wires[0].sent))
        assert sent == {**msgspec.json.decode(chat_body("m")), "provider": {"order": ["deepinfra"], "zdr": True}, "models": ["some/model"]}


def test_a_translated_request_takes_them_along() -> None:
    listed = upstream("openrouter", provider="openrouter", can=Capabilities())
    with world(plan_of(listed, routes=(to("m", "openrouter"),))) as w:
        said = {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "provider": {"only": ["x"]}}
        w.client().says(post(msgspec.json.encode(said), "/v1/messages"))
        sent = msgspec.json.decode(body_of(w.up().sent))
        assert sent["provider"] == {"only": ["x"]}
        assert "models" not in sent


def test_what_is_openrouters_is_not_sent_to_anybody_else_that_is_fallen_back_to() -> None:
    with world(plan(to("m", "openrouter"), to("m2", "b"))) as w:
        client = serve(w, answer(b"{}", 500), provider={"order": ["deepinfra"]}, fallbacks=["m2"])
        assert (status_of(client.sent), asked(w)) == (200, ["openrouter", "b"])
        first, second = (msgspec.json.decode(body_of(wire.sent)) for wire in w.loop.wires[:2])
        assert ("provider" in first, "fallbacks" in first, "provider" in second) == (True, False, False)
        assert msgspec.json.decode(w.sink.ends()[-1].tail.decision)["preferences"] == ["fallbacks", "provider passed on"]


def test_where_others_serve_the_model_too_the_gateway_heeds_them_itself() -> None:
    with world(plan(to("m", "a", "openrouter"))) as w:
        serve(w, provider={"only": ["openrouter"]})
        assert asked(w) == ["openrouter"]
        assert "provider" not in msgspec.json.decode(body_of(w.loop.wires[0].sent))


def test_a_promise_that_only_openrouter_knows_leaves_it_alone() -> None:
    with world(plan(to("m", "a", "openrouter"))) as w:
        serve(w, provider={"zdr": True})
        assert asked(w) == ["openrouter"]
