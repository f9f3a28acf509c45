"""`additionalModelRequestFields`: what a model takes beside Converse's own members, each in its vendor's words.

Claude: thinking, output_config, top_k, tool_choice. Nova: inferenceConfig.topK, reasoningConfig. gpt-oss: reasoning_effort. Qwen:
reasoning_config. What is not known here is carried as it is.
"""

import msgspec

from setpoint.domain.chat import ChatRequest, Reasoning

MEMBER = "additionalModelRequestFields"

Fields = dict[str, msgspec.Raw]


class _Thinking(msgspec.Struct, gc=False):
    type: str = ""
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(msgspec.Struct, gc=False):
    effort: str | None = None


class _NovaReasoning(msgspec.Struct, gc=False, rename="camel"):
    type: str = ""
    max_reasoning_effort: str | None = None


class _NovaInference(msgspec.Struct, gc=False, rename="camel"):
    top_k: int | None = None


class _Choice(msgspec.Struct, gc=False):
    type: str = ""
    disable_parallel_tool_use: bool | None = None


class More(msgspec.Struct):
    """What was found, and the `rest`."""

    rest: Fields
    thinking: Reasoning | None = None
    effort: str | None = None
    top_k: int | None = None
    parallel_tool_calls: bool | None = None


_thinking = msgspec.json.Decoder(_Thinking).decode
_output_config = msgspec.json.Decoder(_OutputConfig).decode
_nova_reasoning = msgspec.json.Decoder(_NovaReasoning).decode
_nova_inference = msgspec.json.Decoder(_NovaInference).decode
_choice = msgspec.json.Decoder(_Choice).decode
_text = msgspec.json.Decoder(str).decode
_number = msgspec.json.Decoder(int).decode
_members = msgspec.json.Decoder(Fields).decode
_SHOWN = {"omitted": False, "summarized": True}


def read(fields: Fields) -> More:
    """A member of another shape than expected stays in the rest."""
    more = More(dict(fields))
    for name, take in _TAKERS.items():
        raw = fields.get(name)
        if raw is None:
            continue
        try:
            if take(bytes(raw), more):
                del more.rest[name]
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
    return more


def _take_thinking(raw: bytes, more: More) -> bool:
    given = _thinking(raw)
    if given.type == "disabled":
        more.thinking = Reasoning("disabled")
    else:
        more.thinking = Reasoning(
            "enabled" if given.type == "enabled" else "adaptive", budget_tokens=given.budget_tokens, show=_SHOWN.get(given.display or "")
        )
    return True


def _take_output_config(raw: bytes, more: More) -> bool:
    more.effort = _output_config(raw).effort
    return more.effort is not None and len(_members(raw)) == 1


def _take_nova_reasoning(raw: bytes, more: More) -> bool:
    given = _nova_reasoning(raw)
    more.thinking = Reasoning("enabled", given.max_reasoning_effort) if given.type == "enabled" else Reasoning("disabled")
    return True


def _take_effort(raw: bytes, more: More) -> bool:
    more.thinking = Reasoning("enabled", _text(raw))
    return True


def _take_top_k(raw: bytes, more: More) -> bool:
    more.top_k = _number(raw)
    return True


def _take_nova_inference(raw: bytes, more: More) -> bool:
    more.top_k = _nova_inference(raw).top_k
    return more.top_k is not None and len(_members(raw)) == 1


def _take_choice(raw: bytes, more: More) -> bool:
    given = _choice(raw)
    if given.type != "auto" or given.disable_parallel_tool_use is None:
        return False
    more.parallel_tool_calls = not given.disable_parallel_tool_use
    return True


_TAKERS = {
    "thinking": _take_thinking,
    "output_config": _take_output_config,
    "reasoningConfig": _take_nova_reasoning,
    "reasoning_effort": _take_effort,
    "reasoning_config": _take_effort,
    "top_k": _take_top_k,
    "inferenceConfig": _take_nova_inference,
    "tool_choice": _take_choice,
}


def reasoning_of(more: More, effort: str | None) -> Reasoning | None:
    """`effort` is that of outputConfig; by itself it leaves the thinking to the model."""
    effort = more.effort or effort
    if more.thinking is None:
        return None if effort is None else Reasoning("adaptive", effort)
    if effort is None or more.thinking.effort is not None or more.thinking.mode == "disabled":
        return more.thinking
    return Reasoning(more.thinking.mode, effort, more.thinking.budget_tokens, more.thinking.show)


def given(request: ChatRequest) -> Fields:
    """What a client asked to be added in these very words; nothing when it is no object."""
    raw = request.extras.get(MEMBER)
    if raw is None:
        return {}
    try:
        return _members(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
