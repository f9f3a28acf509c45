"""The environment that vendors' clients know is enough: each group of variables switches its provider on, complete to the plan."""

from pathlib import Path

import pytest
from tests.gateway.accounts import service_account, user_account

from setpoint.app.drafting import draft_of
from setpoint.app.presets import PRESETS
from setpoint.app.settings import Settings, SettingsError, load_settings
from setpoint.app.vendor_variables import CREDENTIALS
from setpoint.control.compile import compile_plan
from setpoint.domain.plan import Plan, PriceBook, Upstream
from setpoint.wire.aws_keys import AwsKeys, read_aws_keys

AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "se/cret", "AWS_REGION": "eu-west-1"}


def settings_of(environ: dict[str, str], *overrides: str) -> Settings:
    return load_settings(None, environ, ("providers.sim.enabled=false", *overrides))


def upstreams(environ: dict[str, str], *overrides: str) -> dict[str, Upstream]:
    found = compile_plan(draft_of(settings_of(environ, *overrides), "s", {}), 1, 1, 0, lambda _, key: key.encode(), PriceBook())
    assert isinstance(found, Plan), found
    return {upstream.name: upstream for upstream in found.upstreams}


def problems(environ: dict[str, str], *overrides: str) -> list[str]:
    try:
        found = compile_plan(draft_of(settings_of(environ, *overrides), "s", {}), 1, 1, 0, lambda _, key: key.encode(), PriceBook())
    except SettingsError as error:
        found = error.problems
    assert not isinstance(found, Plan)
    return [str(problem) for problem in found]


def address(upstream: Upstream) -> str:
    return f"{'https' if upstream.tls else 'http'}://{upstream.host}{upstream.base_path}"


# ---- vendors with one key

ONE_KEY = [(name, variable) for name, preset in PRESETS.items() for variable in preset.key_variables if name not in {"azure", "cloudflare"}]


@pytest.mark.parametrize(("name", "variable"), ONE_KEY)
def test_a_key_switches_its_vendor_on(name: str, variable: str) -> None:
    (upstream,) = upstreams({variable: "k-1"}).values()
    assert (upstream.name, upstream.api_key_sealed, upstream.dialect, upstream.auth) == (
        name,
        b"k-1",
        PRESETS[name].dialect,
        PRESETS[name].auth,
    )
    assert (upstream.also, upstream.can, upstream.hosting) == (PRESETS[name].also, PRESETS[name].can, "vendor")


BASES = [(name, variable) for name, preset in PRESETS.items() for variable in preset.base_variables]


@pytest.mark.parametrize(("name", "variable"), BASES)
def test_an_address_of_its_own_is_taken(name: str, variable: str) -> None:
    keys = {"azure": {"AZURE_API_KEY": "k"}, "bedrock": AWS}.get(name) or dict.fromkeys(PRESETS[name].key_variables[:1], "k")
    more = ("providers.vertex.api_key=AIza",) if name == "vertex" else ()
    found = upstreams({variable: "https://my.test:444", **keys}, *more)[name]
    assert (found.host, found.port) == ("my.test", 444)


def test_the_presets_that_everybody_asks_for_are_known_by_their_own_variables() -> None:
    known = {variable for preset in PRESETS.values() for variable in preset.key_variables}
    assert {
        "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "AZURE_API_KEY", "AZURE_OPENAI_API_KEY",
        "MISTRAL_API_KEY", "COHERE_API_KEY", "CO_API_KEY", "GROQ_API_KEY", "TOGETHER_API_KEY", "FIREWORKS_API_KEY", "DEEPSEEK_API_KEY",
        "XAI_API_KEY",
        "OPENROUTER_API_KEY", "PERPLEXITY_API_KEY", "CEREBRAS_API_KEY", "CLOUDFLARE_API_TOKEN",
    } <= known  # fmt: skip


# ---- Cloudflare


