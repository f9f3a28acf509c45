"""The port `segments` as pairs of Parquet files: `<seq>.meta.parquet` with the numbers and texts, `<seq>.body.parquet` with what was said.

Apart, so that a scan over numbers never reads bodies, and bodies can be removed by unlinking. Both hold the trace number `n`, ascending,
and its statistics per row group: finding one trace reads the footer and one row group of each. The footer names the spool ranges the rows
came from. Compaction packs harder than sealing, which shares the machine with traffic.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from setpoint.adapters.parquet.folder import SegmentFolder, segment_file
from setpoint.domain.trace import RecordTail
from setpoint.ports.catalog import Segment
from setpoint.ports.files import Files
from setpoint.ports.segments import BODY_GROUP_BYTES_MAX, META_GROUP_ROWS_MAX, SealedRow
from setpoint.wire.spool import HEAD_BYTES

SEAL_LEVEL = 3
"""Measured on traces of 4 KB: 1,390 bytes and 36 µs a trace; level 1: 1,784 bytes and 30 µs."""
MERGE_LEVEL = 6
WRITE_BYTES = 4 * 1024 * 1024
"""One write; larger ones stall other writers of the disk."""
FORMAT = b"1"

HEAD_TYPE = np.dtype(
    [
        ("kind", "u1"), ("outcome", "u1"), ("surface", "u1"), ("cache", "u1"), ("status", "<u2"), ("attempts", "<u2"),
        ("id", "V16"), ("trace_id", "V16"), ("start_ns", "<i8"), ("duration_ns", "<u8"), ("ttft_ns", "<u8"), ("upstream_ns", "<u8"),
        ("cost_nanousd", "<i8"), ("input", "<u4"), ("cached_read", "<u4"), ("cache_write", "<u4"), ("output", "<u4"), ("reasoning", "<u4"),
        ("key_no", "<u4"), ("config_version", "<u4"), ("fault", "<u2"), ("streamed", "u1"), ("spare", "u1"),
        ("tail_len", "<u4"), ("prompt_len", "<u4"), ("answer_len", "<u4"), ("end", "V4"),
    ]
)  # fmt: skip
"""`wire.spool.HEAD` for numpy."""
assert HEAD_TYPE.itemsize == HEAD_BYTES

_NUMBERS = tuple(
    name for name in HEAD_TYPE.names or () if name not in ("kind", "id", "trace_id", "spare", "tail_len", "prompt_len", "answer_len", "end")
)
_TAIL_TYPES: dict[type, pa.DataType] = {str: pa.string(), int: pa.int64(), bytes: pa.binary(), bool: pa.bool_()}
_TAILS = tuple((field.name, _TAIL_TYPES[field.type]) for field in msgspec.structs.fields(RecordTail))

META_SCHEMA = pa.schema(
    [
        ("n", pa.int64()),
        ("id", pa.binary(16)),
        ("trace_id", pa.binary(16)),
        *((name, pa.from_numpy_dtype(HEAD_TYPE[name])) for name in _NUMBERS),
        *_TAILS,
        ("attempt_list", pa.string()),
    ]
)
BODY_SCHEMA = pa.schema([("n", pa.int64()), ("prompt", pa.binary()), ("answer", pa.binary())])

_decode_tail = msgspec.msgpack.Decoder(RecordTail).decode


class ParquetSegments(SegmentFolder):
    """Segments below one folder, `dt=<day>/`; temporary files in `tmp` of the same file system."""

    def write(self, seq: int, day: str, rows: Iterable[SealedRow], ranges: dict[str, tuple[int, int]]) -> Iterator[Segment | None]:
        footer = {"setpoint.format": FORMAT, "setpoint.spools": msgspec.json.encode(ranges)}
        pair = _Pair(self._files, self._tmp, self._folder / f"dt={day}", seq, day, footer, SEAL_LEVEL)
        try:
            for group in _groups(rows):
                pair.add(_meta_table(group), _body_table(group))
                yield None
            yield pair.publish()
        finally:
            pair.abandon()

    def merge(self, seq: int, parts: tuple[Segment, ...]) -> Iterator[Segment | None]:
        day = parts[0].day
        ranges = [self._open(part, "meta").schema_arrow.metadata[b"setpoint.spools"] for part in parts]
        footer = {"setpoint.format": FORMAT, "setpoint.spools": b"[" + b",".join(ranges) + b"]"}
        pair = _Pair(self._files, self._tmp, self._folder / f"dt={day}", seq, day, footer, MERGE_LEVEL)
        try:
            for part in parts:
                for table in _row_groups(self._open(part, "meta")):
                    pair.add_meta(_widened(table))
                    yield None
                for table in _row_groups(self._open(part, "body")):
                    pair.add_body(table)
                    yield None
            yield pair.publish()
        finally:
            pair.abandon()

    def read(self, segment: Segment, n: int) -> tuple[dict[str, Any], bytes, bytes] | None:
        """(meta by column name, prompt, answer) of trace number `n`. FileNotFoundError when compaction has replaced the segment
        meanwhile."""
        meta = _find(self._open(segment, "meta"), n)
        if meta is None:
            return None
        body = _find(self._open(segment, "body"), n) or {"prompt": b"", "answer": b""}
        return meta, body["prompt"], body["answer"]

    def rows(self, segment: Segment) -> Iterator[dict[str, Any]]:
        """All meta rows, for rebuilding an index."""
        for table in _row_groups(self._open(segment, "meta")):
            yield from table.to_pylist()

    def bodies(self, segment: Segment) -> Iterator[tuple[bytes, bytes]]:
        """(prompt, answer) of all rows, in the same order."""
        for table in _row_groups(self._open(segment, "body")):
            yield from zip(table.column("prompt").to_pylist(), table.column("answer").to_pylist(), strict=True)

    def _open(self, segment: Segment, kind: str) -> pq.ParquetFile:
        return pq.ParquetFile(self.path(segment, kind), memory_map=False, pre_buffer=False)


class _Sink:
    """A file that pyarrow writes to, through the port: in bounded pieces, hashed on the way."""

    def __init__(self, files: Files, path: Path) -> None:
        self.path, self._files, self._fd = path, files, files.create(path)
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        if self._fd < 0:
            return len(data)  # given up; pyarrow still writes the footer when its writer is collected
        rest = memoryview(data)
        self.sha256.update(rest)
        self.size += len(rest)
        length = len(rest)
        while rest:
            rest = rest[self._files.write(self._fd, rest[:WRITE_BYTES]) :]
        return length

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing is held back."""

    def sync(self) -> None:
        self._files.sync(self._fd)

    def close(self) -> None:
        """pyarrow closes what it wrote; the descriptor lives until `release`, because it is synced after that."""
        self.closed = True

    def release(self) -> None:
        self._files.close(self.give_up())

    def give_up(self) -> int:
        """The descriptor, which this no longer writes to."""
        fd, self._fd = self._fd, -1
        return fd


