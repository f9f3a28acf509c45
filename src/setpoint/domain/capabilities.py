"""What a vendor does differently from the dialect it speaks, as data.

Many vendors speak the same dialect and each leaves something out or spells it in its own way. An encoder looks here, so a vendor is a
configuration entry and no code. The defaults are those of the dialect's own vendor; most facts are about `openai_chat`, which has the
most imitators. What depends on the model and not on the vendor is in the `model_facts` of the dialect.
"""

from typing import Literal

import msgspec


class Capabilities(msgspec.Struct, frozen=True, omit_defaults=True):
    """Facts about one vendor's form of a dialect."""

    stream_usage: Literal["ask", "always"] = "ask"
    """ask: the stream's usage has to be asked for (`stream_options`). always: it comes by itself, and asking may be refused."""

    # ------------------------------------------------------------------ limits and sampling
    max_tokens: Literal["by_model", "max_tokens", "max_completion_tokens"] = "by_model"
    """The member that bounds the answer. by_model: OpenAI's reasoning models want the newer one."""
    seed: Literal["seed", "random_seed", "no"] = "seed"
    penalties: bool = True
    """`frequency_penalty` and `presence_penalty`."""
    top_k: bool = False
    logprobs: bool = True
    many: bool = True
    """More than one answer to a request (`n`)."""
    stops_max: int | None = 4
    """How many stop sequences it takes; None: no limit is known."""

    # ------------------------------------------------------------------ tools
    tool_choice_required: Literal["required", "any", "no"] = "required"
    """How it is told to call some tool; no: it cannot be told."""
    tool_choice_named: bool = True
    parallel_tool_calls: bool = True
    strict_tools: bool = True
    call_ids: Literal["any", "short", "mistral"] = "any"
    """short: up to 40 characters, as OpenAI itself wants. mistral: exactly nine letters or digits."""

    # ------------------------------------------------------------------ form of the answer
    structured: Literal["json_schema", "json_object", "no"] = "json_schema"
    """The most it can be held to by `response_format`; what is more is asked for in the system prompt."""
    json_object: bool = True
    """Whether it takes `response_format` json_object; some take a schema only."""

    # ------------------------------------------------------------------ content
    images: Literal["url", "data", "no"] = "url"
    """data: only inside the request, as base64."""
    files: Literal["file", "document_url", "file_url", "no"] = "file"
    """The kind of part that carries a document. file: base64 only, unless `file_urls`."""
    file_urls: bool = False
    """Whether a document may be given by its address."""
    audio: bool = True
    content: Literal["parts", "text"] = "parts"
    """text: the content of a message can be a string only."""
    turns: Literal["any", "alternate"] = "any"
    """alternate: two turns of the same speaker in a row are refused."""
    names: bool = True
    """`name` of a participant."""
    refusals: bool = True
    """`refusal` of an earlier turn; where not, it goes back as text."""
    cache_marks: Literal["no", "cache_control", "prompt_cache_breakpoint"] = "no"
    """How the prompt is marked as worth keeping, if it can be."""
    prefill: Literal["no", "continue", "prefix", "partial"] = "no"
    """continue: a last assistant turn is continued. prefix, partial: with that member set to true."""

    # ------------------------------------------------------------------ thinking
    reasoning: Literal["reasoning_effort", "reasoning", "thinking", "enable_thinking", "no"] = "reasoning_effort"
    """How thinking is asked for. reasoning: OpenRouter's object. thinking: `{"type": "enabled"}`. enable_thinking: Alibaba's pair."""
    efforts: tuple[str, ...] = ()
    """The words it takes for an effort, from least to most; empty: OpenAI's own."""
    thinking_back: Literal["no", "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "thinking_parts"] = "no"
    """The member in which thinking of earlier turns goes back."""
    signatures: Literal["no", "google"] = "no"
    """google: proofs of thinking go back in `extra_content`."""

    # ------------------------------------------------------------------ the rest
    user: bool = True
    service_tiers: tuple[str, ...] | None = ("auto", "default", "flex", "scale", "priority")
    """The words it takes for a service tier; None: any, empty: none."""
    verbosity: bool = True
    members: tuple[str, ...] | None = None
    """Members of the request that only this vendor has, or that it takes of those of the dialect beyond the neutral nouns. None: all
    those of the dialect's own vendor."""


STANDARD = Capabilities()
