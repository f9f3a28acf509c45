"""Which target next, how long to wait, when to stop."""

import pytest
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
from setpoint.domain.plan import BreakerLimits, Plan, Retries, Route, Target, Timeouts
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.gateway.next_call import next_admitted, ready_after, unavailable, wait_before_retry_s
from setpoint.gateway.published import Candidate
from setpoint.gateway.surfaces import CHAT
from setpoint.wire import gauge_page as at

RETRIES = Retries(attempts=3, base_s=1.0, factor=2.0, cap_s=8.0)
AGAIN, ELSEWHERE, NEVER = FaultKind.upstream_server, FaultKind.upstream_auth, FaultKind.bad_request


@pytest.mark.parametrize(
    ("kind", "retry_after_s", "made", "elsewhere", "left_s", "waits_s"),
    [
        (NEVER, None, 1, True, 99, None),
        (AGAIN, None, 3, True, 99, None),
        (AGAIN, None, 1, True, 99, 0.0),
        (ELSEWHERE, None, 1, True, 99, 0.0),
        (ELSEWHERE, None, 1, False, 99, None),
        (AGAIN, None, 1, False, 99, 0.5),
        (AGAIN, None, 2, False, 99, 1.0),
        (AGAIN, 3.0, 1, False, 99, 3.0),
        (AGAIN, 0.1, 1, False, 99, 0.5),
        (AGAIN, 8.0, 1, False, 99, 8.0),
        (AGAIN, 8.1, 1, False, 99, None),
        (AGAIN, 8.1, 1, True, 99, 0.0),
        (AGAIN, None, 1, False, 0.5, None),
        (AGAIN, None, 1, False, 0.6, 0.5),
        (AGAIN, 3.0, 1, False, 2.9, None),
    ],
)
def test_the_wait_before_the_next_call(
    kind: FaultKind, retry_after_s: float | None, made: int, elsewhere: bool, left_s: float, waits_s: float | None
) -> None:
    fault = Fault(kind, "", retry_after_s=retry_after_s)
    assert wait_before_retry_s(fault, made, RETRIES, elsewhere=elsewhere, left_s=left_s, uniform=0.5) == waits_s


# ---- with breakers


def three(w: World) -> tuple[Candidate, ...]:
    resolved = w.lane.published.resolve("m", CHAT)
    assert resolved is not None
    return resolved.candidates


def open_circuit(candidate: Candidate, now_s: float) -> None:
    candidate.breaker.failed(candidate.breaker.admit(now_s), now_s)


def ups(names: str, open_s: float = 30.0, **members: object) -> Plan:
    listed = [upstream(name, breaker=BreakerLimits(failures=1, open_s=open_s, successes=1)) for name in names]
    return plan_of(*listed, routes=(route_to("m", *names, **{"retries": RETRIES, **members}),))


def test_an_open_circuit_is_passed_over_and_the_list_is_a_ring() -> None:
    with world(ups("abc")) as w:
        candidates = three(w)
        assert next_admitted(candidates, 0, 1.0) == (0, 0)
        open_circuit(candidates[0], 1.0)
        assert next_admitted(candidates, 0, 2.0) == (1, 0)
        open_circuit(candidates[2], 1.0)
        assert next_admitted(candidates, 2, 2.0) == (4, 0)
        open_circuit(candidates[1], 1.0)
        assert next_admitted(candidates, 0, 2.0) is None


def test_another_chance_is_only_a_target_that_would_be_called_now() -> None:
    with world(ups("abc")) as w:
        candidates = three(w)
        assert ready_after(candidates, 0, 1.0)
        open_circuit(candidates[1], 1.0)
        assert ready_after(candidates, 0, 1.0)
        open_circuit(candidates[2], 1.0)
        assert not ready_after(candidates, 0, 1.0)
        assert ready_after(candidates, 0, 31.1)
        assert not ready_after(candidates, 2, 31.1)


def test_when_all_are_open_the_caller_hears_when_the_first_may_close() -> None:
    with world(ups("ab")) as w:
        candidates = three(w)
        open_circuit(candidates[0], 1.0)
        open_circuit(candidates[1], 11.0)
        fault = unavailable(candidates, 21.0)
        assert (fault.kind, fault.retry_after_s) == (FaultKind.no_target, 10.0)
        assert "10.0 s" in fault.message
        assert unavailable(candidates, 31.0).retry_after_s == 0.001


# ---- through the whole lane


