"""The way to the engine: heads built anew, answers passed on, upgrades spliced."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from tests.gateway.network import Wire
from tests.gateway.world import TOKEN, World, body_of, headers_of, plan_of, status_of, world

from setpoint.domain.faults import FaultKind
from setpoint.gateway.engine import CONNECTIONS_MAX, TIMEOUTS
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import DEADLINE_S, RunningGateway, running_gateway
from setpoint.testing.plans import fake, plan, route


def send(w: World, method: str = "GET", path: str = "/api/v1/x", body: bytes = b"", *lines: str) -> Wire:
    client = w.client()
    framing = [f"content-length: {len(body)}"] if body else []
    client.says("\r\n".join([f"{method} {path} HTTP/1.1", "host: gw.test", *framing, *lines, "", ""]).encode("latin-1") + body)
    w.loop.spin()
    return client


def said(w: World) -> dict[str, str]:
    return headers_of(w.up().sent)


OK = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ndate: x\r\nx-a: 1\r\ncontent-length: 2\r\n\r\nok"


def test_the_head_is_rebuilt_without_what_is_not_to_travel() -> None:
    hop = [
        "connection: keep-alive, X-Private", "keep-alive: 5", "te: trailers", "trailer: x", "proxy-connection: x", "expect: 100-continue",
        "x-private: 1", "x-setpoint-internal-peer: forged", "X-Setpoint-Internal-Other: forged", f"authorization: Bearer {TOKEN}",
        "x-api-key: other", "x-kept: 1", "x-twice: 1", "x-twice: 2",
    ]  # fmt: skip
    with world() as w:
        send(w, "PUT", "/api//v1/%78?a=1&key=secret", b"{}", *hop)
        sent = w.up().sent
        assert sent.startswith(b"PUT /api/v1/x?a=1 HTTP/1.1\r\nhost: gw.test\r\n")
        assert sent.endswith(b"\r\n\r\n{}")
        assert set(said(w)) == {"host", "content-length", "x-kept", "x-twice", "x-setpoint-internal-peer"}
        assert sent.count(b"x-twice: ") == 2
        peer = msgspec.json.decode(said(w)["x-setpoint-internal-peer"])
        assert peer == {
            "ip": "192.0.2.7", "tls": False,
            "principal": {"key_no": 7, "public_id": "pub7", "role": "developer", "project": "default"},
        }  # fmt: skip


def test_somebody_without_a_good_key_is_nobody_to_the_engine() -> None:
    with world() as w:
        send(w, "GET", "/api/v1/x", b"", "authorization: Bearer wrong")
        assert msgspec.json.decode(said(w)["x-setpoint-internal-peer"])["principal"] is None


def test_an_answer_passes_with_our_own_date_and_the_connection_stays() -> None:
    with world() as w:
        client = send(w)
        w.up().says(OK)
        w.loop.spin()
        found = headers_of(client.sent)
        assert (status_of(client.sent), body_of(client.take())) == (200, b"ok")
        assert (found["x-a"], found["date"], "server" in found) == ("1", "Tue, 14 Nov 2023 22:13:20 GMT", False)
        client.says(b"GET /api/v1/y HTTP/1.1\r\nhost: x\r\n\r\n")
        w.loop.spin()
        assert len(w.loop.wires) == 1


def test_an_answer_without_a_length_is_chunked_piece_by_piece() -> None:
    with world() as w:
        client = send(w)
        w.up().says(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n")
        assert body_of(client.sent) == b"2\r\nab\r\n"
        w.up().says(b"1\r\nc\r\n0\r\n\r\n")
        assert body_of(client.sent) == b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        assert "transfer-encoding" in headers_of(client.sent)


@pytest.mark.parametrize("length", [b"content-length: 2\r\n\r\nok", b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"])
def test_head_is_asked_as_get_and_answered_without_a_body(length: bytes) -> None:
    with world() as w:
        client = send(w, "HEAD")
        assert w.up().sent.startswith(b"GET ")
        w.up().says(b"HTTP/1.1 200 OK\r\n" + length)
        w.loop.spin()
        assert body_of(client.sent) == b""
        assert not client.closing


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body_get_none(status: int) -> None:
    with world() as w:
        client = send(w, "DELETE")
        w.up().says(b"HTTP/1.1 %d X\r\n\r\n" % status)
        w.loop.spin()
        assert (status_of(client.sent), body_of(client.sent)) == (status, b"")
        assert "transfer-encoding" not in headers_of(client.sent)
        assert not client.closing


def fault_code(client: Wire) -> str:
    return headers_of(client.sent)["x-setpoint-error-code"]


def test_while_the_engine_is_away_its_paths_say_so_in_its_own_envelope() -> None:
    with world() as w:
        w.loop.refuse = FileNotFoundError(2, "No such file")
        client = send(w)
        assert (status_of(client.sent), fault_code(client)) == (503, str(int(FaultKind.engine_down)))
        assert headers_of(client.sent)["retry-after"] == "1"
        assert msgspec.json.decode(body_of(client.sent))["error"]
        assert not client.closing


def test_an_engine_that_dies_before_its_answer_is_away() -> None:
    with world() as w:
        client = send(w)
        w.up().ends(ConnectionResetError())
        w.loop.spin()
        assert fault_code(client) == str(int(FaultKind.engine_down))


def test_an_engine_that_dies_in_its_answer_cuts_the_client_off() -> None:
    with world() as w:
        client = send(w)
        w.up().says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        w.up().ends()
        w.loop.spin()
        assert (client.aborted, w.lane.body_bytes_held) == (True, 0)


def test_an_engine_that_does_not_answer_is_late() -> None:
    with world() as w:
        client = send(w)
        w.loop.advance(TIMEOUTS.first_byte_s + 0.2)
        assert (status_of(client.sent), fault_code(client)) == (504, str(int(FaultKind.management_timeout)))


def test_a_client_that_leaves_hangs_up_on_the_engine() -> None:
    with world() as w:
        client = send(w, "POST", "/api/v1/x", b"x" * 50)
        client.ends()
        assert w.up().aborted
        assert w.lane.body_bytes_held == 0


def test_a_client_that_reads_slowly_pauses_the_engine() -> None:
    with world() as w:
        send(w)
        w.up().says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf")
        (connection,) = w.lane.connections
        connection.pause_writing()
        assert w.up().paused
        connection.resume_writing()
        assert not w.up().paused


# ---- upgrades


UPGRADE = ("connection: Upgrade", "upgrade: websocket", "sec-websocket-key: x", "sec-websocket-version: 13")
SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\r\n"


def test_an_upgrade_is_asked_for_anew_and_nothing_flows_before_the_101() -> None:
    with world() as w:
        client = send(w, "GET", "/api/v1/live", b"", *UPGRADE)
        found = said(w)
        assert (found["upgrade"], found["connection"], found["sec-websocket-key"]) == ("websocket", "Upgrade", "x")
        w.up().take()
        client.says(b"early")
        assert w.up().sent == b""
        w.up().says(SWITCHING + b"first")
        assert client.sent == SWITCHING + b"first"
        assert w.up().take() == b"early"
        client.says(b"later")
        w.up().says(b"answer")
        assert (w.up().take(), client.sent) == (b"later", SWITCHING + b"first" + b"answer")
        w.loop.advance(TIMEOUTS.first_byte_s + 1)
        assert not w.up().closing
        client.ends()
        w.loop.spin()
        assert w.up().gone
        assert len(w.door._splices) == 0


def test_an_engine_that_refuses_an_upgrade_is_heard_to_the_end() -> None:
    with world() as w:
        client = send(w, "GET", "/api/v1/live", b"", *UPGRADE)
        w.up().says(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\n")
        w.up().says(b"no")
        w.up().says(b"pe")
        w.loop.spin()
        assert (status_of(client.sent), body_of(client.sent)) == (403, b"nope")
        assert (client.gone, w.up().gone) == (True, True)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 101 Swi"])
def test_an_engine_that_dies_before_the_101_is_away(begun: bytes) -> None:
    with world() as w:
        client = send(w, "GET", "/api/v1/live", b"", *UPGRADE)
        if begun:
            w.up().says(begun)
        w.up().ends()
        w.loop.spin()
        assert (status_of(client.sent), client.gone, w.clean) == (503, True, True)


def test_an_engine_that_never_says_101_is_given_up() -> None:
    with world() as w:
        client = send(w, "GET", "/api/v1/live", b"", *UPGRADE)
        w.loop.advance(TIMEOUTS.first_byte_s + 0.2)
        assert (status_of(client.sent), client.gone) == (503, True)


def test_live_connections_have_a_limit() -> None:
    with world() as w:
        clients = [send(w, "GET", "/api/v1/live", b"", *UPGRADE) for _ in range(CONNECTIONS_MAX + 1)]
        assert (status_of(clients[-1].sent), fault_code(clients[-1])) == (503, str(int(FaultKind.overloaded)))
        assert clients[-1].gone
        assert clients[0].sent == b""


def test_pressure_is_passed_on_both_ways() -> None:
    with world(plan_of()) as w:
        client = send(w, "GET", "/api/v1/live", b"", *UPGRADE)
        w.up().says(SWITCHING)
        (connection,) = w.lane.connections
        (splice,) = w.door._splices
        splice.pause_writing()
        assert client.paused
        splice.resume_writing()
        connection.pause_writing()
        assert (client.paused, w.up().paused) == (False, True)
        connection.resume_writing()
        assert not w.up().paused


@contextmanager
def echoing_engine(gateway: RunningGateway) -> Iterator[list[bytes]]:
    """On a real socket: takes the upgrade, then says everything again in capitals until the end."""
    heads: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(65_536)
            heads.append(head)
            connection.sendall(SWITCHING + b"WELCOME")
            while data := connection.recv(65_536):
                connection.sendall(data.upper())

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(gateway.engine_path)
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield heads
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


def test_a_websocket_is_spliced_on_real_sockets_with_what_was_sent_early() -> None:
    with (
        FakeUpstream() as up,
        running_gateway(plan((fake(up, "one"),), (route("fake-1", "one"),))) as gateway,
        echoing_engine(gateway) as heads,
    ):
        head = "\r\n".join(["GET /api/v1/live HTTP/1.1", "host: x", *UPGRADE, "", ""]).encode()
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=DEADLINE_S) as client:
            client.sendall(head + b"early ")
            client.sendall(b"bird ")
            wanted = SWITCHING + b"WELCOME" + b"EARLY BIRD "
            got = read(client, len(wanted))
            assert got == wanted
            client.sendall(b"x" * 1_000_000)
            assert read(client, 1_000_000) == b"X" * 1_000_000
        assert b"early" not in heads[0]


def read(client: socket.socket, count: int) -> bytes:
    got = bytearray()
    while len(got) < count:
        data = client.recv(1_000_000)
        if not data:
            break
        got += data
    return bytes(got)
