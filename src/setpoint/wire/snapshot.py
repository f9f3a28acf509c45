"""The published configuration as bytes: the plan file, and CURRENT, which says what counts now.

A plan file carries its own hash, so that a start with a damaged CURRENT can still tell a good plan from a bad one:
"SPPLAN01", 32 bytes SHA-256 of the rest, msgpack of `domain.plan.Plan`. CURRENT is msgpack behind "SPCURR01" and a CRC.
"""

import hashlib
import struct
import zlib

import msgspec

from setpoint.domain.plan import Plan
from setpoint.domain.snapshot import Current

PLAN_BYTES_MAX = 64 * 1024 * 1024

_PLAN_MAGIC = b"SPPLAN01"
_PLAN_HEAD_BYTES = 40
_CURRENT_MAGIC = b"SPCURR01"
_CURRENT_HEAD = struct.Struct("<8sI")

_encode = msgspec.msgpack.Encoder().encode
_decode_plan = msgspec.msgpack.Decoder(Plan).decode
_decode_current = msgspec.msgpack.Decoder(Current).decode


class SnapshotDamaged(Exception):
    """These bytes are not what was published."""


def encode_plan(plan: Plan) -> bytes:
    """A plan file. Raises ValueError above 64 MiB: a plan is read by every worker at once."""
    body = _encode(plan)
    if len(body) > PLAN_BYTES_MAX:
        raise ValueError(f"a plan is at most {PLAN_BYTES_MAX} bytes, this one {len(body)}")
    return _PLAN_MAGIC + hashlib.sha256(body).digest() + body


def plan_sha256(data: bytes) -> bytes:
    """The hash that a plan file says it has."""
    return data[8:_PLAN_HEAD_BYTES]


def decode_plan(data: bytes) -> Plan:
    """Raises SnapshotDamaged unless the hash holds and the content is a plan of this version."""
    if data[:8] != _PLAN_MAGIC:
        raise SnapshotDamaged("not a plan file")
    body = data[_PLAN_HEAD_BYTES:]
    if hashlib.sha256(body).digest() != plan_sha256(data):
        raise SnapshotDamaged("the plan does not have the hash that it was published with")
    try:
        return _decode_plan(body)
    except msgspec.DecodeError as error:
        raise SnapshotDamaged(f"the plan was written by another version: {error}") from None


def encode_current(current: Current) -> bytes:
    """The content of CURRENT."""
    body = _encode(current)
    return _CURRENT_HEAD.pack(_CURRENT_MAGIC, zlib.crc32(body)) + body


def decode_current(data: bytes) -> Current:
    """Raises SnapshotDamaged."""
    body = data[_CURRENT_HEAD.size :]
    if len(data) < _CURRENT_HEAD.size or _CURRENT_HEAD.unpack_from(data) != (_CURRENT_MAGIC, zlib.crc32(body)):
        raise SnapshotDamaged("CURRENT is damaged")
    try:
        return _decode_current(body)
    except msgspec.DecodeError as error:
        raise SnapshotDamaged(f"CURRENT was written by another version: {error}") from None
