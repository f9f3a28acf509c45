"""Files in parts: media types, where a file lies, and which neutral part it is."""

import base64
import binascii

from setpoint.domain.chat import Audio, Document, Foreign, Image, Part
from setpoint.wire.carried import carried

_BY_EXTENSION = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
    "xml": "text/xml",
    "json": "application/json",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mp4": "video/mp4",
    "mov": "video/mov",
    "webm": "video/webm",
}
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav", "audio/mp3": "mp3", "audio/mpeg": "mp3"}
_VIDEO_HOSTS = ("https://www.youtube.com/", "https://youtube.com/", "https://m.youtube.com/", "https://youtu.be/")
_OWN_FILES = ("gs://", "https://generativelanguage.googleapis.com/")


def media_type_of(url: str) -> str | None:
    """The media type that the name at the end of a URL tells; None when it tells none."""
    path = url.partition("?")[0].partition("#")[0]
    name, dot, extension = path.rpartition("/")[2].rpartition(".")
    return _BY_EXTENSION.get(extension.lower()) if dot and name else None


def lies_at_google(url: str) -> bool:
    """A file of the Files API or of Cloud Storage: only Google can open it."""
    return url.startswith(_OWN_FILES)


def inline_part(media_type: str, data: str, name: str | None, raw: bytes, detail: str | None = None) -> Part:
    """The neutral part of bytes in a request or answer. What no other dialect has (video, rare audio) stays foreign."""
    data = _standard(data)
    kind = media_type.partition(";")[0].strip().lower()
    if kind.startswith("image/"):
        return Image(data=data, media_type=media_type, detail=detail)
    if kind in _AUDIO:
        return Audio(data, _AUDIO[kind])
    if kind.startswith(("audio/", "video/")):
        return Foreign(kind[:64], "gemini", carried(raw))
    if kind.startswith("text/") and (text := _text(data)) is not None:
        return Document(name, media_type=media_type, text=text)
    return Document(name, data, media_type)


def linked_part(url: str, media_type: str | None, name: str | None, raw: bytes, detail: str | None = None) -> Part:
    """The neutral part of a file by reference."""
    kind = media_type or media_type_of(url) or ("video/mp4" if url.startswith(_VIDEO_HOSTS) else "")
    if not kind or kind.startswith(("audio/", "video/")):
        return Foreign(kind[:64] or "fileData without a type", "gemini", carried(raw))
    at_url, file_id = (None, url) if lies_at_google(url) else (url, None)
    if kind.startswith("image/"):
        return Image(at_url, media_type=kind, file_id=file_id, detail=detail)
    return Document(name, media_type=kind, url=at_url, file_id=file_id)


def _standard(data: str) -> str:
    """Google's SDK writes base64 in the alphabet for URLs; other providers want the usual one."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data if len(data) % 4 == 0 else data + "=" * (-len(data) % 4)


def _text(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
