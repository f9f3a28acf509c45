"""What settings become: upstreams with their presets, routes from short forms, figures by profile."""

from pathlib import Path

from setpoint.app.config_template import config_template
from setpoint.app.drafting import draft_of
from setpoint.app.settings import Settings, load_settings
from setpoint.control.compile import compile_plan
from setpoint.control.draft import Draft
from setpoint.domain.money import Price
from setpoint.domain.plan import (
    LONG_TIMEOUTS,
    RETRY_PRESETS,
    CachePolicy,
    Fallbacks,
    HybridWeights,
    Plan,
    PriceBook,
    Retries,
    RoleLimit,
    Target,
    Timeouts,
)

SIM_PRICES = {"fast": Price(1, 2, source="simulated")}


def settings_of(environ: dict[str, str] | None = None, *overrides: str, profile: str | None = None) -> Settings:
    return load_settings(None, environ or {}, overrides, profile)


def draft(environ: dict[str, str] | None = None, *overrides: str) -> Draft:
    return draft_of(settings_of(environ, *overrides), "/run/sim.sock", SIM_PRICES)


def plan(made: Draft) -> Plan:
    found = compile_plan(made, 1, 1, 0, lambda name, key: key.encode(), PriceBook())
    assert isinstance(found, Plan), found
    return found


def test_without_any_provider_there_are_the_simulated_models() -> None:
    made = plan(draft())
    assert [(upstream.name, upstream.unix_path, upstream.auth) for upstream in made.upstreams] == [("sim", "/run/sim.sock", "none")]
    assert [route.model for route in made.routes] == ["sim/*"]
    assert made.prices.exact["sim"] == SIM_PRICES


def test_the_simulated_models_can_be_switched_off() -> None:
    assert plan(draft({}, "providers.sim.enabled=false")).upstreams == ()


def test_the_local_model_is_reached_over_the_trees_own_socket_unless_it_has_an_address() -> None:
    def local(*overrides: str) -> tuple[str | None, str, str]:
        made = plan(draft_of(settings_of({}, "providers.sim.enabled=false", *overrides), "s", {}, "/run/local.sock"))
        return made.upstreams[0].unix_path, made.upstreams[0].host, made.upstreams[0].base_path

    assert local() == local("providers.local.enabled=true") == ("/run/local.sock", "localhost", "/v1")
    assert not plan(draft_of(settings_of({}, "providers.sim.enabled=false", "providers.local.enabled=false"), "s", {}, "l")).upstreams
    assert local("providers.local.base_url=http://127.0.0.1:9/api") == (None, "127.0.0.1", "/api")


