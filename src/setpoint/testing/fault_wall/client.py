"""A client that asks once, on a connection of its own, and keeps what came as it came."""

import asyncio
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httptools
import msgspec

from setpoint.testing.fault_wall.judge import Got

READ_BYTES = 262_144


class Gateway(msgspec.Struct, frozen=True):
    """Where the gateway listens, and what its clients present."""

    host: str
    port: int
    key: str
    tls: bool = False
    prefix: str = ""
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def at(cls, url: str, key: str, headers: tuple[tuple[str, str], ...] = ()) -> "Gateway":
        """From an address without the version: `http://127.0.0.1:4000`. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url} is no address of a gateway, such as http://127.0.0.1:4000")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(parts.hostname, port, key, parts.scheme == "https", parts.path.rstrip("/").removesuffix("/v1"), headers)


class _Reader:
    def __init__(self) -> None:
        self.got = Got()
        self.pieces: list[bytes] = []
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.got.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if status >= 200:
            self.got.status = status
        else:
            self.got.headers.clear()

    def on_body(self, body: bytes) -> None:
        self.pieces.append(body)

    def on_message_complete(self) -> None:
        self.got.framed = self.got.status >= 200

    def ended(self) -> None:
        """A body without a length is complete when the connection is."""
        if self.got.status and not {"content-length", "transfer-encoding"} & self.got.headers.keys():
            self.got.framed = True


async def ask(gateway: Gateway, sent: bytes, patience_s: float) -> Got:
    """The answer to a request, as far as it came within the client's patience."""
    reader = _Reader()
    try:
        async with asyncio.timeout(patience_s):
            await _converse(gateway, sent, reader)
    except TimeoutError:
        reader.got.hung = True
    except (OSError, httptools.HttpParserError):
        reader.got.framed = False
    reader.got.body = b"".join(reader.pieces)
    return reader.got


async def _converse(gateway: Gateway, sent: bytes, reader: _Reader) -> None:
    incoming, outgoing = await _connect(gateway)
    try:
        outgoing.write(sent)
        while not reader.got.framed and (data := await incoming.read(READ_BYTES)):
            reader.parser.feed_data(data)
        reader.ended()
    finally:
        outgoing.close()


async def ask_and_leave(gateway: Gateway, sent: bytes, when: Callable[[bytes], bool], patience_s: float) -> tuple[int, Got]:
    """Ask, and hang up as soon as `when` says so of the body so far.

    Returns the monotonic nanoseconds of the hang-up, 0 when it never came to that, and what had come.
    """
    reader = _Reader()
    incoming, outgoing = await _connect(gateway)
    try:
        outgoing.write(sent)
        until_s = time.monotonic() + patience_s
        while time.monotonic() < until_s and not when(b"".join(reader.pieces)):
            try:
                async with asyncio.timeout(0.01):
                    data = await incoming.read(READ_BYTES)
            except TimeoutError:
                continue
            if not data:
                return 0, reader.got
            reader.parser.feed_data(data)
        return time.monotonic_ns() if when(b"".join(reader.pieces)) else 0, reader.got
    finally:
        outgoing.transport.abort()


async def _connect(gateway: Gateway) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context() if gateway.tls else None
    return await asyncio.open_connection(gateway.host, gateway.port, ssl=context, limit=READ_BYTES)
