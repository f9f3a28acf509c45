"""What each dialect has a place for: the written form that `decode(encode(x))` may differ from `x` by, and nothing else.

Answers. `KEEPS` names the fine print an answer keeps on its way out and back in; text, calls, stop and token sums are always kept, as
`registry.Surface` says.

Requests. A facet that changed is explained by a loss that names it, or by a rule here.
"""

from collections.abc import Callable

from tests.pairs.nouns import asked

from setpoint.domain.chat import ChatRequest, ToolChoice

KEEPS: dict[str, frozenset[str]] = {
    "openai_chat": frozenset({"signatures", "redacted", "citations", "logprobs", "top_logprobs", "cached", "reasoning"}),
    "openai_responses": frozenset({"signatures", "citations", "logprobs", "top_logprobs", "cached", "reasoning"}),
    "openai_completions": frozenset({"logprobs", "top_logprobs", "cached", "reasoning"}),
    "anthropic": frozenset({"signatures", "redacted", "citations", "stop_sequence", "cached", "reasoning"}),
    "gemini": frozenset({"signatures", "citations", "logprobs", "top_logprobs", "cached_read", "reasoning"}),
    "bedrock_converse": frozenset({"signatures", "redacted", "citations", "stop_sequence", "cached"}),
    "cohere": frozenset({"citations", "logprobs", "cached_read"}),
    "ollama": frozenset({"logprobs", "top_logprobs"}),
}

Rule = Callable[[ChatRequest, ChatRequest], bool]
"""Whether a facet that changed between the two requests still asks for the same."""


def _default_choice(before: ChatRequest, after: ChatRequest) -> bool:
    """Without a choice the model decides. Of one tool, "this one" and "any" are the same."""
    if len(before.tools) == 1 and before.tool_choice == ToolChoice("named", before.tools[0].name):
        return after.tool_choice == ToolChoice("required")
    return {choice.mode for choice in (before.tool_choice, after.tool_choice) if choice is not None} == {"auto"}


def _default_parallel(before: ChatRequest, after: ChatRequest) -> bool:
    """Calls may be parallel unless forbidden; where none may be made it says nothing."""
    choice = before.tool_choice
    return after.parallel_tool_calls is None and (before.parallel_tool_calls is True or (choice is not None and choice.mode == "none"))


def _no_thinking(before: ChatRequest, after: ChatRequest) -> bool:
    """These models do not think anyway."""
    return before.reasoning is not None and before.reasoning.mode == "disabled" and after.reasoning is None


def _words_or_tokens(before: ChatRequest, after: ChatRequest) -> bool:
    """An effort in words is written as tokens, as `model_facts` says."""
    was, became = before.reasoning, after.reasoning
    if was is None or became is None or "disabled" in {was.mode, became.mode}:
        return was is not None and became is not None and was.mode == became.mode
    known = became.budget_tokens if was.budget_tokens is None else became.budget_tokens == was.budget_tokens
    return bool(known) or bool(became.effort)


def _default_tier(before: ChatRequest, after: ChatRequest) -> bool:
    return (before.service_tier, after.service_tier) in {("auto", None), ("default", "standard_only"), ("default", "standard")}


def _made_up_name(before: ChatRequest, after: ChatRequest) -> bool:
    """The API insists on a name for a file."""
    was, became = asked(before)["document_names"], asked(after)["document_names"]
    return len(was) == len(became) and all(old == new or old is None for old, new in zip(was, became, strict=True))


def _media_type(before: ChatRequest, after: ChatRequest) -> bool:
    """The API wants the type of an image by URL, or has no place for the type of any."""
    was, became = asked(before)["images"], asked(after)["images"]
    return [(url, data) for url, data, _ in was] == [(url, data) for url, data, _ in became]


def _foreign_signature(before: ChatRequest, after: ChatRequest) -> bool:
    """A signature counts at the provider that made it only; the thought itself is kept."""
    was, became = asked(before)["thinking"], asked(after)["thinking"]
    return [(text, redacted) for text, _, redacted in was] == [(text, redacted) for text, _, redacted in became]


def _chosen_only(before: ChatRequest, after: ChatRequest) -> bool:
    """The legacy API asks for logprobs by a number of alternatives, which may be 0."""
    return before.logprobs and after.logprobs and (before.top_logprobs or 0) == (after.top_logprobs or 0)


def _default_temperature(before: ChatRequest, after: ChatRequest) -> bool:
    """Claude thinks at 1, its default, and nowhere else."""
    return before.sampling.temperature == 1 and after.sampling.temperature is None and after.reasoning is not None


_ALWAYS: dict[str, Rule] = {"tool_choice": _default_choice, "parallel_tool_calls": _default_parallel}

RULES: dict[str, dict[str, Rule]] = {
    "openai_chat": {**_ALWAYS, "reasoning": _no_thinking, "document_names": _made_up_name},
    "openai_responses": {**_ALWAYS, "reasoning": _no_thinking, "document_names": _made_up_name},
    "openai_completions": {"logprobs": _chosen_only},
    "anthropic": {**_ALWAYS, "reasoning": _words_or_tokens, "service_tier": _default_tier, "temperature": _default_temperature},
    "gemini": {**_ALWAYS, "reasoning": _words_or_tokens, "service_tier": _default_tier, "images": _media_type},
    "bedrock_converse": {
        **_ALWAYS,
        "reasoning": _words_or_tokens,
        "service_tier": _default_tier,
        "document_names": _made_up_name,
        "temperature": _default_temperature,
    },
    "cohere": {**_ALWAYS, "reasoning": _no_thinking, "thinking": _foreign_signature},
    "ollama": {**_ALWAYS, "images": _media_type, "thinking": _foreign_signature},
}
