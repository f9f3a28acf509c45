"""What differs between models behind Converse and cannot be asked of the server.

Facts as data; a name that no rule knows (the ARN of an inference profile, say) is taken for a current model that is no Claude. Sources:
the Bedrock user guide (structured-output, prompt-caching, inference-parameters, tool-use), the Nova 2 user guide (extended-thinking), and
what recorded requests were answered.
"""

import re

THINKING_TOKENS_MIN = 1_024

BUDGET_BY_EFFORT = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 32_768}
"""Thinking tokens for an effort in words, for models that take a budget."""

_OLD = r"claude-(?:v2|instant|3|(?:opus|sonnet)-4-(?:0|1(?!\d)|2025\d{4})(?!\d))"
_BUDGETED = re.compile(r"claude-(?:v2|instant|3|(?:opus|sonnet|haiku)-4-(?:[0-5](?!\d)|2025\d{4}))")
_NO_TEXT_FORMAT = re.compile(
    rf"{_OLD}|amazon\.|meta\.|cohere\.|ai21\.|writer\.|deepseek\.r1"
    r"|mistral\.(?:mistral-7b|mixtral|mistral-(?:large|small)-24|pixtral)"
)
_FORCIBLE = re.compile(r"claude|amazon\.nova")
_ANY_ONLY = re.compile(r"mistral\.(?:mistral-large|pixtral)")
_NO_CHOICE = re.compile(r"meta\.llama|cohere\.|ai21\.|deepseek\.r1|writer\.")
_NO_CACHE = re.compile(
    r"claude-(?:v2|instant|3-(?:opus|sonnet|haiku)|3-5-sonnet-20240620)|meta\.|cohere\.|ai21\.|mistral\.|deepseek\.|writer\.|qwen\.|openai\."
    r"|amazon\.titan|google\.|minimax\.|moonshot|nvidia\.|zai\."
)
_LONG_CACHE = re.compile(r"claude-(?:(?:opus|sonnet|haiku)-4-[5-9]|(?:opus|sonnet|haiku|fable|mythos)-[5-9])")
_HEARING = re.compile(r"nova-2-(?:omni|sonic)|voxtral|gemma-3n")
_SINGLE_CALLS = re.compile(r"claude-(?:(?:opus|sonnet|haiku)-4-[5-9]|(?:opus|sonnet|haiku|fable|mythos)-[5-9])")


def is_claude(model: str) -> bool:
    return "claude" in model


def is_nova(model: str) -> bool:
    return "amazon.nova" in model


def takes_text_format(model: str) -> bool:
    """Whether `outputConfig.textFormat` and `strict` tools are known."""
    return _NO_TEXT_FORMAT.search(model) is None


def takes_adaptive_thinking(model: str) -> bool:
    """Whether a Claude chooses its own thinking by an effort; older ones want a budget."""
    return _BUDGETED.search(model) is None


def reasons_by_config(model: str) -> bool:
    """Nova 2 takes `reasoningConfig` with an effort."""
    return "nova-2" in model


def reasons_by_effort(model: str) -> bool:
    """gpt-oss takes `reasoning_effort`."""
    return "openai.gpt-oss" in model


def reasons_by_word(model: str) -> bool:
    """Qwen takes the effort as `reasoning_config`."""
    return "qwen." in model


def forcing(model: str) -> str:
    """How a call can be forced: `tool` by name, `any` at least some call, empty not at all."""
    if _FORCIBLE.search(model) is not None:
        return "tool"
    return "any" if _ANY_ONLY.search(model) is not None else ""


def takes_tool_choice(model: str) -> bool:
    """False for models that refuse even `auto`, their only way."""
    return _NO_CHOICE.search(model) is None


def takes_single_calls(model: str) -> bool:
    """Whether parallel calls can be turned off; by Anthropic's own `tool_choice`, since Converse has no word for it."""
    return _SINGLE_CALLS.search(model) is not None


def takes_cache_points(model: str) -> bool:
    return _NO_CACHE.search(model) is None


def takes_cache_points_in_tools(model: str) -> bool:
    return takes_cache_points(model) and not is_nova(model)


def takes_cache_ttl(model: str) -> bool:
    return _LONG_CACHE.search(model) is not None


def takes_audio(model: str) -> bool:
    return _HEARING.search(model) is not None


def begins_with_assistant(model: str) -> bool:
    """Whether the first turn may be the model's own."""
    return is_claude(model) and takes_text_format(model)


def takes_unsigned_thinking(model: str) -> bool:
    """Whether thinking of earlier turns may come back without a signature."""
    return "deepseek.r1" in model
