"""The spool format: how a worker's records lie on disk until ingest has sealed them.

A spool file has one writer and is only ever appended to. It is the log of record, so the format is built for two moments: a
writer that is killed between any two instructions, and a reader that looks while a write is under way.

    file    := header block*
    header  := "SPSPOOL1" format:u16 writer:u16 file_no:u32 boot:u64 wall_ns:i64 mono_ns:i64 zero:20 crc32:u32       (64 bytes)
    block   := "SPB1" kind:u8 flags:u8 n:u16 total_len:u32 heads_len:u32 first_seq:u64 crc32:u32 zero:4             (32 bytes)
               head{n}  tail{n}  body{n}  zero*                                     padded so that total_len is a multiple of 8
    body    := prompt answer

All little endian. A block is exactly one write(2). Its crc32 covers the whole block with the crc field as zero, and starts from
the writer's secret boot number: bytes that a client put into a prompt can never pass for a block when the one around them is
torn. A block counts only when it is complete and its crc holds: a bad tail of a file whose writer lives means "not yet", of a
dead writer "torn". `first_seq` is the number of the block's first record; it is gapless per (writer, boot), so a block that was
written twice (after a short write) is recognised and dropped. kind 2 closes a file; nothing follows it.

Heads are fixed 128 bytes so that ingest can read numbers without decoding text; texts are msgpack arrays in the tails (decision 002:
no intern tables). See `domain.trace` for the meaning of the fields.
"""

import struct
from collections.abc import Iterator
from zlib import crc32

import msgspec

from setpoint.domain.trace import RecordHead, RecordTail

FILE_MAGIC = b"SPSPOOL1"
BLOCK_MAGIC = b"SPB1"
FORMAT = 1
FILE_HEADER_BYTES = 64
BLOCK_HEADER_BYTES = 32
HEAD_BYTES = 128
KIND_RECORDS = 1
KIND_CLOSE = 2
BLOCK_BYTES_MAX = 64 * 1024 * 1024
RECORDS_MAX = 65_535

_FILE = struct.Struct("<8sHHIQqq20x")
_BLOCK = struct.Struct("<4sBBHIIQI4x")
_CRC_AT = 24
_SEED = 0xFFFF_FFFF
"""The checksum starts from these bits of the boot number."""

HEAD = struct.Struct("<BBBBHH16s16sqQQQqIIIIIIIHBBIII4x")
"""kind outcome surface cache status attempts request_id trace_id start_ns duration_ns ttft_ns upstream_ns cost_nanousd
input cached_read cache_write output reasoning key_no config_version fault streamed - tail_len prompt_len answer_len
(128 bytes with 4 spare at the end; `-` is spare too)."""
assert HEAD.size == HEAD_BYTES

_pack_tail = msgspec.msgpack.Encoder().encode
_unpack_tail = msgspec.msgpack.Decoder(RecordTail).decode


class FileHeader(msgspec.Struct, frozen=True):
    """Who writes a spool file. `writer` is the worker's slot, `boot` a random number of the worker's life."""

    writer: int
    file_no: int
    boot: int
    wall_ns: int
    mono_ns: int


class Record(msgspec.Struct):
    """One record as read back."""

    seq: int
    head: RecordHead
    tail: RecordTail
    prompt: bytes
    answer: bytes


class Block(msgspec.Struct, frozen=True):
    """A complete, checked block: where it lies, and its raw bytes."""

    start: int
    end: int
    kind: int
    n: int
    first_seq: int
    heads_len: int
    raw: bytes


def encode_file_header(header: FileHeader) -> bytes:
    body = _FILE.pack(FILE_MAGIC, FORMAT, header.writer, header.file_no, header.boot, header.wall_ns, header.mono_ns)
    return body + struct.pack("<I", crc32(body))


def decode_file_header(data: bytes) -> FileHeader | None:
    """None when the 64 bytes are not a complete, valid header of a format this version reads."""
    if len(data) < FILE_HEADER_BYTES or struct.unpack_from("<I", data, 60)[0] != crc32(data[:60]):
        return None
    magic, fmt, writer, file_no, boot, wall_ns, mono_ns = _FILE.unpack_from(data)
    if magic != FILE_MAGIC or fmt != FORMAT:
        return None
    return FileHeader(writer, file_no, boot, wall_ns, mono_ns)


