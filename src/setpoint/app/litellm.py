"""Reading a LiteLLM proxy file (`model_list`) as if it were ours.

Deployments become providers, model names become routes; what has no counterpart here is named in a notice instead of being dropped in
silence. References such as `os.environ/NAME` stay as they are, since they mean the same here. The form is LiteLLM's documented proxy
configuration: model_list, router_settings, litellm_settings, general_settings.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from setpoint.app.presets import PRESETS

Tree = dict[str, Any]
S = TypeVar("S", bound=msgspec.Struct)

_PRESET_BY_PREFIX = {
    "hosted_vllm": "vllm",
    "vllm": "vllm",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "openai_like": "openai-compatible",
    "custom_openai": "openai-compatible",
    "text-completion-openai": "openai",
    "litellm_proxy": "openai-compatible",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock_converse": "bedrock",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "cohere_chat": "cohere",
    "dashscope": "alibaba",
    "nvidia_nim": "nvidia",
    "lm_studio": "lmstudio",
} | {name: name for name in PRESETS if name not in {"sim", "local", "openai-compatible"}}
_OPEN_MODELS = ("meta/", "openai/", "deepseek-ai/", "qwen/", "moonshotai/", "zai-org/", "minimaxai/")
"""Publishers at Vertex whose models are asked in OpenAI's dialect."""
_BEDROCK_ROUTES = frozenset({"converse", "converse_like", "invoke"})
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]")
_STRATEGIES = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "latency",
    "cost-based-routing": "cost",
}
_CHAINS = {"error": "fallbacks", "context_window": "context_window_fallbacks", "content_filter": "content_policy_fallbacks"}
ATTEMPTS_MAX = 20
_SECTIONS = ("router_settings", "litellm_settings", "general_settings")


class _Parameters(msgspec.Struct, frozen=True):
    model: str
    api_base: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    weight: float = 1.0
    order: int = 0
    timeout: float | None = None
    stream_timeout: float | None = None
    api_version: str | None = None
    azure_ad_token: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = None
    aws_session_token: str | None = None
    aws_region_name: str | None = None
    aws_bedrock_runtime_endpoint: str | None = None
    vertex_project: str | None = None
    vertex_location: str | None = None
    vertex_credentials: str | Tree | None = None
    vertex_ai_project: str | None = None
    vertex_ai_location: str | None = None
    vertex_ai_credentials: str | Tree | None = None


class _Deployment(msgspec.Struct, frozen=True):
    model_name: str
    litellm_params: _Parameters


class _Settings(msgspec.Struct, frozen=True):
    """Of all three sections of settings, what has a counterpart."""

    routing_strategy: str = "simple-shuffle"
    num_retries: int | None = None
    fallbacks: tuple[dict[str, tuple[str, ...]], ...] = ()
    context_window_fallbacks: tuple[dict[str, tuple[str, ...]], ...] = ()
    content_policy_fallbacks: tuple[dict[str, tuple[str, ...]], ...] = ()
    timeout: float | None = None
    stream_timeout: float | None = None
    cache: bool = False
    cache_params: Tree = {}
    master_key: str | None = None


@dataclass(slots=True)
class Import:
    """What a LiteLLM file says, in our form. `notices` are for the person who brought it; `wrong` is what could not be read."""

    tree: Tree = field(default_factory=lambda: {"providers": {}, "routes": {}})
    notices: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str]] = field(default_factory=list)


def is_litellm(tree: Tree) -> bool:
    """Whether a file is of LiteLLM's form."""
    return isinstance(tree.get("model_list"), list)


def convert(tree: Tree) -> Import:
    """`tree` in our form."""
    made = Import()
    settings = _read_settings(tree, made)
    by_model: dict[str, list[_Parameters]] = {}
    for index, entry in enumerate(tree["model_list"]):
        deployment = _read(_Deployment, entry, f"model_list[{index}]", made)
        if deployment is not None:
            by_model.setdefault(deployment.model_name, []).append(deployment.litellm_params)
    targets = {model: _targets(model, deployments, made) for model, deployments in by_model.items()}
    for model, deployments in by_model.items():
        made.tree["routes"][model] = _route(model, deployments, targets, settings, made)
    _settle_rest(settings, made)
    return made