class _Pair:
    """A meta and a body file being written."""

    def __init__(self, files: Files, tmp: Path, folder: Path, seq: int, day: str, footer: dict[str, bytes], level: int) -> None:
        self._files, self._folder, self._seq, self._day = files, folder, seq, day
        self._rows, self._first_n, self._last_n = 0, -1, -1
        self._sinks: list[_Sink] = []
        try:
            self._meta = self._writer(tmp, "meta", META_SCHEMA, footer, level)
            self._body = self._writer(tmp, "body", BODY_SCHEMA, footer, level)
        except BaseException:
            self.abandon()
            raise

    def add(self, meta: pa.Table, body: pa.Table) -> None:
        self.add_meta(meta)
        self.add_body(body)

    def add_meta(self, meta: pa.Table) -> None:
        numbers = meta.column("n")
        self._first_n = numbers[0].as_py() if self._first_n < 0 else self._first_n
        self._last_n = numbers[-1].as_py()
        self._rows += meta.num_rows
        self._meta.write_table(meta, row_group_size=META_GROUP_ROWS_MAX)

    def add_body(self, body: pa.Table) -> None:
        self._body.write_table(body, row_group_size=max(1, body.num_rows))

    def publish(self) -> Segment:
        """tmp/, fsync, rename, fsync the folder. The body first: a meta file is never without its bodies."""
        self._meta.close()
        self._body.close()
        self._files.make_folder(self._folder)
        meta, body = self._sinks
        for sink in (body, meta):
            sink.sync()
            sink.release()
            self._files.rename(sink.path, self._folder / sink.path.name)
        self._files.sync_folder(self._folder)
        self._files.sync_folder(self._folder.parent)
        self._sinks = []
        return Segment(
            self._seq, self._day, self._rows, self._first_n, self._last_n, meta.size, body.size, meta.sha256.digest(), body.sha256.digest()
        )

    def abandon(self) -> None:
        """After a failure: release what is open. Files in tmp/ are removed if that works, else at the next start."""
        sinks, self._sinks = self._sinks, []
        for fd, path in [(sink.give_up(), sink.path) for sink in sinks]:
            try:
                if fd >= 0:
                    self._files.close(fd)
                self._files.unlink(path)
            except OSError:
                continue

    def _writer(self, tmp: Path, kind: str, schema: pa.Schema, footer: dict[str, bytes], level: int) -> pq.ParquetWriter:
        sink = _Sink(self._files, tmp / segment_file(self._seq, kind))
        self._sinks.append(sink)
        # The dictionary of `n` and of unique ids would only cost; statistics are needed for `n` alone.
        unique = {"n", "id", "trace_id", "start_ns", "prompt", "answer"}
        return pq.ParquetWriter(
            pa.PythonFile(sink, mode="w"),
            schema.with_metadata(footer),
            compression="zstd",
            compression_level=level,
            use_dictionary=[name for name in schema.names if name not in unique],
            write_statistics=["n", "start_ns"] if kind == "meta" else ["n"],
            store_schema=True,
        )


