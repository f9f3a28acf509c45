"""What is known of each provider, as data: a vendor with a known dialect is an entry here, no code.

`wildcards` are model names that nobody but this provider has, so that `gpt-4o-mini` works without a route. Facts that differ from the
dialect's own vendor are in `can`, each group with the page it is from; what is not known for sure is left as the dialect has it.
"""

import msgspec

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.plan import AuthStyle, DialectName


class Preset(msgspec.Struct, frozen=True):
    """How a provider is reached unless the configuration says otherwise."""

    dialect: DialectName = "openai_chat"
    base_url: str = ""
    """May name environment variables in braces: a part of the address that is the account's own."""
    auth: AuthStyle = "bearer"
    key_variables: tuple[str, ...] = ()
    """Environment variables that hold its key; the first that is set switches the provider on."""
    base_variables: tuple[str, ...] = ()
    """Environment variables that hold its address; they switch on a provider that wants no key."""
    wildcards: tuple[str, ...] = ()
    vendor: str = ""
    """The company behind it; several upstreams of one vendor share its prices. Empty where anybody may run it."""
    can: Capabilities = STANDARD
    """What it does differently in its dialects."""
    also: tuple[DialectName, ...] = ()
    """Further dialects that it serves itself at the same address."""


def _vendor(name: str, base_url: str, *wildcards: str, can: Capabilities = STANDARD, also: tuple[DialectName, ...] = ()) -> Preset:
    """An OpenAI-compatible vendor, with the variables that everyone names alike."""
    upper = name.upper().replace("-", "_")
    return Preset(
        base_url=base_url,
        key_variables=(f"{upper}_API_KEY",),
        base_variables=(f"{upper}_API_BASE", f"{upper}_BASE_URL"),
        wildcards=wildcards,
        vendor=name,
        can=can,
        also=also,
    )


_OPENAI_FAMILY: tuple[DialectName, ...] = ("openai_responses", "openai_completions", "openai_embeddings")

_SAMPLERS = ("min_p", "repetition_penalty")
"""Sampling members that open models' servers share."""

# https://platform.openai.com/docs/api-reference/chat/create
_OPENAI = Capabilities(call_ids="short")

# https://docs.mistral.ai/api/ (its schema forbids members it does not know); https://docs.mistral.ai/capabilities/reasoning
_MISTRAL = Capabilities(
    stream_usage="always",
    max_tokens="max_tokens",
    seed="random_seed",
    logprobs=False,
    tool_choice_required="any",
    call_ids="mistral",
    stops_max=None,
    files="document_url",
    file_urls=True,
    audio=True,
    names=False,
    refusals=False,
    prefill="prefix",
    efforts=("none", "high"),
    thinking_back="thinking_parts",
    user=False,
    service_tiers=(),
    verbosity=False,
    members=("metadata", "prediction", "prompt_cache_key", "prompt_mode", "safe_prompt"),
)

# https://console.groq.com/docs/api-reference#chat-create, https://console.groq.com/docs/reasoning
_GROQ = Capabilities(
    max_tokens="max_completion_tokens",
    logprobs=False,
    many=False,
    efforts=("none", "default", "low", "medium", "high"),
    thinking_back="reasoning",
    service_tiers=("auto", "on_demand", "flex", "performance"),
    verbosity=False,
    audio=False,
    files="no",
    members=(
        "citation_options",
        "compound_custom",
        "disable_tool_validation",
        "documents",
        "exclude_domains",
        "include_domains",
        "include_reasoning",
        "metadata",
        "reasoning_format",
        "search_settings",
        "store",
    ),
)

# https://docs.together.ai/reference/chat-completions-1
_TOGETHER = Capabilities(
    max_tokens="max_tokens",
    top_k=True,
    thinking_back="reasoning",
    service_tiers=(),
    verbosity=False,
    members=(*_SAMPLERS, "echo", "logit_bias", "safety_model", "context_length_exceeded_behavior", "chat_template_kwargs"),
)

# https://docs.fireworks.ai/api-reference/post-chatcompletions
_FIREWORKS = Capabilities(
    max_tokens="max_tokens",
    top_k=True,
    thinking_back="reasoning_content",
    verbosity=False,
    members=(
        *_SAMPLERS,
        "context_length_exceeded_behavior",
        "logit_bias",
        "mirostat_lr",
        "mirostat_target",
        "prediction",
        "prompt_cache_key",
        "typical_p",
    ),
)

