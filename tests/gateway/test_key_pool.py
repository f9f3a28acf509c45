"""Several keys of one upstream: whose turn it is, who rests for how long, and what a caller hears when all do."""

from math import inf

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.gateway.network import Wire
from tests.gateway.world import KEYRING, World, answer, ask, headers_of, plan_of, post, route_to, status_of, upstream, world

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Plan, Retries, SealedKey, Target
from setpoint.domain.trace import RecordKind
from setpoint.gateway.key_pool import LIMITED_S, MODELS_MAX, REFUSED_S, REMEMBERED_S, KeyPool, ProviderKey
from setpoint.kit.sealing import seal

RETRIES = Retries(attempts=4, base_s=1.0, factor=2.0, cap_s=8.0)
RATE, QUOTA, AUTH = FaultKind.upstream_rate, FaultKind.upstream_quota, FaultKind.upstream_auth


def pool(*weights: float) -> KeyPool:
    return KeyPool(tuple(ProviderKey(str(number), b"k%d" % number, weight) for number, weight in enumerate(weights, 1)))


def labels(keys: KeyPool, times: int, now_s: float = 0.0, model: str = "m") -> str:
    return "".join(key.label for _ in range(times) if (key := keys.take(model, now_s)))


# ---- whose turn it is


def test_keys_share_the_calls_by_their_weights_without_bunches() -> None:
    assert labels(pool(1, 1, 1), 6) == "123123"
    taken = labels(pool(3, 1), 8)
    assert (taken.count("1"), taken.count("2"), "111111" in taken) == (6, 2, False)


def test_the_key_that_was_limited_longest_ago_is_taken() -> None:
    keys = pool(1, 1, 1)
    for at_s, key in ((10.0, keys.keys[1]), (11.0, keys.keys[0]), (12.0, keys.keys[2])):
        key.rest("m", Fault(RATE, "", retry_after_s=1.0), at_s)
    assert labels(keys, 2, 20.0) == "22"
    assert labels(keys, 3, 12.0 + REMEMBERED_S) in {"123", "231", "312", "213", "132", "321"}


@pytest.mark.parametrize(
    ("fault", "rests_s", "other_model_too"),
    [
        (Fault(RATE, "", upstream_status=429), LIMITED_S, False),
        (Fault(RATE, "", retry_after_s=7.0, upstream_status=429), 7.0, False),
        (Fault(AUTH, "", upstream_status=403), LIMITED_S, False),
        (Fault(AUTH, "", upstream_status=401), REFUSED_S, True),
        (Fault(QUOTA, "", upstream_status=402), REFUSED_S, True),
        (Fault(QUOTA, "", upstream_status=429), REFUSED_S, True),
    ],
)
def test_how_long_a_key_rests_and_for_which_models(fault: Fault, rests_s: float, other_model_too: bool) -> None:
    keys = pool(1)
    keys.keys[0].rest("m", fault, 100.0)
    assert (keys.ready("m", 100.0 + rests_s - 0.01), keys.ready("m", 100.0 + rests_s)) == (False, True)
    assert keys.ready("other", 100.1) is not other_model_too


def test_when_all_rest_the_caller_hears_of_the_one_that_is_back_first() -> None:
    keys = pool(1, 1)
    keys.keys[0].rest("m", Fault(QUOTA, "", upstream_status=402), 0.0)
    keys.keys[1].rest("m", Fault(RATE, "", retry_after_s=20.0), 5.0)
    fault = keys.unavailable("m", 10.0)
    assert (fault.kind, fault.retry_after_s, keys.take("m", 10.0)) == (RATE, 15.0, None)
    assert "All 2 keys of this upstream are limited" in fault.message
    said = keys.unavailable("m", 10.0, Fault(RATE, "slow down", None, 90.0, 429, b"{}"))
    assert (said.message, said.retry_after_s, said.upstream_body) == ("slow down", 15.0, b"{}")
    assert keys.unavailable("m", 599.0).kind is RATE


def test_states_are_the_worst_that_is_known() -> None:
    keys = pool(1, 1, 1)
    keys.keys[0].rest("m", Fault(RATE, ""), 0.0)
    keys.keys[1].rest("m", Fault(AUTH, "", upstream_status=401), 0.0)
    assert keys.states(1.0) == (1, 1, 1)
    assert keys.states(LIMITED_S) == (2, 0, 1)


