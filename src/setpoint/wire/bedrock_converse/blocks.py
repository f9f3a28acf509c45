"""Blocks of content, from JSON to parts; requests and answers share them."""

import binascii
from base64 import b64decode, b64encode

import msgspec

from setpoint.domain.chat import Audio, CacheMark, Document, Foreign, Image, Part, Text, Thinking, ToolCall, ToolResult
from setpoint.wire.bedrock_converse.citations import citation_of
from setpoint.wire.bedrock_converse.words import ANSWER_TOOL, DIALECT, DOCUMENT_TYPES, IMAGE_TYPES, SIGNER, TEXT_FORMATS
from setpoint.wire.carried import carried
from setpoint.wire.signatures import marked

_NO_RAW = msgspec.Raw()
_BINARY = "base64,"
"""Before redacted thinking whose bytes are no text; Anthropic's always are."""


class _TextOnly(msgspec.Struct, gc=False):
    text: str | None = None


class _Source(msgspec.Struct, gc=False):
    bytes: str | None = None
    text: str | None = None
    content: list[_TextOnly] | None = None


class _Media(msgspec.Struct, gc=False):
    """An image, a document or a sound."""

    source: _Source | None = None
    format: str | None = None
    name: str | None = None
    context: str | None = None
    citations: msgspec.Raw = _NO_RAW


class _ToolUse(msgspec.Struct, gc=False, rename="camel"):
    tool_use_id: str | None = None
    name: str | None = None
    input: msgspec.Raw = _NO_RAW
    type: str | None = None


class _ToolResult(msgspec.Struct, gc=False, rename="camel"):
    tool_use_id: str | None = None
    content: list[msgspec.Raw] | None = None
    status: str | None = None
    type: str | None = None


class _ReasoningText(msgspec.Struct, gc=False):
    text: str | None = None
    signature: str | None = None


