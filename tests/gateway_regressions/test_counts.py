"""Numbers that operators watch move when the thing they are named after happens."""

from setpoint.testing.conversation import chat
from setpoint.testing.gateway import RunningGateway, wait_for
from setpoint.testing.raw_client import RawClient, request_bytes
from setpoint.testing.replies import raw
from setpoint.testing.stage import stage

EVENT = b'data: {"model":"fake-1","choices":[{"index":0,"delta":{"content":"begun"}}]}\n\n'
ENDLESS = raw(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(EVENT), EVENT),
    keep_open=True,
)


def number(gateway: RunningGateway, name: str) -> int:
    with RawClient(gateway.port) as client:
        text = client.send(request_bytes("GET", "/metrics")).receive().body.decode()
    return int(next(line for line in text.splitlines() if line.startswith(f"{name} ")).split()[1])


def test_a_stream_counts_as_open_until_its_client_leaves() -> None:
    with stage() as on:
        on.openai.says(ENDLESS)
        ask = chat("hi", stream=True)
        with RawClient(on.gateway.port) as client:
            client.send(request_bytes("POST", ask.path, ask.body(), authorization=f"Bearer {on.gateway.key}")).read_until(b"begun")
            assert number(on.gateway, "setpoint_open_streams") == 1
        wait_for(lambda: number(on.gateway, "setpoint_open_streams") == 0, "the stream to be counted out")


def test_every_accepted_connection_is_counted() -> None:
    with stage() as on:
        assert [number(on.gateway, "setpoint_connections_total") for _ in range(3)] == [1, 2, 3]
