"""How streams are framed, read by the letter of their standards; shares no code with the gateway.

Sources: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation,
https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import re
import struct
import zlib
from collections.abc import Iterator

import msgspec

_LINE_END = re.compile(r"\r\n|\n|\r")
_PRELUDE_BYTES = 12
_OVERHEAD_BYTES = 16
_STRING = 7


class Said(msgspec.Struct, frozen=True):
    """One event: its name, empty where the framing has none, and its data."""

    name: str
    data: bytes


class Unreadable(Exception):
    """Bytes on which the vendor's client raises an error."""


def sse_events(body: bytes) -> Iterator[Said]:
    """The events of a stream. The last one counts only if an empty line follows it."""
    name = ""
    data: list[str] = []
    *lines, _ = _LINE_END.split(body.decode("utf-8-sig", "replace"))
    for line in lines:
        if not line:
            if data:
                yield Said(name, "\n".join(data).encode())
            name, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            name = value
        elif field == "data":
            data.append(value)


def json_lines(body: bytes) -> Iterator[Said]:
    """A JSON document a line. What stands behind the last line end is read too, as Ollama's client does."""
    for line in body.splitlines():
        if line.strip():
            yield Said("", line)


def frames(body: bytes) -> Iterator[Said]:
    """The messages of Amazon's event stream; `name` is the type of the event, or `!` and that of the exception."""
    at = 0
    while len(body) - at >= _PRELUDE_BYTES:
        total, headers_bytes, checksum = struct.unpack_from(">III", body, at)
        if zlib.crc32(body[at : at + 8]) != checksum or total < _OVERHEAD_BYTES + headers_bytes:
            raise Unreadable("the prelude of a frame has a wrong checksum")
        if len(body) - at < total:
            return
        frame = body[at : at + total]
        if zlib.crc32(frame[:-4]) != int.from_bytes(frame[-4:], "big"):
            raise Unreadable("a frame has a wrong checksum")
        headers = dict(_frame_headers(frame[_PRELUDE_BYTES : _PRELUDE_BYTES + headers_bytes]))
        good = headers.get(":message-type") == "event"
        name = headers.get(":event-type", "") if good else "!" + (headers.get(":exception-type") or headers.get(":error-code") or "")
        yield Said(name, frame[_PRELUDE_BYTES + headers_bytes : -4])
        at += total


def _frame_headers(block: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(block):
        name_bytes = block[at]
        name = block[at + 1 : at + 1 + name_bytes].decode()
        at += 1 + name_bytes
        if block[at] != _STRING:
            raise Unreadable(f"header {name} of a frame is no text")
        (value_bytes,) = struct.unpack_from(">H", block, at + 1)
        yield name, block[at + 3 : at + 3 + value_bytes].decode()
        at += 3 + value_bytes
