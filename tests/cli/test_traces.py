"""`setpoint traces` against a small management interface of its own."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typer.testing import CliRunner

from setpoint.cli.exits import FAILED, REFUSED, UNREACHABLE, USAGE
from setpoint.cli.traces import app, events

ITEM = {"id": "ab", "model": "gpt", "cost": None}


class Face(BaseHTTPRequestHandler):
    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.headers.get("authorization") != "Bearer good":
            self._answer(401, {"error": {"message": "no key"}})
        elif self.path.startswith("/api/v1/traces/tail"):
            body = b": traces\n\nid: 2\nevent: trace\ndata: " + json.dumps(ITEM).encode() + b"\n\n"
            self._send(200, body)
        elif self.path.startswith("/api/v1/traces/"):
            self._answer(404, {"error": {"message": "there is no trace"}}) if "zz" in self.path else self._answer(200, ITEM)
        else:
            self._answer(200, {"data": [ITEM], "meta": {"cursor": "next"}})

    def _answer(self, status: int, body: object) -> None:
        self._send(status, json.dumps(body).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base's name
        return


@pytest.fixture
def url() -> Iterator[str]:
    Face.asked = []
    server = HTTPServer(("127.0.0.1", 0), Face)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_a_list_is_a_table_and_says_that_there_are_more(url: str) -> None:
    code, out, err = run("list", "--url", url, "--key", "good", "--fields", "id,model,cost", "-f", "model=gpt")
    assert (code, out) == (0, "ID  MODEL  COST\nab  gpt    -\n")
    assert "cursor=next" in err
    assert "model=gpt" in Face.asked[0]


@pytest.mark.parametrize(
    ("output", "expected"), [("csv", "id,model\nab,gpt\n"), ("json", '"id": "ab"'), ("yaml", "- id: ab\n  model: gpt\n")]
)
def test_a_list_comes_in_other_forms(url: str, output: str, expected: str) -> None:
    assert expected in run("list", "--url", url, "--key", "good", "--fields", "id,model", "-o", output)[1]


def test_one_trace_is_shown_whole(url: str) -> None:
    assert json.loads(run("get", "ab", "--url", url, "--key", "good")[1]) == ITEM
    assert "id     ab" in run("get", "ab", "--url", url, "--key", "good", "-o", "table")[1]


def test_a_tail_prints_what_comes_and_says_when_it_ends(url: str) -> None:
    code, out, err = run("tail", "--url", url, "--key", "good", "--fields", "id,model")
    assert (code, out) == (UNREACHABLE, "ab  gpt\n")
    assert "ended" in err


def test_every_failure_has_its_exit_code(url: str) -> None:
    assert run("list", "--url", url, "--key", "bad")[0] == REFUSED
    assert run("get", "zz", "--url", url, "--key", "good")[::2] == (FAILED, "setpoint: there is no trace\n")
    assert run("list", "--url", "http://127.0.0.1:1", "--key", "good")[0] == UNREACHABLE
    assert run("list", "--url", "ftp://x")[0] == USAGE
    assert run("list", "--url", url, "-f", "model")[0] == USAGE


def test_without_a_key_nothing_is_asked(url: str) -> None:
    assert run("list", "--url", url)[0] == USAGE
    assert not Face.asked


def test_the_filter_by_key_does_not_go_out_under_the_name_of_a_credential(url: str) -> None:
    run("list", "--url", url, "--key", "good", "-f", "key=public")
    assert "key_id=public" in Face.asked[0]


def test_comments_and_other_events_are_no_traces() -> None:
    lines = [b": hello\n", b"event: error\n", b"data: 1\n", b"\n", b"event: trace\n", b'data: {"id": "x"}\n', b"\n"]
    assert list(events(iter(lines))) == [{"id": "x"}]