def _groups(rows: Iterable[SealedRow]) -> Iterator[list[SealedRow]]:
    """Rows in pieces whose bodies fit one row group."""
    group: list[SealedRow] = []
    held = 0
    for row in rows:
        size = len(row.prompt) + len(row.answer)
        if group and (held + size > BODY_GROUP_BYTES_MAX or len(group) >= META_GROUP_ROWS_MAX):
            yield group
            group, held = [], 0
        group.append(row)
        held += size
    if group:
        yield group


def _meta_table(group: list[SealedRow]) -> pa.Table:
    heads = np.frombuffer(b"".join(row.head for row in group), dtype=HEAD_TYPE)
    tails = zip(*(msgspec.structs.astuple(_decode_tail(row.tail)) for row in group), strict=True)
    columns: list[pa.Array] = [
        pa.array([row.n for row in group], pa.int64()),
        _fixed(heads["id"]),
        _fixed(heads["trace_id"]),
        *(pa.array(heads[name]) for name in _NUMBERS),
        *(pa.array(values, kind) for values, (_, kind) in zip(tails, _TAILS, strict=True)),
        pa.array([row.attempts.decode() for row in group], pa.string()),
    ]
    return pa.table(columns, schema=META_SCHEMA)


def _fixed(column: "np.ndarray[Any, Any]") -> pa.Array:
    data = np.ascontiguousarray(column).tobytes()
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(column), [None, pa.py_buffer(data)])


def _body_table(group: list[SealedRow]) -> pa.Table:
    return pa.table(
        [
            pa.array([row.n for row in group], pa.int64()),
            pa.array([row.prompt for row in group], pa.binary()),
            pa.array([row.answer for row in group], pa.binary()),
        ],
        schema=BODY_SCHEMA,
    )


def _row_groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    for at in range(file.num_row_groups):
        yield file.read_row_group(at).replace_schema_metadata(None)


def _widened(meta: pa.Table) -> pa.Table:
    """With the columns that were added since the segment was written, empty."""
    for at, field in enumerate(META_SCHEMA):
        if field.name not in meta.schema.names:
            meta = meta.add_column(at, field, pa.nulls(meta.num_rows, field.type))
    return meta


def _find(file: pq.ParquetFile, n: int) -> dict[str, Any] | None:
    """The row with that number, by the statistics of the row groups and then by bisection in one of them."""
    for at in range(file.num_row_groups):
        bounds = file.metadata.row_group(at).column(0).statistics
        if bounds.min <= n <= bounds.max:
            table = file.read_row_group(at)
            row = int(np.searchsorted(table.column("n").to_numpy(), n))
            if table.column("n")[row].as_py() != n:
                return None
            found: dict[str, Any] = table.slice(row, 1).to_pylist()[0]
            return found
    return None