def test_a_vendor_key_gives_its_models_by_name() -> None:
    made = plan(draft({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k2", "ANTHROPIC_BASE_URL": "http://127.0.0.1:9"}))
    by_model = {route.model: route.targets[0].upstream for route in made.routes}
    assert (by_model["gpt-*"], by_model["claude-*"], by_model["openai/*"]) == ("openai", "anthropic", "openai")
    anthropic = made.upstreams[1]
    assert (anthropic.dialect, anthropic.auth, anthropic.provider) == ("anthropic", "x-api-key", "anthropic")
    assert (anthropic.host, anthropic.port, anthropic.tls, anthropic.base_path) == ("127.0.0.1", 9, False, "/v1")


def test_a_provider_of_its_own_name_takes_a_preset_and_is_priced_as_that_vendor() -> None:
    upstream = draft({}, "providers.eu.preset=xai", "providers.eu.api_key=k").upstreams[0]
    assert (upstream.name, upstream.provider, upstream.base_url, upstream.wildcards) == ("eu", "xai", "https://api.x.ai/v1", ("grok-*",))


def test_any_openai_compatible_server_works_with_and_without_a_key() -> None:
    keyless, keyed = draft({}, "providers.a.base_url=http://a/v1", "providers.b={base_url: http://b/v1, api_key: k}").upstreams[:2]
    assert (keyless.auth, keyed.auth) == ("none", "bearer")


def test_a_provider_that_is_off_is_not_there() -> None:
    assert [upstream.name for upstream in draft({"OPENAI_API_KEY": "k"}, "providers.openai.enabled=false").upstreams] == ["sim"]


def test_short_forms_of_a_route_mean_the_same_as_the_long_one() -> None:
    made = draft(
        {},
        "routes.a=sim/fast",
        "routes.b=[sim/fast]",
        "routes.c={targets: [{upstream: sim, model: fast}], timeouts: guarded, retries: default}",
    )
    a, b, c = made.routes
    assert a.targets == b.targets == c.targets == (Target("sim", "fast"),)
    assert a.timeouts == c.timeouts
    assert a.retries == c.retries


def test_a_model_with_slashes_keeps_them_and_an_upstream_alone_is_asked_as_the_client_wrote() -> None:
    made = draft({}, "routes.a=sim/org/model", "routes.b=sim")
    assert [route.targets[0] for route in made.routes] == [Target("sim", "org/model"), Target("sim", "")]


def test_presets_and_figures_of_a_route_are_taken() -> None:
    by_name = "routes.a={targets: [sim/x], timeouts: long, retries: none}"
    made = draft({}, by_name, "routes.b={targets: [sim/x], timeouts: {idle_s: 5}, retries: {attempts: 7}}")
    assert (made.routes[0].timeouts, made.routes[0].retries) == (LONG_TIMEOUTS, RETRY_PRESETS["none"])
    assert (made.routes[1].timeouts, made.routes[1].retries) == (Timeouts(idle_s=5), Retries(7))


def test_the_cache_section_is_what_a_route_and_a_wildcard_follow() -> None:
    made = draft({}, "cache.mode=all", "routes.a=sim/x", "routes.b={targets: [sim/x], cache: {mode: 'off'}}")
    assert [route.cache.mode for route in plan(made).routes] == ["all", "off", "all"]
    assert made.cache == CachePolicy("all")


def test_roles_without_a_figure_follow_the_profile() -> None:
    service = [draft_of(settings_of(profile=name), "s", {}).role_limits["service"] for name in ("development", "staging")]
    assert service == [RoleLimit(0, 0, "high"), RoleLimit(500, 600, "high")]
    limits = draft({}, "limits.roles.service.rpm=50", "limits.roles.admin={rpm: 5, burst: 9}").role_limits
    assert (limits["service"], limits["admin"]) == (RoleLimit(50, 60, "high"), RoleLimit(5, 9, "high"))
    assert limits["developer"] == RoleLimit(10_000, 12_000, "normal")


def test_who_is_shed_first_can_be_said_by_role_and_by_route() -> None:
    made = draft({}, "limits.roles.developer={rpm: 5, priority: low}", "routes.batch={targets: [sim/echo], priority: low}")
    assert made.role_limits["developer"].priority == "low"
    assert [route.priority for route in made.routes] == ["low"]


def test_stated_prices_are_dollars_a_million_tokens() -> None:
    made = draft({}, "providers.a={base_url: http://a, prices: {m: {input: 0.15, output: 0.6, cached_read: 0.075}}}")
    assert made.prices["a"]["m"] == Price(150_000, 600_000, 75_000, source="configuration")


def test_the_local_model_is_free_and_says_why() -> None:
    assert draft({}, "providers.local={}").prices["local"]["*"] == Price(0, 0, source="local: runs on this machine")


def test_the_template_compiles(tmp_path: Path) -> None:
    path = tmp_path / "setpoint.yaml"
    path.write_text(config_template())
    assert plan(draft_of(load_settings(path, {}), "s", SIM_PRICES)).keys_required


def test_a_route_says_how_it_chooses_and_what_it_falls_back_to() -> None:
    route = "{targets: [{upstream: sim, match: gpt-*}, {upstream: sim, model: x, match: [a, b]}], strategy: model, hybrid: {cost: 1}}"
    chains = "{targets: [sim/a], fallbacks: {context_window: [sim/long], refusal: [{upstream: sim, model: kind}]}}"
    by_model, fallen = plan(draft({}, f"routes.m={route}", f"routes.f={chains}")).routes[:2]
    assert by_model.targets == (Target("sim", match=("gpt-*",)), Target("sim", "x", match=("a", "b")))
    assert (by_model.strategy, by_model.hybrid, by_model.fallbacks) == ("model", HybridWeights(1.0, 0.4, 0.2), None)
    assert fallen.fallbacks == Fallbacks(context_window=(Target("sim", "long"),), refusal=(Target("sim", "kind"),))