def test_a_client_that_asks_for_many_models_does_not_grow_a_key_without_bound() -> None:
    key = ProviderKey("1", b"k")
    for number in range(MODELS_MAX):
        key.rest(f"m{number}", Fault(RATE, "", retry_after_s=10.0), 0.0)
    assert key.rests("other", 1.0) is None
    key.rest("one more", Fault(RATE, "", retry_after_s=5.0), 1.0)
    assert key.rests("other", 1.0) == (6.0, RATE)
    key.rest("later", Fault(RATE, "", retry_after_s=5.0), 11.0)
    assert (key.rests("other", 11.0), key.rests("later", 11.0)) == (None, (16.0, RATE))


class Life(RuleBasedStateMachine):
    """Whatever keys are told, no key is used that rests, and the pool says no only when all do."""

    @initialize(weights=st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=1, max_size=4))
    def start(self, weights: list[float]) -> None:
        self.keys = pool(*weights)
        self.now_s = 0.0
        self.rests: dict[tuple[str, str], float] = {}

    @rule(seconds=st.floats(0.0, 400.0))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(model=st.sampled_from("ab"), kind=st.sampled_from([RATE, AUTH, QUOTA, None]), told_s=st.sampled_from([None, 0.5, 90.0]))
    def call(self, model: str, kind: FaultKind | None, told_s: float | None) -> None:
        ready = [key for key in self.keys.keys if self.until_s(key, model) <= self.now_s]
        assert self.keys.ready(model, self.now_s) == bool(ready)
        key = self.keys.take(model, self.now_s)
        if key is None:
            assert not ready
            first_s = min(self.until_s(each, model) for each in self.keys.keys)
            assert self.keys.wait_s(model, self.now_s) == pytest.approx(first_s - self.now_s)
            return
        assert key in ready
        assert self.keys.wait_s(model, self.now_s) == 0
        if kind is not None:
            key.rest(model, Fault(kind, "", retry_after_s=told_s, upstream_status=429 if kind is RATE else 401), self.now_s)
            until_s = self.now_s + (told_s or (LIMITED_S if kind is RATE else REFUSED_S))
            self.rests[key.label, model if kind is RATE else ""] = until_s

    def until_s(self, key: ProviderKey, model: str) -> float:
        return max(self.rests.get((key.label, model), -inf), self.rests.get((key.label, ""), -inf))


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


# ---- through the whole lane


def keyed(*secrets: str, others: tuple[str, ...] = (), **members: object) -> Plan:
    """Upstream `one` with these keys, and a route `m` to it and the others."""
    sealed = tuple(
        SealedKey(f"key-{number}", seal(KEYRING.kek, bytes(12), secret.encode(), b"upstream/one"))
        for number, secret in enumerate(secrets, 1)
    )
    ups = [upstream("one", auth="bearer", keys=sealed), *(upstream(name) for name in others)]
    given_members = {"retries": RETRIES, **members}
    return plan_of(*ups, routes=(route_to("m", "one", *others, **given_members),))


def begin(w: World, model: str = "m") -> Wire:
    client = w.client()
    client.says(ask(model))
    w.loop.spin()
    return client


def bearer(w: World, no: int = -1) -> str:
    """The key of the last request on a connection."""
    return w.up(no).sent.rpartition(b"authorization: Bearer ")[2].partition(b"\r\n")[0].decode()


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_the_same_request_takes_another_key_at_once(status: int) -> None:
    with world(keyed("sk-one", "sk-two")) as w:
        client = begin(w)
        assert bearer(w) == "sk-one"
        w.up().says(answer(b'{"error":{}}', status))
        w.loop.spin()
        assert bearer(w) == "sk-two"
        w.up().says(answer())
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], "x-setpoint-fallback" in found) == (200, "2", False)
        failed, end = w.sink.records()
        assert (failed.head.kind, failed.tail.key, end.tail.key) == (RecordKind.attempt, "key-1", "key-2")
        assert b"sk-one" not in b"".join(w.sink.blocks)


def test_the_next_request_does_not_use_a_key_that_rests() -> None:
    with world(keyed("sk-one", "sk-two")) as w:
        begin(w)
        w.up().says(answer(b"{}", 429))
        w.up().says(answer())
        w.loop.spin()
        for _ in range(3):
            begin(w)
            assert bearer(w) == "sk-two"
            w.up().says(answer())
            w.loop.spin()
        w.loop.advance(LIMITED_S)
        begin(w)
        assert bearer(w) == "sk-two"  # never limited, so first
        w.up().says(answer())


