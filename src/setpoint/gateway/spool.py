"""The spool writer: a worker's records on their way to disk, before the answers they belong to are finished.

A file is in one of two states for its writer. *Good*: everything in it up to `_offset` is whole blocks, and the next block goes
there. *Damaged*: a write came back short or with an error, so nobody knows what is behind `_offset`. A damaged file is cut back
if that works and never appended to again: a reader may already have seen a whole block there (an error can be reported for a write
that took place), so other bytes at the same place could be missed. The block that failed goes to a fresh file with the same sequence
number; a reader that meets it twice drops the second.

A file keeps its lock until its successor is open and locked, so a living writer always holds at least one lock. That is how ingest tells
a slow stream of a living worker from the last stream of a dead one.

A block that could not be written anywhere is lost, and its numbers are spent: the gap in the sequence is what the reader counts.
"""

from pathlib import Path
from typing import Literal

from setpoint.ports.files import Files
from setpoint.runtime.clock import Clock
from setpoint.wire.spool import (
    BLOCK_BYTES_MAX,
    BLOCK_HEADER_BYTES,
    FILE_HEADER_BYTES,
    HEAD,
    RECORDS_MAX,
    FileHeader,
    encode_block,
    encode_close,
    encode_file_header,
)

ROTATE_BYTES = 64 * 1024 * 1024
ROTATE_IDLE_S = 60.0
OPEN_TRIES = 3
"""Ingest may take a file for a dead writer's, between its open and its lock. The writer does not wait for it; it makes another."""
REOPEN_PAUSE_S = 0.25
"""Between two files without a block written; a full disk must not turn every answer into ten system calls."""

SyncWhen = Literal["interval", "always"]


def spool_name(writer: int, boot: int, file_no: int) -> str:
    """`w00-<boot, 16 hex digits>-<number>.sp`"""
    return f"w{writer:02d}-{boot:016x}-{file_no:06d}.sp"


