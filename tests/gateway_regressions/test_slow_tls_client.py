"""Whether a client still takes bytes is asked of the kernel, for a TLS transport says nothing of what waits below it."""

import asyncio
import socket

from setpoint.gateway.server import acknowledged_bytes
from setpoint.testing.gateway import wait_for

SENT = 50_000


async def _acknowledged() -> int:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        transport, _ = await loop.create_connection(asyncio.Protocol, *listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            before = acknowledged_bytes(transport)
            transport.write(b"x" * SENT)
            taken = 0
            while taken < SENT:
                taken += len(await asyncio.to_thread(peer.recv, 65_536))
            after = wait_for(lambda: now if (now := acknowledged_bytes(transport) - before) >= SENT else 0, "the acknowledgement")
            transport.abort()
            return after


def test_what_a_client_has_taken_is_known_to_the_byte() -> None:
    assert asyncio.run(_acknowledged()) == SENT