def _read_settings(tree: Tree, made: Import) -> _Settings:
    merged: Tree = {}
    for section in _SECTIONS:
        values = tree.get(section) or {}
        if not isinstance(values, dict):
            made.wrong.append((section, "expected a section"))
            continue
        _note_unknown(_Settings, values, section, made)
        merged |= values
    others = [name for name in tree if name not in {"model_list", *_SECTIONS}]
    made.notices += [f"the section {name} has no counterpart here and is ignored" for name in others]
    return _read(_Settings, merged, "settings", made) or _Settings()


def _read(kind: type[S], value: object, where: str, made: Import) -> S | None:
    """`value` as `kind`, or a complaint and None. An empty value counts as not written."""
    if isinstance(value, dict):
        value = {name: member for name, member in value.items() if member is not None}
        parameters = value.get("litellm_params")
        if isinstance(parameters, dict):
            _note_unknown(_Parameters, parameters, f"{where}.litellm_params", made)
            value["litellm_params"] = {name: member for name, member in parameters.items() if member is not None}
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as error:
        made.wrong.append((where, str(error)))
        return None


def _note_unknown(kind: type[msgspec.Struct], values: Tree, where: str, made: Import) -> None:
    known = {member.name for member in msgspec.structs.fields(kind)}
    made.notices += [f"{where}.{name} has no counterpart here and is ignored" for name in values if name not in known]


def _targets(model: str, deployments: list[_Parameters], made: Import) -> list[Tree]:
    """The deployments of one model name, in the order they are to be tried."""
    targets = []
    for deployment in sorted(deployments, key=lambda one: one.order):
        preset, name = _split(deployment.model)
        if preset is None:
            known = ", ".join(_PRESET_BY_PREFIX)
            made.wrong.append((f"model_list.{model}", f"names a provider that is not known here; known: {known}"))
        else:
            name, entry = _entry(preset, name, deployment)
            targets.append({"upstream": _provider(entry, made), "model": name, "weight": deployment.weight})
    return targets


def _split(name: str) -> tuple[str | None, str]:
    """`anthropic/claude-x` to preset and model; without a provider the name's own vendor, as LiteLLM does it."""
    prefix, slash, model = name.partition("/")
    if slash and prefix in _PRESET_BY_PREFIX:
        return _PRESET_BY_PREFIX[prefix], model
    vendors = (vendor for vendor, preset in PRESETS.items() if any(name.startswith(wild.rstrip("*")) for wild in preset.wildcards))
    return next(vendors, None), name


def _entry(preset: str, model: str, given: _Parameters) -> tuple[str, Tree]:
    """The model's name there, and the provider that serves it."""
    base = given.api_base or given.base_url or (given.aws_bedrock_runtime_endpoint if preset == "bedrock" else None)
    entry: Tree = {"base_url": _with_v1(base) if base and preset == "ollama" else base, "api_key": given.api_key}
    if preset == "azure":
        entry |= {"api_version": given.api_version}
        if given.azure_ad_token:
            entry |= {"api_key": given.azure_ad_token, "auth": "bearer"}
        if model.startswith("claude"):
            entry["dialect"] = "anthropic"
    elif preset == "bedrock":
        model, more = _at_bedrock(model, given)
        entry |= more
    elif preset == "vertex":
        entry |= _at_vertex(model, given)
    return model, {"preset": preset} | {member: value for member, value in entry.items() if value}