# https://api-docs.deepseek.com/api/create-chat-completion, https://api-docs.deepseek.com/guides/thinking_mode
_DEEPSEEK = Capabilities(
    max_tokens="max_tokens",
    stops_max=16,
    many=False,
    structured="json_object",
    images="no",
    files="no",
    audio=False,
    reasoning="thinking",
    thinking_back="reasoning_content",
    service_tiers=(),
    verbosity=False,
    members=(),
)

# https://docs.x.ai/docs/api-reference#chat-completions
_XAI = Capabilities(
    max_tokens="max_tokens",
    files="no",
    audio=False,
    thinking_back="reasoning_content",
    verbosity=False,
    members=("deferred", "logit_bias", "search_parameters", "web_search_options"),
)

# https://openrouter.ai/docs/api-reference/parameters, https://openrouter.ai/docs/features/multimodal/pdfs
_OPENROUTER = Capabilities(
    max_tokens="max_tokens",
    top_k=True,
    stops_max=None,
    file_urls=True,
    cache_marks="cache_control",
    prefill="continue",
    reasoning="reasoning",
    efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
    thinking_back="reasoning_details",
    service_tiers=None,
    members=(
        *_SAMPLERS,
        "audio",
        "cache_control",
        "image_config",
        "logit_bias",
        "metadata",
        "modalities",
        "models",
        "plugins",
        "prediction",
        "preset",
        "prompt_cache_key",
        "provider",
        "route",
        "session_id",
        "structured_outputs",
        "top_a",
        "trace",
        "transforms",
        "usage",
        "web_search_options",
    ),
)

# https://docs.perplexity.ai/api-reference/chat-completions-post
_PERPLEXITY = Capabilities(
    stream_usage="always",
    max_tokens="max_tokens",
    top_k=True,
    seed="no",
    logprobs=False,
    many=False,
    json_object=False,
    files="file_url",
    file_urls=True,
    audio=False,
    turns="alternate",
    efforts=("minimal", "low", "medium", "high"),
    service_tiers=(),
    verbosity=False,
    members=(
        "disable_search",
        "enable_search_classifier",
        "language_preference",
        "last_updated_after_filter",
        "last_updated_before_filter",
        "media_response",
        "return_images",
        "return_related_questions",
        "search_after_date_filter",
        "search_before_date_filter",
        "search_domain_filter",
        "search_mode",
        "search_recency_filter",
        "web_search_options",
    ),
)

# https://inference-docs.cerebras.ai/api-reference/chat-completions
_CEREBRAS = Capabilities(
    max_tokens="max_completion_tokens",
    many=False,
    images="no",
    files="no",
    audio=False,
    efforts=("none", "low", "medium", "high"),
    thinking_back="reasoning",
    service_tiers=("auto", "default", "flex", "priority"),
    verbosity=False,
    members=("clear_thinking", "disable_reasoning", "logit_bias", "prediction", "prompt_cache_key", "reasoning_format"),
)

# https://developers.cloudflare.com/workers-ai/configuration/open-ai-compatibility/
_CLOUDFLARE = Capabilities(max_tokens="max_tokens", top_k=True, many=False, files="no", audio=False, service_tiers=(), verbosity=False)

# https://platform.moonshot.ai/docs/api/chat
_MOONSHOT = Capabilities(
    max_tokens="max_tokens",
    stops_max=5,
    images="data",
    files="no",
    audio=False,
    prefill="partial",
    reasoning="thinking",
    thinking_back="reasoning_content",
    service_tiers=(),
    verbosity=False,
    members=("prompt_cache_key", "safety_identifier"),
)

# https://docs.z.ai/api-reference/llm/chat-completion
_ZAI = Capabilities(
    max_tokens="max_tokens",
    seed="no",
    penalties=False,
    logprobs=False,
    many=False,
    stops_max=1,
    tool_choice_required="no",
    tool_choice_named=False,
    structured="json_object",
    audio=False,
    reasoning="thinking",
    efforts=("minimal", "low", "medium", "high", "xhigh", "max"),
    thinking_back="reasoning_content",
    service_tiers=(),
    verbosity=False,
    members=("do_sample", "request_id", "tool_stream", "user_id"),
)

# https://www.alibabacloud.com/help/en/model-studio/qwen-api-reference
_ALIBABA = Capabilities(
    max_tokens="max_tokens",
    top_k=True,
    stops_max=None,
    tool_choice_required="no",
    files="no",
    cache_marks="cache_control",
    prefill="partial",
    reasoning="enable_thinking",
    thinking_back="reasoning_content",
    service_tiers=(),
    verbosity=False,
    members=(
        "audio",
        "enable_search",
        "modalities",
        "repetition_penalty",
        "search_options",
        "translation_options",
        "vl_high_resolution_images",
    ),
)

