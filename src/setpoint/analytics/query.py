"""Answers about traces: lists from the index, details from wherever the trace lies at this moment.

A trace moves while it is read: from the spool into a segment, from one segment into another. So a detail is looked up again, from the
index on, whenever a file it should be in has gone; each move leaves the next place in the catalog before the old one is removed.
"""

import binascii
from pathlib import Path
from typing import Any

import msgspec

from setpoint.analytics.spool_reader import boot_of
from setpoint.analytics.trace_view import list_item, whole_trace
from setpoint.analytics.unsealed import NS_PER_DAY, attempt_of, day_no, day_text
from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.trace import Attempt, RecordHead, RecordKind, RecordTail
from setpoint.domain.trace_query import Position, TraceQuery, cursor_of
from setpoint.ports.files import Files
from setpoint.ports.trace_store import TAIL_ITEMS_MAX, IndexedTrace, StoredSegments, StoredTraces, TailPage
from setpoint.wire.spool import BLOCK_BYTES_MAX, BLOCK_HEADER_BYTES, HEAD, read_block, records

MOVES_MAX = 4
"""Times a trace may move during one look-up."""
TAIL_DAYS = 3
"""A tail watches the youngest days; an exchange that began before them and ends now is in no tail."""
ALIAS_BYTES_MAX = 256

_encode = msgspec.json.Encoder().encode
_ATTEMPTS = msgspec.json.Decoder(list[Attempt])
_TAIL_NAMES = RecordTail.__struct_fields__
_HEAD_NAMES = tuple(name for name in RecordHead.__struct_fields__ if name not in ("kind", "request_id", "streamed"))


