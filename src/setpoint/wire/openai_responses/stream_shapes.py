"""What a Responses stream is read by: the shape of its events, and what is open while they come."""

import msgspec

from setpoint.wire.openai_responses.answer import Answer

_text = msgspec.json.Decoder(str).decode


class Event(msgspec.Struct, gc=False):
    type: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    delta: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()
    arguments: msgspec.Raw = msgspec.Raw()
    input: msgspec.Raw = msgspec.Raw()
    annotation: msgspec.Raw = msgspec.Raw()
    logprobs: msgspec.Raw = msgspec.Raw()
    item: msgspec.Raw = msgspec.Raw()
    response: Answer | None = None


class OpenPart:
    """A part of a message that is open: the pieces of text that came, and how much of the rest."""

    __slots__ = ("cited", "measured", "said")

    def __init__(self) -> None:
        self.said: list[str] = []
        self.cited = 0
        self.measured = False


class OpenItem:
    """An item that is open: what of it has been told already."""

    __slots__ = ("call", "custom", "kind", "paragraph", "parts", "said")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.call = -1
        self.custom = False
        self.said: list[str] = []
        self.paragraph = 0
        self.parts: dict[int, OpenPart] = {}

    def part(self, no: int | None) -> OpenPart:
        return self.parts.setdefault(no or 0, OpenPart())


def string_of(raw: msgspec.Raw) -> str:
    """Text of a delta; what is no string says nothing."""
    written = bytes(raw)
    return _text(written) if written.startswith(b'"') else ""


def rest_of(whole: str, said: list[str]) -> str:
    """What of a text its deltas left out; nothing when they said something else."""
    if not said:
        return whole
    told = "".join(said)
    return whole[len(told) :] if whole.startswith(told) else ""
