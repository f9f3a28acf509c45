"""Citations of this dialect (https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Citation.html)."""

import msgspec

from setpoint.domain.chat import Citation
from setpoint.wire.bedrock_converse.words import DIALECT
from setpoint.wire.carried import carried

Json = dict[str, object]


class _Quote(msgspec.Struct, gc=False):
    text: str | None = None


class _Place(msgspec.Struct, gc=False, rename="camel"):
    document_index: int | None = None


class _Web(msgspec.Struct, gc=False):
    url: str | None = None


class _Location(msgspec.Struct, gc=False, rename="camel"):
    web: _Web | None = None
    document_char: _Place | None = None
    document_page: _Place | None = None
    document_chunk: _Place | None = None


class _Citation(msgspec.Struct, gc=False, rename="camel"):
    title: str | None = None
    source: str | None = None
    source_content: list[_Quote] | None = None
    location: _Location | None = None


_decode = msgspec.json.Decoder(_Citation).decode


def citation_of(raw: bytes) -> Citation:
    """A citation, whole or of a delta."""
    given = _decode(raw)
    location = given.location or _Location()
    place = location.document_char or location.document_page or location.document_chunk or _Place()
    source = given.source or ""
    return Citation(
        url=(location.web.url or "" if location.web else "") or (source if source.startswith(("http://", "https://")) else ""),
        title=given.title or "",
        quote="".join(quote.text or "" for quote in given.source_content or ()),
        document=place.document_index if place.document_index is not None else -1,
        dialect=DIALECT,
        raw=carried(raw),
    )


def written(citation: Citation) -> msgspec.Raw | Json:
    """Itself when it is of this dialect. Of another one's the place in the document is left out: the noun does not hold it."""
    if citation.dialect == DIALECT and citation.raw:
        return msgspec.Raw(citation.raw)
    made: Json = {}
    if citation.title:
        made["title"] = citation.title
    if citation.quote:
        made["sourceContent"] = [{"text": citation.quote}]
    if citation.url:
        made["location"] = {"web": {"url": citation.url}}
    return made