def test_a_limit_of_one_model_leaves_the_others_alone() -> None:
    plan = keyed("sk-one")
    route = msgspec.structs.replace(plan.routes[0], model="*", targets=(Target("one"),), retries=Retries(attempts=1))
    with world(msgspec.structs.replace(plan, routes=(route,))) as w:
        begin(w, "small")
        w.up().says(answer(b"{}", 429, "retry-after: 30"))
        w.loop.spin()
        refused = begin(w, "small")
        assert (status_of(refused.sent), headers_of(refused.sent)["retry-after"]) == (429, "30")
        other = begin(w, "large")
        w.up().says(answer())
        w.loop.spin()
        assert status_of(other.sent) == 200


def test_when_all_keys_rest_the_answer_comes_at_once_and_says_when() -> None:
    with world(keyed("sk-one", "sk-two", retries=Retries(attempts=2))) as w:
        first = begin(w)
        w.up().says(answer(b"{}", 429, "retry-after: 40"))
        w.up().says(answer(b'{"error":{"message":"slow down"}}', 429, "retry-after: 90"))
        w.loop.spin()
        assert (status_of(first.sent), headers_of(first.sent)["retry-after"]) == (429, "40")
        second = begin(w)
        assert (status_of(second.sent), headers_of(second.sent)["retry-after"], len(w.loop.asked)) == (429, "40", 1)
        found = headers_of(second.sent)
        assert (found["x-setpoint-error-code"], found["x-setpoint-attempts"]) == ("1603", "0")


def test_refused_keys_end_in_the_fault_of_the_credential() -> None:
    with world(keyed("sk-one", "sk-two")) as w:
        client = begin(w)
        w.up().says(answer(b"{}", 401))
        w.up().says(answer(b"{}", 401))
        w.loop.advance(20)
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-error-code"], found["x-setpoint-attempts"]) == (502, "1601", "2")
        assert 500 < int(found["retry-after"]) <= REFUSED_S


def test_with_all_keys_at_rest_the_next_target_is_called() -> None:
    with world(keyed("sk-one", others=("two",))) as w:
        begin(w)
        w.up(0).says(answer(b"{}", 429))
        w.up(1).says(answer())
        w.loop.spin()
        client = begin(w)
        w.up(1).says(answer())
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), found["x-setpoint-attempts"], found["x-setpoint-fallback"]) == (200, "1", "1")


def test_a_wait_that_the_retries_allow_is_waited_for_the_key_that_is_back_first() -> None:
    with world(keyed("sk-one", "sk-two")) as w:
        client = begin(w)
        w.up().says(answer(b"{}", 429, "retry-after: 3"))
        w.up().says(answer(b"{}", 429, "retry-after: 60"))
        w.loop.advance(2.5)
        assert w.up().sent.count(b"POST") == 2
        w.loop.advance(1)
        assert (w.up().sent.count(b"POST"), bearer(w)) == (3, "sk-one")
        w.up().says(answer())
        w.loop.spin()
        assert status_of(client.sent) == 200


def test_what_is_passed_on_goes_out_with_the_key_whose_turn_it_is() -> None:
    with world(keyed("sk-one", "sk-two")) as w:
        client = w.client()
        client.says(post(b'{"model":"m","prompt":"a fish"}', "/v1/images/generations", content_type="application/json"))
        w.up().says(answer(b"{}", 429))
        w.loop.spin()
        assert bearer(w) == "sk-two"
        w.up().says(answer(b'{"data":[]}'))
        w.loop.spin()
        assert status_of(client.sent) == 200


def test_a_new_plan_with_the_same_keys_remembers_who_rests_and_one_with_others_begins_anew() -> None:
    plan = keyed("sk-one", "sk-two")
    with world(plan) as w:
        begin(w)
        w.up().says(answer(b"{}", 429))
        w.up().says(answer())
        w.loop.spin()
        w.adopt(msgspec.structs.replace(plan, version=2))
        assert w.lane.published.lines["one"].standing(w.loop.now_s).keys == (1, 1, 0)
        w.adopt(msgspec.structs.replace(keyed("sk-one", "sk-three"), version=3))
        assert w.lane.published.lines["one"].standing(w.loop.now_s).keys == (2, 0, 0)