def test_cloudflares_address_holds_the_account() -> None:
    made = upstreams({"CLOUDFLARE_API_TOKEN": "t", "CLOUDFLARE_ACCOUNT_ID": "acc-1"})["cloudflare"]
    assert address(made) == "https://api.cloudflare.com/client/v4/accounts/acc-1/ai/v1"
    assert (made.auth, made.api_key_sealed) == ("bearer", b"t")


def test_cloudflare_without_an_account_stays_off_and_that_is_said() -> None:
    settings = settings_of({"CLOUDFLARE_API_TOKEN": "t"})
    assert "cloudflare" not in settings.providers
    assert settings.notices == ("cloudflare stays off: its key is set, but not CLOUDFLARE_ACCOUNT_ID",)


def test_cloudflare_in_the_file_without_an_account_is_a_mistake_unless_it_is_off_or_has_an_address() -> None:
    where = "providers.cloudflare.base_url: is not known without CLOUDFLARE_ACCOUNT_ID; set that, or write base_url"
    assert problems({}, "providers.cloudflare.api_key=t") == [where]
    assert problems({}, "providers.cf={preset: cloudflare, api_key: t}") == [where.replace("cloudflare.base", "cf.base")]
    assert upstreams({}, "providers.cloudflare={enabled: false, api_key: t}") == {}
    assert upstreams({}, "providers.cloudflare={base_url: 'https://gw/v1', api_key: t}")["cloudflare"].host == "gw"


# ---- Azure


@pytest.mark.parametrize("key", ["AZURE_API_KEY", "AZURE_OPENAI_API_KEY"])
@pytest.mark.parametrize("base", ["AZURE_API_BASE", "AZURE_OPENAI_ENDPOINT"])
@pytest.mark.parametrize("version", ["", "AZURE_API_VERSION", "OPENAI_API_VERSION"])
def test_azure_is_switched_on_by_key_and_address(key: str, base: str, version: str) -> None:
    environ = {key: "k", base: "https://me.openai.azure.com/"} | ({version: "2024-10-21"} if version else {})
    made = upstreams(environ)["azure"]
    assert (made.hosting, made.auth, made.api_key_sealed, made.dialect) == ("azure", "api-key", b"k", "openai_chat")
    assert (address(made), made.api_version) == ("https://me.openai.azure.com", "2024-10-21" if version else "")
    assert "openai_responses" in made.also


def test_a_resource_of_azure_is_an_address() -> None:
    assert upstreams({"AZURE_API_KEY": "k", "AZURE_RESOURCE_NAME": "me"})["azure"].host == "me.openai.azure.com"


def test_azure_without_an_address_stays_off_and_that_is_said() -> None:
    assert "azure stays off" in settings_of({"AZURE_API_KEY": "k"}).notices[0]
    assert "write the address of your resource" in problems({"AZURE_API_KEY": "k"}, "providers.azure.enabled=true")[0]


def test_a_second_resource_of_azure_does_not_get_the_key_of_the_first() -> None:
    environ = {"AZURE_API_KEY": "k", "AZURE_API_BASE": "https://one.test"}
    assert "providers.two.api_key: is missing" in problems(environ, "providers.two={preset: azure, base_url: 'https://two.test'}")[0]


def test_claude_at_azure_is_anthropics_own_interface() -> None:
    made = upstreams({}, "providers.claude={preset: azure, dialect: anthropic, base_url: 'https://me.services.ai.azure.com', api_key: k}")
    claude = made["claude"]
    assert (claude.hosting, claude.auth, claude.also) == ("vendor", "x-api-key", ())
    assert address(claude) == "https://me.services.ai.azure.com/anthropic/v1"


