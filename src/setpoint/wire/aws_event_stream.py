"""Frames of `application/vnd.amazon.eventstream`, incrementally: any cut of the bytes is fine.

    4 length of the frame · 4 length of the headers · 4 CRC-32 of these eight · headers · payload · 4 CRC-32 of all before

Numbers are big-endian. A header is 1 length, name, 1 type, value (https://smithy.io/2.0/aws/amazon-eventstream.html). Both sums are
checked, so a byte that changed on the way is seen. After a damaged frame nothing can be read: where the next one begins is not known.
"""

import struct
import zlib

import msgspec

from setpoint.domain.faults import Fault, FaultKind

HEADERS_BYTES_MAX = 131_072
PAYLOAD_BYTES_MAX = 25_165_824
"""The format's own bounds, as AWS's clients keep them: 128 KiB and 24 MiB."""

PRELUDE_BYTES = 12
FRAME_BYTES_MIN = 16
FRAME_BYTES_MAX = FRAME_BYTES_MIN + HEADERS_BYTES_MAX + PAYLOAD_BYTES_MAX

Header = bool | int | bytes | str
"""Timestamps are milliseconds since 1970, UUIDs sixteen bytes."""

_prelude = struct.Struct("!III").unpack_from
_NUMBERS = {2: struct.Struct("!b"), 3: struct.Struct("!h"), 4: struct.Struct("!i"), 5: struct.Struct("!q"), 8: struct.Struct("!q")}
_TRUE, _FALSE, _BYTES, _TEXT, _UUID = 0, 1, 6, 7, 9


class Frame(msgspec.Struct, frozen=True, gc=False):
    headers: dict[str, Header]
    payload: bytes

    def text(self, name: str) -> str:
        """A header that is text; empty when there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class Damaged(Exception):
    """The bytes are no frame. Never leaves the rooms that read frames."""


def damage(error: Exception) -> Fault:
    """The fault of a stream with a damaged frame."""
    return Fault(FaultKind.upstream_server, f"The provider's event stream is damaged: {error}.")


def frame_bytes(buffer: bytes | bytearray, at: int = 0) -> int:
    """Length of the frame that begins at `at`; 0 while its first twelve bytes are not all there. Raises `Damaged`."""
    if len(buffer) - at < PRELUDE_BYTES:
        return 0
    total, headers, crc = _prelude(buffer, at)
    if zlib.crc32(buffer[at : at + 8]) != crc:
        raise Damaged("the checksum of a frame's head is wrong")
    payload = total - headers - FRAME_BYTES_MIN
    if headers > HEADERS_BYTES_MAX or not 0 <= payload <= PAYLOAD_BYTES_MAX:
        raise Damaged("a frame has an impossible length")
    return int(total)


def check_frame(frame: bytes) -> None:
    """Raises `Damaged` when the sum over a whole frame is wrong."""
    if zlib.crc32(frame[:-4]) != int.from_bytes(frame[-4:], "big"):
        raise Damaged("the checksum of a frame is wrong")


def parse_frame(frame: bytes) -> Frame:
    """A whole frame, sums checked. Raises `Damaged`."""
    check_frame(frame)
    headers_end = PRELUDE_BYTES + int.from_bytes(frame[4:8], "big")
    return Frame(_headers(frame[PRELUDE_BYTES:headers_end]), frame[headers_end:-4])


def _headers(data: bytes) -> dict[str, Header]:
    found: dict[str, Header] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name = data[at + 1 : name_end].decode()
            value, at = _value(data, name_end)
            if name in found or at > len(data):
                raise Damaged("a frame has odd headers")
            found[name] = value
    except (IndexError, UnicodeDecodeError, struct.error):
        raise Damaged("the headers of a frame cannot be read") from None
    return found


def _value(data: bytes, at: int) -> tuple[Header, int]:
    """A header's value and where it ends."""
    kind = data[at]
    at += 1
    if kind in {_TEXT, _BYTES}:
        end = at + 2 + (data[at] << 8 | data[at + 1])
        raw = data[at + 2 : end]
        return (raw.decode() if kind == _TEXT else raw), end
    if kind in {_TRUE, _FALSE}:
        return kind == _TRUE, at
    if kind == _UUID:
        return data[at : at + 16], at + 16
    number = _NUMBERS.get(kind)
    if number is None:
        raise Damaged("a frame has a header of unknown type")
    return number.unpack_from(data, at)[0], at + number.size


def encode_frame(headers: dict[str, Header], payload: bytes) -> bytes:
    """One frame. Integers become the type of 32 bits, or that of 64."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    lengths = struct.pack("!II", FRAME_BYTES_MIN + len(head) + len(payload), len(head))
    frame = b"".join((lengths, zlib.crc32(lengths).to_bytes(4, "big"), head, payload))
    return frame + zlib.crc32(frame).to_bytes(4, "big")


def _header(name: str, value: Header) -> bytes:
    raw = name.encode()
    start = bytes((len(raw),)) + raw
    if isinstance(value, bool):
        return start + bytes((_TRUE if value else _FALSE,))
    if isinstance(value, int):
        return start + (struct.pack("!Bi", 4, value) if -(2**31) <= value < 2**31 else struct.pack("!Bq", 5, value))
    data, kind = (value.encode(), _TEXT) if isinstance(value, str) else (value, _BYTES)
    return start + struct.pack("!BH", kind, len(data)) + data


def bounded_frame_bytes(buffer: bytes | bytearray, at: int, most: int) -> int:
    """As `frame_bytes`; also `Damaged` when the frame is longer than `most`."""
    length = frame_bytes(buffer, at)
    if length > most:
        raise Damaged(f"an event is longer than {most} bytes")
    return length


class FrameDecoder:
    """Bytes in, frames out. `error` is set at the first damaged frame, or one that is too long; nothing after it counts."""

    __slots__ = ("_carry", "_frame_bytes_max", "error")

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._carry = bytearray()
        self._frame_bytes_max = frame_bytes_max
        self.error: Fault | None = None

    @property
    def inside(self) -> bool:
        """Part of a frame is held: a stream that ends here was cut."""
        return bool(self._carry)

    def feed(self, data: bytes) -> list[Frame]:
        if self.error is not None:
            return []
        carry = self._carry
        carry += data
        frames: list[Frame] = []
        at = 0
        try:
            while (length := bounded_frame_bytes(carry, at, self._frame_bytes_max)) and len(carry) - at >= length:
                frames.append(parse_frame(bytes(carry[at : at + length])))
                at += length
        except Damaged as error:
            self.error = damage(error)
            carry.clear()
            return frames
        del carry[:at]
        return frames
