"""What is known of each provider, as data: a vendor with a known dialect is an entry here, no code.

`wildcards` are model names that nobody but this provider has, so that `gpt-4o-mini` works without a route. Sources: each vendor's API
reference.
"""

import msgspec

from setpoint.domain.plan import AuthStyle, DialectName


class Preset(msgspec.Struct, frozen=True):
    """How a provider is reached unless the configuration says otherwise."""

    dialect: DialectName = "openai_chat"
    base_url: str = ""
    auth: AuthStyle = "bearer"
    key_variables: tuple[str, ...] = ()
    """Environment variables that hold its key; the first that is set switches the provider on."""
    base_variables: tuple[str, ...] = ()
    """Environment variables that hold its address; they switch on a provider that wants no key."""
    wildcards: tuple[str, ...] = ()
    vendor: str = ""
    """The company behind it; several upstreams of one vendor share its prices. Empty where anybody may run it."""


def _vendor(name: str, base_url: str, *wildcards: str) -> Preset:
    """An OpenAI-compatible vendor, with the variables that everyone names alike."""
    upper = name.upper().replace("-", "_")
    return Preset(
        base_url=base_url,
        key_variables=(f"{upper}_API_KEY",),
        base_variables=(f"{upper}_API_BASE", f"{upper}_BASE_URL"),
        wildcards=wildcards,
        vendor=name,
    )


PRESETS: dict[str, Preset] = {
    "openai": _vendor("openai", "https://api.openai.com/v1", "gpt-*", "chatgpt-*", "o1*", "o3*", "o4*", "text-embedding-*"),
    "anthropic": Preset(
        "anthropic",
        "https://api.anthropic.com/v1",
        "x-api-key",
        ("ANTHROPIC_API_KEY",),
        ("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
        ("claude-*",),
        "anthropic",
    ),
    "mistral": _vendor("mistral", "https://api.mistral.ai/v1", "mistral-*"),
    "groq": _vendor("groq", "https://api.groq.com/openai/v1"),
    "deepseek": _vendor("deepseek", "https://api.deepseek.com/v1", "deepseek-*"),
    "xai": _vendor("xai", "https://api.x.ai/v1", "grok-*"),
    "together": _vendor("together", "https://api.together.xyz/v1"),
    "fireworks": _vendor("fireworks", "https://api.fireworks.ai/inference/v1"),
    "openrouter": _vendor("openrouter", "https://openrouter.ai/api/v1"),
    "perplexity": _vendor("perplexity", "https://api.perplexity.ai"),
    "cerebras": _vendor("cerebras", "https://api.cerebras.ai/v1"),
    "ollama": Preset(base_url="http://127.0.0.1:11434/v1", auth="none", base_variables=("OLLAMA_API_BASE",)),
    "vllm": Preset(base_url="http://127.0.0.1:8000/v1", auth="none", base_variables=("VLLM_API_BASE",)),
    "openai-compatible": Preset(auth="none"),
    "sim": Preset(auth="none"),
    "local": Preset(base_url="http://localhost/v1", auth="none"),  # over the tree's own Unix socket
}
"""By name. A provider in the configuration takes the preset of its own name unless it names another."""
