"""Citations (https://docs.cohere.com/docs/documents-and-citations), to nouns and back.

    {"start": 5, "end": 8, "text": "Rex", "type": "TEXT_CONTENT",
     "sources": [{"type": "document", "id": "doc:0", "document": {"title": "Dogs", "text": "Rex is a dog."}}]}

One citation may have several sources; a noun has one, so each source becomes a citation of its own, and they are put together again when
they are written. Citations of a plan or of thinking are left out: nothing else can cite in a thought.
"""

import re

import msgspec

from setpoint.domain.chat import Citation
from setpoint.wire.carried import carried

Json = dict[str, object]
NAME = "cohere"

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_DOCUMENT_NO = re.compile(r"doc:(\d{1,6})")
_QUOTED = ("text", "snippet", "content")


class _Source(msgspec.Struct, gc=False):
    id: str | None = None
    document: dict[str, object] | None = None
    tool_output: dict[str, object] | None = None


class _Shape(msgspec.Struct, gc=False):
    start: int | None = None
    end: int | None = None
    sources: list[msgspec.Raw] | None = None
    content_index: int | None = None
    type: str | None = None


_shape = msgspec.json.Decoder(_Shape).decode
_source = msgspec.json.Decoder(_Source).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Read(msgspec.Struct, frozen=True):
    """Citations of one passage, one for each source; `content_index` is the block they are in, None when it is not said."""

    citations: tuple[Citation, ...]
    content_index: int | None = None


def read_citation(raw: msgspec.Raw) -> Read:
    """One citation as the provider wrote it; an odd one is none."""
    try:
        shape, members = _shape(raw), _members(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Read(())
    if shape.type not in {None, "TEXT_CONTENT"}:
        return Read(())
    start = -1 if shape.start is None else shape.start
    end = -1 if shape.end is None else shape.end
    return Read(tuple([_of_source(members, source, start, end) for source in shape.sources or ()]), shape.content_index)


def _of_source(members: dict[str, msgspec.Raw], raw: msgspec.Raw, start: int, end: int) -> Citation:
    try:
        source = _source(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        source = _Source()
    said = source.document or source.tool_output or {}
    number = _DOCUMENT_NO.fullmatch(source.id or "") if source.document is not None else None
    quote = next((text for name in _QUOTED if (text := said.get(name))), "")
    return Citation(
        url=_text(said.get("url")),
        title=_text(said.get("title")),
        quote=_text(quote),
        start=start,
        end=end,
        document=int(number[1]) if number else -1,
        dialect=NAME,
        raw=carried(_encode({**members, "sources": [raw]})),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def write_citations(citations: tuple[Citation, ...], text: str, before: int, index: int) -> list[Json]:
    """Citations of a part that begins `before` characters into the block number `index`, whose whole text is `text`."""
    written: list[Json] = []
    for citation in citations:
        shown = _written(citation, text, before, index)
        last = written[-1] if written else None
        if last is not None and _alike(last, shown):
            last["sources"] = [*_sources(last), *_sources(shown)]
        else:
            written.append(shown)
    return written


def _written(citation: Citation, text: str, before: int, index: int) -> Json:
    shown: Json = {"sources": [_source_of(citation)], "type": "TEXT_CONTENT", "content_index": index}
    if citation.dialect == NAME and citation.raw:
        members = _members(citation.raw)
        shown = {**members, "sources": _raws(members["sources"])}
    if 0 <= citation.start <= citation.end:
        start, end = citation.start + before, citation.end + before
        shown |= {"start": start, "end": end, "text": text[start:end]}
    if "content_index" in shown:
        shown["content_index"] = index
    return shown


def _source_of(citation: Citation) -> Json:
    said = {name: value for name, value in (("title", citation.title), ("url", citation.url), ("text", citation.quote)) if value}
    known_as = f"doc:{citation.document}" if citation.document >= 0 else citation.file_id or citation.url or citation.title or "doc"
    return {"type": "document", "id": known_as, "document": said}


def _sources(shown: Json) -> list[object]:
    sources = shown["sources"]
    return sources if isinstance(sources, list) else []


def _alike(one: Json, other: Json) -> bool:
    """Whether two citations are of the same passage."""
    return "start" in one and (one["start"], one.get("end")) == (other.get("start"), other.get("end"))
