"""Proofs of thinking that belong to other parts than thinking.

Gemini signs calls and texts. An Anthropic client has no place for that in a call or a text, but sends blocks of thinking back as they
are: so a call's proof stands in an empty block of thinking ahead of it, and a text's in a redacted one behind it.
"""

import msgspec

from setpoint.domain.chat import Part, Text, Thinking, ToolCall
from setpoint.wire.signatures import own

Json = dict[str, object]


def thinking_block(text: str, signature: str) -> Json:
    return {"type": "thinking", "thinking": text, "signature": signature}


def redacted_block(data: str) -> Json:
    return {"type": "redacted_thinking", "data": data}


def put_back(parts: list[Part]) -> list[Part]:
    """The parts with Gemini's proofs where they belong."""
    made: list[Part] = []
    waiting: Thinking | None = None
    for part in parts:
        if isinstance(part, Thinking) and not part.text and own("gemini", part.signature):
            if waiting is not None:
                made.append(waiting)
            waiting = part
            continue
        if waiting is not None:
            if isinstance(part, ToolCall):
                part = msgspec.structs.replace(part, signature=waiting.signature)  # noqa: PLW2901  the same call, signed
            else:
                made.append(waiting)
            waiting = None
        if isinstance(part, Thinking) and own("gemini", part.redacted):
            last = made[-1] if made else None
            if isinstance(last, Text) and not last.signature:
                made[-1] = msgspec.structs.replace(last, signature=part.redacted)
            else:
                made.append(Text("", signature=part.redacted))
            continue
        made.append(part)
    return made if waiting is None else [*made, waiting]
