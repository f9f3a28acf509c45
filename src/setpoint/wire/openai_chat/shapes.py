"""JSON shapes of messages, read from answers, stream deltas and requests alike.

What vendors added to OpenAI's message is kept raw here and read tolerantly where it is used: a member that has an unexpected form is
then no reason to give up the whole answer.
"""

import msgspec

NO_RAW = msgspec.Raw()
_NOTHING = (b"", b"null", b'""', b"[]", b"{}")


class Function(msgspec.Struct, gc=False):
    """Arguments are text, but some servers send the object itself."""

    name: str | None = None
    arguments: msgspec.Raw = NO_RAW


class Custom(msgspec.Struct, gc=False):
    """A call of a tool that takes any text (https://platform.openai.com/docs/guides/function-calling#custom-tools)."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None
    extra_content: msgspec.Raw = NO_RAW


class ContentPart(msgspec.Struct, gc=False):
    """Mistral's content is a list when the model thinks or cites (https://docs.mistral.ai/capabilities/citations)."""

    type: str = "text"
    text: str | None = None
    thinking: "str | list[ContentPart] | None" = None
    reference_ids: list[int | str] | None = None


class ThinkingBlock(msgspec.Struct, gc=False):
    """LiteLLM's form, which is Anthropic's."""

    thinking: str | None = None
    signature: str | None = None
    data: str | None = None


class Said(msgspec.Struct, gc=False):
    """A message, or a delta of one. Only the first lines are OpenAI's own."""

    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    annotations: msgspec.Raw = NO_RAW
    audio: msgspec.Raw = NO_RAW
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: msgspec.Raw = NO_RAW
    thinking_blocks: list[ThinkingBlock] | None = None
    extra_content: msgspec.Raw = NO_RAW
    executed_tools: msgspec.Raw = NO_RAW
    images: msgspec.Raw = NO_RAW


class _Google(msgspec.Struct, gc=False):
    thought_signature: str | None = None


class _ExtraContent(msgspec.Struct, gc=False):
    google: _Google | None = None


_extra_content = msgspec.json.Decoder(_ExtraContent).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_text = msgspec.json.Decoder(str).decode


def has_something(raw: msgspec.Raw) -> bool:
    return bytes(raw) not in _NOTHING


def items(raw: msgspec.Raw) -> list[bytes]:
    """The elements of a raw list; none when it is something else."""
    if not has_something(raw):
        return []
    try:
        return [bytes(item) for item in _raws(raw)]
    except msgspec.DecodeError:
        return []


def google_signature(raw: msgspec.Raw) -> str:
    """Gemini's proof of thinking, as its OpenAI-compatible API gives it (https://ai.google.dev/gemini-api/docs/thought-signatures)."""
    if not has_something(raw):
        return ""
    try:
        google = _extra_content(raw).google
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return (google and google.thought_signature) or ""


def arguments_of(function: Function) -> str:
    raw = bytes(function.arguments)
    if raw in {b"", b"null"}:
        return ""
    if raw.startswith(b'"'):
        try:
            return _text(raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # raw members are not checked for UTF-8 when they are set aside
    return raw.decode("utf-8", "replace")


def made_up_id(answer_id: str, no: int) -> str:
    """For servers that give calls no id; it must not come again in the next turn."""
    return f"call_{answer_id}_{no}"
