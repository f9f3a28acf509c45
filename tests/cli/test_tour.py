"""The tour against a scripted gateway: what it sends, what it makes of answers good and bad."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from setpoint.cli.tour import Gateway, TourError, ask, ask_patiently, cost_text, curl, described, python_lines, texts, trace_of

Reply = tuple[int, dict[str, str], bytes]
CHUNK = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
STREAM: Reply = (200, {"x-setpoint-request-id": "ab12"}, CHUNK % b"hot" + CHUNK % b" cold" + b"data: [DONE]\n\n")


@contextmanager
def scripted(*replies: Reply) -> Iterator[tuple[Gateway, list[tuple[str, str, bytes]]]]:
    """A server that gives `replies` in order, the last one again and again, and what it was asked: (line, key, body)."""
    left, asked = list(replies), list[tuple[str, str, bytes]]()

    class Script(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            asked.append((f"{self.command} {self.path}", self.headers["authorization"], body))
            status, headers, answer = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815  the name is the standard library's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the standard library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Script)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield Gateway("127.0.0.1", server.server_address[1], "sk-sp-x-y"), asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_question_is_streamed_and_its_request_is_known() -> None:
    with scripted(STREAM) as (gateway, asked):
        answer = ask(gateway, "sim/fast")
        assert (answer.request_id, list(answer.pieces)) == ("ab12", ["hot", " cold"])
    line, key, body = asked[0]
    assert (line, key) == ("POST /v1/chat/completions", "Bearer sk-sp-x-y")
    assert json.loads(body)["stream"] is True
    assert json.loads(body)["model"] == "sim/fast"


def test_a_model_that_is_still_being_loaded_is_asked_again() -> None:
    with scripted((502, {}, b"no connection"), (503, {}, b"loading"), STREAM) as (gateway, asked):
        assert list(ask_patiently(gateway, "m", 30.0).pieces) == ["hot", " cold"]
    assert len(asked) == 3


def test_patience_ends() -> None:
    with scripted((502, {}, b"no connection")) as (gateway, _), pytest.raises(TourError, match="502 no connection"):
        ask_patiently(gateway, "m", 0.1)


def test_what_no_patience_can_mend_is_said_at_once() -> None:
    with scripted((401, {}, b"bad key")) as (gateway, asked), pytest.raises(TourError, match="401 bad key"):
        ask_patiently(gateway, "m", 30.0)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (CHUNK % b"a", "before it was complete"),
        (b"", "before it was complete"),
        (CHUNK % b"a" + b'data: {"error":{"message":"the upstream hung up"}}\n\n', "the upstream hung up"),
    ],
)
def test_a_stream_that_does_not_end_well_is_not_taken_for_an_answer(stream: bytes, message: str) -> None:
    with pytest.raises(TourError, match=message):
        list(texts(stream.splitlines()))


def test_events_without_text_and_comments_are_passed_over() -> None:
    stream = b': ping\n\ndata: {"choices":[{"delta":{"role":"assistant"}}]}\n\ndata: {"choices":[],"usage":{}}\n\ndata: [DONE]\n'
    assert list(texts(stream.splitlines())) == []


def test_a_trace_is_waited_for() -> None:
    with scripted((404, {}, b"{}"), (200, {}, b'{"data": {"cost_usd": "0"}}')) as (gateway, asked):
        assert trace_of(gateway, "ab12", 30.0) == {"cost_usd": "0"}
    assert [line for line, _, _ in asked] == ["GET /api/v1/traces/ab12"] * 2


def test_a_trace_that_never_comes_is_said_with_the_last_answer() -> None:
    with scripted((503, {}, b"restarting")) as (gateway, _), pytest.raises(TourError, match=r"ab12.*503 restarting"):
        trace_of(gateway, "ab12", 0.1)


def test_a_gateway_that_is_gone_is_said_to_be() -> None:
    gateway = Gateway("127.0.0.1", 1, "k")
    with pytest.raises(TourError, match="refused"):
        ask(gateway, "m")
    with pytest.raises(TourError, match="refused"):
        trace_of(gateway, "ab12", 0.0)


def test_the_figures_of_a_trace_are_shown_and_what_is_empty_or_nested_is_not() -> None:
    shown = described({"model": "m", "usage": {"input": 3}, "tags": None, "attempts": 1, "finish": "", "note": "x\n" * 500}).splitlines()
    assert [line.split()[0] for line in shown] == ["model", "attempts", "note"]
    assert max(map(len, shown)) < 140


def test_an_unknown_cost_is_not_shown_as_nothing() -> None:
    assert cost_text({"cost": "0"}) == "0 USD"
    assert cost_text({"cost": None}) == "an unknown amount"


def test_the_examples_can_be_pasted() -> None:
    gateway = Gateway("127.0.0.1", 8080, "sk-sp-x-y")
    compile(python_lines(gateway, "m"), "example", "exec")
    assert len(python_lines(gateway, "m").splitlines()) == 3
    assert "http://127.0.0.1:8080/v1/chat/completions" in curl(gateway, "m")
    assert json.loads(curl(gateway, "m").rsplit("-d '", 1)[1].rstrip("'"))["model"] == "m"