class SpoolWriter:
    """Appends blocks of records; one per worker life. Not for more than one thread.

    `append` true means: the kernel has the block, so the death of any process leaves it readable; with sync `always` the disk has it.
    `interval` leaves syncing to another process. `lost` counts records for which `append` said False.
    """

    def __init__(
        self,
        files: Files,
        folder: Path,
        writer: int,
        boot: int,
        clock: Clock,
        sync: SyncWhen = "interval",
        rotate_bytes: int = ROTATE_BYTES,
    ) -> None:
        self._files, self._folder, self._writer, self._boot, self._clock = files, folder, writer, boot, clock
        self._sync, self._rotate_bytes = sync == "always", rotate_bytes
        self._fd = -1
        self._file_no = -1
        self._offset = 0
        self._damaged = True
        self._used_s = clock.now_s()
        self._reopen_s = 0.0
        """No file is made before this time; 0 again after each block written."""
        self._closed = False
        self.next_seq = 0
        self.lost = 0
        self._open_next()

    def append(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool:
        """Write the records as one block with one write(2). `bodies` holds prompt and answer of each record in order; empty ones
        may be left out. A turn of more than 65,535 records or 64 MiB becomes several blocks. False: none or only some are safe;
        all are counted lost.
        """
        if len(heads) > RECORDS_MAX or _block_bytes(heads, tails, bodies) > BLOCK_BYTES_MAX:
            return self._append_halves(heads, tails, bodies)
        block = encode_block(heads, tails, bodies, self.next_seq, self._boot)
        written = self._write(block) if self._ready() else False
        if not written and self._damaged and self._ready():
            written = self._write(block)
        self.next_seq += len(heads)
        if not written:
            self.lost += len(heads)
        return written

    def tick(self) -> None:
        """Call about once a second: ends a file that is full, damaged, or has not grown for a minute, so that ingest can retire it."""
        idle = self._clock.now_s() - self._used_s >= ROTATE_IDLE_S
        if self._damaged or self._offset >= self._rotate_bytes or (idle and self._offset > FILE_HEADER_BYTES):
            self._open_next()

    def close(self) -> None:
        """The writer's life is over: CLOSE, fdatasync. Errors are left to the reader, which sees a file without CLOSE."""
        self._closed = True
        self._retire(sync=True)

    def _ready(self) -> bool:
        if self._closed:
            return False
        if self._damaged or self._offset >= self._rotate_bytes:
            self._open_next()
        return not self._damaged

    def _write(self, block: bytes | bytearray) -> bool:
        try:
            whole = self._files.write(self._fd, block) == len(block)
            if whole and self._sync:
                self._files.sync(self._fd)
        except OSError:
            whole = False
        if not whole:
            self._cut_back()
            return False
        self._offset += len(block)
        self._used_s = self._clock.now_s()
        self._reopen_s = 0.0
        return True

    def _cut_back(self) -> None:
        self._damaged = True
        try:
            self._files.truncate(self._fd, self._offset)
        except OSError:
            # The reader stops at the torn block once this file's lock is free.
            return

    def _open_next(self) -> None:
        """Moves to a fresh file. On failure the present one stays open, for its lock; a good one goes on being written."""
        now_s = self._clock.now_s()
        if now_s < self._reopen_s:
            return
        self._reopen_s = now_s + REOPEN_PAUSE_S
        for _ in range(OPEN_TRIES):
            self._file_no += 1
            fd = self._create(self._folder / spool_name(self._writer, self._boot, self._file_no))
            if fd >= 0:
                break
        else:
            return
        if self._fd < 0 or not self._damaged:
            self._reopen_s = 0.0
        self._retire(sync=self._sync)
        self._fd, self._offset, self._damaged, self._used_s = fd, FILE_HEADER_BYTES, False, now_s

    def _create(self, path: Path) -> int:
        """A locked file with its header, or -1. Between open and lock ingest may take it for a dead writer's and unlink it."""
        fd = -1
        try:
            fd = self._files.create_append(path)
            locked = self._files.lock_now(fd)
            header = encode_file_header(
                FileHeader(self._writer, self._file_no, self._boot, self._clock.wall_ns(), int(self._clock.now_s() * 1e9))
            )
            if locked and self._files.link_count(fd) == 1 and self._files.write(fd, header) == len(header):
                if self._sync:
                    self._files.sync_folder(self._folder)
                return fd
            self._files.unlink(path)
        except OSError:
            # Full or broken disk. What was made stays; without a lock it is nobody's and ingest removes it.
            pass
        self._release(fd)
        return -1

    def _retire(self, *, sync: bool) -> None:
        try:
            if self._fd >= 0 and not self._damaged:
                self._files.write(self._fd, encode_close(self.next_seq, self._boot))
                if sync:
                    self._files.sync(self._fd)
        except OSError:
            # A file without CLOSE is final as soon as its lock is free.
            pass
        self._release(self._fd)
        self._fd, self._damaged = -1, True

    def _release(self, fd: int) -> None:
        try:
            if fd >= 0:
                self._files.close(fd)
        except OSError:
            # Linux frees the descriptor also when close reports an error.
            return

    def _append_halves(self, heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> bool:
        if len(heads) == 1:
            # Longer than any block may be; capture limits are far below, so this is a caller that does not cut bodies.
            self.next_seq += 1
            self.lost += 1
            return False
        half = len(heads) // 2
        split = sum((prompt > 0) + (answer > 0) for prompt, answer in map(_body_lengths, heads[:half]))
        whole = [body for body in bodies if body]
        first = self.append(heads[:half], tails[:half], whole[:split])
        return self.append(heads[half:], tails[half:], whole[split:]) and first


def _block_bytes(heads: list[bytes], tails: list[bytes], bodies: list[bytes]) -> int:
    return BLOCK_HEADER_BYTES + 7 + sum(map(len, heads)) + sum(map(len, tails)) + sum(map(len, bodies))


def _body_lengths(head: bytes) -> tuple[int, int]:
    *_, prompt_len, answer_len = HEAD.unpack(head)
    return prompt_len, answer_len
