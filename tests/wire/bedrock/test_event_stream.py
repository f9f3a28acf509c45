"""The frames of AWS event streams, beside botocore's own reader of them."""

import struct
import zlib
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from tests.wire.bedrock.oracle import EventStreamBuffer

from setpoint.domain.faults import FaultKind
from setpoint.wire.aws_event_stream import (
    FRAME_BYTES_MIN,
    HEADERS_BYTES_MAX,
    PAYLOAD_BYTES_MAX,
    Frame,
    FrameDecoder,
    Header,
    encode_frame,
)

VALUES = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40) | st.text(max_size=20)
NAMES = st.text(min_size=1, max_size=20).filter(lambda name: len(name.encode()) < 256)
FRAMES = st.builds(Frame, st.dictionaries(NAMES, VALUES, max_size=5), st.binary(max_size=200))


def written(frames: list[Frame]) -> bytes:
    return b"".join(encode_frame(frame.headers, frame.payload) for frame in frames)


def head(total: int, headers: int) -> bytes:
    lengths = struct.pack("!II", total, headers)
    return lengths + zlib.crc32(lengths).to_bytes(4, "big")


def frame_of(headers: bytes, payload: bytes = b"") -> bytes:
    whole = head(FRAME_BYTES_MIN + len(headers) + len(payload), len(headers)) + headers + payload
    return whole + zlib.crc32(whole).to_bytes(4, "big")


@given(st.lists(FRAMES, max_size=4))
def test_botocore_reads_what_is_written(frames: list[Frame]) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(written(frames))
    assert [(message.headers, message.payload) for message in buffer] == [(frame.headers, frame.payload) for frame in frames]


@given(st.lists(FRAMES, min_size=1, max_size=4), st.data())
def test_any_cut_gives_the_same_frames(frames: list[Frame], data: st.DataObject) -> None:
    whole = written(frames)
    at = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    decoder = FrameDecoder()
    found = [frame for a, b in pairwise([0, *at, len(whole)]) for frame in decoder.feed(whole[a:b])]
    assert found == frames
    assert decoder.error is None
    assert not decoder.inside


def test_every_type_of_header_is_read_as_botocore_reads_it() -> None:
    def header(name: str, kind: int, value: bytes) -> bytes:
        return bytes((len(name),)) + name.encode() + bytes((kind,)) + value

    raw = b"".join(
        (
            header("true", 0, b""),
            header("false", 1, b""),
            header("byte", 2, b"\xfe"),
            header("short", 3, b"\xff\x00"),
            header("int", 4, b"\x7f\xff\xff\xff"),
            header("long", 5, b"\x80" + bytes(7)),
            header("bytes", 6, b"\x00\x03abc"),
            header("text", 7, b"\x00\x02\xc3\xa9"),
            header("time", 8, (1_700_000_000_000).to_bytes(8, "big")),
            header("uuid", 9, bytes(range(16))),
        )
    )
    buffer = EventStreamBuffer()
    buffer.add_data(frame_of(raw, b"x"))
    expected: dict[str, Header] = next(iter(buffer)).headers
    assert FrameDecoder().feed(frame_of(raw, b"x")) == [Frame(expected, b"x")]
    assert expected["text"] == "é"


@given(st.lists(FRAMES, min_size=1, max_size=3), st.data())
def test_a_flipped_bit_is_seen_and_no_frame_after_it_counts(frames: list[Frame], data: st.DataObject) -> None:
    whole = bytearray(written(frames))
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << (place % 8)
    decoder = FrameDecoder()
    found = decoder.feed(bytes(whole))
    sizes = [len(written(frames[: no + 1])) for no in range(len(frames))]
    before = sum(size <= place // 8 for size in sizes)
    assert found == frames[:before]
    assert decoder.error is not None
    assert decoder.error.kind is FaultKind.upstream_server
    assert decoder.feed(written(frames)) == []


@given(st.binary(max_size=300))
def test_any_bytes_are_frames_or_damage_or_half_a_frame(data: bytes) -> None:
    decoder = FrameDecoder()
    frames = decoder.feed(data)
    assert frames or decoder.error is not None or decoder.inside or not data


@given(st.binary(max_size=60), st.binary(max_size=10))
def test_odd_headers_under_a_right_checksum_never_crash(headers: bytes, payload: bytes) -> None:
    decoder = FrameDecoder()
    frames = decoder.feed(frame_of(headers, payload))
    assert (decoder.error is None) == bool(frames)


def test_half_a_frame_is_known_as_such() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(encode_frame({":message-type": "event"}, b"{}")[:-1]) == []
    assert decoder.inside
    assert decoder.error is None


def test_a_header_given_twice_is_damage() -> None:
    one = b"\x01a\x00"
    decoder = FrameDecoder()
    assert decoder.feed(frame_of(one + one)) == []
    assert decoder.error is not None


def test_lengths_at_the_bounds_are_waited_for_and_beyond_them_refused() -> None:
    for headers, payload, good in (
        (HEADERS_BYTES_MAX, 0, True),
        (HEADERS_BYTES_MAX + 1, 0, False),
        (0, PAYLOAD_BYTES_MAX, True),
        (0, PAYLOAD_BYTES_MAX + 1, False),
        (0, -1, False),
        (10, -5, False),
    ):
        decoder = FrameDecoder()
        assert decoder.feed(head(FRAME_BYTES_MIN + headers + payload, headers)) == []
        assert (decoder.error is None) is good, (headers, payload)
