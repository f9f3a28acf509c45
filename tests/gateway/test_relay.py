"""A stream on its way: held while gated, released behind its record, counted and bounded."""

from typing import Any

import pytest
from tests.gateway.world import (
    DONE,
    STREAM_END,
    STREAM_HEAD,
    World,
    ask,
    body_of,
    chunk,
    event,
    plan_of,
    route_to,
    status_of,
    world,
)

from setpoint.domain.faults import FaultKind
from setpoint.domain.plan import Capture, Limits, Timeouts
from setpoint.domain.trace import Outcome, RecordKind
from setpoint.gateway import relay as relay_module
from setpoint.gateway.drive import Drive
from setpoint.gateway.relay import Relay
from setpoint.wire.openai_chat.dialect import OPENAI_CHAT


class Client:
    """What a relay needs of a client's connection."""

    def __init__(self, *, chunked: bool = True) -> None:
        self.chunked = chunked
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def write_piece(self, data: bytes) -> None:
        self.sent.append(b"[" + data + b"]")


def relayed(client: Client, events_max: int = 100, kept_max: int = 1_000) -> Relay:
    connection: Any = client
    return Relay(connection, Drive(), OPENAI_CHAT.tap(), events_max, kept_max)


def plain(text: str) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text.encode()


ROLE = b'data: {"choices":[{"delta":{"role":"assistant"},"finish_reason":null}]}\n\n'


def test_nothing_reaches_the_client_while_it_is_gated() -> None:
    client = Client()
    relay = relayed(client)
    relay.feed(ROLE)
    assert (relay.open, client.sent) == (False, [])
    relay.feed(plain("a"))
    assert (relay.open, client.sent) == (True, [])


def test_what_was_held_leaves_with_the_head_and_the_rest_as_it_comes() -> None:
    client = Client()
    relay = relayed(client)
    relay.feed(ROLE)
    relay.feed(plain("a"))
    relay.commit()
    relay.feed(plain("b"))
    assert client.sent == []
    held = ROLE + plain("a") + plain("b")
    relay.flow(b"HEAD\r\n\r\n")
    assert client.sent == [b"HEAD\r\n\r\n%x\r\n%b\r\n" % (len(held), held)]
    relay.feed(plain("c"))
    assert client.sent[1:] == [b"[" + plain("c") + b"]"]
    assert (relay.bytes, relay.end()) == (len(held + plain("c")), b"")


def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    client = Client(chunked=False)
    relay = relayed(client)
    relay.feed(plain("a"))
    relay.flow(b"HEAD")
    assert client.sent == [b"HEAD" + plain("a")]


def test_a_head_without_anything_held_leaves_alone() -> None:
    client = Client()
    relay = relayed(client)
    relay.flow(b"HEAD")
    assert client.sent == [b"HEAD"]


def test_a_stream_that_ends_before_it_flows_leaves_with_its_head() -> None:
    client = Client()
    relay = relayed(client)
    relay.feed(plain("a") + b"data: [DONE]")
    relay.commit()
    assert relay.end() == b""
    relay.flow(b"HEAD")
    assert plain("a") + b"data: [DONE]" in client.sent[0]


@pytest.mark.parametrize(("kept_max", "kept"), [(0, b""), (10, plain("a")[:10]), (10_000, plain("a") + plain("b"))])
def test_as_much_is_kept_as_wanted(kept_max: int, kept: bytes) -> None:
    relay = relayed(Client(), kept_max=kept_max)
    relay.feed(plain("a"))
    relay.feed(plain("b"))
    assert relay.kept() == kept
    assert relay.kept_whole is (kept_max > 1_000)


def test_one_event_too_many_is_noticed() -> None:
    relay = relayed(Client(), events_max=3)
    for _ in range(3):
        relay.feed(plain("a"))
    assert not relay.too_long
    relay.feed(plain("a"))
    assert relay.too_long


# ---- through the whole lane


def streaming(w: World) -> tuple[Any, Any]:
    client = w.client()
    client.says(ask(stream=True))
    up = w.up()
    up.says(STREAM_HEAD)
    return client, up


