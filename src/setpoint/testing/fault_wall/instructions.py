"""What a person has to configure at a gateway before the wall can judge it."""

from collections.abc import Mapping, Sequence

import yaml

from setpoint.testing.fault_wall.surfaces import BASE_PATHS, UpstreamDialect
from setpoint.testing.fault_wall.upstreams import Part

Addresses = Mapping[tuple[UpstreamDialect, Part], str]

_LITELLM: dict[UpstreamDialect, str] = {
    "openai_chat": "openai/fake-1", "anthropic": "anthropic/fake-1", "gemini": "gemini/fake-1", "cohere": "cohere_chat/fake-1",
    "ollama": "ollama_chat/fake-1", "bedrock_converse": "bedrock/converse/fake-1", "openai_responses": "openai/responses/fake-1",
}  # fmt: skip
_LITELLM_BASES: dict[UpstreamDialect, str] = {"anthropic": "", "gemini": "/v1beta", "cohere": "/v2/chat"}
"""What LiteLLM wants at the end of a base address, where that is not what the others want."""


def addresses(dialects: Sequence[UpstreamDialect], host: str, first_port: int) -> dict[tuple[UpstreamDialect, Part], str]:
    """Where the providers will listen, as `WallUpstreams` gives out its ports."""
    wanted: list[tuple[UpstreamDialect, Part]] = [(dialect, part) for part in _PARTS for dialect in dialects]
    return {one: f"http://{host}:{first_port + at}{BASE_PATHS.get(one[0], '')}" for at, one in enumerate(wanted)}


_PARTS: tuple[Part, ...] = ("breaks", "spare")


def plain_model(dialect: UpstreamDialect, *, spared: bool) -> str:
    """The model to ask for unless `--model-for` says otherwise."""
    return f"wall-{dialect}{'-spared' if spared else ''}"


def in_words(urls: Addresses) -> list[str]:
    """For any gateway."""
    lines = ["Configure your gateway so, with any provider key:", ""]
    for dialect, part in urls:
        if part == "breaks":
            alone, spared = (plain_model(dialect, spared=one) for one in (False, True))
            lines.append(f"  {dialect}")
            lines.append(f"    model {alone:<32} at {urls[dialect, 'breaks']}")
            lines.append(f"    model {spared:<32} at {urls[dialect, 'breaks']}, and when that fails at {urls[dialect, 'spare']}")
    return [
        *lines, "",
        "One retry a request; deadlines of a second or so to the first byte and between two; circuit breakers, cool-downs and caches off.",
        "Other names for the models: --model-for openai_chat=my-model --model-for openai_chat+spare=my-other-model",
    ]  # fmt: skip


def for_litellm(urls: Addresses, key: str) -> str:
    """A configuration file for LiteLLM's proxy."""
    models = []
    for (dialect, part), url in urls.items():
        root = url.removesuffix(BASE_PATHS.get(dialect, "")) if dialect in _LITELLM_BASES else url
        params: dict[str, object] = {"model": _LITELLM[dialect], "api_base": root + _LITELLM_BASES.get(dialect, ""), "api_key": "any"}
        if dialect == "bedrock_converse":
            params = {"model": _LITELLM[dialect], "aws_bedrock_runtime_endpoint": root, "aws_region_name": "us-east-1"}
            params |= {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
        names = [plain_model(dialect, spared=one) for one in (False, True)] if part == "breaks" else [f"spare-{dialect}"]
        models += [
            {"model_name": name, "litellm_params": {**params, "timeout": 2, "stream_timeout": 2, "max_retries": 0}} for name in names
        ]
    dialects = [dialect for dialect, part in urls if part == "breaks"]
    settings = {
        "num_retries": 1, "request_timeout": 2, "fallbacks": [{plain_model(d, spared=True): [f"spare-{d}"]} for d in dialects],
    }  # fmt: skip
    router = {"disable_cooldowns": True, "num_retries": 1, "retry_after": 0}
    return yaml.safe_dump(
        {
            "model_list": models,
            "litellm_settings": settings,
            "router_settings": router,
            "general_settings": {"master_key": key},
        },
        sort_keys=False,
    )
