"""An upstream connection that a slow client had paused is not handed to the next call that way."""

import asyncio

from setpoint.domain.plan import Timeouts
from setpoint.gateway.deadlines import Deadlines
from setpoint.gateway.drive import NEWS, Drive
from setpoint.gateway.upstream import Call, Pool
from setpoint.testing.conversation import chat
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.plans import fake
from setpoint.testing.raw_client import request_bytes
from setpoint.testing.replies import raw, text

TIMEOUTS = Timeouts(first_byte_s=2.0, unary_total_s=5.0, stream_total_s=5.0)


class SlowClient:
    """Takes every piece, and says with each that it can take no more."""

    def __init__(self) -> None:
        self.call: Call | None = None

    def feed(self, data: bytes) -> None:
        if self.call is not None and self.call.connection is not None:
            self.call.connection.pause()


async def _one(pool: Pool, *, slow: bool) -> Call:
    client = SlowClient()
    drive, over = Drive(), asyncio.Event()
    ask = chat("hi", stream=slow)
    call = client.call = Call(drive, (request_bytes("POST", ask.path, ask.body()), b""), TIMEOUTS, 1_000_000, client if slow else None)

    async def wait() -> None:
        pool.send(call)
        while not call.over:
            await NEWS
        over.set()

    drive.start(wait())
    await over.wait()
    return call


async def _two_calls(up: FakeUpstream) -> tuple[Call, Call]:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    pool = Pool(fake(up, "openai"), None, loop, deadlines)
    try:
        return await _one(pool, slow=True), await _one(pool, slow=False)
    finally:
        pool.abort()
        deadlines.stop()
        await asyncio.sleep(0)


def test_a_stream_whose_last_bytes_filled_the_clients_buffer_leaves_a_connection_that_still_reads() -> None:
    with FakeUpstream() as up:
        body = b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\ndata: [DONE]\n\n'
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body)
        up.says(raw(head + body, keep_open=True), text("hello"))
        streamed, after = asyncio.run(_two_calls(up))
        assert streamed.complete
        assert after.fault is None
        assert after.complete
        assert up.connections == 1
