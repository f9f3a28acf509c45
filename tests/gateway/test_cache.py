"""What is cached, under which key, and how equal requests share one flight."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.network import Wire
from tests.gateway.world import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    TOKEN,
    World,
    answer,
    ask,
    body_of,
    chat_body,
    event,
    headers_of,
    key_table,
    loaded,
    plan_of,
    route_to,
    status_of,
    world,
)

from setpoint.domain.plan import CachePolicy, Limits
from setpoint.domain.principal import Principal
from setpoint.domain.trace import CacheTier, Outcome
from setpoint.gateway.envelope import ChatEnvelope
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.server import Request
from setpoint.gateway.stages import cache as cache_module
from setpoint.gateway.stages.cache import TTL_S_MAX, Wish, cache_key, wish_of
from setpoint.gateway.surfaces import CHAT, MESSAGES
from setpoint.kit.single_flight import WAIT_S
from setpoint.wire import gauge_page as at

ALL = plan_of(routes=(route_to("m-1", "one", cache=CachePolicy("all", 100.0)), route_to("m-2", "one", cache=CachePolicy("all", 100.0))))
OFF, DETERMINISTIC, EVERY = CachePolicy("off"), CachePolicy("deterministic"), CachePolicy("all", 60.0)


def envelope(**members: Any) -> ChatEnvelope:
    return msgspec.json.decode(chat_body(**members), type=ChatEnvelope)


@pytest.mark.parametrize(
    ("policy", "members", "header", "wish"),
    [
        (OFF, {"temperature": 0}, None, Wish(False, 0)),
        (DETERMINISTIC, {}, None, Wish(False, 0)),
        (DETERMINISTIC, {"temperature": 0.1}, None, Wish(False, 0)),
        (DETERMINISTIC, {"temperature": 0}, None, Wish(True, 300)),
        (EVERY, {}, None, Wish(True, 60)),
        (OFF, {"cache": {}}, None, Wish(True, 300)),
        (OFF, {"cache": {"ttl": 5}}, None, Wish(True, 5)),
        (OFF, {"cache": {"ttl": 1e300}}, None, Wish(True, TTL_S_MAX)),
        (EVERY, {"cache": {"no-cache": True}}, None, Wish(False, 60)),
        (EVERY, {"cache": {"no-store": True}}, None, Wish(True, 0)),
        (EVERY, {"cache": {"no-store": True, "no-cache": True}}, None, Wish(False, 0)),
        (OFF, {"cache": {"namespace": "n"}}, None, Wish(True, 300, "n")),
        (OFF, {}, b"", Wish(True, 300)),
        (OFF, {}, b"ttl=7", Wish(True, 7)),
        (OFF, {}, b"ttl=7.5, namespace=x", Wish(True, 7.5, "x")),
        (OFF, {}, b"ttl=" + b"9" * 400, Wish(True, TTL_S_MAX)),
        (EVERY, {}, b"no-cache", Wish(False, 60)),
        (EVERY, {}, b"no-store", Wish(False, 0)),
        (EVERY, {}, b"nonsense, ttl=x, ttl=-1, ttl=\xb2, ttl=.", Wish(True, 60)),
        (OFF, {"cache": {"ttl": 5}}, b"ttl=9", Wish(True, 9)),
    ],
)
def test_client_and_route_together_decide(policy: CachePolicy, members: dict[str, Any], header: bytes | None, wish: Wish) -> None:
    assert wish_of(policy, envelope(**members), header) == wish


@given(st.binary(max_size=60))
def test_no_header_breaks_it(header: bytes) -> None:
    wish = wish_of(EVERY, envelope(), header)
    assert 0 <= wish.ttl_s <= TTL_S_MAX


# ---- the key


KEYED: dict[str, dict[str, Any]] = {
    "model": {"body": chat_body("m-2")},
    "temperature": {"body": chat_body(temperature=1)},
    "stream": {"body": chat_body(stream=True)},
    "stream usage": {"body": chat_body(stream=True, stream_options={"include_usage": True})},
    "surface": {"surface": MESSAGES},
    "project": {"project": "other"},
    "namespace": {"namespace": "n"},
    "anthropic-version": {"headers": {b"anthropic-version": b"2023-06-01"}},
    "anthropic-beta": {"headers": {b"anthropic-beta": b"2023-06-01"}},
    "openai-beta": {"headers": {b"openai-beta": b"2023-06-01"}},
    "project and namespace shifted": {"project": "defaultn", "namespace": ""},
}
NEUTRAL: dict[str, dict[str, Any]] = {
    "user": {"body": chat_body(user="u")},
    "metadata": {"body": chat_body(metadata={"a": 1})},
    "cache": {"body": chat_body(cache={"ttl": 1})},
    "tags": {"body": chat_body(tags=["a"])},
    "other headers": {"headers": {b"x-request-id": b"1", b"traceparent": b"2"}},
}


def key_of(
    w: World,
    *,
    body: bytes = b"",
    surface: Any = CHAT,
    project: str = "default",
    namespace: str = "",
    headers: dict[bytes, bytes] | None = None,
) -> bytes:
    request = Request()
    request.body = body or chat_body()
    request.headers = headers or {}
    connection: Any = None
    published = w.workshop.build(loaded_for(project))
    exchange = Exchange(connection, request, surface, published, b"", 0, 0)
    exchange.caller = published.caller(TOKEN.encode())
    exchange.route = published.resolve(msgspec.json.decode(request.body)["model"], CHAT)
    return cache_key(exchange, namespace)


def loaded_for(project: str) -> Any:
    return loaded(ALL, key_table(Principal(1, "a", "developer", project)))


def test_whatever_can_change_the_answer_changes_the_key() -> None:
    with world(ALL) as w:
        keys = [key_of(w), *(key_of(w, **members) for members in KEYED.values())]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", NEUTRAL)
def test_what_cannot_change_the_answer_does_not_change_the_key(name: str) -> None:
    with world(ALL) as w:
        assert key_of(w, **NEUTRAL[name]) == key_of(w)


def test_no_two_ways_to_cut_the_same_headers_collide() -> None:
    with world(ALL) as w:
        one = key_of(w, headers={b"anthropic-version": b"ab", b"anthropic-beta": b"c"})
        two = key_of(w, headers={b"anthropic-version": b"a", b"anthropic-beta": b"bc"})
        assert one != two


# ---- hits and misses


def send(w: World, client: Wire | None = None, **members: Any) -> Wire:
    wire = client or w.client()
    wire.says(ask(**members))
    w.loop.spin()
    return wire


def tier(client: Wire) -> str:
    return headers_of(client.sent)["x-setpoint-cache"]


def test_a_hit_is_the_same_answer_and_calls_nobody() -> None:
    with world(ALL) as w:
        first = send(w)
        w.up().says(answer())
        w.loop.spin()
        second = send(w, user="somebody")
        assert (tier(first), tier(second)) == ("miss", "hit-l1")
        assert body_of(second.sent) == body_of(first.sent)
        assert w.up().sent.count(b"POST") == 1
        hit = w.sink.ends()[1]
        assert (hit.head.cache, hit.head.cost_nanousd, hit.head.attempts, hit.head.input) == (CacheTier.hit_l1, 0, 0, 10)
        assert (hit.tail.saved_nanousd, hit.tail.model_served, hit.tail.finish) == (20_000, "m-1-2026", "stop")
        assert headers_of(second.sent)["x-setpoint-cost-usd"] == "0"


def test_a_stream_is_replayed_as_a_stream() -> None:
    with world(ALL) as w:
        first = send(w, stream=True)
        w.up().says(STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        second = send(w, stream=True)
        found = headers_of(second.sent)
        assert (found["x-setpoint-cache"], found["content-type"]) == ("hit-l1", "text/event-stream; charset=utf-8")
        assert body_of(second.sent).startswith(b"data: {")
        assert body_of(second.sent).endswith(b"data: [DONE]\n\n")
        assert b"hello" in first.sent


def test_an_entry_goes_with_its_time() -> None:
    with world(ALL) as w:
        send(w)
        w.up().says(answer())
        w.loop.advance(101)
        assert tier_after(w) == "miss"


def tier_after(w: World, **members: Any) -> str:
    client = send(w, **members)
    if not client.sent:
        w.up().says(answer())
        w.loop.spin()
    return tier(client)


@pytest.mark.parametrize("said", [answer(b"{}", 500), answer(b'{"error":{}}', 400), answer(b"not json")])
def test_only_good_answers_are_kept(said: bytes) -> None:
    with world(ALL) as w:
        send(w)
        w.up().says(said)
        w.loop.spin()
        assert tier_after(w) == "miss"


def test_a_stream_that_was_cut_is_not_kept() -> None:
    with world(ALL) as w:
        send(w, stream=True)
        w.up().says(STREAM_HEAD + event("hel"))
        w.loop.spin()
        w.up().ends()
        w.loop.spin()
        assert len(w.store._cache) == 0


def test_a_stream_that_is_too_long_to_keep_whole_is_not_kept() -> None:
    plan = msgspec.structs.replace(
        ALL, limits=Limits(cache_entry_bytes_max=300), capture=msgspec.structs.replace(ALL.capture, bytes_max=300)
    )
    with world(plan) as w:
        send(w, stream=True)
        w.up().says(STREAM_HEAD + event("hello" * 100) + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert len(w.store._cache) == 0


def test_no_store_keeps_nothing_and_no_cache_makes_it_new() -> None:
    with world(ALL) as w:
        assert tier_after(w, cache={"no-store": True}) == "miss"
        assert tier_after(w) == "miss"
        assert tier_after(w) == "hit-l1"
        assert tier_after(w, cache={"no-cache": True}) == "bypass"


def test_a_large_request_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "BODY_BYTES_MAX", 10)
    with world(ALL) as w:
        assert tier_after(w) == "bypass"


def test_another_configuration_does_not_answer_from_before() -> None:
    with world(ALL) as w:
        tier_after(w)
        w.adopt(msgspec.structs.replace(ALL, version=2))
        assert tier_after(w) == "miss"


# ---- one flight


def test_equal_requests_under_way_share_one_call() -> None:
    with world(ALL) as w:
        clients = [send(w) for _ in range(4)]
        other = send(w, temperature=1)
        assert len(w.loop.wires) == 2
        w.up(0).says(answer())
        w.loop.spin()
        assert [tier(client) for client in clients] == ["miss", "hit-l1", "hit-l1", "hit-l1"]
        assert other.sent == b""
        assert w.page[at.SINGLE_FLIGHT_FOLLOWERS] == 3


def test_when_the_leader_fails_each_goes_alone() -> None:
    with world(ALL) as w:
        clients = [send(w) for _ in range(3)]
        w.up(0).says(answer(b"{}", 500))
        w.loop.spin()
        assert status_of(clients[0].sent) == 502
        for wire in list(w.loop.wires):
            wire.says(answer())
        w.loop.spin()
        assert [status_of(client.sent) for client in clients] == [502, 200, 200]
        assert [tier(client) for client in clients] == ["miss"] * 3


def test_when_the_leaders_client_leaves_each_goes_alone() -> None:
    with world(ALL) as w:
        clients = [send(w) for _ in range(3)]
        clients[0].ends()
        w.loop.spin()
        for wire in w.loop.wires[1:]:
            wire.says(answer())
        w.loop.spin()
        assert [status_of(client.sent) for client in clients[1:]] == [200, 200]
        assert w.sink.ends()[0].head.outcome == Outcome.client_gone
        assert w.clean


def test_a_follower_that_leaves_is_forgotten() -> None:
    with world(ALL) as w:
        clients = [send(w) for _ in range(3)]
        clients[1].ends()
        w.up().says(answer())
        w.loop.spin()
        assert [len(client.sent) > 0 for client in clients] == [True, False, True]
        assert sorted(end.head.outcome for end in w.sink.ends()) == [Outcome.ok, Outcome.ok, Outcome.client_gone]
        assert w.clean
        assert len(w.cache._flights) == 0


def test_a_follower_waits_only_so_long() -> None:
    with world(ALL) as w:
        leader, follower = send(w), send(w)
        w.loop.advance(WAIT_S + 0.1)
        assert len(w.loop.wires) == 2
        w.up(1).says(answer())
        w.loop.spin()
        assert (leader.sent, tier(follower)) == (b"", "miss")
        w.up(0).says(answer())
        w.loop.spin()
        assert tier(leader) == "miss"


def test_who_comes_after_the_flight_finds_the_answer() -> None:
    with world(ALL) as w:
        send(w)
        w.up().says(answer())
        assert tier_after(w) == "hit-l1"
