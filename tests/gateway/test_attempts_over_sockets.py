"""Keys, hedges, probes and deadlines with real sockets and a real worker."""

import time

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import BreakerLimits, HealthProbe, Hedge, Retries, SealedKey
from setpoint.domain.trace import RecordKind
from setpoint.testing.conversation import chat
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, running_gateway, sealed_key, wait_for
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import status, text

QUICK_HEDGE = Hedge(after_s=0.1, max_ratio=1.0)


def ask(gateway: RunningGateway, *, stream: bool = False, **headers: str) -> Received:
    said = chat("hi", stream=stream)
    with RawClient(gateway.port) as client:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.send(request_bytes("POST", said.path, said.body(), authorization=f"Bearer {gateway.key}", **named)).receive()


def metrics(gateway: RunningGateway) -> str:
    with RawClient(gateway.port) as client:
        return client.send(request_bytes("GET", "/metrics", authorization=f"Bearer {gateway.key}")).receive().body.decode()


def test_a_limited_key_gives_way_to_the_next_and_metrics_tell() -> None:
    with FakeUpstream() as up:
        keys = tuple(SealedKey(label, sealed_key("up", f"sk-{label}")) for label in ("eu", "us"))
        one = fake(up, "up", auth="bearer", keys=keys)
        with running_gateway(plan((one,), (route("fake-1", "up"),))) as gateway:
            up.says(status(429, retry_after="30"), text("hello"))
            answer = ask(gateway)
            assert (answer.status, answer.headers["x-setpoint-attempts"]) == (200, "2")
            assert [seen.headers["authorization"] for seen in up.seen] == ["Bearer sk-eu", "Bearer sk-us"]
            assert ask(gateway).status == 200
            assert up.seen[2].headers["authorization"] == "Bearer sk-us"
            wait_for(
                lambda: 'setpoint_provider_keys{upstream="up",state="limited"} 1' in metrics(gateway), "the limited key in the metrics"
            )
            failed, end = (gateway.wait_for_ends(2), gateway.records())[1][:2]
            assert (failed.head.kind, failed.tail.key, end.tail.key) == (RecordKind.attempt, "eu", "us")


def test_a_slow_start_is_hedged_and_the_slow_call_is_hung_up_on() -> None:
    for stream in (False, True):
        with FakeUpstream() as slow, FakeUpstream() as quick:
            slow.holds()
            quick.says(text("hel", "lo"))
            routes = (route("fake-1", "slow", "quick", hedge=QUICK_HEDGE),)
            with running_gateway(plan((fake(slow, "slow"), fake(quick, "quick")), routes)) as gateway:
                answer = ask(gateway, stream=stream)
                assert (answer.status, b"lo" in answer.body) == (200, True)
                assert (answer.headers["x-setpoint-attempts"], answer.headers["x-setpoint-fallback"]) == ("2", "1")
                slow.wait_for_hang_up(1, deadline_s=2.0)
                assert 'setpoint_hedges_total{outcome="won"} 1' in metrics(gateway)
                [end] = gateway.wait_for_ends(1)
                slower = next(each for each in gateway.records() if each.head.kind == RecordKind.attempt)
                assert (slower.tail.upstream, slower.tail.hedged, slower.head.cost_nanousd) == ("slow", True, 7_000)
                assert end.head.cost_nanousd == 17_000 + 7_000


def test_the_deadline_of_a_client_ends_its_request_in_time() -> None:
    with FakeUpstream() as up:
        up.holds()
        with running_gateway(plan((fake(up, "up"),), (route("fake-1", "up", retries=Retries(3, 0.01, 1.0, 0.1)),))) as gateway:
            began_s = time.monotonic()
            answer = ask(gateway, x_setpoint_timeout="0.3")
            assert (answer.status, answer.headers["x-setpoint-error-code"]) == (504, str(int(FaultKind.upstream_timeout)))
            assert time.monotonic() - began_s < 2.0
            up.wait_for_hang_up(1)


def test_a_provider_that_does_not_answer_its_probe_is_tried_last_until_it_does() -> None:
    with FakeUpstream() as sick, FakeUpstream() as well:
        sick.says(status(503))
        probed = fake(sick, "sick", probe=HealthProbe(every_s=0.1), breaker=BreakerLimits(failures=1_000))
        with running_gateway(plan((probed, fake(well, "well")), (route("fake-1", "sick", "well"),))) as gateway:
            bad = 'setpoint_provider_health{provider="fake",upstream="sick"} 0'
            wait_for(lambda: bad in metrics(gateway), "bad health")
            assert {seen.path for seen in sick.seen} == {"/v1/models"}
            answer = ask(gateway)
            assert (answer.status, len(well.seen), answer.headers["x-setpoint-attempts"]) == (200, 1, "1")
            sick.says(text("hello"))
            wait_for(lambda: bad.replace("} 0", "} 1") in metrics(gateway), "good health")
            assert (ask(gateway).status, len(well.seen)) == (200, 1)