# ---- Bedrock


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_REGION_NAME"])
@pytest.mark.parametrize("token", [None, "t=="])
def test_bedrock_is_switched_on_by_keys_and_a_region(region: str, token: str | None) -> None:
    environ = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "se/cret", region: "eu-west-1"}
    made = upstreams(environ | ({"AWS_SESSION_TOKEN": token} if token else {}))["bedrock"]
    assert (made.hosting, made.auth, made.dialect, made.region) == ("bedrock", "aws", "bedrock_converse", "eu-west-1")
    assert address(made) == "https://bedrock-runtime.eu-west-1.amazonaws.com"
    assert made.api_key_sealed is not None
    assert read_aws_keys(made.api_key_sealed.decode()) == AwsKeys("AKID", "se/cret", token)


def test_a_region_of_china_has_another_address() -> None:
    assert upstreams(AWS | {"AWS_REGION": "cn-north-1"})["bedrock"].host == "bedrock-runtime.cn-north-1.amazonaws.com.cn"


def test_an_api_key_of_bedrock_wins_over_keys_and_is_a_bearer_token() -> None:
    made = upstreams(AWS | {"AWS_BEARER_TOKEN_BEDROCK": "ABSK"})["bedrock"]
    assert (made.auth, made.api_key_sealed) == ("bearer", b"ABSK")


def test_bedrock_without_a_region_stays_off_and_that_is_said() -> None:
    settings = settings_of({"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    assert "bedrock" not in settings.providers
    assert settings.notices == ("bedrock stays off: AWS credentials are set, but no region; set AWS_REGION",)
    assert settings_of({"AWS_REGION": "eu-west-1"}).notices == ()
    assert settings_of({"AWS_ACCESS_KEY_ID": "a", "AWS_REGION": "r"}).providers.keys() == {"sim"}


def test_every_provider_at_bedrock_takes_the_account_of_the_environment_unless_it_has_its_own() -> None:
    own = "providers.own={preset: bedrock, region: us-west-2, access_key_id: X, secret_access_key: y}"
    found = upstreams(AWS | {"AWS_SESSION_TOKEN": "t"}, "providers.claude={preset: bedrock, dialect: anthropic, region: us-east-1}", own)
    assert {name: (up.dialect, up.region) for name, up in found.items()} == {
        "bedrock": ("bedrock_converse", "eu-west-1"),
        "claude": ("anthropic", "us-east-1"),
        "own": ("bedrock_converse", "us-west-2"),
    }
    keys = {name: read_aws_keys((up.api_key_sealed or b"").decode()) for name, up in found.items()}
    assert keys["claude"] == keys["bedrock"] == AwsKeys("AKID", "se/cret", "t")
    assert keys["own"] == AwsKeys("X", "y")


# ---- Vertex


def account_file(tmp_path: Path, text: str) -> dict[str, str]:
    (tmp_path / "account.json").write_text(text)
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json")}


def test_a_service_account_switches_vertex_on_with_its_own_project_everywhere(tmp_path: Path) -> None:
    made = upstreams(account_file(tmp_path, service_account()))["vertex"]
    assert (made.hosting, made.auth, made.dialect) == ("vertex", "google", "gemini")
    assert (made.project, made.region, address(made)) == ("my-project", "global", "https://aiplatform.googleapis.com")
    assert made.api_key_sealed == service_account().encode()


@pytest.mark.parametrize("project", ["GOOGLE_CLOUD_PROJECT", "VERTEXAI_PROJECT"])
@pytest.mark.parametrize("location", ["GOOGLE_CLOUD_LOCATION", "VERTEXAI_LOCATION"])
def test_project_and_location_come_from_the_environment(tmp_path: Path, project: str, location: str) -> None:
    environ = account_file(tmp_path, user_account(quota_project_id="")) | {project: "p-2", location: "europe-west1"}
    made = upstreams(environ)["vertex"]
    assert (made.project, made.region, address(made)) == ("p-2", "europe-west1", "https://europe-west1-aiplatform.googleapis.com")


@pytest.mark.parametrize("region", ["us", "eu"])
def test_a_whole_continent_has_an_address_of_another_form(tmp_path: Path, region: str) -> None:
    environ = account_file(tmp_path, service_account()) | {"GOOGLE_CLOUD_LOCATION": region}
    assert upstreams(environ)["vertex"].host == f"aiplatform.{region}.rep.googleapis.com"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{}", "which is not supported"),
        ('{"type": "external_account"}', "'external_account', which is not supported"),
        (service_account(private_key="x"), "its private_key cannot be used"),
        (user_account(quota_project_id=""), "no project; set GOOGLE_CLOUD_PROJECT"),
    ],
)
def test_an_account_that_cannot_be_used_leaves_vertex_off_and_that_is_said(tmp_path: Path, text: str, why: str) -> None:
    settings = settings_of(account_file(tmp_path, text))
    assert "vertex" not in settings.providers
    assert why in settings.notices[0]
    assert "PRIVATE" not in settings.notices[0]