def test_a_begin_record_is_written_before_the_first_byte_and_an_end_record_before_the_last() -> None:
    with world() as w:
        client, up = streaming(w)
        at_write: list[bytes] = []
        w.sink.told = lambda: at_write.append(client.sent)
        up.says(event("hello"))
        assert client.sent == b""
        w.loop.spin()
        assert b"hello" in client.sent
        up.says(event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert w.sink.kinds() == [RecordKind.begin, RecordKind.end]
        assert at_write[0] == b""
        assert not at_write[1].endswith(STREAM_END)
        assert client.sent.endswith(STREAM_END)
        assert w.clean


def test_a_stream_that_says_nothing_is_a_fault_another_attempt_may_follow() -> None:
    with world() as w:
        client, up = streaming(w)
        up.says(chunk(b": ping\n\n") + STREAM_END)
        w.loop.spin()
        assert status_of(client.sent) == 502
        assert w.sink.ends()[0].head.fault == FaultKind.upstream_cut


def test_an_empty_answer_that_is_whole_is_an_answer() -> None:
    with world() as w:
        client, up = streaming(w)
        up.says(event(finish="stop") + DONE + STREAM_END)
        w.loop.spin()
        assert (status_of(client.sent), w.sink.ends()[0].head.outcome) == (200, Outcome.ok)


def test_a_flood_before_the_first_content_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "HELD_BYTES_MAX", 1_000)
    with world() as w:
        client, up = streaming(w)
        for _ in range(100):
            up.says(chunk(b": still thinking\n\n"))
        w.loop.spin()
        assert (status_of(client.sent), up.aborted) == (502, True)
        assert w.sink.ends()[0].head.fault == FaultKind.upstream_server


def test_events_without_content_count_too() -> None:
    with world(plan_of(routes=(route_to("m-1", "one", timeouts=Timeouts(stream_events_max=5)),))) as w:
        client, up = streaming(w)
        for _ in range(6):
            up.says(event())
        w.loop.spin()
        assert (status_of(client.sent), up.aborted) == (502, True)


def test_a_stream_cut_after_its_first_content_ends_in_an_error_event_and_closes() -> None:
    with world() as w:
        client, up = streaming(w)
        up.says(event("hel"))
        w.loop.spin()
        up.ends()
        w.loop.spin()
        assert status_of(client.sent) == 200
        assert b'"error"' in body_of(client.sent)
        assert client.sent.endswith(STREAM_END)
        assert client.gone
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.fault, end.head.streamed) == (Outcome.fault, FaultKind.upstream_cut, True)


def test_a_client_that_leaves_in_mid_stream_hangs_up_on_the_upstream_at_once() -> None:
    with world() as w:
        client, up = streaming(w)
        up.says(event("hel"))
        w.loop.spin()
        client.ends()
        assert up.aborted
        w.loop.spin()
        end = w.sink.ends()[0]
        assert (end.head.outcome, end.head.status) == (Outcome.client_gone, 499)
        assert end.tail.estimated
        assert w.clean


def test_a_client_that_leaves_between_commit_and_flow_gets_nothing_and_breaks_nothing() -> None:
    with world() as w:
        client, up = streaming(w)
        up.says(event("hel"))
        client.ends()
        w.loop.spin()
        assert (client.sent, w.sink.kinds()) == (b"", [RecordKind.begin, RecordKind.end])
        assert w.clean


def test_a_bug_after_the_head_is_an_error_event_and_never_a_second_head(monkeypatch: pytest.MonkeyPatch) -> None:
    with world() as w:
        client, up = streaming(w)
        up.says(event("hel"))
        w.loop.spin()

        def bug(_: Relay) -> bytes:
            raise RuntimeError("a bug")

        monkeypatch.setattr(Relay, "end", bug)
        up.says(event("lo") + DONE + STREAM_END)
        w.loop.spin()
        assert client.sent.count(b"HTTP/1.1") == 1
        assert b'"error"' in client.sent
        assert client.sent.endswith(STREAM_END)
        assert client.gone
        assert any("a bug" in line for line in w.log)


def test_a_stream_is_captured_up_to_its_limit() -> None:
    with world(plan_of(capture=Capture(bytes_max=20), limits=Limits())) as w:
        _, up = streaming(w)
        up.says(event("hello") + event("again") + DONE + STREAM_END)
        w.loop.spin()
        end = w.sink.ends()[0]
        assert len(end.answer) == 20
        assert end.tail.answer_bytes > 100


def test_http_1_0_gets_a_stream_that_ends_with_the_connection() -> None:
    with world() as w:
        client = w.client()
        client.says(ask(stream=True, version="1.0"))
        w.up().says(STREAM_HEAD + event("hello") + DONE + STREAM_END)
        w.loop.spin()
        assert b"transfer-encoding" not in client.sent
        assert body_of(client.sent).startswith(b"data: {")
        assert client.sent.endswith(b"data: [DONE]\n\n")
        assert client.gone
