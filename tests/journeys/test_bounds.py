"""Every bound of a worker, met on real sockets: what happens at it is said, and it ends with the cause."""

from decimal import Decimal

import msgspec

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import Capture, Limits, Timeouts
from setpoint.testing.conversation import chat, messages
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, running_gateway
from setpoint.testing.hearing import heard_text, sse_error
from setpoint.testing.plans import fake, plan, route
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.stage import stage
from setpoint.testing.wire_faults import WireFault

MEGABYTE = 1_048_576


def asked(gateway: RunningGateway, prompt: str = "hi", *, stream: bool = False, path: str = "") -> bytes:
    ask = chat(prompt, stream=stream)
    return request_bytes("POST", path or ask.path, ask.body(), authorization=f"Bearer {gateway.key}")


def ask(gateway: RunningGateway, prompt: str = "hi", *, stream: bool = False) -> Received:
    with RawClient(gateway.port) as client:
        return client.send(asked(gateway, prompt, stream=stream)).receive()


def test_a_worker_with_enough_in_flight_says_so_at_once() -> None:
    with stage(limits=Limits(in_flight_max=2)) as on:
        on.openai.holds()
        with RawClient(on.gateway.port) as one, RawClient(on.gateway.port) as two:
            one.send(asked(on.gateway))
            two.send(asked(on.gateway))
            on.openai.wait_for_requests(2)
            refused = ask(on.gateway)
            assert (refused.status, refused.headers["x-setpoint-error-code"]) == (503, str(int(FaultKind.overloaded)))
            assert refused.headers["retry-after"] == "1"
            on.openai.holds(held=False)
            assert (one.receive().status, two.receive().status) == (200, 200)
        assert ask(on.gateway).status == 200


def test_one_connection_too_many_is_closed_and_the_others_live() -> None:
    with stage(limits=Limits(connections_max=2)) as on, RawClient(on.gateway.port) as one, RawClient(on.gateway.port) as two:
        for client in (one, two):
            assert client.send(asked(on.gateway)).receive().status == 200
        with RawClient(on.gateway.port) as three:
            assert three.wait_for_end()
        assert one.send(asked(on.gateway)).receive().status == 200


def test_an_answer_that_is_too_large_to_hold_is_a_fault_of_the_upstream() -> None:
    with stage(limits=Limits(answer_bytes_max=10_000)) as on:
        on.openai.says(text("x" * 20_000))
        answer = ask(on.gateway)
        assert answer.status == 502
        assert "large" in answer.json["error"]["message"]


def test_bodies_that_are_too_much_together_are_refused_and_given_back() -> None:
    with stage(limits=Limits(bodies_bytes_max=3 * MEGABYTE)) as on:
        on.openai.holds()
        with RawClient(on.gateway.port) as one, RawClient(on.gateway.port) as two:
            one.send(asked(on.gateway, "x" * (2 * MEGABYTE)))
            on.openai.wait_for_requests(1)
            refused = two.send(asked(on.gateway, "x" * (2 * MEGABYTE))).receive()
            assert (refused.status, refused.headers["x-setpoint-error-code"]) == (503, str(int(FaultKind.overloaded)))
            on.openai.holds(held=False)
            assert one.receive().status == 200
        assert ask(on.gateway, "x" * (2 * MEGABYTE)).status == 200


def test_a_stream_with_too_many_events_ends_in_an_error_event() -> None:
    with FakeUpstream() as up:
        timeouts = Timeouts(stream_events_max=50)
        with running_gateway(plan((fake(up, "one"),), (route("fake-1", "one", timeouts=timeouts),))) as gateway:
            up.says(text(*["word "] * 40))
            assert sse_error(ask(gateway, stream=True).body) is None
            up.says(text(*["word "] * 100))
            up.breaks(WireFault("stall_mid_body", after_pieces=90))
            error = sse_error(ask(gateway, stream=True).body)
            assert error is not None
            assert "stream_events_max" in error["message"]
            up.wait_for_hang_up(2)