class _Reasoning(msgspec.Struct, gc=False, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Cited(msgspec.Struct, gc=False):
    content: list[_TextOnly] | None = None
    citations: list[msgspec.Raw] | None = None


class _Guarded(msgspec.Struct, gc=False):
    text: _TextOnly | None = None
    image: _Media | None = None


class CachePoint(msgspec.Struct, gc=False):
    ttl: str | None = None


class Block(msgspec.Struct, gc=False, rename="camel"):
    """The kinds that have a noun; a block of any other kind stays raw."""

    text: str | None = None
    image: _Media | None = None
    document: _Media | None = None
    audio: _Media | None = None
    tool_use: _ToolUse | None = None
    tool_result: _ToolResult | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Cited | None = None
    guard_content: _Guarded | None = None
    cache_point: CachePoint | None = None


class _ResultBlock(msgspec.Struct, gc=False):
    text: str | None = None
    json: msgspec.Raw = _NO_RAW
    image: _Media | None = None
    document: _Media | None = None


read_block = msgspec.json.Decoder(Block).decode
_result_block = msgspec.json.Decoder(_ResultBlock).decode
_names = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def part_of(block: Block, raw: bytes, notes: dict[str, None]) -> Part:
    """The part a block is. What of it has no noun is added to `notes`."""
    if block.text is not None:
        return Text(block.text)
    if block.tool_use is not None:
        return _call(block.tool_use, raw)
    if block.tool_result is not None:
        return _result(block.tool_result, raw, notes)
    if block.reasoning_content is not None:
        return _thinking(block.reasoning_content)
    if block.image is not None:
        return _image(block.image) or _foreign(raw)
    if block.document is not None:
        return _document(block.document, notes) or _foreign(raw)
    if block.citations_content is not None:
        cited = block.citations_content
        text = "".join(piece.text or "" for piece in cited.content or ())
        return Text(text, citations=tuple(citation_of(bytes(one)) for one in cited.citations or ()))
    if block.guard_content is not None:
        return _guarded(block.guard_content, raw, notes)
    if block.audio is not None:
        source = block.audio.source
        return Audio(source.bytes, block.audio.format or "wav") if source is not None and source.bytes else _foreign(raw)
    return _foreign(raw)


def thinking_of(text: str, signature: str | None, redacted: str | None) -> Thinking:
    """Bedrock carries redacted thinking as base64 of what Anthropic shows as text."""
    if redacted:
        return Thinking("", redacted=marked(SIGNER, _as_text(redacted)))
    return Thinking(text, marked(SIGNER, signature or ""))


def redacted_bytes(text: str) -> str:
    """Redacted thinking in base64, as it stands on the wire."""
    if text.startswith(_BINARY):
        return text.removeprefix(_BINARY)
    return b64encode(text.encode()).decode()


def _as_text(wire: str) -> str:
    try:
        raw = b64decode(wire, validate=True)
        return raw.decode("ascii") if b64encode(raw).decode() == wire else _BINARY + wire
    except (binascii.Error, ValueError):
        return _BINARY + wire


def mark_of(point: CachePoint) -> CacheMark:
    return CacheMark(point.ttl)


def _foreign(raw: bytes) -> Foreign:
    """A kind without a noun: video, files in S3, results of searches, tools that AWS runs."""
    try:
        name = next((name for name in _names(raw) if name != "type"), "empty")
    except msgspec.DecodeError:
        name = "unknown"
    return Foreign(name[:64], DIALECT, carried(raw))


def _call(use: _ToolUse, raw: bytes) -> Part:
    if use.type == "server_tool_use":
        return Foreign("server_tool_use", DIALECT, carried(raw))
    arguments = bytes(use.input).decode("utf-8", "replace") or "{}"
    if use.name == ANSWER_TOOL:
        return Text(arguments)
    return ToolCall(use.tool_use_id or "", use.name or "", arguments)


def _result(result: _ToolResult, raw: bytes, notes: dict[str, None]) -> Part:
    """A result with a type is that of a tool that AWS ran."""
    if result.type is not None and result.type != "tool_result":
        return Foreign("server_tool_result", DIALECT, carried(raw))
    parts = tuple([_result_part(bytes(one), notes) for one in result.content or ()])
    return ToolResult(result.tool_use_id or "", parts, result.status == "error")


def _result_part(raw: bytes, notes: dict[str, None]) -> Text | Image | Document | Foreign:
    block = _result_block(raw)
    if block.text is not None:
        return Text(block.text)
    if block.json:
        return Text(bytes(block.json).decode("utf-8", "replace"))
    if block.image is not None:
        return _image(block.image) or _foreign(raw)
    if block.document is not None:
        return _document(block.document, notes) or _foreign(raw)
    return _foreign(raw)


def _thinking(given: _Reasoning) -> Thinking:
    text = given.reasoning_text or _ReasoningText()
    return thinking_of(text.text or "", text.signature, given.redacted_content)


def _image(image: _Media) -> Image | None:
    if image.source is None or not image.source.bytes:
        return None
    return Image(data=image.source.bytes, media_type=IMAGE_TYPES.get(image.format or "", f"image/{image.format or 'png'}"))


def _document(document: _Media, notes: dict[str, None]) -> Document | None:
    source = document.source
    if source is None:
        return None
    for name, given in (("citations", bytes(document.citations)), ("context", document.context)):
        if given and given != b"null":
            notes[f"messages.document.{name}"] = None
    text = source.text
    if source.content is not None:
        text = "\n\n".join(piece.text or "" for piece in source.content)
    kind = document.format or ("txt" if text is not None else "pdf")
    media_type = DOCUMENT_TYPES.get(kind, "application/octet-stream")
    if text is None and source.bytes and kind in TEXT_FORMATS:
        text = _plain(source.bytes)
    if text is not None:
        return Document(document.name, media_type=media_type, text=text)
    return Document(document.name, source.bytes, media_type) if source.bytes else None


def _plain(data: str) -> str | None:
    """The text of a file, if it is one."""
    try:
        return b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _guarded(guarded: _Guarded, raw: bytes, notes: dict[str, None]) -> Part:
    """What a guardrail should look at is content like any other; that it is marked so has no noun."""
    notes["messages.guardContent"] = None
    if guarded.text is not None:
        return Text(guarded.text.text or "")
    return (_image(guarded.image) if guarded.image is not None else None) or _foreign(raw)
