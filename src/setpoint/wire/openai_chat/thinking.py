"""Thinking in the forms vendors gave it: OpenAI's own shape has no place for it.

    reasoning_content             DeepSeek, Moonshot, Z.ai, vLLM: text
    reasoning                     Groq, Cerebras, Together, Ollama: text
    reasoning_details             OpenRouter: a list of text, summaries and encrypted items, each with the format it was made in
                                  (https://openrouter.ai/docs/use-cases/reasoning-tokens)
    thinking_blocks               LiteLLM: Anthropic's blocks; a signature without an owner is Anthropic's
    content: [{type: thinking}]   Mistral

To clients thinking goes as `reasoning_content`, and its proof as `thinking_blocks`: a client that sends the message back keeps both.
"""

import msgspec

from setpoint.domain.chat import Foreign, Thinking
from setpoint.wire.carried import carried
from setpoint.wire.openai_chat.shapes import Said, ThinkingBlock, items
from setpoint.wire.signatures import marked, own, shown

Json = dict[str, object]


class _Detail(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    format: str | None = None


_detail = msgspec.json.Decoder(_Detail).decode

_OWNERS = {
    "anthropic-claude-v1": "anthropic",
    "google-gemini-v1": "gemini",
    "openai-responses-v1": "openai_responses",
    "azure-openai-responses-v1": "openai_responses",
}
_FORMATS = {"anthropic": "anthropic-claude-v1", "gemini": "google-gemini-v1", "openai_responses": "openai-responses-v1"}


def thoughts_of(said: Said) -> list[Thinking | Foreign]:
    """What a message, or a delta, thinks. Text that stands beside the details that hold it too is read once."""
    detailed = [thought for raw in items(said.reasoning_details) if (thought := _of_detail(raw)) is not None]
    if said.thinking_blocks:
        blocks: list[Thinking | Foreign] = [thinking_of_block(block) for block in said.thinking_blocks]
        return blocks + [thought for thought in detailed if isinstance(thought, Foreign)]
    text = said.reasoning_content or said.reasoning or ""
    if text and not any(isinstance(thought, Thinking) and thought.text for thought in detailed):
        detailed.insert(0, Thinking(text))
    return detailed


def thinking_of_block(block: ThinkingBlock) -> Thinking:
    return Thinking(block.thinking or "", marked("anthropic", block.signature or ""), marked("anthropic", block.data or ""))


def _of_detail(raw: bytes) -> Thinking | Foreign | None:
    try:
        detail = _detail(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    owner = _OWNERS.get(detail.format or "", "")
    if detail.type == "reasoning.encrypted":
        if not owner:
            return Foreign("reasoning.encrypted", "openai_chat", carried(raw))
        data = marked(owner, detail.data or "")
        return Thinking("", redacted=data) if owner == "anthropic" else Thinking("", data)
    text = detail.text or detail.summary or ""
    signature = marked(owner, detail.signature) if owner and detail.signature else ""
    return Thinking(text, signature) if text or signature else None


def in_blocks(thoughts: list[Thinking | Foreign]) -> list[Thinking | Foreign]:
    """Pieces of one message put together: text grows until a signature closes it."""
    made: list[Thinking | Foreign] = []
    for thought in thoughts:
        last = made[-1] if made else None
        if (
            isinstance(thought, Thinking)
            and isinstance(last, Thinking)
            and not (last.signature or last.redacted or thought.redacted)
            and not (thought.signature and thought.text)
        ):
            made[-1] = Thinking(last.text + thought.text, thought.signature)
        else:
            made.append(thought)
    return made


def block_shown(text: str, signature: str, redacted: str) -> Json:
    """A block of `thinking_blocks` for a client."""
    if redacted:
        return {"type": "redacted_thinking", "data": shown("anthropic", redacted)}
    return {"type": "thinking", "thinking": text, "signature": shown("anthropic", signature)}


def add_thinking(message: Json, thoughts: list[Thinking]) -> None:
    """Thinking of an answer for a client."""
    if text := "".join(thought.text for thought in thoughts):
        message["reasoning_content"] = text
    if any(thought.signature or thought.redacted for thought in thoughts):
        message["thinking_blocks"] = [block_shown(thought.text, thought.signature, thought.redacted) for thought in thoughts]


def details_of(thoughts: list[Thinking]) -> list[Json]:
    """Thinking of an earlier turn as OpenRouter takes it back."""
    made: list[Json] = []
    for thought in thoughts:
        if thought.redacted:
            made.append({"type": "reasoning.encrypted", "data": own("anthropic", thought.redacted), "format": _FORMATS["anthropic"]})
            continue
        owner = next((name for name in _FORMATS if own(name, thought.signature)), "")
        proof = own(owner, thought.signature) if owner else ""
        if owner == "anthropic":
            made.append({"type": "reasoning.text", "text": thought.text, "signature": proof, "format": _FORMATS[owner]})
            continue
        if thought.text:
            kind, member = ("reasoning.summary", "summary") if owner == "openai_responses" else ("reasoning.text", "text")
            made.append({"type": kind, member: thought.text, "format": _FORMATS.get(owner, "unknown")})
        if proof:
            made.append({"type": "reasoning.encrypted", "data": proof, "format": _FORMATS[owner]})
    return [{**detail, "index": no} for no, detail in enumerate(made)]


def blocks_back(thoughts: list[Thinking]) -> list[Json]:
    """Thinking of an earlier turn as LiteLLM takes it back: Anthropic's own blocks only."""
    made: list[Json] = []
    for thought in thoughts:
        if data := own("anthropic", thought.redacted):
            made.append({"type": "redacted_thinking", "data": data})
        elif signature := own("anthropic", thought.signature):
            made.append({"type": "thinking", "thinking": thought.text, "signature": signature})
    return made
