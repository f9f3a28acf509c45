"""Content of messages and of tool results, to parts."""

import msgspec

from setpoint.domain.chat import Audio, CacheMark, Citation, Document, Foreign, Image, Part, Refusal, Text
from setpoint.domain.faults import Fault
from setpoint.wire.bodies import wrong
from setpoint.wire.openai_responses.citations import citations_of
from setpoint.wire.openai_responses.items_in import KIND_CHARS_MAX
from setpoint.wire.openai_responses.words import NAME


class _Breakpoint(msgspec.Struct, gc=False):
    mode: str | None = None


class _Audio(msgspec.Struct, gc=False):
    data: str
    format: str = "wav"


class _Content(msgspec.Struct, gc=False):
    type: str | None = None
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _Audio | None = None
    annotations: list[msgspec.Raw] | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


content_list = msgspec.json.Decoder(str | list[msgspec.Raw] | None).decode
_content = msgspec.json.Decoder(_Content).decode
_TEXTS = frozenset({"input_text", "output_text", "text", "summary_text"})
_NO_CITATIONS: tuple[Citation, ...] = ()


class Unreadable(Exception):
    """Carries the fault from a part up to `decode_request`; never leaves this package."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def parts_of(content: msgspec.Raw, at: str) -> tuple[Part, ...]:
    """A text, or a list of parts; nothing when there is none."""
    if bytes(content) in {b"", b"null", b'""'}:
        return ()
    given = content_list(content)
    if given is None or isinstance(given, str):
        return (Text(given or ""),)
    return tuple([_part(raw, f"{at}[{no}]") for no, raw in enumerate(given)])


def _part(raw: msgspec.Raw, at: str) -> Part:
    part = _content(raw)
    cache = None if part.prompt_cache_breakpoint is None else CacheMark()
    kind = part.type or ""
    if kind in _TEXTS:
        citations = citations_of(part.annotations) if part.annotations else _NO_CITATIONS
        return Text(part.text or "", cache, citations)
    if kind == "refusal":
        return Refusal(part.refusal or "")
    if kind == "input_image":
        return _image(part, cache, at)
    if kind == "input_file":
        return _document(part, cache, at)
    if kind == "input_audio" and part.input_audio is not None:
        return Audio(part.input_audio.data, part.input_audio.format)
    return Foreign(kind[:KIND_CHARS_MAX], NAME, bytes(raw))


def _image(part: _Content, cache: CacheMark | None, at: str) -> Image:
    detail = None if part.detail == "auto" else part.detail
    if part.image_url is None:
        if part.file_id is None:
            raise Unreadable(wrong(at, "an image needs image_url or file_id."))
        return Image(file_id=part.file_id, detail=detail, cache=cache)
    media_type, data = data_url(part.image_url)
    if data is None:
        return Image(url=part.image_url, detail=detail, cache=cache)
    return Image(data=data, media_type=media_type, detail=detail, cache=cache)


def _document(part: _Content, cache: CacheMark | None, at: str) -> Document:
    if part.file_data is not None:
        media_type, data = data_url(part.file_data)
        if data is None:
            return Document(part.filename, part.file_data, "application/pdf", cache=cache)
        return Document(part.filename, data, media_type, cache=cache)
    if part.file_url is not None:
        return Document(part.filename, url=part.file_url, cache=cache)
    if part.file_id is not None:
        return Document(part.filename, file_id=part.file_id, cache=cache)
    raise Unreadable(wrong(at, "a file needs file_data, file_url or file_id."))


def data_url(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 text of a `data:` URL (RFC 2397); (None, None) for every other URL."""
    if not url.startswith("data:"):
        return None, None
    head, comma, data = url[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None, None
    return head[:-7].partition(";")[0] or "text/plain", data
