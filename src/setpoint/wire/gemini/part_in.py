"""One part of a request or an answer, from JSON to the neutral noun."""

import msgspec

from setpoint.domain.chat import Foreign, Part, Text, Thinking
from setpoint.wire.carried import carried
from setpoint.wire.gemini import shapes
from setpoint.wire.gemini.media import inline_part, linked_part
from setpoint.wire.gemini.signed import NAME, read_signature

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_BESIDE = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "partMetadata"})
"""Members that say something about a part but are not what it is."""

_LEVEL = "MEDIA_RESOLUTION_"


def content_part(part: shapes.Part, raw: bytes) -> Part | None:
    """What a part says, when it is neither a function call nor a result of one; None when it says nothing.

    What runs at the provider (code, searches, other tools of its own) and video are foreign, raw.
    """
    if part.inline_data is not None:
        blob = part.inline_data
        if part.thought:
            return Foreign("image of thinking", NAME, carried(raw))
        return inline_part(blob.mime_type or "application/octet-stream", blob.data or "", blob.display_name, raw, _detail(part))
    if part.file_data is not None and part.file_data.file_uri:
        file = part.file_data
        return linked_part(file.file_uri or "", file.mime_type, file.display_name, raw, _detail(part))
    if part.text is None and (kind := _other_kind(raw)):
        return Foreign(kind, NAME, carried(raw))
    return _words(part)


def _words(part: shapes.Part) -> Text | Thinking | None:
    signature, redacted = read_signature(part.thought_signature or "")
    text = part.text or ""
    if part.thought or redacted:
        return Thinking(text, signature, redacted) if text or signature or redacted else None
    return Text(text, signature=signature) if text or signature else None


def _detail(part: shapes.Part) -> str | None:
    given = part.media_resolution
    level = given if isinstance(given, str) or given is None else given.level
    return level.removeprefix(_LEVEL).lower()[:16] if level else None


def _other_kind(raw: bytes) -> str:
    """The name of the first member that says what the part is; empty when there is none."""
    return next((name[:64] for name, value in _members(raw).items() if name not in _BESIDE and bytes(value) != b"null"), "")
