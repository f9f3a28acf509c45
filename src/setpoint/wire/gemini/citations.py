"""What an answer rests on: groundingMetadata and citationMetadata (https://ai.google.dev/api/generate-content#GroundingMetadata).

Google says where a passage lies in bytes of UTF-8, of one part when it names one, of all text together otherwise. Inside, and for every
other dialect, a place is counted in characters of the part of text that the citation stands with.
"""

import msgspec

from setpoint.domain.chat import Citation

Json = dict[str, object]


class _Source(msgspec.Struct, gc=False, rename="camel"):
    uri: str | None = None
    title: str | None = None
    text: str | None = None
    file_search_store: str | None = None


class _Chunk(msgspec.Struct, gc=False, rename="camel"):
    web: _Source | None = None
    retrieved_context: _Source | None = None
    maps: _Source | None = None
    image: _Source | None = None


class _Segment(msgspec.Struct, gc=False, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    part_index: int | None = None
    text: str | None = None


class _Support(msgspec.Struct, gc=False, rename="camel"):
    segment: _Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(msgspec.Struct, gc=False, rename="camel"):
    grounding_chunks: list[_Chunk | None] | None = None
    grounding_supports: list[_Support | None] | None = None


class _Cited(msgspec.Struct, gc=False, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(msgspec.Struct, gc=False, rename="camel"):
    """AI Studio calls the list `citationSources`, Vertex `citations`."""

    citation_sources: list[_Cited | None] | None = None
    citations: list[_Cited | None] | None = None


class Place(msgspec.Struct, frozen=True):
    """A citation, and which of the texts it stands with."""

    text_no: int
    citation: Citation


def places(grounding: Grounding | None, cited: CitationMetadata | None, texts: list[tuple[int, str]]) -> list[Place]:
    """Every citation of an answer whose `texts` are given with the number of their part."""
    finder = _Finder(texts)
    found: list[Place] = []
    if grounding is not None:
        found += _grounded(grounding, finder)
    if cited is not None:
        for source in cited.citation_sources or cited.citations or ():
            if source is not None:
                segment = _Segment(source.start_index, source.end_index)
                found.append(finder.place(Citation(source.uri or "", source.title or ""), segment))
    return found


def _grounded(grounding: Grounding, finder: "_Finder") -> list[Place]:
    chunks = [_citation(chunk) for chunk in grounding.grounding_chunks or ()]
    used: set[int] = set()
    found: list[Place] = []
    for support in grounding.grounding_supports or ():
        if support is None:
            continue
        for no in support.grounding_chunk_indices or ():
            if 0 <= no < len(chunks):
                used.add(no)
                found.append(finder.place(chunks[no], support.segment or _Segment()))
    said = [chunks[no] for no in used]
    for chunk in chunks:
        if chunk not in said:
            said.append(chunk)
            found.append(finder.place(chunk, _Segment()))
    return found


def _citation(chunk: _Chunk | None) -> Citation:
    source = chunk and (chunk.web or chunk.retrieved_context or chunk.maps or chunk.image)
    if chunk is None or not source:
        return Citation()
    return Citation(source.uri or "", source.title or "", source.text or "", file_id=source.file_search_store or "")


class _Finder:
    """Places in bytes to places in characters."""

    __slots__ = ("_texts",)

    def __init__(self, texts: list[tuple[int, str]]) -> None:
        self._texts = [(part_no, text, text.encode("utf-8", "replace")) for part_no, text in texts]

    def place(self, citation: Citation, segment: _Segment) -> Place:
        if segment.end_index is None or not self._texts:
            return Place(max(0, len(self._texts) - 1), citation)
        start, end = segment.start_index or 0, segment.end_index
        for no, start_here, end_here in self._candidates(segment.part_index, start, end):
            raw = self._texts[no][2]
            if 0 <= start_here <= end_here <= len(raw) and (not segment.text or raw[start_here:end_here] == segment.text.encode()):
                first = len(raw[:start_here].decode("utf-8", "replace"))
                return Place(no, _at(citation, first, first + len(raw[start_here:end_here].decode("utf-8", "replace"))))
        for no, (_, text, _) in enumerate(self._texts):
            if segment.text and (at := text.find(segment.text)) >= 0:
                return Place(no, _at(citation, at, at + len(segment.text)))
        return Place(len(self._texts) - 1, citation)

    def _candidates(self, part_index: int | None, start: int, end: int) -> list[tuple[int, int, int]]:
        """Where the bytes could be meant: in the part named, in all text put together, or in the first text."""
        found = [(no, start, end) for no, (part_no, _, _) in enumerate(self._texts) if part_no == part_index]
        before = 0
        for no, (_, _, raw) in enumerate(self._texts):
            if before <= start < before + len(raw):
                found.append((no, start - before, end - before))
            before += len(raw)
        return found


def moved(citation: Citation, chars: int) -> Citation:
    """A citation that counts from `chars` characters earlier."""
    return citation if citation.start < 0 or not chars else _at(citation, citation.start + chars, citation.end + chars)


def _at(citation: Citation, start: int, end: int) -> Citation:
    return Citation(citation.url, citation.title, citation.quote, start, end, citation.document, citation.file_id)


def grounding_of(texts: list[tuple[int, str, tuple[Citation, ...]]]) -> Json | None:
    """The groundingMetadata of an answer, from its texts, the number of the part of each, and what they rest on; None without citations."""
    chunks: list[Json] = []
    supports: list[Json] = []
    numbers: dict[tuple[str, str, str, str], int] = {}
    for part_no, text, citations in texts:
        last: tuple[int, int] | None = None
        for citation in citations:
            key = (citation.url, citation.title, citation.quote, citation.file_id)
            if key not in numbers:
                numbers[key] = len(chunks)
                chunks.append(_chunk(citation))
            place = (citation.start, citation.end)
            if citation.start < 0:
                continue
            if place == last:
                indices = supports[-1]["groundingChunkIndices"]
                assert isinstance(indices, list)
                indices.append(numbers[key])
            else:
                supports.append({"segment": _segment(part_no, text, *place), "groundingChunkIndices": [numbers[key]]})
            last = place
    if not chunks:
        return None
    return {"groundingChunks": chunks, "groundingSupports": supports} if supports else {"groundingChunks": chunks}


def _chunk(citation: Citation) -> Json:
    """A page of the web as a rule; what has a quote, or lies in a store, was retrieved."""
    source: Json = {name: value for name, value in (("uri", citation.url), ("title", citation.title)) if value}
    if not citation.quote and not citation.file_id:
        return {"web": source}
    if citation.quote:
        source["text"] = citation.quote
    if citation.file_id:
        source["fileSearchStore"] = citation.file_id
    return {"retrievedContext": source}


def _segment(part_no: int, text: str, start: int, end: int) -> Json:
    segment: Json = {"partIndex": part_no} if part_no else {}
    first = len(text[:start].encode("utf-8", "replace"))
    if first:
        segment["startIndex"] = first
    cited = text[start:end]
    return {**segment, "endIndex": first + len(cited.encode("utf-8", "replace")), "text": cited}
