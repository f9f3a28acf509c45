"""Ids, statuses and reasons of this dialect."""

import re
from hashlib import sha256
from typing import Literal

from setpoint.domain.chat import Finish

NAME = "openai_responses"
CALL_ID_CHARS_MAX = 64
"""The longest `call_id` this API takes."""

_CORE_CHARS_MAX = 48
_HASH_CHARS = 16
_PREFIX = re.compile(r"^(?:resp_|chatcmpl-|msg_|gen-)")
_ODD = re.compile(r"[^A-Za-z0-9_-]")

ItemKind = Literal["msg", "rs", "fc", "ctc"]

_REASONS: dict[str, Finish] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}


_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})
_TIERS_ELSEWHERE = {"standard": "default", "standard_only": "default", "on_demand": "default"}


def service_tier(given: str | None) -> str | None:
    """A tier in this dialect's words; None when it has none for it."""
    tier = _TIERS_ELSEWHERE.get(given or "", given)
    return tier if tier in _TIERS else None


def id_core(answer_id: str) -> str:
    """What all ids of one answer have in common. Item ids hold 64 characters, and clients send them back."""
    return _ODD.sub("_", _PREFIX.sub("", answer_id))[-_CORE_CHARS_MAX:] or "answer"


def response_id(answer_id: str) -> str:
    """Clients expect the vendor's prefix."""
    return answer_id if answer_id.startswith("resp_") else "resp_" + id_core(answer_id)


def item_id(kind: ItemKind, core: str, no: int) -> str:
    return f"{kind}_{core}_{no}"


def call_id(given: str) -> str:
    """An id that fits: too long a one keeps its beginning and ends in its hash, so that call and result still agree."""
    if len(given) <= CALL_ID_CHARS_MAX:
        return given or "call_0"
    return f"{given[: CALL_ID_CHARS_MAX - _HASH_CHARS - 1]}_{sha256(given.encode('utf-8', 'replace')).hexdigest()[:_HASH_CHARS]}"


def finish_of(status: str, reason: str, called: bool) -> Finish:
    """An incomplete answer without a reason that is known here ended at some limit."""
    if status == "incomplete":
        return _REASONS.get(reason, "length")
    return "tool_calls" if called else "stop"


def status_of(finish: Finish, refused: bool) -> tuple[str, str | None]:
    """Status, and the reason of an incomplete answer. A refusal in words is a complete answer here."""
    if finish == "length":
        return "incomplete", "max_output_tokens"
    if finish == "content_filter" or (finish == "refusal" and not refused):
        return "incomplete", "content_filter"
    return "completed", None
