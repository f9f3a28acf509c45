"""What an answer rests on, in the forms of this dialect.

    message.annotations            OpenAI, OpenRouter: url_citation with a range of the content
                                   (https://platform.openai.com/docs/api-reference/chat/object)
    citations, search_results      Perplexity, xAI: beside the choices, for the whole answer
                                   (https://docs.perplexity.ai/api-reference/chat-completions-post)
    content: [{type: reference}]   Mistral: after the text it stands for

A range that is the whole part, or 0 to 0, says no more than none.
"""

import msgspec

from setpoint.domain.chat import Citation, Foreign
from setpoint.wire.carried import carried
from setpoint.wire.openai_chat.shapes import items

Json = dict[str, object]


class _Url(msgspec.Struct, gc=False):
    url: str | None = None
    title: str | None = None
    content: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class _Annotation(_Url, gc=False):
    """Some vendors write the members of `url_citation` beside the type."""

    type: str = ""
    url_citation: _Url | None = None


class _Source(msgspec.Struct, gc=False):
    url: str | None = None
    title: str | None = None
    snippet: str | None = None


_annotation = msgspec.json.Decoder(_Annotation).decode
_source = msgspec.json.Decoder(str | _Source).decode


def annotations_of(raw: msgspec.Raw, text_chars: int | None, before_chars: int = 0) -> tuple[list[Citation], list[Foreign]]:
    """Citations of a text that stands behind `before_chars` characters, and annotations of other kinds.

    The text has `text_chars` characters; None while more of it may come.
    """
    citations: list[Citation] = []
    others: list[Foreign] = []
    for item in items(raw):
        try:
            given = _annotation(item)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if given.type != "url_citation":
            others.append(Foreign("annotation", "openai_chat", carried(item)))
            continue
        url = given.url_citation or given
        start, end = _range(url.start_index, url.end_index, text_chars, before_chars)
        citations.append(Citation(url.url or "", url.title or "", url.content or "", start, end, dialect="openai_chat", raw=carried(item)))
    return citations, others


def _range(start: int | None, end: int | None, text_chars: int | None, before_chars: int) -> tuple[int, int]:
    if start is None or end is None or not before_chars <= start < end:
        return -1, -1
    start, end = start - before_chars, end - before_chars
    return (-1, -1) if (start, end) == (0, text_chars) else (start, end)


def sources_of(citations: msgspec.Raw, search_results: msgspec.Raw) -> list[Citation]:
    """Perplexity gives the same sources twice, in `search_results` with their titles."""
    made = []
    for item in items(search_results) or items(citations):
        try:
            source = _source(item)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(source, str):
            made.append(Citation(source))
        elif source.url:
            made.append(Citation(source.url, source.title or "", source.snippet or ""))
    return made


def references_of(ids: list[int | str]) -> list[Citation]:
    """Mistral counts the sources of the prompt from 0; a source may have a name instead."""
    return [Citation(document=given) if isinstance(given, int) else Citation(title=given) for given in ids]


def written(citation: Citation, before_chars: int, part_chars: int) -> msgspec.Raw | Json:
    """An annotation for a client; the part it belongs to stands behind `before_chars` characters of the content."""
    if citation.dialect == "openai_chat" and citation.raw and not before_chars:
        return msgspec.Raw(citation.raw)
    start, end = (citation.start, citation.end) if citation.start >= 0 else (0, part_chars)
    url: Json = {
        "start_index": before_chars + start,
        "end_index": before_chars + end,
        "url": citation.url,
        "title": citation.title,
    }
    if citation.quote:
        url["content"] = citation.quote
    return {"type": "url_citation", "url_citation": url}
