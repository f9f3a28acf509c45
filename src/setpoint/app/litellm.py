"""Reading a LiteLLM proxy file (`model_list`) as if it were ours.

Deployments become providers, model names become routes; what has no counterpart here is named in a notice instead of being dropped in
silence. References such as `os.environ/NAME` stay as they are, since they mean the same here. The form is LiteLLM's documented proxy
configuration: model_list, router_settings, litellm_settings, general_settings.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from setpoint.app.presets import PRESETS

Tree = dict[str, Any]

_PRESET_BY_PREFIX = {
    "hosted_vllm": "vllm",
    "vllm": "vllm",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai_like": "openai-compatible",
    "custom_openai": "openai-compatible",
    "text-completion-openai": "openai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
} | {name: name for name in PRESETS if name not in {"sim", "local", "openai-compatible"}}
_KNOWN_PARAMETERS = frozenset({"model", "api_base", "api_key", "base_url", "weight", "order", "timeout", "stream_timeout"})
_KNOWN_SETTINGS = frozenset(
    {"routing_strategy", "num_retries", "fallbacks", "timeout", "stream_timeout", "cache", "cache_params", "master_key"}
)
_SECTIONS = ("router_settings", "litellm_settings", "general_settings")


def is_litellm(tree: Tree) -> bool:
    """Whether a file is of LiteLLM's form."""
    return isinstance(tree.get("model_list"), list)


@dataclass(slots=True)
class Import:
    """What a LiteLLM file says, in our form. `notices` are for the person who brought it; `wrong` is what could not be read."""

    tree: Tree = field(default_factory=lambda: {"providers": {}, "routes": {}})
    notices: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def convert(tree: Tree) -> Import:
    """`tree` in our form."""
    made = Import()
    settings = _settings(tree, made)
    for index, entry in enumerate(tree["model_list"]):
        _add_deployment(entry, f"model_list[{index}]", made)
    own = {model: _in_order(route["targets"]) for model, route in made.tree["routes"].items()}
    for model, route in made.tree["routes"].items():
        _settle_route(model, route, own, settings, made)
    _settle_rest(settings, made)
    return made


def _settings(tree: Tree, made: Import) -> Tree:
    """The three sections of settings as one; what has no counterpart is noted."""
    merged: Tree = {}
    for section in _SECTIONS:
        values = tree.get(section) or {}
        if not isinstance(values, dict):
            made.wrong.append((section, "expected a section"))
            continue
        made.notices += [f"{section}.{name} has no counterpart here and is ignored" for name in values if name not in _KNOWN_SETTINGS]
        merged |= {name: value for name, value in values.items() if name in _KNOWN_SETTINGS}
    others = [name for name in tree if name not in {"model_list", *_SECTIONS}]
    made.notices += [f"the section {name} has no counterpart here and is ignored" for name in others]
    return merged


def _add_deployment(entry: object, where: str, made: Import) -> None:
    parameters = entry.get("litellm_params") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(parameters, dict) or not parameters.get("model") or not entry.get("model_name"):
        made.wrong.append((where, "needs model_name, and litellm_params with a model"))
        return
    preset, model = _split(str(parameters["model"]))
    if preset is None:
        known = ", ".join(_PRESET_BY_PREFIX)
        made.wrong.append((f"{where}.litellm_params.model", f"names a provider that is not known here; known: {known}"))
        return
    ignored = sorted(parameters.keys() - _KNOWN_PARAMETERS)
    made.notices += [f"{where}.litellm_params.{name} has no counterpart here and is ignored" for name in ignored]
    target = {"upstream": _provider(preset, parameters, made), "model": model, "weight": parameters.get("weight", 1)}
    route = made.tree["routes"].setdefault(str(entry["model_name"]), {"targets": []})
    route["targets"].append((parameters.get("order", 0), target))
    route.setdefault("timeouts", _timeouts(parameters))


