"""Settings: what wins over what, what a mistake says, and what never is shown."""

from pathlib import Path

import msgspec
import pytest

from setpoint.app.config_template import config_template
from setpoint.app.presets import PRESETS
from setpoint.app.settings import RouteSettings, Settings, SettingsError, load_settings
from setpoint.domain.capabilities import Capabilities


def load(
    tmp_path: Path, text: str, environ: dict[str, str] | None = None, overrides: tuple[str, ...] = (), name: str = "setpoint.yaml"
) -> Settings:
    path = tmp_path / name
    path.write_text(text)
    return load_settings(path, environ or {}, overrides)


def problems(tmp_path: Path, text: str, environ: dict[str, str] | None = None, overrides: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, environ, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_nothing_at_all_is_a_good_configuration_on_loopback() -> None:
    settings = load_settings(None, {})
    assert (settings.host, settings.server.port, settings.server.metrics_port, settings.workers) == ("127.0.0.1", 8080, 9090, 2)
    assert settings.keys.required
    assert settings.log_pretty


def test_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    text = "server: {port: 1, metrics_port: 2, workers: 3}"
    environ = {"SETPOINT_SERVER__PORT": "11", "SETPOINT_SERVER__METRICS_PORT": "12"}
    server = load(tmp_path, text, environ, ("server.port=21",)).server
    assert (server.port, server.metrics_port, server.workers, server.drain_s) == (21, 12, 3, 22.0)


def test_toml_and_yaml_say_the_same(tmp_path: Path) -> None:
    yaml = load(tmp_path, "server: {port: 99}\nroutes:\n  fast: sim/fast\n  both: [sim/a, sim/b]\n")
    toml = load(tmp_path, '[server]\nport = 99\n[routes]\nfast = "sim/fast"\nboth = ["sim/a", "sim/b"]\n', name="setpoint.toml")
    assert yaml == toml


def test_the_template_reads_back_as_the_defaults(tmp_path: Path) -> None:
    written, plain = load(tmp_path, config_template()), load(tmp_path, "{}")
    assert written.cache == plain.cache
    assert written.observability.capture == plain.observability.capture
    assert (written.host, written.workers, written.log_pretty) == (plain.host, plain.workers, plain.log_pretty)
    assert (written.storage, written.keys, written.server.drain_s) == (plain.storage, plain.keys, plain.server.drain_s)


def test_an_unknown_setting_is_an_error_that_names_the_nearest_known_one(tmp_path: Path) -> None:
    found = problems(tmp_path, "servr: {}\nserver: {prot: 8080}\nobservability: {log: {levle: debug}}\nzzz: 1")
    assert found[:3] == [
        "servr: is not a setting; did you mean 'server'?",
        "server.prot: is not a setting; did you mean 'port'?",
        "observability.log.levle: is not a setting; did you mean 'level'?",
    ]
    assert "known here: service, server, providers" in found[3]


def test_all_problems_are_reported_at_once_each_where_it_was_made(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "server: {port: 70000, tls: {cert: a.pem}}\ncache: {mode: sometimes}\nstorage: 3",
        {"SETPOINT_SERVER__WORKERS": "many", "SETPOINT_LIMITS__ROLES__ADMN__RPM": "5"},
        ("cache.tll_s=3", "nonsense"),
    )
    text = "\n".join(found)
    assert "server.port: Expected `int` <= 65535" in text
    assert "server.workers (from SETPOINT_SERVER__WORKERS): " in text
    assert "cache.tll_s (from --set cache.tll_s): is not a setting; did you mean 'ttl_s'?" in text
    assert "--set nonsense: expected section.name=value" in text
    assert "cache.mode: expected one of off, deterministic, all" in text
    assert "limits.roles.admn: is not known; did you mean 'admin'?" in text
    assert "storage: Expected" in text or "storage: expected a section" in text
    assert "server.tls: needs both cert and key" in text
    assert len(found) == 8


def test_a_wrong_kind_is_said_once_in_words(tmp_path: Path) -> None:
    assert problems(tmp_path, "server: {port: eighty}") == ["server.port: Expected `int`, got a text"]


def test_what_the_simulated_models_would_not_heed_is_refused(tmp_path: Path) -> None:
    assert "enabled" in problems(tmp_path, "providers: {sim: {prices: {fast: {input: 1, output: 1}}}}")[0]
    assert not load(tmp_path, "providers: {sim: {enabled: false}}").providers["sim"].enabled


def test_a_key_written_twice_is_an_error_and_not_half_a_configuration(tmp_path: Path) -> None:
    assert "'fast' is there twice" in problems(tmp_path, "routes:\n  fast: sim/a\n  fast: sim/b\n")[0]


@pytest.mark.parametrize("text", ["- a list", "just text", "a: [", "\t"])
def test_what_is_not_a_configuration_says_so(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(tmp_path / "absent.yaml", {})


def test_secrets_are_found_by_every_kind_of_reference_and_never_shown(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("from-file\n")
    text = """
providers:
  a: {base_url: "http://${HOST}/v1", api_key: env.KEY}
  b: {base_url: http://b, api_key: os.environ/KEY}
  c: {base_url: http://c, api_key: "${KEY}"}
  d: {base_url: http://d, api_key: file:key.txt}
"""
    settings = load(tmp_path, text, {"KEY": "s3cret-value", "HOST": "h"})
    keys = {name: provider.api_key.reveal() for name, provider in settings.providers.items() if provider.api_key}
    assert keys == {"a": "s3cret-value", "b": "s3cret-value", "c": "s3cret-value", "d": "from-file"}
    assert settings.providers["a"].base_url == "http://h/v1"
    assert "s3cret" not in repr(settings)
    assert "from-file" not in repr(settings)


def test_a_reference_to_nothing_says_which_and_what_to_do(tmp_path: Path) -> None:
    text = "providers:\n  openai: {api_key: env.NOPE}\n  x: {base_url: http://x, api_key: file:no.txt, headers: {a: vault:p#f}}"
    found = problems(tmp_path, text)
    assert "providers.openai.api_key: refers to the environment variable NOPE, which is not set; set it, or remove this line" in found
    assert any(text.startswith("providers.x.api_key: refers to the file") for text in found)
    assert any("vault:" in text for text in found)


def test_a_secret_in_the_wrong_place_is_not_repeated_by_the_complaint(tmp_path: Path) -> None:
    text = str(problems(tmp_path, "server: {port: sk-very-secret}\nproviders: {openai: sk-very-secret}\ncache: {mode: sk-very-secret}"))
    assert "very-secret" not in text


def test_vendor_variables_switch_a_provider_on(tmp_path: Path) -> None:
    environ = {
        "OPENAI_API_KEY": "k1",
        "OPENAI_API_BASE": "http://127.0.0.1:9/v1",
        "ANTHROPIC_API_KEY": "k2",
        "OLLAMA_API_BASE": "http://o/v1",
    }
    providers = load(tmp_path, "{}", environ).providers
    assert set(providers) == {"openai", "anthropic", "ollama"}
    assert providers["openai"].base_url == "http://127.0.0.1:9/v1"
    assert providers["anthropic"].base_url is None


def test_a_vendor_variable_fills_what_the_file_leaves_open_and_nothing_else(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": "from-environment", "OPENAI_BASE_URL": "http://from-environment"}
    text = "providers:\n  openai: {base_url: http://from-file}\n  anthropic: {enabled: false}\n  eu: {preset: openai, api_key: own}\n"
    providers = load(tmp_path, text, environ).providers
    assert providers["openai"].base_url == "http://from-file"
    assert providers["openai"].api_key is not None
    assert providers["openai"].api_key.reveal() == "from-environment"
    assert providers["eu"].api_key is not None
    assert providers["eu"].api_key.reveal() == "own"


def test_an_address_alone_switches_no_provider_on_that_wants_a_key(tmp_path: Path) -> None:
    assert load(tmp_path, "{}", {"OPENAI_API_BASE": "http://x", "OPENAI_API_KEY": ""}).providers == {}


def test_a_name_with_a_dash_is_reached_from_the_environment(tmp_path: Path) -> None:
    text = "providers: {eu-1: {base_url: http://a}}"
    assert load(tmp_path, text, {"SETPOINT_PROVIDERS__EU_1__BASE_URL": "http://b"}).providers["eu-1"].base_url == "http://b"


def test_lists_and_sections_may_come_from_the_environment(tmp_path: Path) -> None:
    settings = load(tmp_path, "{}", {"SETPOINT_ROUTES__FAST": "[sim/fast, sim/slow]", "SETPOINT_LIMITS__ROLES__ADMIN": "{rpm: 7}"})
    assert settings.routes["fast"] == ["sim/fast", "sim/slow"]
    assert settings.limits.roles["admin"].rpm == 7


def test_brackets_that_do_not_close_are_named(tmp_path: Path) -> None:
    assert "SETPOINT_ROUTES__FAST: looks like a list" in problems(tmp_path, "{}", {"SETPOINT_ROUTES__FAST": "[a, b"})[0]


def test_other_variables_of_the_product_are_not_settings(tmp_path: Path) -> None:
    assert load(tmp_path, "{}", {"SETPOINT_URL": "http://x", "SETPOINT_KEY": "k"}) == load(tmp_path, "{}")


def test_a_route_is_a_text_a_list_or_a_section(tmp_path: Path) -> None:
    text = "routes:\n  a: sim/x\n  b: [sim/x, sim/y]\n  c: {targets: [sim/x, {upstream: sim, model: y, weight: 2}], timeouts: long}"
    routes = load(tmp_path, text).routes
    assert isinstance(routes["a"], str)
    assert isinstance(routes["b"], list)
    assert isinstance(routes["c"], RouteSettings)
    assert routes["c"].timeouts == "long"


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    settings = load(tmp_path, "storage: {data_dir: d}\nserver: {tls: {cert: c.pem, key: k.pem}}")
    assert settings.data_dir == tmp_path / "d"
    assert settings.server.tls.cert == str(tmp_path / "c.pem")


def test_the_key_file_never_lies_in_the_data_directory(tmp_path: Path) -> None:
    assert "security.key_file: lies in the data directory" in problems(tmp_path, "storage: {data_dir: d}\nsecurity: {key_file: d/x/key}")[0]
    assert "security.key_file: lies in the data directory" in problems(tmp_path, "storage: {data_dir: .}")[0]
    assert load(tmp_path, "storage: {data_dir: .}\nsecurity: {key: c2VjcmV0}").security.key is not None


def test_production_listens_with_tls_unless_someone_else_does(tmp_path: Path) -> None:
    assert "server.tls: production listens with TLS" in problems(tmp_path, "service: {environment: production}")[0]
    settings = load(tmp_path, "service: {environment: production}\nserver: {tls: {terminated_in_front: true}}")
    assert (settings.host, settings.workers, settings.log_pretty) == ("0.0.0.0", 4, False)


def test_the_profile_flag_chooses_the_environment(tmp_path: Path) -> None:
    assert load_settings(None, {}, profile="staging").service.environment == "staging"
    with pytest.raises(SettingsError, match=r"service.environment \(from --profile\): expected one of development"):
        load_settings(None, {}, profile="prod")


def test_a_fixed_admin_key_that_can_be_guessed_is_refused(tmp_path: Path) -> None:
    assert "shorter than 16" in problems(tmp_path, "service: {environment: staging}\nkeys: {admin: letmein}")[0]
    assert load(tmp_path, "keys: {admin: sk-1234}").keys.admin is not None
    assert "shorter than 16" in problems(tmp_path, "keys: {admin: ''}")[0]


def test_a_certificate_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = "providers: {x: {base_url: 'https://x/v1', ca_file: ca.pem}}"
    assert problems(tmp_path, text) == ["providers.x.ca_file: there is no file ca.pem"]
    (tmp_path / "ca.pem").touch()
    assert load(tmp_path, text).providers["x"].ca_file == str(tmp_path / "ca.pem")


def test_an_unknown_provider_without_an_address_says_what_is_known(tmp_path: Path) -> None:
    found = problems(tmp_path, "providers: {opnai: {}, x: {preset: gemnii}}")
    assert "providers.opnai: is not a provider known by name (openai, anthropic" in found[0]
    assert "'gemnii' is not a preset" in found[1]


def test_capabilities_are_laid_over_those_of_the_preset(tmp_path: Path) -> None:
    text = "providers: {mistral: {api_key: k, capabilities: {top_k: true, stops_max: null}}, x: {base_url: http://x, capabilities: {}}}"
    settings = load(tmp_path, text, {}, ("providers.x.capabilities.images=data",))
    mistral = settings.providers["mistral"].capabilities
    assert mistral == msgspec.structs.replace(PRESETS["mistral"].can, top_k=True, stops_max=None)
    assert settings.providers["x"].capabilities == Capabilities(images="data")
    assert load(tmp_path, "providers: {mistral: {api_key: k}}").providers["mistral"].capabilities is None


def test_a_capability_that_does_not_exist_is_named(tmp_path: Path) -> None:
    found = problems(tmp_path, "providers: {x: {base_url: http://x, capabilities: {tpo_k: true, images: maybe}}}")
    assert found == [
        "providers.x.capabilities.tpo_k: is not a setting; did you mean 'top_k'?",
        "providers.x.capabilities.images: expected one of url, data, no, got a text",
    ]


def test_a_version_that_looks_like_a_date_is_a_text(tmp_path: Path) -> None:
    assert (
        load(tmp_path, "providers: {azure: {base_url: http://x, api_version: 2024-10-21}}").providers["azure"].api_version == "2024-10-21"
    )


def test_a_key_of_aws_and_its_secret_belong_together_and_to_bedrock(tmp_path: Path) -> None:
    assert problems(tmp_path, "providers: {bedrock: {access_key_id: a}}") == [
        "providers.bedrock.secret_access_key: is missing; access_key_id and secret_access_key belong together"
    ]
    assert problems(tmp_path, "providers: {bedrock: {session_token: a}}") == [
        "providers.bedrock.session_token: goes with access_key_id and secret_access_key"
    ]
    assert problems(tmp_path, "providers: {openai: {access_key_id: a, secret_access_key: b}}") == [
        "providers.openai.access_key_id: is for `preset: bedrock`; others take an api_key"
    ]


def test_a_route_may_refuse_what_cannot_be_translated(tmp_path: Path) -> None:
    routes = load(tmp_path, "routes: {a: {targets: [sim/x], untranslated: refuse}, b: {targets: [sim/x]}}").routes
    assert [route.untranslated for route in routes.values() if isinstance(route, RouteSettings)] == ["refuse", "report"]
    assert "expected one of report, refuse" in problems(tmp_path, "routes: {a: {targets: [sim/x], untranslated: drop}}")[0]
