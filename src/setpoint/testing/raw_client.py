"""A blocking HTTP/1.1 client that sends exactly the bytes it is given, for saying what no library would say."""

import socket
import ssl
import time
from typing import Any, Self

import httptools
import msgspec

DEADLINE_S = 10.0


class Received(msgspec.Struct):
    """An answer. `complete` is false when the connection ended (`ended`: "closed" or "reset") before the body did."""

    status: int = 0
    header_list: list[tuple[str, str]] = []
    body: bytes = b""
    complete: bool = False
    ended: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Names in lower case; the last one of repeated ones."""
        return dict(self.header_list)

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class _Reader:
    """Collects answers from httptools; informational ones (1xx) go to `informational`."""

    def __init__(self) -> None:
        self.answers: list[Received] = []
        self.informational: list[int] = []
        self.current = Received()
        self.body = bytearray()
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.current = Received()
        self.body = bytearray()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.current.header_list.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.current.status = self.parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.complete()

    def complete(self) -> None:
        """The current answer is whole."""
        self.current.complete = True
        self.current.body = bytes(self.body)
        if self.current.status < 200:
            self.informational.append(self.current.status)
        else:
            self.answers.append(self.current)


class RawClient:
    """One connection. Every wait has the deadline given here, counted from its own start."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, deadline_s: float = DEADLINE_S) -> None:
        raw = socket.create_connection(("127.0.0.1", port), timeout=deadline_s)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = tls.wrap_socket(raw, server_hostname="127.0.0.1") if tls else raw
        self._deadline_s = deadline_s
        self._reader = _Reader()
        self.ended = ""
        """"closed" or "reset" once the other side has ended the connection, "garbled" once it sent what is not HTTP."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def informational(self) -> list[int]:
        """Statuses of 1xx answers so far."""
        return self._reader.informational

    def close(self) -> None:
        self._sock.close()

    def send(self, *pieces: bytes) -> Self:
        """Write each piece by itself. A server that has closed already is not an error here; the next read tells."""
        for piece in pieces:
            try:
                self._sock.sendall(piece)
            except OSError:
                break
        return self

    def receive(self) -> Received:
        """The next answer; an incomplete one, or one with status 0, when the connection ended first. Raises TimeoutError."""
        reader, until_s = self._reader, time.monotonic() + self._deadline_s
        while not reader.answers and not self.ended:
            self._read_some(until_s)
        return reader.answers.pop(0) if reader.answers else self._unfinished()

    def receive_all(self) -> list[Received]:
        """Every answer until the server ends the connection."""
        answers = []
        while not self.ended or self._reader.answers:
            answers.append(self.receive())
        return [a for a in answers if a.status]

    def read_until(self, part: bytes) -> bytes:
        """Read until `part` stands in the body of the current answer; the body so far. Raises TimeoutError, EOFError."""
        until_s = time.monotonic() + self._deadline_s
        while part not in self._reader.body:
            if self.ended:
                raise EOFError(f"the connection was {self.ended} before {part!r} came")
            self._read_some(until_s)
        return bytes(self._reader.body)

    def wait_for_informational(self, status: int) -> Self:
        """Until an informational answer with this status came. Raises TimeoutError, EOFError."""
        until_s = time.monotonic() + self._deadline_s
        while status not in self.informational:
            if self.ended:
                raise EOFError(f"the connection was {self.ended} before a {status} came")
            self._read_some(until_s)
        return self

    def wait_for_end(self) -> str:
        """Until the server ends the connection: "closed" or "reset". Raises TimeoutError."""
        until_s = time.monotonic() + self._deadline_s
        while not self.ended:
            self._read_some(until_s)
        return self.ended

    def _read_some(self, until_s: float) -> None:
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"no complete answer within {self._deadline_s} s; so far {self._unfinished()!r:.2000}")
        self._sock.settimeout(left_s)
        try:
            data = self._sock.recv(262_144)
        except TimeoutError:
            return
        except OSError:
            self.ended = "reset"
            return
        if data:
            self._feed(data)
        else:
            self._end()

    def _feed(self, data: bytes) -> None:
        try:
            self._reader.parser.feed_data(data)
        except httptools.HttpParserError:
            self.ended = "garbled"

    def _end(self) -> None:
        """A body without a length is complete when the connection is."""
        self.ended = "closed"
        current = self._reader.current
        framed = {"content-length", "transfer-encoding"} & current.headers.keys()
        if current.status >= 200 and not current.complete and not framed:
            self._reader.complete()

    def _unfinished(self) -> Received:
        current = self._reader.current
        if current.complete:
            return Received(ended=self.ended)
        return msgspec.structs.replace(current, body=bytes(self._reader.body), ended=self.ended)


def request_bytes(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A plain request; header names are given with underscores. Host and Content-Length are added unless given."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in ({"host": "127.0.0.1"} | named).items())]
    if body and not {"content-length", "transfer-encoding"} & named.keys():
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