# https://docs.ollama.com/api/openai-compatibility
_OLLAMA_V1 = Capabilities(
    max_tokens="max_tokens",
    many=False,
    logprobs=False,
    tool_choice_required="no",
    tool_choice_named=False,
    parallel_tool_calls=False,
    images="data",
    files="no",
    audio=False,
    efforts=("none", "low", "medium", "high"),
    thinking_back="reasoning",
    user=False,
    service_tiers=(),
    verbosity=False,
    members=(),
)

# https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
_VLLM = Capabilities(
    max_tokens="max_completion_tokens",
    top_k=True,
    stops_max=None,
    thinking_back="reasoning",
    service_tiers=None,
    members=(
        *_SAMPLERS,
        "add_generation_prompt",
        "bad_words",
        "chat_template",
        "chat_template_kwargs",
        "continue_final_message",
        "ignore_eos",
        "include_stop_str_in_output",
        "length_penalty",
        "logit_bias",
        "min_tokens",
        "mm_processor_kwargs",
        "priority",
        "prompt_logprobs",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "structured_outputs",
        "use_beam_search",
    ),
)

# https://github.com/ggml-org/llama.cpp/tree/master/tools/server
_LLAMACPP = Capabilities(
    max_tokens="max_tokens",
    top_k=True,
    stops_max=None,
    files="no",
    thinking_back="reasoning_content",
    service_tiers=None,
    members=(
        "cache_prompt",
        "chat_template_kwargs",
        "grammar",
        "id_slot",
        "logit_bias",
        "min_p",
        "mirostat",
        "n_probs",
        "reasoning_format",
        "repeat_penalty",
        "samplers",
        "typical_p",
    ),
)

# https://lmstudio.ai/docs/developer/openai-compat
_LMSTUDIO = Capabilities(
    max_tokens="max_tokens",
    top_k=True,
    stops_max=None,
    json_object=False,
    many=False,
    files="no",
    audio=False,
    service_tiers=None,
    members=("logit_bias", "repeat_penalty", "ttl"),
)

# https://ai.google.dev/gemini-api/docs/openai, https://ai.google.dev/gemini-api/docs/thought-signatures
GEMINI_AS_OPENAI = Capabilities(signatures="google", efforts=("none", "minimal", "low", "medium", "high"), members=("extra_body",))
"""For an upstream that reaches Gemini by its OpenAI-compatible address; the preset speaks Gemini's own dialect."""