def _split(name: str) -> tuple[str | None, str]:
    """`anthropic/claude-x` to preset and model; without a provider the name's own vendor, as LiteLLM does it."""
    prefix, slash, model = name.partition("/")
    if slash and prefix in _PRESET_BY_PREFIX:
        return _PRESET_BY_PREFIX[prefix], model
    vendors = (vendor for vendor, preset in PRESETS.items() if any(name.startswith(wild.rstrip("*")) for wild in preset.wildcards))
    return next(vendors, None), name


def _provider(preset: str, parameters: Tree, made: Import) -> str:
    """The name of the provider with this address and key; a new one is numbered when the preset's own name is taken."""
    entry = {"preset": preset}
    base = parameters.get("api_base") or parameters.get("base_url")
    if base:
        entry["base_url"] = _with_v1(str(base)) if preset == "ollama" else str(base)
    if parameters.get("api_key"):
        entry["api_key"] = str(parameters["api_key"])
    providers: Tree = made.tree["providers"]
    for name, known in providers.items():
        if known == entry:
            return str(name)
    number = sum(1 for known in providers.values() if known["preset"] == preset)
    name = f"{preset}-{number + 1}" if number else preset
    providers[name] = entry
    return name


def _with_v1(base: str) -> str:
    """LiteLLM talks to Ollama's own interface, we to its OpenAI-compatible one below `/v1`."""
    return base if base.rstrip("/").endswith("/v1") else base.rstrip("/") + "/v1"


def _timeouts(parameters: Tree) -> Tree:
    timeouts: Tree = {}
    if parameters.get("timeout"):
        timeouts |= dict.fromkeys(("unary_total_s", "first_byte_s", "stream_total_s"), parameters["timeout"])
    if parameters.get("stream_timeout"):
        timeouts["stream_total_s"] = parameters["stream_timeout"]
    return timeouts


def _in_order(targets: list[tuple[int, Tree]]) -> list[Tree]:
    return [target for _, target in sorted(targets, key=lambda ordered: ordered[0])]


def _settle_route(model: str, route: Tree, own: dict[str, list[Tree]], settings: Tree, made: Import) -> None:
    """Order, strategy, fallbacks, timeouts and retries of one route, once all deployments are known."""
    fallbacks = list(_fallback_targets(model, own, settings, made))
    is_ordered = len({order for order, _ in route["targets"]}) > 1
    route["targets"] = [*own[model], *fallbacks]
    route["strategy"] = "failover" if fallbacks or is_ordered or len(own[model]) == 1 else "weighted"
    if fallbacks and len(own[model]) > 1:
        made.notices.append(f"{model} has several deployments and fallbacks; they are tried one after another, in this order")
    route["timeouts"] = _timeouts(settings) | route["timeouts"] or "guarded"
    if settings.get("num_retries") is not None:
        route["retries"] = {"attempts": int(settings["num_retries"]) + 1}


def _fallback_targets(model: str, own: dict[str, list[Tree]], settings: Tree, made: Import) -> Iterable[Tree]:
    for entry in settings.get("fallbacks") or []:
        for name in entry.get(model, []) if isinstance(entry, dict) else []:
            if name not in own:
                made.wrong.append(("router_settings.fallbacks", f"{model} falls back to {name!r}, which model_list does not define"))
            yield from own.get(name, [])


def _settle_rest(settings: Tree, made: Import) -> None:
    parameters = settings.get("cache_params") or {}
    made.tree["cache"] = {"mode": "all" if settings.get("cache") else "off"}
    if isinstance(parameters, dict) and parameters.get("ttl"):
        made.tree["cache"]["ttl_s"] = parameters["ttl"]
    if settings.get("master_key"):
        made.tree["keys"] = {"admin": settings["master_key"]}
    else:
        made.tree["keys"] = {"required": False}
        made.notices.append("general_settings.master_key is not set: callers are let in without a key, as LiteLLM does")
    strategy = settings.get("routing_strategy", "simple-shuffle")
    if strategy != "simple-shuffle":
        made.notices.append(f"routing_strategy {strategy} is served as a weighted choice")