def begin(w: World, model: str = "m", **members: object) -> Wire:
    client = w.client()
    client.says(ask(model, **members))  # type: ignore[arg-type]  # body members
    w.loop.spin()
    return client


def test_a_fault_goes_to_the_next_target_at_once() -> None:
    with world(ups("abc")) as w:
        client = begin(w)
        w.up(0).says(answer(b"{}", 500))
        w.up(1).says(answer(b'{"error":{}}', 401))
        w.up(2).says(answer())
        w.loop.spin()
        assert [asked["to"][0] for asked in w.loop.asked] == ["a.test", "b.test", "c.test"]
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], found["x-setpoint-fallback"]) == (200, "3", "2")
        assert w.sink.kinds() == [RecordKind.attempt, RecordKind.attempt, RecordKind.end]
        attempts = w.sink.records()[:2]
        assert [(a.tail.upstream, a.head.status, a.tail.attempt_no) for a in attempts] == [("a", 500, 1), ("b", 401, 2)]
        assert w.clean


def test_the_same_target_is_asked_again_after_a_wait() -> None:
    with world(plan_of(upstream("a"), routes=(route_to("m", "a", retries=RETRIES),))) as w:
        client = begin(w)
        w.up().says(answer(b"{}", 500))
        w.loop.advance(0.4)
        assert w.up().sent.count(b"POST") == 1
        w.loop.advance(0.2)
        assert w.up().sent.count(b"POST") == 2
        w.up().says(answer())
        w.loop.spin()
        assert headers_of(client.sent)["x-setpoint-attempts"] == "2"


def test_retry_after_is_kept_to_and_a_long_one_is_handed_on() -> None:
    with world(plan_of(upstream("a"), routes=(route_to("m", "a", retries=RETRIES),))) as w:
        client = begin(w)
        w.up().says(answer(b"{}", 429, "retry-after: 5"))
        w.loop.advance(4.9)
        assert w.up().sent.count(b"POST") == 1
        w.loop.advance(0.3)
        assert w.up().sent.count(b"POST") == 2
        w.up().says(answer(b"{}", 429, "retry-after: 60"))
        w.loop.spin()
        assert (status_of(client.sent), headers_of(client.sent)["retry-after"]) == (429, "60")


@pytest.mark.parametrize("status", [400, 404, 422])
def test_a_fault_of_the_callers_own_making_is_not_tried_again(status: int) -> None:
    with world(ups("ab")) as w:
        client = begin(w)
        w.up().says(answer(b'{"error":{"message":"no"}}', status))
        w.loop.spin()
        assert (status_of(client.sent) // 100, len(w.loop.asked)) == (4, 1)


def test_a_target_with_an_open_circuit_is_no_reason_to_skip_the_wait() -> None:
    fragile = upstream("b", breaker=BreakerLimits(failures=1))
    with world(plan_of(upstream("a"), fragile, routes=(route_to("m", "a", "b", retries=RETRIES),))) as w:
        open_circuit(three(w)[1], w.loop.now_s)
        begin(w)
        w.up().says(answer(b"{}", 500))
        w.loop.advance(0.3)
        assert w.up().sent.count(b"POST") == 1
        w.loop.advance(0.5)
        assert w.up().sent.count(b"POST") == 2
        w.up().says(answer())
        w.loop.spin()


def test_when_every_circuit_is_open_the_answer_says_when_to_come_back() -> None:
    with world(ups("a")) as w:
        open_circuit(three(w)[0], w.loop.now_s)
        client = begin(w)
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["retry-after"], found["x-setpoint-error-code"]) == (503, "30", "1701")
        assert w.loop.asked == []


def test_a_retry_budget_that_is_spent_ends_it() -> None:
    with world(plan_of(upstream("a"), routes=(route_to("m", "a", retries=Retries(2, 0.0, 1.0, 1.0)),))) as w:
        while w.budget.take(w.loop.now_s):
            continue
        client = begin(w)
        w.up().says(answer(b"{}", 500))
        w.loop.advance(1)
        assert (status_of(client.sent), w.up().sent.count(b"POST")) == (502, 1)


def test_nothing_is_tried_again_after_the_first_content() -> None:
    with world(ups("ab")) as w:
        client = begin(w, stream=True)
        w.up().says(STREAM_HEAD + event("hel"))
        w.loop.spin()
        w.up().ends()
        w.loop.advance(20)
        assert len(w.loop.asked) == 1
        assert b'"error"' in client.sent
        assert three(w)[0].breaker.state.name == "open"


