"""A LiteLLM proxy file read as it is: what it becomes, and what is said of the rest."""

import json
from pathlib import Path

import pytest
from tests.gateway.accounts import service_account

from setpoint.app.drafting import draft_of
from setpoint.app.settings import Settings, SettingsError, load_settings
from setpoint.control.compile import compile_plan
from setpoint.domain.plan import Plan, PriceBook, Route
from setpoint.wire.aws_keys import AwsKeys, read_aws_keys

FILE = """
model_list:
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, weight: 3, rpm: 100}
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_base: http://other/v1, api_key: os.environ/KEY, timeout: 7}
  - model_name: claude
    litellm_params: {model: claude-3-5-haiku-latest, api_key: os.environ/KEY}
  - model_name: small
    litellm_params: {model: ollama/qwen, api_base: http://ollama:11434}
  - model_name: mine
    litellm_params: {model: hosted_vllm/org/model, api_base: http://vllm/v1}
  - model_name: anthropic/*
    litellm_params: {model: anthropic/*, api_key: os.environ/KEY}
router_settings: {num_retries: 4, fallbacks: [{claude: [gpt-4o, small]}], routing_strategy: usage-based-routing}
litellm_settings: {cache: true, cache_params: {ttl: 9, type: redis}, drop_params: true}
general_settings: {master_key: sk-1234, database_url: postgres://x}
"""


