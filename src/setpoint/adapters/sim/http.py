"""A small HTTP/1.1 server protocol for upstreams of our own: it hears whole requests, one at a time; its owner answers with raw bytes.

Requests of one connection are heard strictly in order: the next one waits until the owner has called `answered`.
"""

import asyncio
from collections import deque

import httptools
import msgspec

BODY_BYTES_MAX = 64 * 1024 * 1024


class Heard(msgspec.Struct):
    """A request as it arrived. Header names are lower case; `headers` has the last value of a repeated one, `header_list` has all."""

    method: str = ""
    target: str = ""
    header_list: list[tuple[str, str]] = []
    body: bytes = b""
    keep_alive: bool = True

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.header_list)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class HearingProtocol(asyncio.Protocol):
    """Parses requests; subclasses say what to do with one.

    `heard(request)` is called when a request is complete, and not again until `answered()` has been called. `lost()` is called once when
    the connection is gone. A malformed request closes the connection.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._request = Heard()
        self._pieces: list[bytes] = []
        self._body_bytes = 0
        self._waiting: deque[Heard] = deque()
        self._busy = False

    def heard(self, request: Heard) -> None:
        raise NotImplementedError

    def lost(self) -> None:
        """The connection is gone."""

    def answered(self, *, keep_alive: bool = True) -> None:
        """The answer of the current request was written; close, or go on with the next one."""
        self._busy = False
        if not keep_alive:
            self.transport.close()
        elif self._waiting and not self.transport.is_closing():
            self._start(self._waiting.popleft())

    def _start(self, request: Heard) -> None:
        self._busy = True
        self.heard(request)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # asyncio types it wider than it is
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio names it
        self._waiting.clear()
        self.lost()

    # httptools

    def on_message_begin(self) -> None:
        self._request = Heard()
        self._pieces = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.header_list.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self._request.method = self._parser.get_method().decode()
        self._request.keep_alive = bool(self._parser.should_keep_alive())
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._body_bytes += len(body)
        if self._body_bytes > BODY_BYTES_MAX:
            self.transport.abort()

    def on_message_complete(self) -> None:
        self._request.body = b"".join(self._pieces)
        if self._busy:
            self._waiting.append(self._request)
        else:
            self._start(self._request)
