"""The events of a Responses stream as bytes: their numbers, their places, and the items they tell."""

import msgspec

from setpoint.wire.bodies import pieces
from setpoint.wire.dialect import DELTA_BYTES_MAX
from setpoint.wire.openai_responses.items_out import Item

Json = dict[str, object]
_encode = msgspec.json.Encoder().encode


class EventWriter:
    """Writes events into `out`, which the renderer takes. At most one item is open, under `item_id`; `items` are those that are done."""

    __slots__ = ("_delta_head", "item_id", "items", "open", "out", "sequence")

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.sequence = 0
        self.items: list[Item] = []
        self.open = ""
        self.item_id = ""
        self._delta_head = b""

    def take(self) -> bytes:
        """What was written since the last time."""
        written = b"".join(self.out)
        self.out.clear()
        return written

    @property
    def no(self) -> int:
        """The number of the item that is open, or comes next."""
        return len(self.items)

    def at(self, **members: object) -> Json:
        """The members that name a place in the open item."""
        return {"item_id": self.item_id, "output_index": self.no, **members}

    def emit(self, kind: bytes, members: Json) -> None:
        head = b'event: %s\ndata: {"type":"%s","sequence_number":%d,' % (kind, kind, self.sequence)
        self.out.append(head + _encode(members)[1:] + b"\n\n")
        self.sequence += 1

    def set_delta(self, kind: bytes, place: bytes = b"") -> None:
        """All deltas of a part differ in number and text only, so the rest is encoded once."""
        where = b'"item_id":%s,"output_index":%d,' % (_encode(self.item_id), self.no)
        self._delta_head = b'event: %s\ndata: {"type":"%s",' % (kind, kind) + where + place + b'"sequence_number":'

    def deltas(self, text: str) -> None:
        for piece in pieces(text, DELTA_BYTES_MAX):
            self.out.append(self._delta_head + b'%d,"delta":' % self.sequence + _encode(piece) + b"}\n\n")
            self.sequence += 1

    def open_item(self, kind: str, given_id: str, item: Item) -> None:
        self.open = kind
        self.item_id = given_id
        self.emit(b"response.output_item.added", {"output_index": self.no, "item": item})

    def close_item(self, item: Item) -> None:
        self.open = ""
        self.emit(b"response.output_item.done", {"output_index": self.no, "item": item})
        self.items.append(msgspec.Raw(_encode(item)))

    def whole_item(self, item: Item) -> None:
        self.open_item("whole", "", item)
        self.close_item(item)
