"""Ids of function calls, and which call a result belongs to.

Gemini's `id` is optional, and a result names its function. So calls without an id get one by their number in the conversation, and a
result without one belongs to the first call of its name that has none yet.
"""

import msgspec

from setpoint.domain.chat import Document, Foreign, Image, Text, ToolResult
from setpoint.wire.carried import carried
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.media import inline_part, linked_part

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


class CallBook:
    """The calls of one conversation in order, and those that still wait for their result."""

    __slots__ = ("_count", "_known", "_open")

    def __init__(self) -> None:
        self._count = 0
        self._known: set[str] = set()
        self._open: list[tuple[str, str]] = []

    def called(self, given: str | None, name: str) -> str:
        """The id of a call."""
        self._count += 1
        call_id = given or self._free_id()
        self._known.add(call_id)
        self._open.append((call_id, name))
        return call_id

    def answered(self, given: str | None, name: str) -> str:
        """The id of the call that a result belongs to."""
        if given:
            at = next((no for no, (call_id, _) in enumerate(self._open) if call_id == given), -1)
        else:
            at = next((no for no, (_, called) in enumerate(self._open) if called == name), -1)
        if at >= 0:
            return self._open.pop(at)[0]
        return given or f"call_{name}"

    def _free_id(self) -> str:
        number = self._count
        while f"call_{number}" in self._known:
            number += 1
        return f"call_{number}"


def read_result(given: shapes.FunctionResponse, book: CallBook) -> ToolResult:
    """A result. By convention `output` holds what a function gave and `error` what went wrong; anything else is the output as a whole
    (https://ai.google.dev/api/caching#FunctionResponse)."""
    text, is_error = _said(shapes.given(given.response))
    said = (Text(text),) if text else ()
    files = [file for part in given.parts or () if part is not None and (file := _file(part)) is not None]
    return ToolResult(book.answered(given.id, given.name or ""), (*said, *files), is_error)


def _said(response: bytes) -> tuple[str, bool]:
    if not response:
        return "", False
    members = {name: raw for name, value in _members(response).items() if (raw := shapes.given(value))}
    if members.keys() == {"output"}:
        return _plain(members["output"]), False
    if members.keys() == {"error"}:
        return _plain(members["error"]), True
    return shapes.compact(response), "error" in members


def _plain(raw: bytes) -> str:
    return _text(raw) if raw.startswith(b'"') else shapes.compact(raw)


def _file(part: shapes.ResultPart) -> Image | Document | Foreign | None:
    raw = msgspec.json.encode(part)
    if part.inline_data is not None:
        blob = part.inline_data
        made = inline_part(blob.mime_type or "application/octet-stream", blob.data or "", blob.display_name, raw)
    elif part.file_data is not None:
        file = part.file_data
        made = linked_part(file.file_uri or "", file.mime_type, file.display_name, raw)
    else:
        return None
    return made if isinstance(made, Image | Document | Foreign) else Foreign("audio", "gemini", carried(raw))
