"""A provider that does what it is told, on real sockets, in a thread of its own.

    with FakeUpstream() as up:
        up.says(status(503), text("hello"))        # in turn; the last one repeats
        up.breaks(WireFault("cut", first=1))
        ... call up.base_url + "/v1/chat/completions" ...
        assert up.seen[0].json["model"] == "fake-1"

It speaks HTTP/1.1 in bytes of its own, so that any wire fault can be produced, answers in the dialect of the path that was asked, keeps
every request, and notes when a client hangs up before its answer is complete.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Self

from setpoint.testing.answers import Framing
from setpoint.testing.certificates import Certificate
from setpoint.testing.replies import Says
from setpoint.testing.splits import SplitMode
from setpoint.testing.upstream_book import Seen, UpstreamBook
from setpoint.testing.upstream_connection import UpstreamConnection
from setpoint.testing.wire_faults import WireFault

DEADLINE_S = 10.0
TURNS_TO_BE_KNOWN = 20
BACKLOG = 1024


class FakeUpstream:
    """See the module. All methods are for the thread of the test.

    `tls` makes it speak TLS with that certificate; `unix_path` makes it listen there instead of on a port of 127.0.0.1.
    """

    def __init__(self, tls: Certificate | None = None, unix_path: str | None = None) -> None:
        self._tls = tls
        self._book = UpstreamBook()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fake-upstream", daemon=True)
        self._listener = _listen(unix_path)
        self._open: set[UpstreamConnection] = set()
        self._stop = asyncio.Event()
        self._all_gone = asyncio.Event()
        self.port: int = 0 if unix_path else self._listener.getsockname()[1]
        self.base_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.certificate = tls

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)

    # What it does

    def says(self, *replies: Says) -> None:
        """Answer the next requests so, in this order; the last reply is repeated for ever."""
        self._book.queue(replies)

    def breaks(self, fault: WireFault | None) -> None:
        """Strike from now on, counting requests anew. None: be healthy again."""
        self._book.change(fault=fault, since=len(self.seen))

    def writes(self, mode: SplitMode = "as_recorded", seed: int = 0, framing: Framing | None = None) -> None:
        """Cut bodies so, and frame them so instead of as usual."""
        self._book.change(split=mode, seed=seed, framing=framing)

    def holds(self, *, held: bool = True) -> None:
        """Keep requests unanswered until `holds(held=False)`."""
        self._book.change(held=held)
        if not held:
            self._loop.call_soon_threadsafe(self._release)

    def forget(self) -> None:
        """Be a healthy upstream again that has seen nothing. Open connections stay open."""
        self._book.clear()
        self._loop.call_soon_threadsafe(self._release)

    def hang_up(self) -> None:
        """Close every open connection, idle or not, and wait until they are gone."""
        self._loop.call_soon_threadsafe(self._close_all)
        self.wait_for(lambda: self.connections_open == 0)

    # What it saw

    @property
    def seen(self) -> list[Seen]:
        """Every request, in the order of arrival."""
        return self._book.seen

    @property
    def connections(self) -> int:
        """Accepted so far."""
        return self._book.connections

    @property
    def connections_open(self) -> int:
        return self._book.connections_open

    @property
    def unsent_bytes(self) -> int:
        """What was written and not yet taken by the kernel, because the clients read slowly."""
        return sum(connection.transport.get_write_buffer_size() for connection in list(self._open))

    def wait_for(self, condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
        """Until `condition` holds; it is looked at whenever something happened here. Raises TimeoutError."""
        self._book.wait_for(condition, deadline_s)

    def wait_for_requests(self, count: int, deadline_s: float = DEADLINE_S) -> list[Seen]:
        self.wait_for(lambda: len(self.seen) >= count, deadline_s)
        return self.seen

    def wait_for_hang_up(self, no: int = 1, deadline_s: float = DEADLINE_S) -> Seen:
        """Until the client of request `no` left before its answer was complete."""
        self.wait_for(lambda: len(self.seen) >= no and self.seen[no - 1].hung_up_ns > 0, deadline_s)
        return self.seen[no - 1]

    # In the thread of the server

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        context = self._tls.server_context() if self._tls else None
        unix = self._listener.family == socket.AF_UNIX
        create = self._loop.create_unix_server if unix else self._loop.create_server
        server = await create(self._connect, sock=self._listener, ssl=context, backlog=BACKLOG)
        await self._stop.wait()
        # A connection that was just accepted is known only some turns later, and asyncio drops it unclosed if its server closes before.
        for sock in server.sockets:
            self._loop.remove_reader(sock.fileno())
        await self._some_turns()
        server.close()
        self._all_gone.clear()
        for connection in list(self._open):
            connection.transport.abort()
        if self._open:
            await self._all_gone.wait()
        await self._some_turns()

    async def _some_turns(self) -> None:
        for _ in range(TURNS_TO_BE_KNOWN):
            await asyncio.sleep(0)

    def _connect(self) -> UpstreamConnection:
        return UpstreamConnection(self._book, self._open, self._all_gone.set)

    def _close_all(self) -> None:
        for connection in list(self._open):
            connection.transport.close()

    def _release(self) -> None:
        for connection in list(self._open):
            connection.release()


def _listen(unix_path: str | None) -> socket.socket:
    if unix_path is None:
        return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(unix_path)
    listener.listen(BACKLOG)
    return listener