class TraceQueries:
    """Blocking; one per thread. StoreError and TimeUp pass through."""

    def __init__(self, files: Files, spool: Path, traces: StoredTraces, segments: StoredSegments) -> None:
        self._files, self._spool, self._traces, self._segments = files, spool, traces, segments

    def get(self, text: str) -> bytes | Fault:
        """See `TraceReader.get`."""
        request_id = self._request_id(text)
        trace = self._whole(request_id) if request_id else None
        if trace is None:
            return Fault(FaultKind.not_found, f"there is no trace '{text[:64]}'; it may be older than the retention", param="id")
        return _encode(trace)

    def find(self, query: TraceQuery) -> bytes:
        """See `TraceReader.find`."""
        rows = self._page(query)
        more = len(rows) > query.limit
        rows = rows[: query.limit]
        meta: dict[str, Any] = {"limit": query.limit}
        if more:
            meta["cursor"] = cursor_of(query, Position(rows[-1]["sort_value"], rows[-1]["id"]))
        return _encode({"data": [list_item(row, query.fields) for row in rows], "meta": meta})

    def tail(self, since_n: int | None, query: TraceQuery) -> TailPage:
        """See `TraceReader.tail`."""
        days = self._traces.days()[-TAIL_DAYS:]
        if since_n is None:
            return TailPage((), max((self._traces.last_n(day) + 1 for day in days), default=1))
        rows = [row for day in days for row in self._traces.arrived(day, since_n, query, TAIL_ITEMS_MAX)]
        rows = sorted(rows, key=lambda row: row["n"])[:TAIL_ITEMS_MAX]
        items = tuple((row["n"], _encode(list_item(row, query.fields))) for row in rows)
        return TailPage(items, items[-1][0] + 1 if items else since_n)

    def _page(self, query: TraceQuery) -> list[dict[str, Any]]:
        days = [day for day in self._traces.days() if _in_range(day, query)]
        wanted = query.limit + 1
        rows: list[dict[str, Any]] = []
        if query.sort.lstrip("-") == "start_time":
            for day in reversed(days) if query.sort == "-start_time" else days:
                rows += self._traces.select(day, query, wanted - len(rows))
                if len(rows) >= wanted:
                    break
            return rows
        for day in days:
            rows += self._traces.select(day, query, wanted)
        rows.sort(key=lambda row: (row["sort_value"], row["id"]), reverse=query.sort.startswith("-"))
        return rows[:wanted]

    def _request_id(self, text: str) -> bytes | None:
        """The request id that `text` means. A trace id looks like one of ours, so that is looked up first."""
        try:
            key = binascii.unhexlify(text) if len(text) == 32 else text.encode()
        except ValueError:
            key = text.encode()
        if len(key) == 16 and self._traces.locate(day_text(day_no(key)), key):
            return key
        if len(key) > ALIAS_BYTES_MAX:
            return None
        found = (self._traces.locate_alias(day, key) for day in reversed(self._traces.days()))
        return next((request_id for request_id in found if request_id is not None), None)

    def _whole(self, request_id: bytes) -> dict[str, Any] | None:
        day = day_text(day_no(request_id))
        for _ in range(MOVES_MAX):
            indexed = self._traces.locate(day, request_id)
            if indexed is None:
                return None
            try:
                if (trace := self._from_segment(indexed) or self._from_side(indexed) or self._from_spool(indexed)) is not None:
                    return trace
            except FileNotFoundError:
                continue
        return None

    def _from_segment(self, indexed: IndexedTrace) -> dict[str, Any] | None:
        segment = self._traces.segment_of(indexed.day, indexed.n)
        found = self._segments.read(segment, indexed.n) if segment else None
        if found is None:
            return None
        meta, prompt, answer = found
        # A segment of an earlier version lacks what was added since.
        tail = RecordTail(**{name: meta[name] for name in _TAIL_NAMES if meta.get(name) is not None})
        numbers: dict[str, Any] = {name: meta[name] for name in _HEAD_NAMES}
        numbers |= {"kind": RecordKind.end, "request_id": meta["id"], "streamed": bool(meta["streamed"])}
        head = RecordHead(**numbers)
        return whole_trace(head, tail, _ATTEMPTS.decode(meta["attempt_list"]), prompt, answer)

    def _from_side(self, indexed: IndexedTrace) -> dict[str, Any] | None:
        if indexed.spool_name:
            return None
        raw_head, raw_tail, prompt = _side(self._traces.sides(indexed.day, indexed.id)[0])
        numbers = HEAD.unpack(raw_head)
        tail = msgspec.msgpack.decode(raw_tail, type=RecordTail)
        return whole_trace(RecordHead(*numbers[:22]), tail, self._attempts(indexed), prompt, b"")

    def _from_spool(self, indexed: IndexedTrace) -> dict[str, Any] | None:
        """FileNotFoundError when the file was sealed and unlinked since the index was read."""
        fd = self._files.open_read(self._spool / indexed.spool_name)
        try:
            start, place = indexed.at >> 16, indexed.at & 0xFFFF
            header = self._files.read_at(fd, BLOCK_HEADER_BYTES, start)
            length = min(int.from_bytes(header[8:12], "little"), BLOCK_BYTES_MAX)
            block = read_block(self._files.read_at(fd, length, start), 0, boot_of(indexed.spool_name))
        finally:
            self._files.close(fd)
        if block is None or place >= block.n:
            return None
        record = list(records(block))[place]
        return whole_trace(record.head, record.tail, self._attempts(indexed), record.prompt, record.answer)

    def _attempts(self, indexed: IndexedTrace) -> list[Attempt]:
        sides = self._traces.sides(indexed.day, indexed.id)
        return [attempt_of(raw_head, raw_tail) for no, record in sides.items() if no for raw_head, raw_tail, _ in [_side(record)]]


def _side(record: bytes) -> tuple[bytes, bytes, bytes]:
    return msgspec.msgpack.decode(record, type=tuple[bytes, bytes, bytes])


def _in_range(day: str, query: TraceQuery) -> bool:
    first = day_text((query.from_ns or 0) // NS_PER_DAY)
    last = day_text(min(query.to_ns // NS_PER_DAY, 2_932_896)) if query.to_ns is not None else "9999-12-31"
    return first <= day <= last
