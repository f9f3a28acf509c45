"""What a text rests on, as Anthropic writes it (https://docs.anthropic.com/en/docs/build-with-claude/citations).

A citation belongs to a whole block, so an answer that cites is a row of short blocks of text. Its kinds are places in documents of the
prompt (char_location, page_location, content_block_location), in results of a search given with the prompt (search_result_location) and
on the web (web_search_result_location). Citations of other dialects are shown as places on the web when they have an address, and as
places in a document otherwise; such a one cannot go back to Anthropic, which made no `encrypted_index` for it.
"""

import msgspec

from setpoint.domain.chat import Citation, Text
from setpoint.wire.carried import carried

Json = dict[str, object]


class _Location(msgspec.Struct, gc=False):
    type: str = ""
    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None
    document_index: int | None = None
    file_id: str | None = None


_decode = msgspec.json.Decoder(_Location).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_MADE_UP = b'"encrypted_index":""'


def citation_of(raw: bytes) -> Citation | None:
    try:
        given = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return Citation(
        given.url or given.source or "",
        given.title or given.document_title or "",
        given.cited_text or "",
        document=-1 if given.document_index is None else given.document_index,
        file_id=given.file_id or "",
        dialect="anthropic",
        raw=carried(raw),
    )


def citations_of(raw: msgspec.Raw) -> tuple[Citation, ...]:
    """Citations of one block; none when the member is absent or of another form (documents have a switch of that name)."""
    if not bytes(raw).startswith(b"["):
        return ()
    try:
        found = [citation_of(bytes(item)) for item in _raws(raw)]
    except msgspec.DecodeError:
        return ()
    return tuple(citation for citation in found if citation is not None)


def shown(citation: Citation) -> msgspec.Raw | Json:
    """A citation for a client."""
    if citation.dialect == "anthropic" and citation.raw:
        return msgspec.Raw(citation.raw)
    if citation.url:
        made: Json = {"type": "web_search_result_location", "url": citation.url, "title": citation.title or None}
        return {**made, "cited_text": citation.quote, "encrypted_index": ""}
    made = {"type": "char_location", "document_index": max(0, citation.document), "document_title": citation.title or None}
    made |= {"cited_text": citation.quote, "start_char_index": 0, "end_char_index": len(citation.quote)}
    return {**made, "file_id": citation.file_id or None}


def said_again(citations: tuple[Citation, ...]) -> list[msgspec.Raw]:
    """The citations of an earlier turn that Anthropic itself made."""
    return [
        msgspec.Raw(citation.raw)
        for citation in citations
        if citation.dialect == "anthropic" and citation.raw and _MADE_UP not in citation.raw.replace(b" ", b"")
    ]


def cited_blocks(part: Text) -> list[Json]:
    """A text as blocks for a client: cut where its citations begin and end."""
    text, at = part.text, 0
    blocks: list[Json] = []
    placed = [citation for citation in part.citations if 0 <= citation.start < citation.end <= len(text)]
    for citation in sorted(placed, key=lambda citation: (citation.start, citation.end)):
        if citation.start < at and blocks:
            _cite(blocks[-1], citation)  # it overlaps the one before
            continue
        if citation.start > at:
            blocks.append({"type": "text", "text": text[at : citation.start]})
        blocks.append({"type": "text", "text": text[citation.start : citation.end]})
        _cite(blocks[-1], citation)
        at = citation.end
    if at < len(text) or not blocks:
        blocks.append({"type": "text", "text": text[at:]})
    for citation in part.citations:
        if citation not in placed:
            _cite(blocks[-1], citation)
    return blocks


def _cite(block: Json, citation: Citation) -> None:
    citations = block.setdefault("citations", [])
    assert isinstance(citations, list)
    citations.append(shown(citation))
