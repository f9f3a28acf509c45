"""What a client can send that costs more than it says, and what it is told of its connection."""

import tracemalloc

from setpoint.testing.conversation import chat
from setpoint.testing.gateway import wait_for
from setpoint.testing.raw_client import RawClient, request_bytes
from setpoint.testing.stage import stage

CHUNKS = 400_000
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\nauthorization: Bearer %b\r\n\r\n"


def body_bytes_held(port: int) -> int:
    with RawClient(port) as client:
        text = client.send(request_bytes("GET", "/metrics")).receive().body.decode()
    return int(next(line for line in text.splitlines() if line.startswith("setpoint_body_bytes_held ")).split()[1])


def test_a_body_in_chunks_of_two_bytes_is_held_in_about_its_own_size() -> None:
    with stage() as on, RawClient(on.gateway.port) as client:
        chunks = b"2\r\nab\r\n" * (CHUNKS // 100)
        tracemalloc.start()
        try:
            client.send(HEAD % on.gateway.key.encode(), *[chunks] * 100)
            wait_for(lambda: body_bytes_held(on.gateway.port) == 2 * CHUNKS, "the body to arrive")
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert held < 12 * CHUNKS  # as one object each they were 50


def test_a_body_in_many_pieces_is_put_together_in_order() -> None:
    body = chat("".join(str(n) for n in range(500))).body()
    chunks = b"".join(b"1\r\n%b\r\n" % body[i : i + 1] for i in range(len(body)))
    with stage() as on, RawClient(on.gateway.port) as client:
        assert client.send(HEAD % on.gateway.key.encode(), chunks + b"0\r\n\r\n").receive().status == 200
        assert on.openai.seen[0].body == body


def test_a_refused_websocket_says_that_its_connection_closes() -> None:
    with stage() as on, RawClient(on.gateway.port) as client:
        upgrade = request_bytes("GET", "/v1/models", connection="Upgrade", upgrade="websocket")
        refused = client.send(upgrade).receive()
        assert (refused.status, refused.headers["connection"]) == (401, "close")
        assert client.wait_for_end() == "closed"
