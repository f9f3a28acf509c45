"""Words of this dialect: stop reasons, formats of files, and what ids and names may hold."""

import re
from hashlib import sha256

from setpoint.domain.chat import Finish

DIALECT = "bedrock_converse"

SIGNER = "anthropic"
"""Whose signatures of thinking stand here: Claude's count wherever it runs, and no other model of Bedrock signs."""

ANSWER_TOOL = "setpoint_answer"
"""A forced tool of this name stands for an answer in JSON; its arguments are read back as text."""

CALL_ID_CHARS_MAX = 64
TOOL_NAME_CHARS_MAX = 64
DOCUMENT_NAME_CHARS_MAX = 200

_READ: dict[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "refusal": "refusal",
    "pause_turn": "pause",
}

_WRITTEN: dict[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "refusal": "content_filtered",
    "pause": "end_turn",
    "unknown": "end_turn",
}

IMAGE_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp"}
IMAGE_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}

DOCUMENT_TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "html": "text/html",
    "txt": "text/plain",
    "md": "text/markdown",
}
DOCUMENT_FORMATS = {media_type: name for name, media_type in DOCUMENT_TYPES.items()}
TEXT_FORMATS = frozenset({"csv", "html", "txt", "md"})
"""Files of these formats are plain text, which other dialects take as such."""

_ODD_IN_ID = re.compile(r"[^a-zA-Z0-9_.:-]")
_ODD_IN_TOOL = re.compile(r"[^a-zA-Z0-9_-]")
_ODD_IN_DOCUMENT = re.compile(r"[^a-zA-Z0-9\-()\[\]]+")


def finish_of(word: str | None) -> Finish:
    return _READ.get(word or "", "unknown")


def stop_reason(finish: Finish, refused: bool) -> str:
    """An answer that is a refusal says so, whatever its own dialect called the end."""
    return "content_filtered" if refused and finish in {"stop", "unknown"} else _WRITTEN[finish]


def call_id(given: str) -> str:
    """Ids are 64 characters at most; of a longer one the end becomes a hash, the same for a call and its result."""
    clean = _ODD_IN_ID.sub("_", given) or "_"
    if len(clean) <= CALL_ID_CHARS_MAX:
        return clean
    return clean[: CALL_ID_CHARS_MAX - 17] + "_" + sha256(given.encode("utf-8", "replace")).hexdigest()[:16]


def is_tool_name(name: str) -> bool:
    return 0 < len(name) <= TOOL_NAME_CHARS_MAX and _ODD_IN_TOOL.search(name) is None


def tool_name(given: str) -> str:
    """The name of a call in the history, made to fit; tools that may be called must fit as they are."""
    return _ODD_IN_TOOL.sub("_", given)[:TOOL_NAME_CHARS_MAX] or "_"


def document_name(given: str | None) -> str:
    """Letters, digits, single spaces, hyphens, parentheses and brackets only, as DocumentBlock says; the file's ending is the format."""
    stem = re.sub(r"\.(?:pdf|csv|docx?|xlsx?|html|txt|md)$", "", given or "", flags=re.IGNORECASE)
    return _ODD_IN_DOCUMENT.sub(" ", stem).strip()[:DOCUMENT_NAME_CHARS_MAX].strip() or "Document"
