"""Reasoning items and what proves them.

`encrypted_content` counts only together with the id of its item, so both travel in one signature: `openai_responses:ID:CONTENT`. The
other way round, what another provider gave is put into `encrypted_content` of an item that this dialect's clients send back:

    anthropic:…            the signature of the thinking in the item
    redacted:anthropic:…   a block of thinking that is shown only encrypted
    next:gemini:…          the signature of the call that follows the item
    last:gemini:…          the signature of the text before the item
"""

import msgspec

from setpoint.domain.chat import Thinking
from setpoint.wire.openai_responses.words import NAME
from setpoint.wire.signatures import marked, own

REDACTED = "redacted:"
OF_NEXT = "next:"
OF_LAST = "last:"
BETWEEN_SUMMARIES = "\n\n"
"""Parts of a summary are paragraphs of one thought."""


class ReasoningText(msgspec.Struct, gc=False):
    text: str | None = None


class ReasoningItem(msgspec.Struct, gc=False):
    """`content` is the raw thinking, which open models show; OpenAI shows a `summary` only."""

    id: str | None = None
    summary: list[ReasoningText | None] | None = None
    content: list[ReasoningText | None] | None = None
    encrypted_content: str | None = None


def thinking_of(item: ReasoningItem) -> Thinking | None:
    """The thought of an item; None for an item that says nothing."""
    text = text_of(item)
    proof = item.encrypted_content or ""
    if proof.startswith(REDACTED):
        return Thinking("", redacted=proof[len(REDACTED) :])
    if not text and not proof:
        return None
    return Thinking(text, signature_of(item.id, proof))


def text_of(item: ReasoningItem) -> str:
    given = item.summary or item.content or ()
    return BETWEEN_SUMMARIES.join(part.text for part in given if part is not None and part.text)


def signature_of(item_id: str | None, encrypted_content: str | None) -> str:
    """The marked signature of an item; one that came back marked stays as it is."""
    proof = encrypted_content or ""
    return proof if marked(NAME, proof) == proof else marked(NAME, f"{item_id or ''}:{proof}")


def own_item(signature: str) -> tuple[str, str]:
    """Id and encrypted content of a signature of this dialect; empty ones when it is another's."""
    payload = own(NAME, signature)
    item_id, colon, proof = payload.partition(":")
    return (item_id, proof) if colon else ("", payload)
