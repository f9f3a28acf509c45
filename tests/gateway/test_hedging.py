"""A second call besides a slow one: when it is made, who wins, what becomes of the other, and who pays."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.gateway.network import Wire
from tests.gateway.world import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    World,
    answer,
    ask,
    event,
    headers_of,
    plan_of,
    route_to,
    status_of,
    upstream,
    world,
)

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.money import Price
from setpoint.domain.plan import BreakerLimits, Hedge, Plan, PriceBook, Retries, Target
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.gateway.hedge_policy import HedgePolicy
from setpoint.gateway.published import Candidate
from setpoint.gateway.surfaces import CHAT
from setpoint.kit.breaker import State
from setpoint.kit.pace import SAMPLES_MIN, SAVED_MAX, Pace, Share
from setpoint.wire import gauge_page as at

RETRIES = Retries(attempts=3, base_s=1.0, factor=2.0, cap_s=8.0)
MODELS = PriceBook("test", {"acme": {"m": Price(1_000_000, 2_000_000, source="test")}})


def hedged(names: str = "ab", **members: object) -> Plan:
    given_members = {"retries": RETRIES, "hedge": Hedge(after_s=1.5, max_ratio=1.0), **members}
    ups = [upstream(name, breaker=BreakerLimits(failures=1, successes=1)) for name in dict.fromkeys(names)]
    return plan_of(*ups, routes=(route_to("m", *names, **given_members),), prices=MODELS)


def begin(w: World, **members: object) -> Wire:
    client = w.client()
    client.says(ask("m", **members))  # type: ignore[arg-type]  # body members
    w.loop.spin()
    return client


def asked(w: World) -> list[str]:
    return [each["to"][0].removesuffix(".test") for each in w.loop.asked]


def candidates(w: World) -> tuple[Candidate, ...]:
    resolved = w.lane.published.resolve("m", CHAT)
    assert resolved is not None
    return resolved.candidates


def outcomes(w: World) -> dict[str, int]:
    return {name: w.page[place] for name, place in at.HEDGES.items() if w.page[place]}


# ---- whole answers


def test_the_second_target_is_asked_when_the_first_is_slow_and_its_answer_counts() -> None:
    with world(hedged()) as w:
        client = begin(w)
        w.loop.advance(1.4)
        assert asked(w) == ["a"]
        w.loop.advance(0.2)
        assert asked(w) == ["a", "b"]
        w.up(1).says(answer())
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], found["x-setpoint-fallback"]) == (200, "2", "1")
        assert w.up(0).aborted
        assert outcomes(w) == {"won": 1}
        assert w.clean


def test_the_first_may_still_win_and_the_second_is_hung_up_on() -> None:
    with world(hedged()) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(0).says(answer())
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], "x-setpoint-fallback" in found) == (200, "2", False)
        assert (w.up(1).aborted, w.up(0).aborted) == (True, False)
        assert outcomes(w) == {"lost": 1}
        assert (w.page[at.RETRIES], w.page[at.FALLBACKS], w.page[at.ATTEMPTS]) == (0, 0, 2)


def test_a_call_that_answers_in_time_is_not_hedged() -> None:
    with world(hedged()) as w:
        client = begin(w)
        w.loop.advance(1)
        w.up(0).says(answer())
        w.loop.advance(5)
        assert (status_of(client.sent), asked(w), outcomes(w)) == (200, ["a"], {})
        assert w.sink.kinds() == [RecordKind.end]


def test_an_answer_that_has_begun_to_arrive_is_waited_for() -> None:
    with world(hedged()) as w:
        client = begin(w)
        whole = answer()
        w.up(0).says(whole[:-5])
        w.loop.advance(3)
        assert asked(w) == ["a"]
        w.up(0).says(whole[-5:])
        w.loop.spin()
        assert status_of(client.sent) == 200


def test_both_are_paid_for_and_the_slower_one_leaves_a_record_that_says_so() -> None:
    with world(hedged()) as w:
        begin(w)
        w.loop.advance(2)
        w.up(1).says(answer())
        w.loop.spin()
        slower, end = w.sink.records()
        assert (slower.head.kind, slower.head.outcome, slower.head.fault) == (RecordKind.attempt, Outcome.ok, 0)
        assert (slower.tail.upstream, slower.tail.attempt_no, slower.tail.hedged, slower.tail.estimated) == ("a", 1, True, True)
        assert (slower.head.input, slower.head.output, slower.head.cost_nanousd) == (10, 0, 10_000)
        assert (end.tail.upstream, end.tail.attempt_no, end.tail.hedged, end.head.attempts) == ("b", 2, True, 2)
        assert (end.head.input, end.head.output, end.head.cost_nanousd) == (10, 5, 20_000 + 10_000)
        assert 1.9e9 < slower.head.duration_ns < 2.2e9
        assert (slower.tail.began_ns, end.head.upstream_ns) == (0, end.head.duration_ns)


def test_the_answer_of_the_first_is_told_of_as_the_first_call() -> None:
    with world(hedged()) as w:
        begin(w)
        w.loop.advance(2)
        w.up(0).says(answer())
        w.loop.spin()
        slower, end = w.sink.records()
        assert (slower.tail.upstream, slower.tail.attempt_no, end.tail.upstream, end.tail.attempt_no) == ("b", 2, "a", 1)
        assert 1.4e9 < slower.tail.began_ns < 1.7e9


def test_a_slower_call_of_unknown_price_makes_the_cost_unknown() -> None:
    prices = PriceBook("test", {"acme": {"known": Price(1_000_000, 2_000_000)}})
    plan = plan_of(
        upstream("a"),
        upstream("b"),
        routes=(route_to("m", hedge=Hedge(1.5, 1.0), retries=RETRIES),),
        prices=prices,
    )
    route = plan.routes[0]
    plan = msgspec.structs.replace(plan, routes=(msgspec.structs.replace(route, targets=(Target("a", "dear"), Target("b", "known"))),))
    with world(plan) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(1).says(answer())
        w.loop.spin()
        assert (w.sink.ends()[0].head.cost_nanousd, "x-setpoint-cost-usd" in headers_of(client.sent)) == (-1, False)


def test_a_call_that_never_found_a_connection_is_billed_nothing() -> None:
    with world(hedged()) as w:
        client = begin(w)
        w.loop.hold = True
        w.loop.advance(2)
        w.up(0).says(answer())
        w.loop.spin()
        slower, end = w.sink.records()
        assert (slower.head.cost_nanousd, end.head.cost_nanousd) == (0, 20_000)
        assert status_of(client.sent) == 200
        w.loop.let_in()


# ---- faults


def test_when_the_first_fails_the_second_goes_on_alone() -> None:
    with world(hedged()) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(0).says(answer(b"{}", 500))
        w.loop.spin()
        assert client.sent == b""
        w.up(1).says(answer())
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["x-setpoint-attempts"], outcomes(w)) == (200, "2", {"won": 1})
        failed, _ = w.sink.records()
        assert (failed.head.status, failed.tail.attempt_no, failed.tail.hedged) == (500, 1, True)
        assert candidates(w)[0].breaker.state is State.open


def test_when_the_second_fails_the_first_goes_on_alone_and_is_not_hedged_again() -> None:
    with world(hedged("abc")) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(1).says(answer(b"{}", 500))
        w.loop.advance(5)
        assert asked(w) == ["a", "b"]
        w.up(0).says(answer())
        w.loop.spin()
        assert (status_of(client.sent), outcomes(w)) == (200, {"lost": 1})


def test_when_both_fail_the_third_target_is_called_at_once() -> None:
    with world(hedged("abc")) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(0).says(answer(b"{}", 500))
        w.up(1).says(answer(b"{}", 502))
        w.loop.spin()
        assert asked(w) == ["a", "b", "c"]
        w.up(2).says(answer())
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], found["x-setpoint-fallback"]) == (200, "3", "2")
        assert [each.tail.upstream for each in w.sink.records()] == ["a", "b", "c"]
        assert outcomes(w) == {"failed": 1}


def test_the_fault_of_the_last_is_the_answer_when_no_call_is_left() -> None:
    with world(hedged(retries=Retries(attempts=2))) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(1).says(answer(b'{"error":{"message":"b is ill"}}', 500))
        w.up(0).says(answer(b'{"error":{"message":"a is ill"}}', 500))
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["x-setpoint-attempts"], len(asked(w))) == (502, "2", 2)
        assert b"a is ill" in client.sent


def test_a_key_that_was_refused_in_the_race_is_not_used_again() -> None:
    plan = hedged("ab")
    route = msgspec.structs.replace(plan.routes[0], targets=(Target("a"), Target("b"), Target("a", "other")))
    with world(msgspec.structs.replace(plan, routes=(route,))) as w:
        client = begin(w)
        w.loop.advance(2)
        w.up(0).says(answer(b"{}", 401))
        w.up(1).says(answer(b"{}", 500))
        w.loop.advance(20)
        assert asked(w) == ["a", "b"]
        assert status_of(client.sent) == 502


# ---- when there is no second call


def test_at_most_as_many_calls_as_the_route_allows() -> None:
    with world(hedged(retries=Retries(attempts=1))) as w:
        begin(w)
        w.loop.advance(5)
        assert asked(w) == ["a"]
        w.up(0).says(answer())


def test_with_one_target_the_same_one_is_asked_twice() -> None:
    with world(hedged("a")) as w:
        client = begin(w)
        w.loop.advance(2)
        assert asked(w) == ["a", "a"]
        w.up(1).says(answer())
        w.loop.spin()
        assert (status_of(client.sent), "x-setpoint-fallback" in headers_of(client.sent)) == (200, False)


def test_an_open_circuit_is_no_target_for_a_hedge() -> None:
    with world(hedged("ab")) as w:
        sick = candidates(w)[1].breaker
        sick.failed(sick.admit(w.loop.now_s), w.loop.now_s)
        begin(w)
        w.loop.advance(2)
        assert asked(w) == ["a", "a"]
        w.up(1).says(answer())


def test_a_half_open_circuit_is_tried_with_one_call_only() -> None:
    with world(hedged("a")) as w:
        breaker = candidates(w)[0].breaker
        breaker.failed(breaker.admit(w.loop.now_s), w.loop.now_s)
        w.loop.advance(31)
        begin(w)
        w.loop.advance(5)
        assert asked(w) == ["a"]
        w.up(0).says(answer())
        assert breaker.state is State.closed


def test_hedges_are_withheld_beyond_the_ratio() -> None:
    with world(hedged(hedge=Hedge(after_s=1.0, max_ratio=0.25))) as w:
        for _ in range(8):
            client = begin(w)
            w.loop.advance(1.2)
            for wire in w.loop.wires:
                wire.says(answer())
            w.loop.spin()
            assert status_of(client.sent) == 200
        made = outcomes(w)
        assert (made["lost"] + made.get("won", 0), made["withheld"]) == (3, 5)


# ---- streams


def test_the_stream_that_has_content_first_is_relayed_and_the_other_hung_up_on() -> None:
    with world(hedged()) as w:
        client = begin(w, stream=True)
        w.up(0).says(STREAM_HEAD + event())
        w.loop.advance(2)
        assert asked(w) == ["a", "b"]
        w.up(1).says(STREAM_HEAD + event("from b"))
        w.loop.spin()
        assert (b"from b" in client.sent, w.up(0).aborted) == (True, True)
        assert headers_of(client.sent)["x-setpoint-attempts"] == "2"
        w.up(0).says(event("from a"))
        w.up(1).says(event(finish="stop") + event(usage={"prompt_tokens": 7, "completion_tokens": 2}) + DONE + STREAM_END)
        w.loop.spin()
        assert (b"from a" in client.sent, client.sent.endswith(b"0\r\n\r\n")) == (False, True)
        begun, slower, end = w.sink.records()
        assert (begun.head.kind, begun.tail.upstream, begun.head.attempts) == (RecordKind.begin, "b", 2)
        assert (slower.tail.upstream, slower.head.input, slower.head.cost_nanousd) == ("a", 7, 7_000)
        assert (end.head.cost_nanousd, end.head.streamed, end.head.outcome) == (11_000 + 7_000, 1, Outcome.ok)
        assert end.head.ttft_ns > 1.9e9
        assert (w.page[at.OPEN_STREAMS], w.clean) == (0, True)


def test_a_stream_that_speaks_in_time_costs_one_call() -> None:
    with world(hedged()) as w:
        client = begin(w, stream=True)
        w.up(0).says(STREAM_HEAD + event("hello"))
        w.loop.advance(10)
        w.up(0).says(event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert (asked(w), client.sent.endswith(b"0\r\n\r\n"), outcomes(w)) == (["a"], True, {})


def test_both_have_content_in_the_same_turn_and_only_one_is_heard() -> None:
    with world(hedged()) as w:
        client = begin(w, stream=True)
        w.loop.advance(2)
        w.loop.call_soon(w.up(1).says, STREAM_HEAD + event("from b"))
        w.loop.call_soon(w.up(0).says, STREAM_HEAD + event("from a"))
        w.loop.spin()
        assert (b"from b" in client.sent, b"from a" in client.sent) == (True, False)
        w.up(1).says(event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()


def test_a_slow_reader_pauses_the_winner() -> None:
    with world(hedged()) as w:
        client = begin(w, stream=True)
        w.loop.advance(2)
        w.up(1).says(STREAM_HEAD + event("from b"))
        w.loop.spin()
        connection = next(iter(w.lane.connections))
        connection.pause_writing()
        assert (w.up(1).paused, w.up(0).paused) == (True, False)
        connection.resume_writing()
        assert not w.up(1).paused
        w.up(1).says(event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert client.sent.endswith(b"0\r\n\r\n")


def test_a_winner_that_breaks_off_is_not_followed_by_anything() -> None:
    with world(hedged("abc")) as w:
        client = begin(w, stream=True)
        w.loop.advance(2)
        w.up(1).says(STREAM_HEAD + event("from b"))
        w.loop.spin()
        w.up(1).ends()
        w.loop.advance(10)
        assert (asked(w), b'"error"' in client.sent) == (["a", "b"], True)
        assert candidates(w)[1].breaker.state is State.open
        assert candidates(w)[0].breaker.state is State.closed


# ---- the end comes from outside


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_both_calls(stream: bool) -> None:
    with world(hedged()) as w:
        client = begin(w, stream=stream)
        w.loop.advance(2)
        client.ends()
        w.loop.spin()
        assert (w.up(0).aborted, w.up(1).aborted, w.clean) == (True, True, True)
        assert outcomes(w) == {"abandoned": 1}
        assert w.sink.ends()[0].head.outcome == Outcome.client_gone
        assert all(each.breaker.state is State.closed for each in candidates(w))


def test_a_client_that_leaves_the_winning_stream_pays_for_both() -> None:
    with world(hedged()) as w:
        client = begin(w, stream=True)
        w.loop.advance(2)
        w.up(1).says(STREAM_HEAD + event("from b") + event("more"))
        w.loop.spin()
        client.ends()
        w.loop.spin()
        end = w.sink.ends()[0]
        assert (end.tail.upstream, end.head.outcome, end.head.attempts) == ("b", Outcome.client_gone, 2)
        slower = next(each for each in w.sink.records() if each.head.kind == RecordKind.attempt)
        assert end.head.cost_nanousd > slower.head.cost_nanousd > 0
        assert w.clean


def test_a_worker_that_must_go_ends_both_calls_with_its_fault() -> None:
    with world(hedged()) as w:
        client = begin(w)
        w.loop.advance(2)
        w.lane.end_all(Fault(FaultKind.draining, "The worker goes.", retry_after_s=1.0))
        w.loop.spin()
        assert (status_of(client.sent), w.up(0).aborted, w.up(1).aborted, w.clean) == (503, True, True, True)


def test_a_probe_of_a_half_open_circuit_that_is_hedged_away_frees_its_place() -> None:
    with world(hedged("ab")) as w:
        breaker = candidates(w)[0].breaker
        breaker.failed(breaker.admit(w.loop.now_s), w.loop.now_s)
        w.loop.advance(31)
        begin(w)
        assert breaker.state is State.half_open
        w.loop.advance(2)
        w.up(1).says(answer())
        w.loop.spin()
        assert (breaker.state, breaker.retry_after_s(w.loop.now_s)) == (State.half_open, 0.0)


# ---- by a quantile


def test_a_quantile_hedges_only_when_enough_is_known_and_then_by_what_was_seen() -> None:
    with world(hedged(hedge=Hedge(after_s="p95", max_ratio=1.0))) as w:
        for _ in range(SAMPLES_MIN):
            begin(w)
            w.loop.advance(0.5)
            w.up(0).says(answer())
            w.loop.spin()
        assert asked(w) == ["a"]
        client = begin(w)
        w.loop.advance(0.4)
        assert asked(w) == ["a"]
        w.loop.advance(0.3)
        assert asked(w) == ["a", "b"]
        w.up(1).says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200


def test_streams_and_whole_answers_have_quantiles_of_their_own() -> None:
    policy = HedgePolicy(Hedge("p50", 0.1))
    for _ in range(SAMPLES_MIN):
        policy.saw(3.0, stream=False)
    assert (policy.after_s(stream=False), policy.after_s(stream=True)) == (3.0, None)
    for _ in range(SAMPLES_MIN):
        policy.saw(0.001, stream=True)
    assert policy.after_s(stream=True) == 0.05


def test_a_pace_forgets_what_is_long_ago() -> None:
    pace = Pace(0.95)
    for _ in range(SAMPLES_MIN - 1):
        pace.saw(9.0)
    assert pace.value_s() is None
    pace.saw(9.0)
    assert pace.value_s() == 9.0
    for _ in range(200):
        pace.saw(1.0)
    assert pace.value_s() == 1.0


@given(st.lists(st.booleans(), max_size=300), st.floats(0.0, 1.0))
def test_grants_are_never_more_than_the_ratio_and_one(asks: list[bool], ratio: float) -> None:
    share = Share(ratio)
    made = 0
    for worked, ask_too in enumerate(asks, 1):
        share.worked()
        if ask_too and share.take():
            made += 1
            assert made <= 1 + ratio * worked + 1e-6
    burst = sum(share.take() for _ in range(100))
    assert burst <= SAVED_MAX
