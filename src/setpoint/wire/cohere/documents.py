"""Documents a model may cite, in requests and in results of tools (https://docs.cohere.com/docs/rag-document-formats).

{"id": "1", "data": {"title": "Rex", "text": "Rex is a dog."}}      or a plain text
"""

import base64
import binascii

import msgspec

from setpoint.domain.chat import Document

_value = msgspec.json.Decoder(str | dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str).decode
_TEXTS = ("text", "snippet", "content")


def read_document(raw: msgspec.Raw) -> tuple[Document, bool]:
    """The document, and whether it has an id, which the noun cannot keep. Raises msgspec.DecodeError for anything else."""
    given = _value(raw)
    if isinstance(given, str):
        return Document(text=given), False
    data = _value(given["data"]) if "data" in given else {name: value for name, value in given.items() if name != "id"}
    named = bytes(given.get("id", msgspec.Raw(b"null"))) != b"null"
    if isinstance(data, str):
        return Document(text=data), named
    title = _string(data.get("title"))
    rest = {name: value for name, value in data.items() if name != "title" or title is None}
    only = _string(next(iter(rest.values()))) if len(rest) == 1 and next(iter(rest)) in _TEXTS else None
    return Document(title, text=_encode(rest).decode() if only is None else only), named


def _string(raw: msgspec.Raw | None) -> str | None:
    try:
        return None if raw is None else _text(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def text_of(document: Document) -> str | None:
    """What a document says, None when it is not text."""
    if document.text is not None or document.data is None or not (document.media_type or "").startswith("text/"):
        return document.text
    try:
        return base64.b64decode(document.data).decode("utf-8", "replace")
    except binascii.Error:
        return None


def write_document(name: str | None, text: str) -> dict[str, object]:
    return {"data": {"text": text} if name is None else {"title": name, "text": text}}
