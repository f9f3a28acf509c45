"""Server-sent events: what comes out does not depend on where the bytes were cut."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from setpoint.wire.sse import SseDecoder, SseEvent, blocks, complete_until, encode_event

LINES = st.sampled_from(
    [
        b"data: one",
        b"data:two",
        b"data:",
        b"data",
        b": comment",
        b"event: ping",
        b"event:x",
        b"",
        b"",
        b"id: 7",
        b"retry: 10",
        "data: ü€😀".encode(),
        b"nonsense",
    ]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.builds(
    lambda bom, lines, end, tail: bom + b"".join(line + end for line in lines) + tail,
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.lists(LINES, max_size=20),
    ENDS,
    st.sampled_from([b"", b"data: tail", b"data: tail\n"]),
)
CUTS = st.lists(st.integers(0, 400), max_size=12)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[a:b] for a, b in itertools.pairwise(at)]


def decode(chunks: list[bytes], event_bytes_max: int = 1000) -> tuple[list[SseEvent], bool]:
    decoder = SseDecoder(event_bytes_max)
    events = [event for chunk in chunks for event in decoder.feed(chunk)]
    return events + decoder.finish(), decoder.overflowed


@given(STREAMS, CUTS)
def test_cutting_the_stream_anywhere_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    whole = decode([stream])
    assert decode(pieces(stream, cuts)) == whole
    assert decode([stream[i : i + 1] for i in range(len(stream))]) == whole


@given(STREAMS, CUTS, st.integers(3, 40))
def test_a_limit_is_met_at_the_same_event_however_the_stream_is_cut(stream: bytes, cuts: list[int], limit: int) -> None:
    assert decode(pieces(stream, cuts), limit) == decode([stream], limit)


@given(st.lists(st.tuples(st.binary(max_size=20).filter(lambda b: b"\r" not in b), st.sampled_from([b"", b"ping"])), max_size=5))
def test_what_is_encoded_is_decoded(events: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(encode_event(data, name) for data, name in events)
    assert decode([stream])[0] == [SseEvent(name, data) for data, name in events]


@given(STREAMS)
def test_blocks_hold_every_byte(stream: bytes) -> None:
    region = stream[: complete_until(stream)]
    assert b"".join(blocks(region)) == region


def test_lines_of_data_are_joined_and_comments_dropped() -> None:
    assert decode([b": hi\n\nevent: x\ndata: a\n: c\ndata:b\nid: 1\n\n"]) == ([SseEvent(b"x", b"a\nb")], False)


def test_an_event_without_its_empty_line_is_not_lost_at_the_end() -> None:
    assert decode([b"data: a\n\ndata: b"])[0] == [SseEvent(b"", b"a"), SseEvent(b"", b"b")]


def test_a_byte_order_mark_is_ignored_even_when_it_comes_in_pieces() -> None:
    assert decode([b"\xef", b"\xbb\xbfda", b"ta: a\n\n"])[0] == [SseEvent(b"", b"a")]


def test_an_event_over_the_limit_ends_the_stream_and_what_came_before_counts() -> None:
    events, overflowed = decode([b"data: a\n\n" + b"data: " + b"x" * 40 + b"\n\ndata: b\n\n"], 40)
    assert overflowed
    assert events == [SseEvent(b"", b"a")]


def test_a_partial_event_over_the_limit_is_not_held() -> None:
    decoder = SseDecoder(100)
    for _ in range(1000):
        decoder.feed(b"x" * 50)
        assert len(decoder._carry) <= 150
    assert decoder.overflowed