def _at_bedrock(model: str, given: _Parameters) -> tuple[str, Tree]:
    """LiteLLM lets the model begin with the way it is asked in, and with a region: `converse/…`, `us-west-2/…`."""
    region, dialect = given.aws_region_name, None
    first, slash, rest = model.partition("/")
    while slash and (first in _BEDROCK_ROUTES or _REGION.fullmatch(first)):
        if first == "invoke" and "anthropic." in rest:
            dialect = "anthropic"
        elif first not in _BEDROCK_ROUTES:
            region = first
        model = rest
        first, slash, rest = model.partition("/")
    return model, {
        "region": region,
        "dialect": dialect,
        "access_key_id": given.aws_access_key_id,
        "secret_access_key": given.aws_secret_access_key,
        "session_token": given.aws_session_token,
    }


def _at_vertex(model: str, given: _Parameters) -> Tree:
    account = given.vertex_credentials or given.vertex_ai_credentials
    if isinstance(account, dict):
        account = msgspec.json.encode(account).decode()
    elif account and not account.startswith(("{", "os.environ/", "file:")):
        account = f"file:{account}"
    entry: Tree = {
        "region": given.vertex_location or given.vertex_ai_location,
        "project": given.vertex_project or given.vertex_ai_project,
    }
    if account:
        entry["api_key"] = account
    if model.startswith("claude"):
        entry["dialect"] = "anthropic"
    elif model.startswith(_OPEN_MODELS):
        entry["dialect"] = "openai_chat"
    return entry


def _provider(entry: Tree, made: Import) -> str:
    """The name of the provider with this address and key; a new one is numbered when the preset's own name is taken."""
    preset = entry["preset"]
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


def _route(model: str, deployments: list[_Parameters], targets: dict[str, list[Tree]], settings: _Settings, made: Import) -> Tree:
    own = targets[model]
    fallbacks = {cause: chain for cause, name in _CHAINS.items() if (chain := list(_fallbacks(model, name, targets, settings, made)))}
    is_ordered = len({deployment.order for deployment in deployments}) > 1
    route: Tree = {
        "targets": own,
        "strategy": "failover" if is_ordered or len(own) < 2 else _STRATEGIES.get(settings.routing_strategy, "weighted"),
        "timeouts": _timeouts(settings) | _timeouts(deployments[0]) or "auto",
    }
    if fallbacks:
        route["fallbacks"] = fallbacks
    if settings.num_retries is not None:
        # Fallbacks there are tried besides the retries, here among them.
        route["retries"] = {"attempts": min(ATTEMPTS_MAX, settings.num_retries + 1 + max(map(len, fallbacks.values()), default=0))}
    return route


def _fallbacks(model: str, member: str, targets: dict[str, list[Tree]], settings: _Settings, made: Import) -> Iterable[Tree]:
    for entry in getattr(settings, member):
        for name in entry.get(model, ()):
            if name not in targets:
                made.wrong.append((f"router_settings.{member}", f"{model} falls back to {name!r}, which model_list does not define"))
            yield from targets.get(name, [])


def _timeouts(given: _Parameters | _Settings) -> Tree:
    timeouts: Tree = {}
    if given.timeout:
        timeouts |= dict.fromkeys(("unary_total_s", "first_byte_s", "stream_total_s"), given.timeout)
    if given.stream_timeout:
        timeouts["stream_total_s"] = given.stream_timeout
    return timeouts


def _settle_rest(settings: _Settings, made: Import) -> None:
    made.tree["cache"] = {"mode": "all" if settings.cache else "off"}
    if settings.cache_params.get("ttl"):
        made.tree["cache"]["ttl_s"] = settings.cache_params["ttl"]
    if settings.master_key:
        made.tree["keys"] = {"admin": settings.master_key}
    else:
        made.tree["keys"] = {"required": False}
        made.notices.append("general_settings.master_key is not set: callers are let in without a key, as LiteLLM does")
    if settings.routing_strategy not in _STRATEGIES:
        made.notices.append(f"routing_strategy {settings.routing_strategy} is served as a weighted choice")
