"""Reading spools while they are being written, and after their writers are dead.

A spool file goes through three states for its reader:

    live     its lock is held. Whole, valid blocks are taken as they come; anything else at the end means "not yet".
    final    its lock was free, and then it was read to the end: nothing will ever be added. A rest that is no valid block is torn: it is
             copied to `quarantine/`, counted, and reading goes on at the next valid block behind it.
    spent    final, and nothing in it is unsealed: ingest may unlink it.

The order of the two looks matters: first the lock, then the size. The other way round a block written in between would be lost.

Files of one writer life are read in the order of their numbers, and a file only after its predecessor is final. So sequence numbers
arrive ascending, and a block that was written twice is dropped by comparing with one number per life. A jump in the numbers is counted
as missing records: the writer has lost them and said so to its clients, or not answered.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from setpoint.ports.files import Files
from setpoint.wire.spool import (
    BLOCK_BYTES_MAX,
    BLOCK_HEADER_BYTES,
    BLOCK_MAGIC,
    FILE_HEADER_BYTES,
    KIND_CLOSE,
    Block,
    decode_file_header,
    next_block_after_damage,
    read_block,
)

READ_BYTES = 256 * 1024
"""One read. Small enough to stay in the processor's cache while it is checked and decoded: 2 MiB cost a quarter more. A larger block is
read whole."""

Life = tuple[int, int]
"""(writer, boot)"""


@dataclass(slots=True)
class SpoolFile:
    """One spool file and how far it was read."""

    path: Path
    life: Life
    file_no: int
    fd: int = -1
    offset: int = 0
    opened: bool = False
    final: bool = False
    behind: bool = False
    """The last read was full, so more is there already."""
    unsealed: int = 0
    """Records taken from it that no seal covers yet."""

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def boot(self) -> int:
        return self.life[1]


@dataclass(slots=True)
class Damage:
    """What was found wrong, in counts since the start."""

    torn: int = 0
    torn_bytes: int = 0
    doubled: int = 0
    missing: int = 0
    bad_files: int = 0


@dataclass(slots=True)
class SpoolFolder:
    """All spool files of a data directory.

    `sealed_to` maps a file's name to the offset that sealed segments reach; `next_seq` a life to the next number not yet taken. Both
    come from the catalog at the start.
    """

    files: Files
    folder: Path
    sealed_to: dict[str, int] = field(default_factory=dict)
    next_seq: dict[Life, int] = field(default_factory=dict)
    open_files: dict[str, SpoolFile] = field(default_factory=dict)
    damage: Damage = field(default_factory=Damage)

    def look(self) -> None:
        """Find new files."""
        for name in self.files.names(self.folder):
            if name.endswith(".sp") and name not in self.open_files:
                if (life := parse_name(name)) is not None:
                    self.open_files[name] = SpoolFile(self.folder / name, life[0], life[1], offset=self.sealed_to.get(name, 0))
                else:
                    self.damage.bad_files += 1
                    self._set_aside(name, b"")

    def readable(self) -> list[SpoolFile]:
        """The files to read from now: of each writer life the first that is not final."""
        first: dict[Life, SpoolFile] = {}
        for _, file in sorted(self.open_files.items()):
            if not file.final:
                first.setdefault(file.life, file)
        return list(first.values())

    def is_alive(self, life: Life) -> bool:
        """Whether a writer life can still add records: some file of it is not final. A successor is locked before its predecessor ends,
        so the answer is true only when `look` was called after the last `take`."""
        return any(file.life == life and not file.final for file in self.open_files.values())

    def take(self, file: SpoolFile, *, check_lock: bool) -> list[Block]:
        """The next whole blocks of one file, at most about READ_BYTES; their `start` is the offset in the file.

        With `check_lock` a file at whose end nothing valid is found, and whose writer is gone, becomes final.
        """
        if not self._open(file):
            return []
        free = check_lock and self.files.is_lock_free(file.fd)
        blocks = self._whole_blocks(file)
        if not blocks and free:
            blocks = self._end(file)
        return blocks

    def fresh(self, file: SpoolFile, block: Block) -> int:
        """How many records at the head of the block were taken before; moves the life's number behind the block."""
        expected = self.next_seq.get(file.life)
        self.next_seq[file.life] = max(expected or 0, block.first_seq + block.n)
        if expected is None or block.first_seq == expected:
            return 0
        if block.first_seq > expected:
            self.damage.missing += block.first_seq - expected
            return 0
        doubled = min(block.n, expected - block.first_seq)
        self.damage.doubled += doubled
        return doubled

    def retire_spent(self) -> list[str]:
        """Unlink the files that are final and hold nothing unsealed; returns their names."""
        spent = [file for file in self.open_files.values() if file.final and not file.unsealed]
        for file in spent:
            self.files.unlink(file.path)
            self.close_file(file)
            del self.open_files[file.name]
        return [file.name for file in spent]

    def close_file(self, file: SpoolFile) -> None:
        if file.fd >= 0:
            self.files.close(file.fd)
            file.fd = -1

    def backlog_bytes(self) -> int:
        """Bytes on disk that were not read yet."""
        return sum(max(0, self.files.size(file.fd) - file.offset) for file in self.open_files.values() if file.fd >= 0)

    def _open(self, file: SpoolFile) -> bool:
        if file.opened:
            return True
        if file.fd < 0:
            file.fd = self.files.open_read(file.path)
        if decode_file_header(self.files.read_at(file.fd, FILE_HEADER_BYTES, 0)) is not None:
            file.offset, file.opened = max(FILE_HEADER_BYTES, file.offset), True
            return True
        try:
            if self.files.lock_now(file.fd):
                self._remove_headless(file)
        finally:
            self.close_file(file)
        return False

    def _remove_headless(self, file: SpoolFile) -> None:
        """The file has no valid header, and nobody else its lock. A short one holds no record. It is unlinked under the lock, so a writer
        that has made it and is about to lock it finds it gone and makes another."""
        data = self.files.read_at(file.fd, FILE_HEADER_BYTES, 0)
        if decode_file_header(data) is not None:
            return
        if len(data) == FILE_HEADER_BYTES:
            self.damage.bad_files += 1
            self._set_aside(file.name, self._rest(file, 0))
        self.files.unlink(file.path)
        file.final = True

    def _whole_blocks(self, file: SpoolFile) -> list[Block]:
        data = self.files.read_at(file.fd, READ_BYTES, file.offset)
        file.behind = len(data) == READ_BYTES
        blocks = list(_blocks(data, file.offset, file.boot))
        if not blocks and (length := _announced_bytes(data)) > len(data):
            blocks = list(_blocks(self.files.read_at(file.fd, length, file.offset), file.offset, file.boot))
        return self._advance(file, blocks)

    def _advance(self, file: SpoolFile, blocks: list[Block]) -> list[Block]:
        if blocks:
            file.offset = blocks[-1].end
            if blocks[-1].kind == KIND_CLOSE:
                file.final = True
        return [block for block in blocks if block.kind != KIND_CLOSE]

    def _end(self, file: SpoolFile) -> list[Block]:
        """The writer is gone and no valid block is at the offset: the end, or damage with perhaps more behind it."""
        rest = self._rest(file, file.offset)
        if (block := read_block(rest, 0, file.boot)) is not None:
            return self._advance(file, [_moved(block, file.offset)])
        found = next_block_after_damage(rest, 0, file.boot)
        torn = rest if found is None else rest[: found.start]
        if torn:
            self._set_aside(f"{file.name}.{file.offset}", torn)
            self.damage.torn += 1
            self.damage.torn_bytes += len(torn)
        file.offset += len(torn)
        file.final = found is None
        return []

    def _rest(self, file: SpoolFile, offset: int) -> bytes:
        size = self.files.size(file.fd)
        pieces: list[bytes] = []
        while offset < size and (piece := self.files.read_at(file.fd, size - offset, offset)):
            pieces.append(piece)
            offset += len(piece)
        return b"".join(pieces)

    def _set_aside(self, name: str, data: bytes) -> None:
        """Copies damage to `quarantine/`; doing it twice gives the same file. Without data the file itself is moved there."""
        quarantine = self.folder / "quarantine"
        self.files.make_folder(quarantine)
        if not data:
            self.files.rename(self.folder / name, quarantine / name)
            return
        fd = self.files.create(quarantine / name)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self.files.write(fd, rest) :]
        finally:
            self.files.close(fd)


def parse_name(name: str) -> tuple[Life, int] | None:
    """((writer, boot), file number) of a spool file's name."""
    parts = name.removesuffix(".sp").split("-")
    try:
        writer, boot, file_no = parts
        return (int(writer.removeprefix("w")), int(boot, 16)), int(file_no)
    except ValueError:
        return None


def boot_of(name: str) -> int:
    """The boot number in a spool file's name; 0 when it is no such name."""
    parsed = parse_name(name)
    return parsed[0][1] if parsed else 0


def _blocks(data: bytes, offset: int, boot: int) -> Iterator[Block]:
    at = 0
    while (block := read_block(data, at, boot)) is not None:
        yield _moved(block, offset)
        at = block.end


def _moved(block: Block, offset: int) -> Block:
    return Block(block.start + offset, block.end + offset, block.kind, block.n, block.first_seq, block.heads_len, block.raw)


def _announced_bytes(data: bytes) -> int:
    """What the header at the start of `data` says its block is long; 0 when that cannot be."""
    if len(data) < BLOCK_HEADER_BYTES or data[:4] != BLOCK_MAGIC:
        return 0
    (length,) = struct.unpack_from("<I", data, 8)
    return length if length <= BLOCK_BYTES_MAX else 0