PRESETS: dict[str, Preset] = {
    "openai": _vendor(
        "openai",
        "https://api.openai.com/v1",
        "gpt-*",
        "chatgpt-*",
        "o1*",
        "o3*",
        "o4*",
        "text-embedding-*",
        can=_OPENAI,
        also=_OPENAI_FAMILY,
    ),
    "anthropic": Preset(
        "anthropic",
        "https://api.anthropic.com/v1",
        "x-api-key",
        ("ANTHROPIC_API_KEY",),
        ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        ("claude-*",),
        "anthropic",
    ),
    "azure": Preset(
        auth="api-key",
        key_variables=("AZURE_OPENAI_API_KEY", "AZURE_API_KEY"),
        base_variables=("AZURE_OPENAI_ENDPOINT", "AZURE_API_BASE"),
        vendor="azure",
        can=_OPENAI,
        also=_OPENAI_FAMILY,
    ),
    "gemini": Preset(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "x-goog-api-key",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        ("GEMINI_API_BASE", "GEMINI_BASE_URL"),
        ("gemini-*", "gemma-*"),
        "gemini",
        also=("gemini_embeddings",),
    ),
    "vertex": Preset("gemini", auth="google", base_variables=("VERTEX_API_BASE",), vendor="vertex", also=("anthropic",)),
    "bedrock": Preset("bedrock_converse", auth="aws", base_variables=("AWS_ENDPOINT_URL_BEDROCK_RUNTIME",), vendor="bedrock"),
    "cohere": Preset(
        "cohere",
        "https://api.cohere.com",
        key_variables=("COHERE_API_KEY", "CO_API_KEY"),
        base_variables=("COHERE_API_BASE", "CO_API_URL"),
        wildcards=("command-*", "c4ai-*", "embed-english-*", "embed-multilingual-*", "embed-v4*"),
        vendor="cohere",
        also=("cohere_embeddings",),
    ),
    "mistral": _vendor(
        "mistral",
        "https://api.mistral.ai/v1",
        "mistral-*",
        "ministral-*",
        "magistral-*",
        "codestral-*",
        "devstral-*",
        "pixtral-*",
        can=_MISTRAL,
        also=("openai_embeddings",),
    ),
    "groq": _vendor("groq", "https://api.groq.com/openai/v1", can=_GROQ, also=("openai_responses",)),
    "deepseek": _vendor("deepseek", "https://api.deepseek.com/v1", "deepseek-*", can=_DEEPSEEK),
    "xai": _vendor("xai", "https://api.x.ai/v1", "grok-*", can=_XAI, also=("openai_responses",)),
    "together": _vendor("together", "https://api.together.xyz/v1", can=_TOGETHER, also=("openai_completions", "openai_embeddings")),
    "fireworks": _vendor("fireworks", "https://api.fireworks.ai/inference/v1", can=_FIREWORKS, also=_OPENAI_FAMILY),
    "openrouter": _vendor("openrouter", "https://openrouter.ai/api/v1", can=_OPENROUTER, also=_OPENAI_FAMILY),
    "perplexity": _vendor("perplexity", "https://api.perplexity.ai", "sonar*", can=_PERPLEXITY),
    "cerebras": _vendor("cerebras", "https://api.cerebras.ai/v1", can=_CEREBRAS, also=("openai_completions",)),
    "cloudflare": Preset(
        base_url="https://api.cloudflare.com/client/v4/accounts/{CLOUDFLARE_ACCOUNT_ID}/ai/v1",
        key_variables=("CLOUDFLARE_API_TOKEN",),
        base_variables=("CLOUDFLARE_API_BASE",),
        wildcards=("@cf/*",),
        vendor="cloudflare",
        can=_CLOUDFLARE,
        also=("openai_embeddings",),
    ),
    "moonshot": _vendor("moonshot", "https://api.moonshot.ai/v1", "kimi-*", "moonshot-*", can=_MOONSHOT),
    "zai": _vendor("zai", "https://api.z.ai/api/paas/v4", "glm-*", can=_ZAI),
    "alibaba": Preset(
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        key_variables=("DASHSCOPE_API_KEY", "ALIBABA_API_KEY"),
        base_variables=("DASHSCOPE_API_BASE", "ALIBABA_API_BASE"),
        wildcards=("qwen-*", "qwen3-*"),
        vendor="alibaba",
        can=_ALIBABA,
        also=("openai_embeddings",),
    ),
    "huggingface": Preset(
        base_url="https://router.huggingface.co/v1",
        key_variables=("HF_TOKEN", "HUGGINGFACE_API_KEY"),
        base_variables=("HUGGINGFACE_API_BASE",),
        vendor="huggingface",
        also=("openai_responses",),
    ),
    "nvidia": Preset(
        base_url="https://integrate.api.nvidia.com/v1",
        key_variables=("NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"),
        base_variables=("NVIDIA_API_BASE", "NVIDIA_NIM_API_BASE"),
        vendor="nvidia",
    ),
    "sambanova": _vendor("sambanova", "https://api.sambanova.ai/v1"),
    "ollama": Preset(
        base_url="http://127.0.0.1:11434/v1",
        auth="none",
        base_variables=("OLLAMA_API_BASE",),
        can=_OLLAMA_V1,
        also=("openai_completions", "openai_embeddings"),
    ),
    "vllm": Preset(base_url="http://127.0.0.1:8000/v1", auth="none", base_variables=("VLLM_API_BASE",), can=_VLLM, also=_OPENAI_FAMILY),
    "llamacpp": Preset(
        base_url="http://127.0.0.1:8080/v1",
        auth="none",
        base_variables=("LLAMACPP_API_BASE",),
        can=_LLAMACPP,
        also=("openai_completions", "openai_embeddings"),
    ),
    "lmstudio": Preset(
        base_url="http://127.0.0.1:1234/v1",
        auth="none",
        base_variables=("LMSTUDIO_API_BASE", "LM_STUDIO_API_BASE"),
        can=_LMSTUDIO,
        also=_OPENAI_FAMILY,
    ),
    "openai-compatible": Preset(auth="none"),
    "sim": Preset(auth="none"),
    "local": Preset(base_url="http://localhost/v1", auth="none"),  # over the tree's own Unix socket
}
"""By name. A provider in the configuration takes the preset of its own name unless it names another."""