def encode_tail(tail: RecordTail) -> bytes:
    return _pack_tail(tail)


def encode_head(head: RecordHead, tail_len: int, prompt_len: int, answer_len: int) -> bytes:
    """The readable form, for tests and tools; the worker packs `HEAD` itself."""
    return HEAD.pack(
        head.kind, head.outcome, head.surface, head.cache, head.status, head.attempts, head.request_id, head.trace_id,
        head.start_ns, head.duration_ns, head.ttft_ns, head.upstream_ns, head.cost_nanousd,
        head.input, head.cached_read, head.cache_write, head.output, head.reasoning, head.key_no, head.config_version,
        head.fault, head.streamed, 0, tail_len, prompt_len, answer_len,
    )  # fmt: skip


def encode_block(heads: list[bytes], tails: list[bytes], bodies: list[bytes], first_seq: int, boot: int = 0) -> bytes:
    """One block of `len(heads)` records. `bodies` holds prompt and answer of each record in order, empty ones may be left out."""
    content = b"".join((*heads, *tails, *bodies))
    length = BLOCK_HEADER_BYTES + len(content)
    if pad := -length % 8:
        content += b"\0" * pad
        length += pad
    n = len(heads)
    crc = crc32(content, crc32(_BLOCK.pack(BLOCK_MAGIC, KIND_RECORDS, 0, n, length, HEAD_BYTES * n, first_seq, 0), boot & _SEED))
    return _BLOCK.pack(BLOCK_MAGIC, KIND_RECORDS, 0, n, length, HEAD_BYTES * n, first_seq, crc) + content


def encode_close(next_seq: int, boot: int = 0) -> bytes:
    """The block that ends a file."""
    block = bytearray(_BLOCK.pack(BLOCK_MAGIC, KIND_CLOSE, 0, 0, BLOCK_HEADER_BYTES, 0, next_seq, 0))
    struct.pack_into("<I", block, _CRC_AT, crc32(block, boot & _SEED))
    return bytes(block)


def read_block(data: bytes, at: int, boot: int = 0) -> Block | None:
    """The block at offset `at`, or None when it is not complete or not valid there."""
    if at + BLOCK_HEADER_BYTES > len(data):
        return None
    magic, kind, _, n, total_len, heads_len, first_seq, crc = _BLOCK.unpack_from(data, at)
    if magic != BLOCK_MAGIC or total_len % 8 or not BLOCK_HEADER_BYTES <= total_len <= BLOCK_BYTES_MAX or at + total_len > len(data):
        return None
    raw = data[at : at + total_len]
    view = memoryview(raw)
    if crc32(view[_CRC_AT + 4 :], crc32(b"\0\0\0\0", crc32(view[:_CRC_AT], boot & _SEED))) != crc:
        return None
    return Block(at, at + total_len, kind, n, first_seq, heads_len, raw)


def next_block_after_damage(data: bytes, at: int, boot: int = 0) -> Block | None:
    """The next aligned valid block behind `at`, for the files of dead writers."""
    while (at := data.find(BLOCK_MAGIC, at + 1)) >= 0:
        if at % 8 == 0 and (block := read_block(data, at, boot)) is not None:
            return block
    return None


def records(block: Block) -> Iterator[Record]:
    """Decode every record of a checked block."""
    raw, tail_at = block.raw, BLOCK_HEADER_BYTES + block.heads_len
    heads = [HEAD.unpack_from(raw, BLOCK_HEADER_BYTES + HEAD_BYTES * i) for i in range(block.n)]
    body_at = tail_at + sum(h[-3] for h in heads)
    for i, h in enumerate(heads):
        *numbers, _, tail_len, prompt_len, answer_len = h
        numbers[-1] = bool(numbers[-1])  # streamed
        tail = _unpack_tail(raw[tail_at : tail_at + tail_len])
        prompt = raw[body_at : body_at + prompt_len]
        answer = raw[body_at + prompt_len : body_at + prompt_len + answer_len]
        tail_at += tail_len
        body_at += prompt_len + answer_len
        yield Record(block.first_seq + i, RecordHead(*numbers), tail, prompt, answer)
