"""The spool format under torn writes and flipped bits."""

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setpoint.domain.trace import RecordHead, RecordTail
from setpoint.wire import spool
from setpoint.wire.spool import FileHeader, Record

u8, u16, u32, u64 = (st.integers(0, 2**n - 1) for n in (8, 16, 32, 64))
i64 = st.integers(-(2**63), 2**63 - 1)
id16 = st.binary(min_size=16, max_size=16)
file_headers = st.builds(FileHeader, writer=u16, file_no=u32, boot=u64, wall_ns=i64, mono_ns=i64)
heads = st.builds(
    RecordHead, kind=u8, outcome=u8, surface=u8, cache=u8, status=u16, attempts=u16, request_id=id16, trace_id=id16, start_ns=i64,
    duration_ns=u64, ttft_ns=u64, upstream_ns=u64, cost_nanousd=i64, input=u32, cached_read=u32, cache_write=u32, output=u32, reasoning=u32,
    key_no=u32, config_version=u32, fault=u16, streamed=st.booleans(),
)  # fmt: skip
tails = st.builds(RecordTail, route=st.text(max_size=30), model=st.text(max_size=30), prompt_sha256=st.binary(max_size=32), attempt_no=u32)
bodies = st.binary(max_size=100)
entries = st.lists(st.tuples(heads, tails, bodies, bodies), min_size=1, max_size=4)
Entry = tuple[RecordHead, RecordTail, bytes, bytes]


def block_of(items: list[Entry], first_seq: int = 0) -> bytes:
    texts = [spool.encode_tail(tail) for _, tail, _, _ in items]
    packed = [spool.encode_head(h, len(t), len(p), len(a)) for (h, _, p, a), t in zip(items, texts, strict=True)]
    return spool.encode_block(packed, texts, [part for _, _, p, a in items for part in (p, a) if part], first_seq)


def example(n: int = 1, prompt: bytes = b"prompt") -> list[Entry]:
    head = RecordHead(2, 0, 1, 1, 200, 1, b"r" * 16, b"t" * 16, 1, 2, 3, 4, -1, 5, 6, 7, 8, 9, 10, 11, 0, True)
    return [(head, RecordTail(route="r", model="m"), prompt, b"answer")] * n


@given(file_headers)
def test_a_file_header_reads_back(header: FileHeader) -> None:
    data = spool.encode_file_header(header)
    assert len(data) == spool.FILE_HEADER_BYTES
    assert spool.decode_file_header(data + b"more") == header


@given(file_headers, st.integers(0, 63), st.integers(1, 255))
def test_a_file_header_with_a_wrong_byte_is_refused(header: FileHeader, at: int, flip: int) -> None:
    data = bytearray(spool.encode_file_header(header))
    data[at] ^= flip
    assert spool.decode_file_header(bytes(data)) is None


def test_a_file_header_cut_short_or_of_another_format_is_refused() -> None:
    data = spool.encode_file_header(FileHeader(1, 2, 3, 4, 5))
    assert all(spool.decode_file_header(data[:cut]) is None for cut in range(len(data)))
    other = data[:8] + struct.pack("<H", spool.FORMAT + 1) + data[10:60]
    assert spool.decode_file_header(other + struct.pack("<I", zlib.crc32(other))) is None


@given(entries, u64.filter(lambda n: n < 2**63))
def test_records_read_back_as_they_were_written(items: list[Entry], first_seq: int) -> None:
    block = spool.read_block(block_of(items, first_seq), 0)
    assert block is not None
    assert list(spool.records(block)) == [Record(first_seq + i, *item) for i, item in enumerate(items)]


@given(entries)
def test_blocks_are_padded_to_eight_bytes_so_that_the_next_one_is_aligned(items: list[Entry]) -> None:
    first, second = block_of(items), block_of(items, len(items))
    assert len(first) % 8 == 0
    data = first + second
    block = spool.read_block(data, len(first))
    assert block is not None
    assert (block.start, block.end, block.first_seq) == (len(first), len(data), len(items))


def test_a_block_cut_anywhere_is_not_there_yet() -> None:
    data = block_of(example(2))
    assert all(spool.read_block(data[:cut], 0) is None for cut in range(len(data)))


def test_every_flipped_bit_is_noticed() -> None:
    data = block_of(example())
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert spool.read_block(bytes(damaged), 0) is None, f"bit {bit}"


@given(st.binary(max_size=200), st.integers(0, 220))
def test_noise_is_never_taken_for_a_block(noise: bytes, at: int) -> None:
    assert spool.read_block(noise, at) is None


def test_a_close_block_ends_a_file_and_tells_the_next_number() -> None:
    block = spool.read_block(spool.encode_close(41), 0)
    assert block is not None
    assert (block.kind, block.n, block.first_seq, block.end) == (spool.KIND_CLOSE, 0, 41, spool.BLOCK_HEADER_BYTES)
    assert list(spool.records(block)) == []


@settings(max_examples=50)
@given(entries, st.data())
def test_after_a_torn_block_reading_goes_on_at_the_next_good_one(items: list[Entry], data: st.DataObject) -> None:
    torn = block_of(items)
    cut = data.draw(st.integers(0, len(torn) // 8 - 1)) * 8
    good = block_of(items, 7)
    raw = bytes(spool.FILE_HEADER_BYTES) + torn[:cut] + good
    block = spool.next_block_after_damage(raw, spool.FILE_HEADER_BYTES - 1)
    assert block is not None
    assert (block.start, block.first_seq) == (spool.FILE_HEADER_BYTES + cut, 7)


def test_a_block_inside_a_captured_body_is_not_taken_for_one_of_the_file() -> None:
    """A client may send bytes that look like a block; they lie within a bigger valid block, which is skipped as a whole."""
    inner = block_of(example(), 99)
    outer = block_of(example(prompt=inner))
    block = spool.read_block(outer, 0)
    assert block is not None
    assert block.end == len(outer)
    assert [r.seq for r in spool.records(block)] == [0]


def test_behind_the_last_good_block_there_is_nothing() -> None:
    assert spool.next_block_after_damage(block_of(example()), 0) is None


@pytest.mark.parametrize("total_len", [0, 8, 36, spool.BLOCK_BYTES_MAX + 8])
def test_a_length_out_of_bounds_is_refused(total_len: int) -> None:
    data = bytearray(block_of(example()))
    struct.pack_into("<I", data, 8, total_len)
    assert spool.read_block(bytes(data), 0) is None


def test_the_head_is_exactly_what_the_format_promises() -> None:
    assert spool.HEAD.size == spool.HEAD_BYTES == 128
    assert len(spool.encode_file_header(FileHeader(0, 0, 0, 0, 0))) == spool.FILE_HEADER_BYTES


def test_a_block_of_another_life_is_not_a_block() -> None:
    """A client that puts a whole valid block into its prompt does not know the boot number that its checksum would have to start from."""
    forged = spool.encode_block([], [], [], 7)
    data = b"torn...." + forged
    assert spool.next_block_after_damage(data, 0, boot=0) is not None
    assert spool.next_block_after_damage(data, 0, boot=0xDEADBEEF) is None
    assert spool.read_block(spool.encode_close(9, boot=5), 0, boot=5) is not None
    assert spool.read_block(spool.encode_close(9, boot=5), 0, boot=6) is None
