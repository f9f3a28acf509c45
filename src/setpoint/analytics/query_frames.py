"""What the engine and the query process say to each other over `run/query.sock`.

    frame    := length:u32 (little endian) msgpack
    question := Get | Find | Tail      one at a time on a connection
    answer   := Answer

The connection is closed on anything that is not this, and by the engine when an answer takes too long.
"""

import struct

import msgspec

from setpoint.domain.faults import Fault
from setpoint.domain.trace_query import TraceQuery
from setpoint.ports.trace_store import TailPage

LENGTH = struct.Struct("<I")
FRAME_BYTES_MAX = 16 * 1024 * 1024
"""A trace holds at most two captured texts of 256 KiB, which JSON escapes may multiply by six; a page of 1,000 items is below 2 MB."""


class Get(msgspec.Struct, frozen=True, tag=True):
    id: str
    time_s: float


class Find(msgspec.Struct, frozen=True, tag=True):
    query: TraceQuery
    time_s: float


class Tail(msgspec.Struct, frozen=True, tag=True):
    since_n: int | None
    query: TraceQuery
    time_s: float


Question = Get | Find | Tail


class Answer(msgspec.Struct, frozen=True):
    """Exactly one is set. `body` is JSON for the client."""

    body: bytes | None = None
    page: TailPage | None = None
    fault: Fault | None = None


_encode = msgspec.msgpack.Encoder().encode
decode_question = msgspec.msgpack.Decoder(Question).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


def frame(message: Question | Answer) -> bytes:
    data = _encode(message)
    return LENGTH.pack(len(data)) + data
