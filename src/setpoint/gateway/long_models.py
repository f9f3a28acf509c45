"""The preset `long` by itself: for models that think before they answer (`thinking_models`), and for requests that ask for thinking."""

import msgspec

from setpoint.domain.plan import LONG_TIMEOUTS, Timeouts
from setpoint.gateway.envelope import NOTHING, ChatEnvelope, ContentsEnvelope, Envelope
from setpoint.gateway.published import Candidate, ResolvedRoute


class _Wish(msgspec.Struct):
    """The members in which dialects ask for thinking, wherever they stand.

    https://platform.openai.com/docs/api-reference/chat/create (`reasoning_effort`) and responses/create (`reasoning.effort`);
    https://docs.claude.com/en/api/messages (`thinking.type`); https://docs.cohere.com/reference/chat (the same); Gemini's
    `thinkingConfig`; OpenRouter's `reasoning`; https://docs.ollama.com/api/chat (`think`).
    """

    type: str | None = None
    nova: str | None = msgspec.field(default=None, name="maxReasoningEffort")
    effort: str | None = None
    budget: int | None = msgspec.field(default=None, name="thinkingBudget")
    level: str | None = msgspec.field(default=None, name="thinkingLevel")
    max_tokens: int | None = None
    enabled: bool | None = None


class _Nested(msgspec.Struct):
    """Where Gemini and Converse keep theirs (https://ai.google.dev/api/generate-content#ThinkingConfig; Converse passes on what the model's
    own vendor calls it).
    """

    gemini: msgspec.Raw = msgspec.field(default=NOTHING, name="thinkingConfig")
    claude: msgspec.Raw = msgspec.field(default=NOTHING, name="thinking")
    hosted: msgspec.Raw = msgspec.field(default=NOTHING, name="reasoning_config")
    nova: msgspec.Raw = msgspec.field(default=NOTHING, name="reasoningConfig")
    effort: msgspec.Raw = msgspec.field(default=NOTHING, name="reasoning_effort")


_decode = msgspec.json.Decoder(bool | str | _Wish | None).decode
_decode_nested = msgspec.json.Decoder(_Nested).decode
_NO_THINKING = frozenset({"", "none", "off", "disabled", "minimal", "minimum"})


def asks_to_think(envelope: Envelope) -> bool:
    """Whether the request asks for thinking that takes its time."""
    wishes = (envelope.reasoning_effort, envelope.reasoning, envelope.thinking, envelope.think, envelope.enable_thinking)
    if any(wish is not NOTHING and _is_wish(bytes(wish)) for wish in wishes):
        return True
    nested: msgspec.Raw = NOTHING
    if isinstance(envelope, ChatEnvelope):
        nested = envelope.converse_fields
    elif isinstance(envelope, ContentsEnvelope):
        nested = envelope.generation_config
    if nested is NOTHING:
        return False
    try:
        found = _decode_nested(bytes(nested))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    hidden = (found.gemini, found.claude, found.hosted, found.nova, found.effort)
    return any(wish is not NOTHING and _is_wish(bytes(wish)) for wish in hidden)


def _is_wish(raw: bytes) -> bool:
    try:
        wish = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    if isinstance(wish, str):
        return wish.lower() not in _NO_THINKING
    if isinstance(wish, bool) or wish is None:
        return bool(wish)
    words = [word.lower() for word in (wish.type, wish.nova, wish.effort, wish.level) if word is not None]
    if words:
        return not any(word in _NO_THINKING for word in words)
    return bool(wish.budget or wish.max_tokens or wish.enabled)


def timeouts_for(route: ResolvedRoute, candidate: Candidate, envelope: Envelope | None) -> Timeouts:
    """The deadlines of one call: the route's own, or the preset `long` where it chose none and the answer takes its time."""
    own = route.route
    if own.long_by_itself and (candidate.thinks or (envelope is not None and asks_to_think(envelope))):
        return LONG_TIMEOUTS
    return own.timeouts