def test_a_stream_that_failed_before_its_first_content_goes_elsewhere() -> None:
    with world(ups("ab")) as w:
        client = begin(w, stream=True)
        w.up(0).says(STREAM_HEAD + event())
        w.up(0).ends()
        w.up(1).says(STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert (status_of(client.sent), client.sent.count(b"hello")) == (200, 1)
        assert w.sink.kinds() == [RecordKind.attempt, RecordKind.begin, RecordKind.end]


def test_a_client_that_leaves_while_it_waits_is_the_end_of_it() -> None:
    with world(plan_of(upstream("a"), routes=(route_to("m", "a", retries=RETRIES),))) as w:
        client = begin(w)
        w.up().says(answer(b"{}", 500))
        client.ends()
        w.loop.advance(10)
        assert w.up().sent.count(b"POST") == 1
        assert w.sink.ends()[0].head.outcome == Outcome.client_gone
        assert w.page[at.IN_FLIGHT] == 0
        assert w.clean


def test_a_client_that_leaves_says_nothing_about_the_upstream() -> None:
    with world(ups("a")) as w:
        client = begin(w)
        client.ends()
        assert three(w)[0].breaker.state.name == "closed"


def test_a_worker_that_must_go_ends_an_exchange_with_its_fault() -> None:
    with world(ups("ab")) as w:
        client = begin(w)
        w.lane.draining = True
        w.lane.end_all(Fault(FaultKind.draining, "The worker goes.", retry_after_s=1.0))
        w.loop.spin()
        assert (status_of(client.sent), len(w.loop.asked)) == (503, 1)
        assert (client.gone, w.up().aborted, w.clean) == (True, True, True)


# ---- one deadline for all of it


def test_calls_and_waits_share_one_deadline_of_twice_a_call() -> None:
    slow = Timeouts(first_byte_s=6.0, unary_total_s=6.0)
    plan = plan_of(upstream("a"), routes=(route_to("m", "a", retries=Retries(9, 0.0, 1.0, 1.0), timeouts=slow),))
    with world(plan) as w:
        client = begin(w)
        w.loop.advance(11.9)
        assert client.sent == b""
        w.loop.advance(0.3)
        assert (status_of(client.sent), headers_of(client.sent)["x-setpoint-attempts"]) == (504, "2")


def test_a_route_may_name_its_deadline_and_a_client_a_shorter_one() -> None:
    plan = plan_of(upstream("a"), upstream("b"), routes=(route_to("m", "a", "b", retries=Retries(3, total_s=4.0)),))
    with world(plan) as w:
        client = begin(w)
        w.loop.advance(4.2)
        assert (status_of(client.sent), len(w.loop.asked)) == (504, 1)
        hurried = w.client()
        hurried.says(ask("m", headers={"x_setpoint_timeout": "1.5"}))
        w.loop.advance(1.4)
        assert hurried.sent == b""
        w.loop.advance(0.3)
        assert status_of(hurried.sent) == 504
        patient = w.client()
        patient.says(ask("m", headers={"x_setpoint_timeout": "100"}))
        w.loop.advance(4.2)
        assert status_of(patient.sent) == 504


@pytest.mark.parametrize("said", ["soon", "-1", "0", "1e9", "", "nan"])
def test_a_timeout_that_is_no_number_of_seconds_is_said_to_be_none(said: str) -> None:
    with world(ups("a")) as w:
        client = w.client()
        client.says(ask("m", headers={"x_setpoint_timeout": said}))
        w.loop.spin()
        assert (status_of(client.sent), w.loop.asked, b"x-setpoint-timeout" in client.sent) == (400, [], True)


def test_a_call_that_the_deadline_cut_short_does_not_count_against_the_upstream() -> None:
    with world(ups("a", retries=Retries(1, total_s=2.0))) as w:
        begin(w)
        w.loop.advance(2.2)
        assert three(w)[0].breaker.state.name == "closed"
    with world(ups("a", retries=Retries(1), timeouts=Timeouts(first_byte_s=2.0))) as w:
        begin(w)
        w.loop.advance(2.2)
        assert three(w)[0].breaker.state.name == "open"


# ---- keys, queues, counts


def test_a_key_that_was_refused_is_not_used_for_another_model_of_the_same_upstream() -> None:
    targets = (Target("a", "large"), Target("a", "small"), Target("b", "large"))
    plan = plan_of(upstream("a"), upstream("b"), routes=(Route("m", targets, retries=RETRIES),))
    with world(plan) as w:
        client = begin(w)
        w.up(0).says(answer(b"{}", 401))
        w.loop.spin()
        w.up(1).says(answer())
        w.loop.spin()
        assert (status_of(client.sent), [asked["to"][0] for asked in w.loop.asked]) == (200, ["a.test", "b.test"])
        assert (w.page[at.FALLBACKS], w.page[at.RETRIES]) == (1, 0)


def test_a_full_queue_before_one_upstream_is_a_reason_to_ask_another() -> None:
    full = Fault(FaultKind.overloaded, "", retry_after_s=1.0)
    assert wait_before_retry_s(full, 1, RETRIES, elsewhere=True, left_s=9, uniform=0.5) == 0.0
    assert wait_before_retry_s(full, 1, RETRIES, elsewhere=False, left_s=9, uniform=0.5) is None


def test_a_target_that_cannot_express_the_request_is_no_call() -> None:
    other = upstream("a", dialect="bedrock_converse", hosting="bedrock")
    plan = plan_of(other, upstream("b"), routes=(route_to("m", "a", "b", retries=RETRIES, untranslated="refuse"),))
    with world(plan) as w:
        client = w.client()
        client.says(ask("m", logprobs=True, seed=7))
        w.up().says(answer())
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], found["x-setpoint-fallback"]) == (200, "1", "1")
        told, end = w.sink.records()
        assert (told.head.fault, told.tail.attempt_no, end.head.attempts) == (FaultKind.unsupported, 0, 1)


