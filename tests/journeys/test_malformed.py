"""Requests that are wrong, slow or too large: the vendor's error shape, the right status, a message that helps, and a worker that lives on.

Each is sent over a plain and a TLS listener, by raw bytes.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from setpoint.domain.plan import Limits
from setpoint.testing.raw_client import RawClient, Received, request_bytes
from setpoint.testing.replies import text
from setpoint.testing.stage import Stage, stage

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
EMBEDDINGS = "/v1/embeddings"
SURFACES = [CHAT, MESSAGES, EMBEDDINGS]
GOOD: dict[str, Any] = {"model": "fake-1", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
MEGABYTE = 1_048_576
LIMITS = Limits(head_s=0.3, body_s=0.3, idle_s=0.5)
"""Short deadlines, sizes as they are by default."""


@pytest.fixture(scope="module", params=["plain", "tls"])
def running(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stage(tls=request.param == "tls", limits=LIMITS) as started:
        yield started


@pytest.fixture
def on(running: Stage) -> Iterator[Stage]:
    """After each test the worker must still answer a good request on a new connection."""
    running.reset()
    yield running
    running.reset()
    answer = send(running, CHAT, msgspec.json.encode(GOOD))
    assert answer.status == 200, "the worker must be alive and well after a malformed request"


def connect(on: Stage, deadline_s: float = 10.0) -> RawClient:
    return RawClient(on.gateway.port, tls=on.gateway.client_tls, deadline_s=deadline_s)


def send(on: Stage, path: str, body: bytes, key: str | None = "developer", method: str = "POST", **headers: str) -> Received:
    credentials = {"authorization": f"Bearer {on.keys.get(key, key)}"} if key else {}
    with connect(on) as client:
        return client.send(request_bytes(method, path, body, **credentials, **headers)).receive()


def error_of(answer: Received, path: str) -> dict[str, Any]:
    """The error object, checked to be in the shape of the surface and to carry a number of the catalogue."""
    assert answer.complete
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["x-setpoint-error-code"]) >= 1000
    body = answer.json
    error: dict[str, Any] = body["error"]
    if path == MESSAGES:
        assert body["type"] == "error"
        assert {"type", "message"} <= error.keys()
    else:
        assert {"message", "type", "param", "code"} == error.keys()
    assert len(error["message"]) > 20, "a message must help"
    return error


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "not_json": (b"{nonsense", "JSON"),
    "cut_json": (b'{"model":"fake-1","messages":[{"role":', "JSON"),
    "trailing_garbage": (msgspec.json.encode(GOOD) + b"}", "JSON"),
    "an_array": (b"[]", "object"),
    "a_string": (b'"hello"', "object"),
    "null": (b"null", "object"),
    "model_missing": (b'{"messages":[{"role":"user","content":"hi"}],"input":"a"}', "model"),
    "model_a_number": (b'{"model":7,"messages":[],"input":"a"}', "model"),
    "not_utf8": (b'{"model":"fake-1\xff","messages":[],"input":"a"}', "UTF-8|JSON"),
    "utf16": ('{"model":"fake-1"}'.encode("utf-16"), "JSON"),
    "deep": (b'{"model":"fake-1","input":"a","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}", ""),
    "nul_bytes": (b"\x00" * 50, "JSON"),
    "stream_a_string": (b'{"model":"fake-1","messages":[],"input":"a","stream":"yes"}', "stream"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize("path", SURFACES)
def test_a_bad_body_is_a_400_that_says_what_is_wrong(on: Stage, path: str, name: str) -> None:
    body, word = BAD_BODIES[name]
    answer = send(on, path, body)
    if name == "deep" and answer.status == 200:
        return  # nesting is legal JSON; what must not happen is a crash
    assert answer.status == 400
    message = error_of(answer, path)["message"]
    assert any(part.lower() in message.lower() for part in word.split("|")), message
    assert not on.openai.seen


@pytest.mark.parametrize("path", SURFACES)
def test_no_body_at_all_is_a_400(on: Stage, path: str) -> None:
    answer = send(on, path, b"")
    assert answer.status == 400
    assert "body" in error_of(answer, path)["message"]


def test_wrong_types_are_named_by_their_member(on: Stage) -> None:
    answer = send(on, CHAT, b'{"model":"fake-1","messages":"hello"}')
    assert answer.status == 400
    error = error_of(answer, CHAT)
    assert "messages" in error["message"]
    assert error["param"] == "messages"
    assert error["type"] == "invalid_request_error"


def test_missing_messages_are_named(on: Stage) -> None:
    answer = send(on, CHAT, b'{"model":"claude-1"}')
    assert answer.status == 400
    assert "messages" in error_of(answer, CHAT)["message"]


@pytest.mark.parametrize("path", SURFACES)
def test_an_unknown_model_is_a_404_that_names_it(on: Stage, path: str) -> None:
    answer = send(on, path, msgspec.json.encode({**GOOD, "model": "gpt-17", "input": "a"}))
    assert answer.status == 404
    assert "gpt-17" in error_of(answer, path)["message"]


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("key", [None, "sk-sp-abc", "", "x" * 600, "expired"])
def test_no_key_or_a_bad_one_is_a_401(on: Stage, path: str, key: str | None) -> None:
    answer = send(on, path, msgspec.json.encode(GOOD), key)
    assert answer.status == 401
    error = error_of(answer, path)
    assert error["type"] == "authentication_error"
    assert "key" in error["message"]
    assert not key or len(key) < 9 or key not in error["message"]


KEY_FORMS: dict[str, dict[str, str]] = {
    "bearer": {"authorization": "Bearer {key}"},
    "bearer_lower_case": {"authorization": "bearer {key}"},
    "x_api_key": {"x_api_key": "{key}"},
    "api_key": {"api_key": "{key}"},
    "x_goog_api_key": {"x_goog_api_key": "{key}"},
}


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
@pytest.mark.parametrize("form", KEY_FORMS)
def test_a_key_is_accepted_in_every_header_that_sdks_use(on: Stage, path: str, form: str) -> None:
    headers = {name: value.format(key=on.keys["developer"]) for name, value in KEY_FORMS[form].items()}
    assert send(on, path, msgspec.json.encode(GOOD), None, **headers).status == 200


def test_a_key_is_accepted_in_the_query(on: Stage) -> None:
    assert send(on, f"{CHAT}?key={on.keys['developer']}", msgspec.json.encode(GOOD), None).status == 200


def test_a_wrong_method_is_a_405_that_says_which(on: Stage) -> None:
    for path in SURFACES:
        answer = send(on, path, b"", method="GET")
        assert answer.status == 405
        assert answer.headers["allow"] == "POST"
        assert "POST" in error_of(answer, path)["message"]


def test_an_unknown_path_goes_to_the_engine_with_the_callers_identity(on: Stage) -> None:
    assert send(on, "/v1/nothing", b"{}").status == 404
    peer = msgspec.json.decode(on.engine.seen[0].headers["x-setpoint-internal-peer"])
    assert peer["principal"]["role"] == "developer"
    assert peer["tls"] == (on.gateway.certificate is not None)


def test_internal_headers_of_a_client_never_reach_the_engine(on: Stage) -> None:
    forged = {"x_setpoint_internal_peer": '{"principal":{"role":"admin"}}', "x_setpoint_internal_x": "1"}
    send(on, "/api/v1/traces", b"", None, method="GET", **forged)
    seen = on.engine.seen[0]
    assert [name for name, _ in seen.request.header_list].count("x-setpoint-internal-peer") == 1
    assert msgspec.json.decode(seen.headers["x-setpoint-internal-peer"])["principal"] is None
    assert "x-setpoint-internal-x" not in seen.headers


def test_a_dot_segment_is_refused_before_anybody_interprets_it(on: Stage) -> None:
    for path in ("/v1/../api/v1/keys", "/v1/%2e%2e/api/v1/keys", "/api/%2fv1/keys"):
        assert send(on, path, b"", method="GET").status == 400
    assert not on.engine.seen


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_twenty_megabytes_is_accepted(on: Stage, chunked: bool) -> None:
    body = msgspec.json.encode({**GOOD, "messages": [{"role": "user", "content": "x" * (20 * MEGABYTE)}]})
    answer = _send_large(on, body, chunked=chunked)
    assert answer.status == 200
    assert on.openai.seen[0].body == body


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_a_413_that_names_the_limit(on: Stage, chunked: bool) -> None:
    answer = _send_large(on, b" " * (LIMITS.body_bytes_max + 1), chunked=chunked)
    assert answer.status == 413
    assert str(LIMITS.body_bytes_max) in error_of(answer, CHAT)["message"]
    assert not on.openai.seen


def _send_large(on: Stage, body: bytes, *, chunked: bool) -> Received:
    head = request_bytes("POST", CHAT, authorization=f"Bearer {on.keys['developer']}", content_length=str(len(body)))
    pieces = [body]
    if chunked:
        head = request_bytes("POST", CHAT, authorization=f"Bearer {on.keys['developer']}", transfer_encoding="chunked")
        parts = [body[i : i + MEGABYTE] for i in range(0, len(body), MEGABYTE)]
        pieces = [*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n"]
    with connect(on) as client:
        return client.send(head, *pieces).receive()


@pytest.mark.parametrize(
    "head",
    [
        request_bytes("POST", CHAT, x_big="a" * 40_000),
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + b"x: a\r\n" * 300 + b"\r\n",
        request_bytes("GET", "/" + "a" * 40_000),
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-never-ends: " + b"a" * 200_000,
    ],
)
def test_a_huge_head_is_a_431(on: Stage, head: bytes) -> None:
    with connect(on) as client:
        answer = client.send(head).receive()
        assert answer.status == 431
        assert answer.headers["connection"] == "close"
        assert client.wait_for_end()


def test_a_slow_head_is_a_408(on: Stage) -> None:
    with connect(on) as client:
        answer = client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n").receive()
        assert answer.status == 408
        assert "head" in error_of(answer, CHAT)["message"]
        assert client.wait_for_end()


def test_a_head_that_trickles_in_is_a_408_all_the_same(on: Stage) -> None:
    """A byte now and then must not push the deadline on."""
    with connect(on, deadline_s=0.02) as client:
        client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx: ")
        for _ in range(400):
            client.send(b"a")
            try:
                assert client.receive().status == 408
            except TimeoutError:
                continue
            return
    raise AssertionError("400 bytes in 8 seconds were waited for")


def test_a_slow_body_is_a_408(on: Stage) -> None:
    with connect(on) as client:
        answer = client.send(request_bytes("POST", CHAT, content_length="100") + b'{"model"').receive()
        assert answer.status == 408
        assert "body" in error_of(answer, CHAT)["message"]
        assert client.wait_for_end()


def test_an_idle_connection_is_closed_without_a_word(on: Stage) -> None:
    with connect(on) as client:
        client.send(request_bytes("POST", CHAT, msgspec.json.encode(GOOD), authorization=f"Bearer {on.keys['developer']}"))
        assert client.receive().status == 200
        assert client.wait_for_end() == "closed"


def test_a_connection_on_which_nothing_is_said_is_closed(on: Stage) -> None:
    with connect(on) as client:
        assert client.wait_for_end()


BAD_FRAMING = {
    "both_lengths": request_bytes("POST", CHAT, b"0\r\n\r\n", content_length="5", transfer_encoding="chunked"),
    "two_lengths": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "negative_length": request_bytes("POST", CHAT, content_length="-1"),
    "no_host": b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}",
    "two_hosts": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nhost: y\r\ncontent-length: 2\r\n\r\n{}",
    "no_colon": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ngarbage\r\n\r\n",
    "space_before_colon": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx : y\r\n\r\n",
    "nul": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx: a\x00b\r\n\r\n",
    "bad_chunk": request_bytes("POST", CHAT, b"zz\r\n", transfer_encoding="chunked"),
    "not_http": b"hello there, gateway\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_FRAMING)
def test_bad_framing_is_a_400_and_the_end_of_the_connection(on: Stage, name: str) -> None:
    with connect(on) as client:
        answer = client.send(BAD_FRAMING[name]).receive()
        assert answer.status == 400
        assert "error" in answer.json
        assert client.wait_for_end() == "closed"
    assert not on.openai.seen


def test_the_http2_preface_gets_a_505_with_a_hint(on: Stage) -> None:
    with connect(on) as client:
        answer = client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").receive()
        assert answer.status == 505
        assert "HTTP/1.1" in answer.json["error"]["message"]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE", "PATCH"])
def test_a_method_for_proxies_does_no_harm(on: Stage, method: str) -> None:
    with connect(on) as client:
        target = "example.com:443" if method == "CONNECT" else CHAT
        answer = client.send(f"{method} {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode()).receive()
        assert 400 <= answer.status < 500


def test_an_answer_is_given_before_a_connection_that_asked_for_it_is_closed(on: Stage) -> None:
    body = msgspec.json.encode(GOOD)
    asked = request_bytes("POST", CHAT, body, authorization=f"Bearer {on.keys['developer']}", connection="close")
    with connect(on) as client:
        answers = client.send(asked + b"GET /ignored HTTP/1.1\r\nhost: x\r\n\r\n").receive_all()
    assert [a.status for a in answers] == [200]
    assert answers[0].headers["connection"] == "close"


def test_expect_continue_is_answered_before_the_body_is_sent(on: Stage) -> None:
    body = msgspec.json.encode(GOOD)
    head = request_bytes("POST", CHAT, authorization=f"Bearer {on.keys['developer']}", content_length=str(len(body)), expect="100-continue")
    with connect(on) as client:
        client.send(head).wait_for_informational(100)
        assert client.send(body).receive().status == 200


def test_http_1_0_is_served_and_closed(on: Stage) -> None:
    on.openai.says(text("old"))
    body = msgspec.json.encode({**GOOD, "stream": True})
    head = f"POST {CHAT} HTTP/1.0\r\nauthorization: Bearer {on.keys['developer']}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with connect(on) as client:
        answer = client.send(head + body).receive()
    assert answer.status == 200
    assert "transfer-encoding" not in answer.headers
    assert answer.body.endswith(b"data: [DONE]\n\n")


def test_pipelined_requests_are_answered_in_order_hot_and_cold(on: Stage) -> None:
    on.openai.says(text("one"), text("two"))
    hot = request_bytes("POST", CHAT, msgspec.json.encode(GOOD), authorization=f"Bearer {on.keys['developer']}")
    on.openai.holds()
    with connect(on) as client:
        client.send(hot + request_bytes("GET", "/health/live") + hot)
        on.openai.wait_for_requests(1)
        on.openai.holds(held=False)
        answers = [client.receive() for _ in range(3)]
    assert answers[0].json["choices"][0]["message"]["content"] == "one"
    assert "status" in answers[1].json
    assert answers[2].json["choices"][0]["message"]["content"] == "two"


def test_health_and_metrics_need_no_key(on: Stage) -> None:
    for path in ("/health", "/health/live", "/health/ready", "/health/liveliness", "/health/readiness", "/healthz", "/readyz", "/version"):
        assert send(on, path, b"", None, method="GET").status == 200, path
    metrics = send(on, "/metrics", b"", None, method="GET")
    assert b"# TYPE setpoint_" in metrics.body
