"""Annotations of an answer's text, to citations and back."""

import msgspec

from setpoint.domain.chat import Citation
from setpoint.wire.carried import carried
from setpoint.wire.openai_responses.words import NAME

Json = dict[str, object]


class _Annotation(msgspec.Struct, gc=False):
    """All kinds: url_citation, file_citation, container_file_citation, file_path. `quote` is what this program adds for other providers."""

    type: str | None = None
    url: str | None = None
    title: str | None = None
    filename: str | None = None
    file_id: str | None = None
    index: int | None = None
    start_index: int | None = None
    end_index: int | None = None
    quote: str | None = None


_decode = msgspec.json.Decoder(_Annotation).decode


def citation_of(raw: msgspec.Raw) -> Citation | None:
    """None for what is no annotation at all."""
    written = carried(raw)
    try:
        given = _decode(written)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Citation(
        url=given.url or "",
        title=given.title or given.filename or "",
        quote=given.quote or "",
        start=-1 if given.start_index is None else given.start_index,
        end=-1 if given.end_index is None else given.end_index,
        document=-1 if given.quote is None or given.index is None else given.index,
        file_id=given.file_id or "",
        dialect=NAME,
        raw=written,
    )


def citations_of(raws: list[msgspec.Raw] | None) -> tuple[Citation, ...]:
    return tuple([citation for raw in raws or () if (citation := citation_of(raw)) is not None])


def annotation_of(citation: Citation, text_chars: int) -> Json | msgspec.Raw:
    """A place that is not known is the whole text."""
    if citation.dialect == NAME and citation.raw:
        return msgspec.Raw(citation.raw)
    if citation.url:
        annotation: Json = {
            "type": "url_citation",
            "url": citation.url,
            "title": citation.title,
            "start_index": max(citation.start, 0),
            "end_index": citation.end if citation.end >= 0 else text_chars,
        }
    else:
        annotation = {
            "type": "file_citation",
            "file_id": citation.file_id,
            "filename": citation.title or f"document {max(citation.document, 0)}",
            "index": max(citation.document, 0),
        }
    if citation.quote:
        annotation["quote"] = citation.quote
    return annotation
