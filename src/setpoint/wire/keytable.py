"""Gateway keys as bytes: a table that opens in no time however many rows it has, and a log of changes to it.

The table is written once and mapped into memory by every worker, so a hundred thousand keys cost each worker a few pages that all
share. Nothing is decoded at open; `find` walks the sorted digests by bisection and decodes the one row it was asked for. A row is
48 bytes, little endian:

    digest 16s | key_no u32 | role u8 | public_len u8 | project_len u8 | 0 u8
    rpm u32 | burst u32 | expires_s u64 | public_off u32 | project_off u32

Names stand behind the rows, each text once. The header is "SPKEYS01", format u16, row size u16, rows u32, names length u32, 0 u32,
crc32 of these 24 bytes u32, 0 u32.

The log ("delta") makes a revocation cheap: a change is one frame appended, `length u32 | crc32 u32 | msgpack`, so that no table is
rewritten while it is in use. Which part of the log counts is said elsewhere (CURRENT); a reader never looks past that.

A row says when a key expires; whether it has is for the caller to decide, who knows the time.
"""

import struct
import zlib
from collections.abc import Iterable, Mapping

import msgspec

from setpoint.domain.principal import ROLES, Principal
from setpoint.domain.snapshot import Change, Upsert

NAME_BYTES_MAX = 255
KEYS_MAX = 10_000_000
FRAME_BYTES_MAX = 4096

_MAGIC = b"SPKEYS01"
_HEADER = struct.Struct("<8sHHIIII4x")
_ROW = struct.Struct("<16sIBBBxIIQII")
_FRAME = struct.Struct("<II")
_NO_CHANGES: Mapping[bytes, Principal | None] = {}


class TableDamaged(Exception):
    """These bytes are not a key table or log, or not a whole one."""


_encode_change = msgspec.msgpack.Encoder().encode
_decode_change = msgspec.msgpack.Decoder(Change).decode


def encode_table(rows: Iterable[tuple[bytes, Principal]]) -> bytes:
    """A table of `rows`, in any order. Raises ValueError for a digest that is there twice or not 16 bytes, or a name too long."""
    ordered = sorted(rows, key=lambda row: row[0])
    if len(ordered) > KEYS_MAX:
        raise ValueError(f"a key table holds at most {KEYS_MAX} keys, not {len(ordered)}")
    names = _Names()
    body = bytearray()
    previous = b""
    for digest, principal in ordered:
        if len(digest) != 16 or digest == previous:
            raise ValueError("every row of a key table needs its own digest of 16 bytes")
        previous = digest
        body += _encode_row(digest, principal, names)
    header = _HEADER.pack(_MAGIC, 1, _ROW.size, len(ordered), len(names.blob), 0, 0)
    return header[:24] + struct.pack("<I4x", zlib.crc32(header[:24])) + bytes(body) + bytes(names.blob)


def encode_change(change: Change) -> bytes:
    """One frame of the log."""
    payload = _encode_change(change)
    if len(payload) > FRAME_BYTES_MAX:
        raise ValueError(f"a change of a key is at most {FRAME_BYTES_MAX} bytes, not {len(payload)}")
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def decode_changes(log: bytes) -> list[Change]:
    """All frames of `log`. Raises TableDamaged unless every byte belongs to a good frame."""
    changes, used = read_changes(log)
    if used != len(log):
        raise TableDamaged(f"the key log holds {len(log)} bytes, of which only the first {used} are whole frames")
    return changes


def read_changes(log: bytes) -> tuple[list[Change], int]:
    """The good frames at the start of `log`, and how many bytes they take."""
    changes: list[Change] = []
    at = 0
    while at + _FRAME.size <= len(log):
        length, crc = _FRAME.unpack_from(log, at)
        payload = log[at + _FRAME.size : at + _FRAME.size + length]
        if length > FRAME_BYTES_MAX or len(payload) < length or zlib.crc32(payload) != crc:
            break
        try:
            changes.append(_decode_change(payload))
        except msgspec.DecodeError:
            break
        at += _FRAME.size + length
    return changes, at


