"""The eight scenarios of reliability that one of the source systems set itself (and met seven of), on the real gateway and real sockets."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import CachePolicy, Limits, Timeouts
from setpoint.testing.conversation import chat
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, running_gateway, wait_for
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.stage import Stage, stage
from setpoint.testing.wire_faults import WireFault

CACHE_BYTES = 60_000
BIG = "word " * 400


@pytest.fixture(scope="module")
def running() -> Iterator[Stage]:
    with stage(limits=Limits(cache_bytes_max=CACHE_BYTES)) as started:
        yield started


@pytest.fixture
def on(running: Stage) -> Iterator[Stage]:
    running.reset()
    yield running
    running.reset()
    assert ask(running.gateway, "are you well?").status == 200


def asked(gateway: RunningGateway, prompt: str, model: str = "fake-1", key: str = "", *, stream: bool = False, **headers: str) -> bytes:
    wanted = chat(prompt, model=model, stream=stream)
    return request_bytes("POST", wanted.path, wanted.body(), authorization=f"Bearer {key or gateway.key}", **headers)


def ask(gateway: RunningGateway, prompt: str, model: str = "fake-1", key: str = "", **headers: str) -> Received:
    with RawClient(gateway.port) as client:
        return client.send(asked(gateway, prompt, model, key, stream=False, **headers)).receive()


def at_once(gateway: RunningGateway, messages: list[bytes]) -> list[Received]:
    """Every message on a connection of its own; all are sent before the first answer is read."""
    clients = [RawClient(gateway.port, deadline_s=30) for _ in messages]
    try:
        for client, message in zip(clients, messages, strict=True):
            client.send(message)
        return [client.receive() for client in clients]
    finally:
        for client in clients:
            client.close()


def gauge(gateway: RunningGateway, name: str) -> float:
    with RawClient(gateway.port) as client:
        page = client.send(request_bytes("GET", "/metrics")).receive().body.decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{")))


def test_50_concurrent_cache_operations(on: Stage) -> None:
    answers = at_once(on.gateway, [asked(on.gateway, f"question {no % 10}", "cached") for no in range(50)])
    assert Counter(answer.status for answer in answers) == {200: 50}
    assert len(on.openai.seen) == 10, "each question was asked once"
    again = at_once(on.gateway, [asked(on.gateway, f"question {no % 10}", "cached") for no in range(50)])
    assert {answer.headers["x-setpoint-cache"] for answer in again} == {"hit-l1"}
    assert len(on.openai.seen) == 10
    by_question = [{answer.body for answer in (*answers[no::10], *again[no::10])} for no in range(10)]
    assert [len(bodies) for bodies in by_question] == [1] * 10


def test_burst_and_isolation(on: Stage) -> None:
    small, other = on.keys["small"], on.keys["developer"]
    messages = [asked(on.gateway, f"{no}", key=small if no % 2 else other) for no in range(40)]
    answers = at_once(on.gateway, messages)
    assert Counter(answer.status for answer in answers[::2]) == {200: 20}, "another client's burst is not felt"
    limited = Counter(answer.status for answer in answers[1::2])
    assert limited[200] + limited[429] == 20
    assert 2 <= limited[200] <= 4
    for answer in answers[1::2]:
        if answer.status == 429:
            assert 1 <= int(answer.headers["retry-after"]) <= 60


def test_capacity_and_ttl(on: Stage) -> None:
    on.openai.says(text(BIG))
    for no in range(100):
        assert ask(on.gateway, f"fill {no}", "cached").status == 200
    wait_for(lambda: gauge(on.gateway, "setpoint_cache_entries") > 0, "the gauges")
    assert 0 < gauge(on.gateway, "setpoint_cache_bytes") <= CACHE_BYTES
    first = ask(on.gateway, "short", "cached", x_setpoint_cache="ttl=0.3")
    second = ask(on.gateway, "short", "cached", x_setpoint_cache="ttl=0.3")
    assert (first.headers["x-setpoint-cache"], second.headers["x-setpoint-cache"]) == ("miss", "hit-l1")
    wait_for(lambda: ask(on.gateway, "short", "cached", x_setpoint_cache="ttl=0").headers["x-setpoint-cache"] == "miss", "its end")
    assert ask(on.gateway, "short", "cached").headers["x-setpoint-cache"] == "miss"


def test_timeouts() -> None:
    with FakeUpstream() as up:
        quick = Timeouts(first_byte_s=0.2, idle_s=0.2, unary_total_s=0.4, stream_total_s=0.4)
        served = plan((fake(up, "one", connections_max=4),), (route("fake-1", "one", timeouts=quick),))
        with running_gateway(served) as gateway:
            up.breaks(WireFault("hang_before_head"))
            answers = at_once(gateway, [asked(gateway, f"{no}", stream=no % 2 == 1) for no in range(4)])
            assert [answer.status for answer in answers] == [504] * 4
            assert {answer.headers["x-setpoint-error-code"] for answer in answers} == {str(int(FaultKind.upstream_timeout))}
            up.breaks(None)
            answers = at_once(gateway, [asked(gateway, f"{no}") for no in range(20)])
            assert [answer.status for answer in answers] == [200] * 20, "what timed out holds no connection"


MALICIOUS = {
    "null bytes": b'{"model": "fake-1\x00", "messages": []}',
    "not UTF-8": b'{"model": "fake-1\xff\xfe", "messages": []}',
    "deep nesting": b'{"model": "fake-1", "messages": ' + b"[" * 50_000,
    "another type": b'["fake-1"]',
    "a number for a name": b'{"model": 1e999, "messages": []}',
    "a path for a name": b'{"model": "../../etc/passwd", "messages": []}',
    "SQL for a name": b'{"model": "x\'; DROP TABLE keys; --", "messages": []}',
    "a script for a name": b'{"model": "<script>alert(1)</script>", "messages": []}',
    "a line break for a name": b'{"model": "m\\r\\nx-injected: yes", "messages": []}',
    "a huge name": b'{"model": "' + b"m" * 100_000 + b'", "messages": []}',
    "a lone surrogate": b'{"model": "\\ud800", "messages": []}',
    "nothing": b"",
}


@pytest.mark.parametrize("name", MALICIOUS)
def test_malicious_input(on: Stage, name: str) -> None:
    with RawClient(on.gateway.port) as client:
        credentials = {"authorization": f"Bearer {on.gateway.key}", "content_length": str(len(MALICIOUS[name]))}
        answer = client.send(request_bytes("POST", "/v1/chat/completions", MALICIOUS[name], **credentials)).receive()
    assert 400 <= answer.status < 500, answer
    assert answer.json["error"]["message"]
    assert "x-injected" not in answer.headers
    assert on.openai.seen == []


@pytest.mark.parametrize("key", ["' OR 1=1 --", "../../../key", "x" * 8_000, "sk-sp-" + "\t" * 5 + "x", "\x7f\x80"])
def test_malicious_identifiers(on: Stage, key: str) -> None:
    assert ask(on.gateway, "hi", key=key).status in (400, 401)
    assert on.openai.seen == []


def test_500_concurrent_mixed_operations(on: Stage) -> None:
    gateway = on.gateway
    kinds = (
        lambda no: (asked(gateway, f"plain {no}"), 200),
        lambda no: (asked(gateway, f"stream {no}", stream=True), 200),
        lambda no: (asked(gateway, f"cached {no % 50}", "cached"), 200),
        lambda no: (asked(gateway, f"nobody {no}", key="sk-sp-nobody"), 401),
        lambda no: (asked(gateway, f"nowhere {no}", "no-such-model"), 404),
        lambda _: (request_bytes("GET", "/health/live"), 200),
        lambda _: (request_bytes("GET", "/v1/models", authorization=f"Bearer {gateway.key}"), 200),
        lambda no: (asked(gateway, f"spare {no}", "spare"), 200),
        lambda _: (request_bytes("POST", "/v1/chat/completions", b"{", authorization=f"Bearer {gateway.key}"), 400),
        lambda no: (asked(gateway, f"read only {no}", key=on.keys["viewer"]), 403),
    )
    wanted = [kinds[no % 10](no) for no in range(500)]
    answers = at_once(gateway, [message for message, _ in wanted])
    assert [answer.status for answer in answers] == [status for _, status in wanted]
    assert all(answer.complete for answer in answers)
    assert all(answer.body.rstrip().endswith(b"data: [DONE]") for answer in answers[1::10])
    assert wait_for(lambda: gauge(gateway, "setpoint_in_flight_requests") == 0, "the end of every exchange")


def test_queue_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production's queue holds 4,096; a shorter one shows the same without four thousand sockets."""
    monkeypatch.setattr("setpoint.gateway.upstream.QUEUE_MAX", 50)
    with FakeUpstream() as up, running_gateway(plan((fake(up, "one", connections_max=1),), (route("fake-1", "one"),))) as gateway:
        up.holds()
        with RawClient(gateway.port) as first, ThreadPoolExecutor(1) as others:
            first.send(asked(gateway, "first"))
            up.wait_for_requests(1)
            waiting = others.submit(at_once, gateway, [asked(gateway, f"{no}") for no in range(60)])
            wait_for(lambda: gauge(gateway, "setpoint_errors_total") >= 10, "the refusals")
            assert gauge(gateway, "setpoint_queued_requests") <= 50
            up.holds(held=False)
            answers = waiting.result()
            assert first.receive().status == 200
        assert Counter(answer.status for answer in answers) == {200: 50, 503: 10}
        refused = [answer for answer in answers if answer.status == 503]
        assert {answer.headers["x-setpoint-error-code"] for answer in refused} == {str(int(FaultKind.overloaded))}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert ask(gateway, "after").status == 200


def test_eviction_under_pressure(on: Stage) -> None:
    """What is asked for again and again stays while everything else is pushed out."""
    on.openai.says(text(BIG))
    gateway = on.gateway
    assert ask(gateway, "hot", "cached").status == 200
    for start in range(0, 200, 5):
        answers = at_once(gateway, [asked(gateway, f"cold {start + no}", "cached") for no in range(5)])
        assert {answer.status for answer in answers} == {200}
        assert ask(gateway, "hot", "cached").headers["x-setpoint-cache"] == "hit-l1", start
    assert ask(gateway, "cold 0", "cached").headers["x-setpoint-cache"] == "miss"
    assert len(on.openai.seen) == 202
    wait_for(lambda: gauge(gateway, "setpoint_cache_bytes") > 0, "the gauges")
    assert gauge(gateway, "setpoint_cache_bytes") <= CACHE_BYTES
    assert CachePolicy("all").ttl_s > 60, "nothing here went by age"