def load(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "litellm.yaml"
    path.write_text(text)
    return load_settings(path, {"KEY": "k"})


def routes(settings: Settings) -> dict[str, Route]:
    plan = compile_plan(draft_of(settings, "s", {}), 1, 1, 0, lambda _name, key: key.encode(), PriceBook())
    assert isinstance(plan, Plan), plan
    return {route.model: route for route in plan.routes}


def targets(route: Route) -> list[tuple[str, str, float]]:
    return [(target.upstream, target.model, target.weight) for target in route.targets]


@pytest.mark.parametrize(
    ("named", "strategy"),
    [("simple-shuffle", "weighted"), ("least-busy", "least_busy"), ("latency-based-routing", "latency"), ("cost-based-routing", "cost"),
     ("usage-based-routing-v2", "weighted")],
)  # fmt: skip
def test_deployments_of_one_name_share_its_traffic_as_the_strategy_says(tmp_path: Path, named: str, strategy: str) -> None:
    route = routes(load(tmp_path, FILE.replace("usage-based-routing", named)))["gpt-4o"]
    assert route.strategy == strategy
    assert targets(route) == [("openai", "gpt-4o", 3.0), ("openai-2", "gpt-4o", 1.0)]


def test_deployments_with_the_same_address_and_key_are_one_provider(tmp_path: Path) -> None:
    settings = load(tmp_path, FILE)
    assert set(settings.providers) == {"openai", "openai-2", "anthropic", "ollama", "vllm"}
    assert settings.providers["openai-2"].base_url == "http://other/v1"
    assert settings.providers["ollama"].base_url == "http://ollama:11434/v1"


def test_a_name_without_a_provider_goes_to_its_own_vendor(tmp_path: Path) -> None:
    assert targets(routes(load(tmp_path, FILE))["claude"])[0] == ("anthropic", "claude-3-5-haiku-latest", 1.0)


def test_fallbacks_are_tried_after_the_models_own_deployments(tmp_path: Path) -> None:
    route = routes(load(tmp_path, FILE))["claude"]
    assert route.strategy == "failover"
    assert [upstream for upstream, _, _ in targets(route)] == ["anthropic"]
    assert route.fallbacks is not None
    assert [target.upstream for target in route.fallbacks.error] == ["openai", "openai-2", "ollama"]
    assert route.retries.attempts == 4 + 1 + 3


def test_fallbacks_for_long_prompts_and_filtered_requests_are_taken_over(tmp_path: Path) -> None:
    text = FILE.replace(
        "routing_strategy", "context_window_fallbacks: [{mine: [small]}], content_policy_fallbacks: [{mine: [claude]}], routing_strategy"
    )
    chains = routes(load(tmp_path, text))["mine"].fallbacks
    assert chains is not None
    assert [[target.upstream for target in chain] for chain in (chains.error, chains.context_window, chains.content_filter)] == [
        [], ["ollama"], ["anthropic"],
    ]  # fmt: skip


def test_a_wildcard_keeps_what_the_client_wrote_behind_it(tmp_path: Path) -> None:
    assert targets(routes(load(tmp_path, FILE))["anthropic/*"]) == [("anthropic", "*", 1.0)]


def test_retries_cache_and_master_key_are_taken_over(tmp_path: Path) -> None:
    settings = load(tmp_path, FILE)
    assert routes(settings)["gpt-4o"].retries.attempts == 5
    assert (settings.cache.mode, settings.cache.ttl_s) == ("all", 9)
    assert settings.keys.admin is not None
    assert settings.keys.admin.reveal() == "sk-1234"


def test_deployments_with_an_order_are_tried_in_it(tmp_path: Path) -> None:
    text = """
model_list:
  - {model_name: m, litellm_params: {model: openai/b, api_key: k, order: 2}}
  - {model_name: m, litellm_params: {model: openai/a, api_key: k, order: 1}}
"""
    route = routes(load(tmp_path, text))["m"]
    assert (route.strategy, [model for _, model, _ in targets(route)]) == ("failover", ["a", "b"])


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    text = "\n".join(load(tmp_path, FILE).notices)
    for name in (
        "litellm_params.rpm",
        "litellm_settings.drop_params",
        "general_settings.database_url",
        "routing_strategy usage-based-routing",
    ):
        assert name in text


def test_without_a_master_key_callers_are_let_in_and_that_is_said(tmp_path: Path) -> None:
    settings = load(tmp_path, "model_list: [{model_name: m, litellm_params: {model: ollama/x}}]")
    assert not settings.keys.required
    assert "without a key" in settings.notices[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model_list: [{model_name: m}]", r"model_list\[0\]: Object missing required field `litellm_params`"),
        ("model_list: [{model_name: m, litellm_params: {model: watsonx/x}}]", "provider that is not known here"),
        ("model_list: []\nrouter_settings: 3", "router_settings: expected a section"),
        ("model_list: [{model_name: m, litellm_params: {model: ollama/x}}]\nrouter_settings: {fallbacks: [{m: [n]}]}", "falls back to 'n'"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        load(tmp_path, text)


def test_our_own_file_has_no_notices(tmp_path: Path) -> None:
    assert load(tmp_path, "{}").notices == ()
    with pytest.raises(SettingsError, match="notices: is not a setting"):
        load(tmp_path, "notices: [x]")


# ---- clouds

CLOUDS = """
model_list:
  - model_name: az
    litellm_params: {model: azure/my-deployment, api_base: "https://me.openai.azure.com/", api_key: os.environ/KEY, api_version: 2024-10-21}
  - model_name: az-entra
    litellm_params: {model: azure/my-deployment, api_base: "https://me.openai.azure.com/", azure_ad_token: os.environ/KEY}
  - model_name: az-claude
    litellm_params: {model: azure_ai/claude-x, api_base: "https://me.services.ai.azure.com", api_key: os.environ/KEY}
  - model_name: br
    litellm_params:
      {model: bedrock/us.anthropic.claude-v1:0, aws_access_key_id: os.environ/KEY, aws_secret_access_key: s, aws_region_name: us-east-1}
  - model_name: br-region
    litellm_params: {model: bedrock/eu-west-1/amazon.nova, api_key: ABSK}
  - model_name: br-invoke
    litellm_params: {model: bedrock/invoke/us.anthropic.claude-v1:0, aws_region_name: us-east-1}
  - model_name: br-converse
    litellm_params: {model: bedrock/converse/arn:aws:bedrock:us-east-1:1:inference-profile/us.x, aws_region_name: us-east-1}
  - model_name: vx
    litellm_params: {model: vertex_ai/gemini-x, vertex_project: p-1, vertex_location: europe-west1, vertex_credentials: sa.json}
  - model_name: vx-claude
    litellm_params: {model: vertex_ai/claude-x@1, vertex_ai_project: p-1, vertex_ai_location: us-east5, vertex_credentials: sa.json}
  - model_name: vx-llama
    litellm_params: {model: vertex_ai/meta/llama-x, vertex_project: p-1, vertex_location: us-east5, vertex_credentials: sa.json}
  - model_name: gm
    litellm_params: {model: gemini/gemini-x, api_key: os.environ/KEY}
  - model_name: co
    litellm_params: {model: cohere_chat/command-x, api_key: os.environ/KEY}
  - model_name: qw
    litellm_params: {model: dashscope/qwen-x, api_key: os.environ/KEY}
"""


def test_deployments_at_clouds_become_upstreams_there(tmp_path: Path) -> None:
    (tmp_path / "sa.json").write_text(service_account())
    path = tmp_path / "litellm.yaml"
    path.write_text(CLOUDS)
    settings = load_settings(path, {"KEY": "k", "AWS_ACCESS_KEY_ID": "env-id", "AWS_SECRET_ACCESS_KEY": "env-secret"})
    plan = compile_plan(draft_of(settings, "s", {}), 1, 1, 0, lambda _name, key: key.encode(), PriceBook())
    assert isinstance(plan, Plan), plan
    ups = {upstream.name: upstream for upstream in plan.upstreams}
    found = {
        route.model: (ups[route.targets[0].upstream], route.targets[0].model) for route in plan.routes if not route.model.endswith("*")
    }
    assert {model: (up.hosting, up.dialect, up.auth, up.host, name) for model, (up, name) in found.items()} == {
        "az": ("azure", "openai_chat", "api-key", "me.openai.azure.com", "my-deployment"),
        "az-entra": ("azure", "openai_chat", "bearer", "me.openai.azure.com", "my-deployment"),
        "az-claude": ("vendor", "anthropic", "x-api-key", "me.services.ai.azure.com", "claude-x"),
        "br": ("bedrock", "bedrock_converse", "aws", "bedrock-runtime.us-east-1.amazonaws.com", "us.anthropic.claude-v1:0"),
        "br-region": ("bedrock", "bedrock_converse", "bearer", "bedrock-runtime.eu-west-1.amazonaws.com", "amazon.nova"),
        "br-invoke": ("bedrock", "anthropic", "aws", "bedrock-runtime.us-east-1.amazonaws.com", "us.anthropic.claude-v1:0"),
        "br-converse": (
            "bedrock",
            "bedrock_converse",
            "aws",
            "bedrock-runtime.us-east-1.amazonaws.com",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
        ),
        "vx": ("vertex", "gemini", "google", "europe-west1-aiplatform.googleapis.com", "gemini-x"),
        "vx-claude": ("vertex", "anthropic", "google", "us-east5-aiplatform.googleapis.com", "claude-x@1"),
        "vx-llama": ("vertex", "openai_chat", "google", "us-east5-aiplatform.googleapis.com", "meta/llama-x"),
        "gm": ("vendor", "gemini", "x-goog-api-key", "generativelanguage.googleapis.com", "gemini-x"),
        "co": ("vendor", "cohere", "bearer", "api.cohere.com", "command-x"),
        "qw": ("vendor", "openai_chat", "bearer", "dashscope-intl.aliyuncs.com", "qwen-x"),
    }
    assert found["az"][0].api_version == "2024-10-21"
    assert found["vx"][0].project == found["vx-claude"][0].project == "p-1"
    assert read_aws_keys((found["br"][0].api_key_sealed or b"").decode()) == AwsKeys("k", "s")
    assert read_aws_keys((found["br-invoke"][0].api_key_sealed or b"").decode()) == AwsKeys("env-id", "env-secret")
    assert not [notice for notice in settings.notices if "litellm_params" in notice]


def test_an_account_of_google_may_stand_in_the_file_itself(tmp_path: Path) -> None:
    deployment = {"model": "vertex_ai/gemini-x", "vertex_credentials": json.loads(service_account())}
    settings = load(tmp_path, json.dumps({"model_list": [{"model_name": "m", "litellm_params": deployment}]}))
    assert routes(settings)["m"].targets[0].upstream == "vertex"