def test_a_worker_that_must_go_does_not_wait_for_the_end_of_a_backoff() -> None:
    with world(plan_of(upstream("a"), routes=(route_to("m", "a", retries=RETRIES),))) as w:
        client = begin(w)
        w.up().says(answer(b"{}", 500))
        w.lane.end_all(Fault(FaultKind.draining, "The worker goes.", retry_after_s=1.0))
        w.loop.spin()
        assert (status_of(client.sent), w.clean) == (503, True)


def test_attempts_tell_when_each_of_them_began() -> None:
    with world(plan_of(upstream("a"), routes=(route_to("m", "a", retries=RETRIES),))) as w:
        begin(w)
        w.loop.advance(1)
        w.up().says(answer(b"{}", 500))
        w.loop.advance(0.6)
        w.loop.advance(2)
        w.up().says(answer(b"{}", 500))
        w.loop.advance(1.1)
        w.up().says(answer())
        w.loop.spin()
        one, two, _ = w.sink.records()
        assert one.tail.began_ns == 0
        assert 0.8e9 < one.head.duration_ns < 1.2e9
        assert 1.3e9 < two.tail.began_ns < 1.7e9
        assert 1.7e9 < two.head.duration_ns < 2.3e9


# ---- half-open


def half_open(w: World) -> None:
    open_circuit(three(w)[0], w.loop.now_s)
    w.loop.advance(31)


def test_the_first_content_of_a_stream_closes_a_half_open_circuit() -> None:
    with world(ups("a")) as w:
        half_open(w)
        first = begin(w, stream=True)
        refused = begin(w)
        assert status_of(refused.sent) == 503
        w.up().says(STREAM_HEAD + event("hello"))
        w.loop.spin()
        assert three(w)[0].breaker.state.name == "closed"
        w.up().ends()
        w.loop.spin()
        assert (b'"error"' in first.sent, three(w)[0].breaker.state.name) == (True, "open")


def test_one_stream_is_one_good_try_not_two() -> None:
    plan = plan_of(upstream("a", breaker=BreakerLimits(1, 30.0, 2)), routes=(route_to("m", "a"),))
    with world(plan) as w:
        half_open(w)
        begin(w, stream=True)
        w.up().says(STREAM_HEAD + event("hello") + event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert (three(w)[0].breaker.state.name, three(w)[0].breaker.circuit.count) == ("half_open", 1)


def test_a_try_of_a_half_open_circuit_whose_client_leaves_frees_its_place() -> None:
    with world(ups("a")) as w:
        half_open(w)
        client = begin(w)
        assert status_of(begin(w).sent) == 503
        client.ends()
        begin(w)
        w.up().says(answer())
        w.loop.spin()
        assert three(w)[0].breaker.state.name == "closed"