def test_a_file_that_is_not_there_leaves_vertex_off_and_that_is_said() -> None:
    settings = settings_of({"GOOGLE_APPLICATION_CREDENTIALS": "/no/such/file.json"})
    assert "vertex" not in settings.providers
    assert "/no/such/file.json, which cannot be read" in settings.notices[0]


def test_what_the_file_says_of_vertex_and_the_environment_cannot_fill_is_a_mistake(tmp_path: Path) -> None:
    assert "write `api_key: file:service-account.json`" in problems({}, "providers.vertex.region=europe-west1")[-1]
    environ = account_file(tmp_path, '{"type": "external_account"}')
    assert "is no key of a service account" in problems(environ, "providers.vertex.region=us-east5")[-1]


def test_claude_at_vertex_is_a_provider_of_its_own_with_the_same_account(tmp_path: Path) -> None:
    environ = account_file(tmp_path, service_account())
    made = upstreams(environ, "providers.claude={preset: vertex, dialect: anthropic, region: us-east5}")["claude"]
    assert (made.hosting, made.dialect, made.also, made.project) == ("vertex", "anthropic", (), "my-project")
    assert made.base_path == ""


def test_a_key_of_vertex_express_mode_is_sent_as_it_is() -> None:
    made = upstreams({}, "providers.vertex.api_key=AIza")["vertex"]
    assert (made.auth, made.api_key_sealed, made.project, address(made)) == (
        "x-goog-api-key",
        b"AIza",
        "",
        "https://aiplatform.googleapis.com",
    )


def test_a_key_file_in_the_configuration_is_read(tmp_path: Path) -> None:
    (tmp_path / "sa.json").write_text(service_account())
    (tmp_path / "setpoint.yaml").write_text("providers: {sim: {enabled: false}, vertex: {api_key: 'file:sa.json', region: europe-west1}}")
    settings = load_settings(tmp_path / "setpoint.yaml", {})
    made = compile_plan(draft_of(settings, "s", {}), 1, 1, 0, lambda _, key: key.encode(), PriceBook())
    assert isinstance(made, Plan)
    assert made.upstreams[0].project == "my-project"


# ---- all


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    environ = AWS | {"AWS_SESSION_TOKEN": "t-secret"} | account_file(tmp_path, service_account())
    shown = repr(settings_of(environ)) + repr(draft_of(settings_of(environ), "s", {}))
    for secret in ("se/cret", "t-secret", "PRIVATE KEY"):
        assert secret not in shown
    assert len(CREDENTIALS) == 5


def test_a_capability_and_a_further_dialect_reach_the_plan() -> None:
    made = upstreams({}, "providers.x={base_url: 'http://x/v1', also: [anthropic], hosting: vendor, capabilities: {top_k: true}}")["x"]
    assert (made.also, made.can.top_k) == (("anthropic",), True)


def test_another_dialect_of_a_preset_has_none_of_the_facts_about_its_own() -> None:
    made = upstreams({}, "providers.ollama={dialect: ollama}")["ollama"]
    assert (made.dialect, made.also, address(made)) == ("ollama", (), "http://127.0.0.1")
    assert made.can != PRESETS["ollama"].can
