"""The provider of the soak: answers at once, in OpenAI's and Anthropic's shape, and breaks now and then as it is told.

`python -m tools.soak_upstream --faults 20` prints its port. `--faults` is calls in a thousand that go wrong: an error status, a reset, a
page that is no answer, an answer cut in its middle, one after another.
"""

import argparse
import asyncio
import re
import socket
import sys
from typing import cast

import uvloop

from setpoint.testing.answers import answer
from setpoint.testing.replies import status, text
from setpoint.testing.wire_faults import Close, Send, Step, WireFault, steps

SAID = text("The Danube flows through Vienna, ", "from the north-west ", "to the south-east.", input_tokens=70, output_tokens=15)
ASKED = {False: b'{"model":"m"}', True: b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'}
BACKLOG = 4_096
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Played:
    """What is written for one kind of call, and whether the connection ends with it: None, or how."""

    def __init__(self, played: list[Step]) -> None:
        self.data = b"".join(step.data for step in played if isinstance(step, Send))
        self.close = next((step for step in played if isinstance(step, Close)), None)


def answers(path: str) -> dict[bool, list[Played]]:
    """For whole answers and streams: the good answer, then every way to break."""
    found = {}
    for streamed, body in ASKED.items():
        good = answer(SAID, path, body)
        found[streamed] = [
            Played(steps(good)),
            Played(steps(answer(status(503), path, body))),
            Played([Close(reset=True)]),
            Played(steps(good, WireFault("html_error", code=200))),
            Played(steps(good, WireFault("cut", after_pieces=3))),
        ]
    return found


PATHS = {name: answers(name) for name in ("/v1/chat/completions", "/v1/messages")}


class Provider(asyncio.Protocol):
    """One connection. `turn` counts the calls of all of them."""

    turn = 0
    broken = 0
    every = 0

    def __init__(self) -> None:
        self._data = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has its methods, not its type

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n") + 4
        length = _LENGTH.search(self._data, 0, end)
        if end >= 4 and len(self._data) >= end + (int(length[1]) if length else 0):
            path, streamed = self._data.split(b" ", 2)[1].decode(), b'"stream":true' in self._data
            self._data.clear()
            self._answer(PATHS["/v1/messages" if "messages" in path else "/v1/chat/completions"][streamed])

    def _answer(self, ways: list[Played]) -> None:
        assert self._transport
        Provider.turn += 1
        way = 0
        if Provider.every and Provider.turn % Provider.every == 0:
            way = 1 + Provider.broken % (len(ways) - 1)
            Provider.broken += 1
        played = ways[way]
        if played.data:
            self._transport.write(played.data)
        if played.close is not None and played.close.reset:
            self._transport.abort()
        elif played.close is not None:
            self._transport.close()


async def serve(faults: int) -> None:
    Provider.every = 1_000 // faults if faults else 0
    listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    server = await asyncio.get_running_loop().create_server(Provider, sock=listener, backlog=BACKLOG)
    print(listener.getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--faults", type=int, default=0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args().faults))
    return 0


if __name__ == "__main__":
    sys.exit(main())