def test_a_stream_that_takes_too_long_in_all_ends_in_an_error_event() -> None:
    with FakeUpstream() as up:
        timeouts = Timeouts(first_byte_s=5, idle_s=5, stream_total_s=0.3)
        with running_gateway(plan((fake(up, "one"),), (route("fake-1", "one", timeouts=timeouts),))) as gateway:
            up.says(text(*["word "] * 1_000))
            up.breaks(WireFault("slow_drip", drip_s=0.01))
            answer = ask(gateway, stream=True)
            assert answer.complete
            assert heard_text(answer).startswith("word word")
            assert sse_error(answer.body) is not None
            up.wait_for_hang_up()


def test_a_client_that_does_not_read_slows_its_upstream_and_nobody_else() -> None:
    """What does not fit into the sockets stays with the upstream, not in the worker; nothing is lost."""
    pieces = ["x" * 10_000] * 4_000
    with stage() as on:
        on.openai.says(text(*pieces))
        with RawClient(on.gateway.port, deadline_s=30) as slow:
            slow.send(asked(on.gateway, stream=True)).read_until(b"xxxx")
            on.openai.wait_for(lambda: on.openai.seen[0].answered_ns > 0, 30)
            with RawClient(on.gateway.port) as other:
                for _ in range(200):
                    claude = messages("hi", model="claude-1")
                    credentials = {"authorization": f"Bearer {on.gateway.key}"}
                    assert other.send(request_bytes("POST", claude.path, claude.body(), **credentials)).receive().status == 200
            assert on.openai.unsent_bytes > 10 * MEGABYTE
            whole = slow.receive()
        assert whole.complete
        assert whole.body.count(b"x" * 10_000) == len(pieces)


def test_nobody_needs_a_key_where_the_plan_says_so() -> None:
    with FakeUpstream() as up, running_gateway(plan((fake(up, "one"),), (route("fake-1", "one"),), keys_required=False)) as gateway:
        body = chat("hi").body()
        with RawClient(gateway.port) as client:
            assert client.send(request_bytes("POST", "/v1/chat/completions", body)).receive().status == 200
            wrong = client.send(request_bytes("POST", "/v1/chat/completions", body, authorization="Bearer sk-sp-wrong")).receive()
            assert wrong.status == 401, "a key that is sent must be right"


def test_capture_keeps_what_the_plan_allows_and_the_hash_of_the_rest() -> None:
    with stage(capture=Capture(prompts=True, answers=False, bytes_max=20)) as on:
        ask(on.gateway)
        record = on.gateway.ends()[0]
        assert record.prompt == chat("hi").body()[:20]
        assert record.answer == b""
        assert record.tail.prompt_bytes == len(chat("hi").body())
        assert len(record.tail.prompt_sha256) == 32


def test_a_record_says_all_that_the_answer_said() -> None:
    with stage() as on:
        on.openai.says(text("hello", input_tokens=1_000, output_tokens=100, cached_tokens=400))
        answer = ask(on.gateway)
        record = on.gateway.ends()[0]
    head, tail = record.head, record.tail
    assert head.request_id.hex() == answer.headers["x-setpoint-request-id"]
    assert (head.input, head.cached_read, head.output) == (600, 400, 100)
    assert head.cost_nanousd == 600 * 1_000 + 400 * 100 + 100 * 2_000
    assert Decimal(answer.headers["x-setpoint-cost-usd"]) == Decimal("0.00084")
    assert (tail.route, tail.upstream, tail.provider, tail.model, tail.finish) == ("fake-1", "openai", "fake", "fake-1", "stop")
    assert (tail.role, tail.public_id) == ("developer", on.gateway.keys[0].principal.public_id)
    assert msgspec.json.decode(record.prompt)["messages"][0]["content"] == "hi"
    assert record.answer == answer.body