class KeyTable:
    """Who holds which key. Immutable; `changed` gives another table over the same bytes."""

    __slots__ = ("_changes", "_names_at", "_rows", "_view")

    def __init__(self, buffer: bytes | memoryview, changes: Mapping[bytes, Principal | None] = _NO_CHANGES) -> None:
        """`buffer` is what `encode_table` made; a memory map is given as `memoryview(map)`. Raises TableDamaged."""
        self._view = memoryview(buffer)
        self._rows, self._names_at = _check_header(self._view)
        self._changes = changes

    def find(self, digest: bytes) -> Principal | None:
        """The holder of the key with this 16-byte digest, expired or not; None if nobody holds it."""
        if digest in self._changes:
            return self._changes[digest]
        at = self._find_row(digest)
        return None if at < 0 else self._decode_row(at)

    def changed(self, changes: Iterable[Change]) -> "KeyTable":
        """The same table after `changes`, in order."""
        overlay = dict(self._changes)
        for change in changes:
            overlay[change.digest] = change.principal if isinstance(change, Upsert) else None
        return KeyTable(self._view, overlay)

    @property
    def rows(self) -> int:
        """Rows of the table itself, without later changes."""
        return self._rows

    def _find_row(self, digest: bytes) -> int:
        view, low, high = self._view, 0, self._rows
        while low < high:
            middle = (low + high) >> 1
            at = _HEADER.size + middle * _ROW.size
            found = bytes(view[at : at + 16])
            if found == digest:
                return at
            if found < digest:
                low = middle + 1
            else:
                high = middle
        return -1

    def _decode_row(self, at: int) -> Principal:
        _, key_no, role, public_len, project_len, rpm, burst, expires_s, public_off, project_off = _ROW.unpack_from(self._view, at)
        if role >= len(ROLES):
            raise TableDamaged(f"key {key_no} has role number {role}, which this version does not know")
        return Principal(
            key_no, self._name(public_off, public_len), ROLES[role], self._name(project_off, project_len), rpm, burst, expires_s
        )

    def _name(self, offset: int, length: int) -> str:
        start = self._names_at + offset
        return str(self._view[start : start + length], "utf-8")


class _Names:
    """Texts behind the rows, each stored once."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self._offsets: dict[str, tuple[int, int]] = {}

    def place(self, name: str) -> tuple[int, int]:
        """Offset and length in bytes."""
        if name not in self._offsets:
            raw = name.encode()
            if len(raw) > NAME_BYTES_MAX:
                raise ValueError(f"the name {name[:40]!r}… is longer than {NAME_BYTES_MAX} bytes")
            self._offsets[name] = (len(self.blob), len(raw))
            self.blob += raw
        return self._offsets[name]


def _encode_row(digest: bytes, who: Principal, names: _Names) -> bytes:
    public_off, public_len = names.place(who.public_id)
    project_off, project_len = names.place(who.project)
    role = ROLES.index(who.role)
    return _ROW.pack(digest, who.key_no, role, public_len, project_len, who.rpm, who.burst, who.expires_s, public_off, project_off)


def _check_header(view: memoryview) -> tuple[int, int]:
    """(rows, where names begin). Only the header and the length are checked: hashing all rows is for whoever publishes."""
    if len(view) < _HEADER.size:
        raise TableDamaged("a key table has at least a header of 32 bytes")
    magic, form, row_size, rows, names_len, _, crc = _HEADER.unpack_from(view, 0)
    if magic != _MAGIC or crc != zlib.crc32(view[:24]):
        raise TableDamaged("the header of the key table is damaged")
    if (form, row_size) != (1, _ROW.size):
        raise TableDamaged(f"the key table has format {form}, this version reads format 1")
    names_at = _HEADER.size + rows * _ROW.size
    if names_at + names_len != len(view):
        raise TableDamaged(f"the key table says {names_at + names_len} bytes and has {len(view)}")
    return rows, names_at
