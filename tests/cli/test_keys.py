"""The keys command against a server that answers as the management interface does."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from setpoint.cli.keys import app, seconds

KEY = {"public_id": "pub", "name": "ci", "role": "service", "project": "default", "state": "active", "rpm": 0, "expires_at": None}


class Gateway(ThreadingHTTPServer):
    """Answers what it was told to, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str, Any, str | None]] = []
        self.answers: list[tuple[int, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.server.asked.append((self.command, self.path, json.loads(body) if body else None, self.headers.get("authorization")))
        status, answer = self.server.answers.pop(0)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the library asks for these names

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(gateway: Gateway, *words: str, key: str = "the-key") -> Result:
    return CliRunner().invoke(app, [*words], env={"SETPOINT_URL": gateway.url, "SETPOINT_KEY": key})


def test_create_prints_the_token_alone_on_stdout(gateway: Gateway) -> None:
    gateway.answers = [(201, {"data": KEY | {"token": "sk-sp-pub-secret"}})]
    result = run(gateway, "create", "ci", "--role", "service", "--rpm", "60")
    assert (result.exit_code, result.stdout) == (0, "sk-sp-pub-secret\n")
    method, path, body, authorization = gateway.asked[0]
    assert (method, path, authorization) == ("POST", "/api/v1/keys", "Bearer the-key")
    assert (body["name"], body["role"], body["rpm"], "expires_at" in body) == ("ci", "service", 60, False)


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_a_new_key_for_a_program_is_one_object(gateway: Gateway, form: str) -> None:
    gateway.answers = [(201, {"data": KEY | {"token": "sk-sp-pub-secret"}})]
    shown = yaml.safe_load(run(gateway, "create", "ci", "-o", form).stdout)  # JSON is YAML
    assert shown["token"] == "sk-sp-pub-secret"


def test_an_expiry_is_sent_as_a_time_with_a_zone(gateway: Gateway) -> None:
    gateway.answers = [(201, {"data": KEY | {"token": "t"}})]
    assert run(gateway, "create", "ci", "--expires-in", "90d").exit_code == 0
    assert gateway.asked[0][2]["expires_at"].endswith("+00:00")


def test_list_follows_cursors_to_the_end(gateway: Gateway) -> None:
    second = KEY | {"name": "two"}
    gateway.answers = [(200, {"data": [KEY], "meta": {"cursor": "abc"}}), (200, {"data": [second], "meta": {"cursor": None}})]
    result = run(gateway, "list", "-o", "json")
    assert [row["name"] for row in json.loads(result.stdout)] == ["ci", "two"]
    assert gateway.asked[1][1] == "/api/v1/keys?limit=1000&cursor=abc"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("table", "PUBLIC_ID  NAME  ROLE     PROJECT  STATE   RPM  BURST  CREATED_AT  EXPIRES_AT\npub        ci    service"),
        ("csv", "public_id,name,role,project,state,rpm,burst,created_at,expires_at\npub,ci,service,default,active,0,,,\n"),
        ("yaml", "- public_id: pub\n  name: ci\n"),
        ("json", '[\n  {\n    "public_id": "pub",'),
    ],
)
def test_a_list_comes_in_the_form_that_was_asked_for(gateway: Gateway, form: str, expected: str) -> None:
    gateway.answers = [(200, {"data": [KEY], "meta": {"cursor": None}})]
    assert run(gateway, "list", "-o", form).stdout.startswith(expected)


def test_rotate_and_revoke_name_the_key(gateway: Gateway) -> None:
    gateway.answers = [(200, {"data": KEY | {"token": "t2"}}), (200, {"data": KEY})]
    assert run(gateway, "rotate", "pub", "--overlap", "5m").stdout == "t2\n"
    assert run(gateway, "revoke", "p/b").exit_code == 0
    assert [(method, path, body) for method, path, body, _ in gateway.asked] == [
        ("POST", "/api/v1/keys/pub:rotate", {"overlap_s": 300}),
        ("DELETE", "/api/v1/keys/p%2Fb", None),
    ]


@pytest.mark.parametrize(("status", "code"), [(400, 2), (404, 1), (401, 4), (403, 4), (503, 1)])
def test_what_the_gateway_says_is_shown_and_the_exit_code_tells_the_kind(gateway: Gateway, status: int, code: int) -> None:
    gateway.answers = [(status, {"error": {"message": "because"}})]
    result = run(gateway, "list")
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "setpoint: because\n")


def test_an_answer_that_is_not_ours_says_so(gateway: Gateway) -> None:
    gateway.answers = [(200, b"<html>"), (502, b"<html>")]
    assert "not as Setpoint does" in run(gateway, "list").stderr
    assert "answered 502" in run(gateway, "list").stderr


def test_nobody_at_the_address_is_unreachable(gateway: Gateway) -> None:
    result = CliRunner().invoke(app, ["list", "--url", "http://127.0.0.1:9", "--key", "k"])
    assert result.exit_code == 3
    assert "no gateway answers at http://127.0.0.1:9" in result.stderr


def test_without_a_key_it_says_where_to_get_one(gateway: Gateway) -> None:
    result = run(gateway, "list", key="")
    assert result.exit_code == 2
    assert "SETPOINT_KEY" in result.stderr


def test_a_key_that_no_header_can_hold_is_wrong_usage(gateway: Gateway) -> None:
    assert run(gateway, "list", key="sk-sp-ä\n").exit_code == 2
    assert not gateway.asked


@pytest.mark.parametrize(("text", "expected"), [("90d", 7_776_000), ("12h", 43_200), ("30m", 1_800), ("5s", 5), ("7", 7)])
def test_times_are_written_with_a_unit(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "d", "-5s", "1w", "soon", "²s", "36501d", "99999999999d", "9" * 5_000])
def test_what_is_not_a_time_is_wrong_usage(text: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        seconds(text)
    assert ended.value.exit_code == 2
