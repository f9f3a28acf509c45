"""From an answer to bytes: golden responses, and what of an upstream's headers passes."""

import pytest
from tests.gateway.world import ANSWER, DONE, STREAM_END, STREAM_HEAD, answer, ask, chat_body, event, plan_of, status_of, world

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import PriceBook
from setpoint.gateway.lane import http_date, trace_id_of
from setpoint.gateway.respond import PASS_MEMO_MAX, PassThrough, fault_lines, passes, status_line

OWN = (
    b"x-setpoint-request-id: 17979cfe362a00000000000000000000\r\nx-setpoint-trace-id: 17979cfe362a00000000000000000000\r\n"
    b"x-setpoint-config-version: 1\r\nx-setpoint-route: m-1\r\nx-setpoint-provider: acme\r\nx-setpoint-model: m-1\r\n"
    b"x-setpoint-attempts: 1\r\nx-setpoint-cache: bypass\r\n"
    b"x-ratelimit-limit-requests: 10000\r\nx-ratelimit-remaining-requests: 2147483647\r\nx-ratelimit-reset-requests: 0s\r\n"
    b"X-RateLimit-Limit: 10000\r\nX-RateLimit-Remaining: 2147483647\r\nX-RateLimit-Reset: 0\r\n"
)
DATE = b"date: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
assert ANSWER


def test_a_whole_answer_byte_for_byte() -> None:
    with world() as w:
        client = w.client()
        client.says(ask())
        w.up().says(answer(b'{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":0}}', 200, "x-request-id: up-1", "server: nginx"))
        w.loop.spin()
        assert client.sent == (
            b"HTTP/1.1 200 OK\r\n" + DATE + b"content-type: application/json\r\ncontent-length: 63\r\nx-request-id: up-1\r\n" + OWN
            + b"x-setpoint-overhead-ms: 0.000\r\nx-setpoint-cost-usd: 0.000001\r\n\r\n"
            b'{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":0}}'
        )  # fmt: skip


def test_a_streams_head_byte_for_byte() -> None:
    with world() as w:
        client = w.client()
        client.says(ask(stream=True))
        w.up().says(STREAM_HEAD + event("a") + DONE + STREAM_END)
        w.loop.spin()
        head = client.sent.partition(b"\r\n\r\n")[0] + b"\r\n"
        assert head == (
            b"HTTP/1.1 200 OK\r\n" + DATE + b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
            b"transfer-encoding: chunked\r\n" + OWN
        )  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "version", "says"),
    [
        ({}, "1.1", None),
        ({"connection": "close"}, "1.1", b"connection: close"),
        ({}, "1.0", b"connection: close"),
        ({"connection": "keep-alive"}, "1.0", b"connection: keep-alive"),
    ],
)
def test_what_becomes_of_the_connection_is_said_and_done(lines: dict[str, str], version: str, says: bytes | None) -> None:
    with world() as w:
        client = w.client()
        client.says(ask(headers=lines, version=version))
        w.up().says(answer())
        w.loop.spin()
        found = [line for line in client.sent.split(b"\r\n") if line.startswith(b"connection:")]
        assert found == ([] if says is None else [says])
        assert client.gone is (says == b"connection: close")


def test_a_draining_worker_closes_after_the_answer() -> None:
    with world() as w:
        client = w.client()
        client.says(ask())
        w.lane.draining = True
        w.up().says(answer())
        w.loop.spin()
        assert b"connection: close\r\n" in client.sent
        assert client.gone


def test_an_answer_without_a_price_has_no_cost() -> None:
    with world(plan_of(prices=PriceBook())) as w:
        client = w.client()
        client.says(ask())
        w.up().says(answer())
        w.loop.spin()
        assert (status_of(client.sent), b"cost-usd" in client.sent) == (200, False)


def test_an_answer_that_states_no_usage_has_an_estimate() -> None:
    with world() as w:
        client = w.client()
        client.says(ask())
        w.up().says(answer(b'{"model":"m"}'))
        w.loop.spin()
        assert b"cost-usd" in client.sent
        (end,) = w.sink.ends()
        assert end.tail.estimated
        assert (end.head.input, end.head.output) == (len(chat_body()) // 4, 3)


@pytest.mark.parametrize("name", [b"x-request-id", b"openai-processing-ms", b"request-id"])
def test_useful_headers_pass(name: bytes) -> None:
    assert passes(name)


@pytest.mark.parametrize(
    "name",
    [b"connection", b"transfer-encoding", b"set-cookie", b"content-encoding", b"x-setpoint-model", b"x-ratelimit-limit-tokens",
     b"anthropic-ratelimit-x", b"access-control-allow-origin", b"cf-ray", b"retry-after", b"date"],
)  # fmt: skip
def test_hop_by_hop_headers_and_the_upstreams_own_affairs_do_not(name: bytes) -> None:
    assert not passes(name)


def test_the_memo_of_header_names_is_bounded() -> None:
    through = PassThrough()
    for no in range(3 * PASS_MEMO_MAX):
        assert through.lines([(b"x-%d" % no, b"v"), (b"set-cookie", b"s")]) == b"x-%d: v\r\n" % no
        assert len(through._memo) <= PASS_MEMO_MAX


@pytest.mark.parametrize(
    ("status", "line"),
    [(200, b"HTTP/1.1 200 OK\r\n"), (529, b"HTTP/1.1 529 Site is overloaded\r\n"), (499, b"HTTP/1.1 499 Client Closed Request\r\n"),
     (799, b"HTTP/1.1 799 \r\n")],
)  # fmt: skip
def test_every_status_has_a_line(status: int, line: bytes) -> None:
    assert status_line(status) == line


@pytest.mark.parametrize(("after_s", "whole", "ms"), [(0.0001, 1, 1), (1.0, 1, 1000), (1.0001, 2, 1001), (59.5, 60, 59500)])
def test_retry_after_is_never_too_early(after_s: float, whole: int, ms: int) -> None:
    lines = fault_lines(Fault(FaultKind.rate_limited, "", retry_after_s=after_s))
    assert lines == b"x-setpoint-error-code: 1501\r\nretry-after: %d\r\nretry-after-ms: %d\r\n" % (whole, ms)


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("header", "good"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"01-{TRACE}-00f067aa0ba902b7-01-more", True),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE[:30]}  -00f067aa0ba902b7-01", False),
        (f"00-{TRACE[:31]}g-00f067aa0ba902b7-01", False),
        (f"00-{TRACE[:31]}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}", False),
        ("", False),
        ("\xe9" * 55, False),
    ],
)
def test_a_trace_id_is_taken_over_only_when_it_is_one(header: str, good: bool) -> None:
    assert trace_id_of(header.encode("latin-1")) == (bytes.fromhex(TRACE) if good else None)


def test_dates_are_as_http_wants_them() -> None:
    assert http_date(784_111_777) == "Sun, 06 Nov 1994 08:49:37 GMT"
