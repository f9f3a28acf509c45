"""Compiling: what a draft becomes, and what is said of each mistake."""

from collections.abc import Callable

import msgspec
import pytest
from tests.gateway.accounts import service_account

from setpoint.control.compile import compile_plan, reseal, same_content
from setpoint.control.draft import Draft, UpstreamDraft
from setpoint.domain.capabilities import Capabilities
from setpoint.domain.money import Price
from setpoint.domain.plan import (
    BreakerLimits,
    CachePolicy,
    Fallbacks,
    HybridWeights,
    Limits,
    Plan,
    PriceBook,
    PriceRule,
    Retries,
    RoleLimit,
    Route,
    Target,
    Timeouts,
)
from setpoint.wire.aws_keys import AwsKeys, write_aws_keys

OPENAI = UpstreamDraft("openai", "openai", "openai_chat", "https://api.openai.com/v1", api_key="k", wildcards=("gpt-*", "o1*"))
LOCAL = UpstreamDraft("local", "local", "openai_chat", "http://127.0.0.1:8089/v1", auth="none")
GOOD = Draft((OPENAI, LOCAL), (Route("fast", (Target("openai", "gpt-4o-mini"),)),))


def seal(name: str, key: str) -> bytes:
    return f"{name}|{key}".encode()


def unseal(name: str, sealed: bytes) -> str:
    return sealed.decode().removeprefix(f"{name}|").removeprefix("again|")


def compiled(draft: Draft, prices: PriceBook | None = None) -> Plan:
    plan = compile_plan(draft, 1, 2, 3, seal, prices or PriceBook())
    assert isinstance(plan, Plan), plan
    return plan


def problems(draft: Draft) -> list[str]:
    found = compile_plan(draft, 1, 2, 3, seal, PriceBook())
    assert not isinstance(found, Plan)
    return [str(problem) for problem in found]


AWS_KEYS = write_aws_keys(AwsKeys("AKID", "secret"))
BEDROCK: dict[str, object] = {
    "dialect": "bedrock_converse",
    "hosting": "bedrock",
    "auth": "aws",
    "region": "us-east-1",
    "api_key": AWS_KEYS,
}
VERTEX: dict[str, object] = {
    "dialect": "gemini",
    "hosting": "vertex",
    "auth": "google",
    "region": "europe-west1",
    "project": "my-project",
    "api_key": service_account(),
}


def upstream(change: dict[str, object]) -> Draft:
    base = {"name": "a", "provider": "a", "dialect": "openai_chat", "base_url": "https://a/v1", "api_key": "k"}
    return Draft((UpstreamDraft(**(base | change)),))  # type: ignore[arg-type]


def route(**change: object) -> Draft:
    return Draft((OPENAI, LOCAL), (msgspec.structs.replace(GOOD.routes[0], **change),))


def test_a_good_draft_becomes_a_plan() -> None:
    plan = compiled(GOOD)
    assert (plan.epoch, plan.version, plan.created_ns) == (1, 2, 3)
    openai, local = plan.upstreams
    assert (openai.host, openai.port, openai.tls, openai.base_path) == ("api.openai.com", 443, True, "/v1")
    assert (local.host, local.port, local.tls) == ("127.0.0.1", 8089, False)
    assert (openai.api_key_sealed, local.api_key_sealed) == (b"openai|k", None)


def test_every_upstream_answers_its_own_names_and_what_is_written_comes_first() -> None:
    assert [route.model for route in compiled(GOOD).routes] == ["fast", "openai/*", "gpt-*", "o1*", "local/*"]
    assert compiled(GOOD).routes[1] == Route("openai/*", (Target("openai"),), long_by_itself=True)


def test_a_written_route_and_an_earlier_upstream_keep_their_names() -> None:
    eu = UpstreamDraft("eu", "openai", "openai_chat", "https://eu/v1", api_key="k", wildcards=("gpt-*",))
    plan = compiled(Draft((OPENAI, eu), (Route("o1*", (Target("eu"),)),), cache=CachePolicy("off")))
    targets = {route.model: route.targets[0].upstream for route in plan.routes}
    assert targets == {"o1*": "eu", "openai/*": "openai", "gpt-*": "openai", "eu/*": "eu"}
    assert plan.routes[1].cache == CachePolicy("off")


@pytest.mark.parametrize(
    ("change", "base_url", "base_path"),
    [
        ({"dialect": "anthropic"}, "https://api.anthropic.com", "/v1"),
        ({"dialect": "anthropic"}, "https://api.anthropic.com/v1/", "/v1"),
        ({"dialect": "anthropic"}, "http://proxy/anthropic", "/anthropic/v1"),
        ({}, "http://host", ""),
        ({}, "http://host/openai/v1/", "/openai/v1"),
        ({"dialect": "gemini"}, "https://generativelanguage.googleapis.com/", "/v1beta"),
        ({"dialect": "gemini"}, "https://generativelanguage.googleapis.com/v1beta", "/v1beta"),
        ({"dialect": "gemini"}, "https://generativelanguage.googleapis.com/v1", "/v1"),
        ({"dialect": "gemini"}, "http://proxy/genai", "/genai/v1beta"),
        ({"dialect": "cohere"}, "https://api.cohere.com/v2/", ""),
        ({"dialect": "cohere"}, "https://api.cohere.ai/v1", ""),
        ({"dialect": "ollama"}, "http://ollama:11434", ""),
        ({"dialect": "ollama"}, "http://ollama:11434/v1", ""),
        ({"dialect": "ollama"}, "http://ollama:11434/api", ""),
        ({"hosting": "azure"}, "https://x.openai.azure.com/", ""),
        ({"hosting": "azure"}, "https://x.openai.azure.com/openai/v1/", ""),
        ({"hosting": "azure"}, "https://x.openai.azure.com/openai/deployments/d/chat/completions", ""),
        ({"hosting": "azure"}, "https://proxy/azure/openai", "/azure"),
        (BEDROCK, "https://bedrock-runtime.us-east-1.amazonaws.com", ""),
        (BEDROCK | {"dialect": "anthropic"}, "https://bedrock-runtime.us-east-1.amazonaws.com/", ""),
        (BEDROCK | {"dialect": "openai_chat"}, "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", ""),
        (VERTEX, "https://aiplatform.googleapis.com", ""),
        (VERTEX | {"dialect": "anthropic"}, "https://aiplatform.googleapis.com/v1", ""),
    ],
)
def test_a_base_address_works_as_the_vendors_clients_write_it(change: dict[str, object], base_url: str, base_path: str) -> None:
    assert compiled(upstream(change | {"base_url": base_url})).upstreams[0].base_path == base_path


def test_all_that_is_said_of_a_cloud_reaches_the_plan() -> None:
    can = Capabilities(top_k=True)
    (made,) = compiled(upstream(VERTEX | {"also": ("anthropic", "gemini_embeddings"), "can": can, "api_version": "v9"})).upstreams
    assert (made.hosting, made.region, made.project, made.auth) == ("vertex", "europe-west1", "my-project", "google")
    assert (made.also, made.can, made.api_version) == (("anthropic", "gemini_embeddings"), can, "v9")
    assert made.api_key_sealed == f"a|{service_account()}".encode()


def test_a_stated_price_wins_over_the_table_and_a_price_for_everything_over_its_rules() -> None:
    table = PriceBook("t", {"a": {"m": Price(1, 1), "n": Price(2, 2)}}, {"a": (PriceRule("starts_with", "x", Price(3, 3)),)})
    draft = Draft((), prices={"a": {"m": Price(9, 9), "*": Price(0, 0)}})
    prices = compiled(draft, table).prices
    assert prices.exact["a"] == {"m": Price(9, 9), "n": Price(2, 2)}
    assert [rule.price for rule in prices.rules["a"]] == [Price(0, 0), Price(3, 3)]
    assert table.exact["a"]["m"] == Price(1, 1)


def test_a_route_to_an_unknown_upstream_says_which_and_what_there_is() -> None:
    found = problems(route(targets=(Target("opnai", "x"), Target("eu-2"))))
    unknown = "which the configuration does not define (defined: local, openai)"
    assert found == [
        f"routes.fast: route 'fast' names upstream 'opnai', {unknown}; did you mean 'openai'?",
        f"routes.fast: route 'fast' names upstream 'eu-2', {unknown}",
    ]


CASES: dict[str, tuple[Callable[[], Draft], str]] = {
    "no key": (lambda: upstream({"api_key": None, "key_hint": "A_KEY"}), "providers.a.api_key: is missing; write `api_key: env.A_KEY`"),
    "key with a line break": (lambda: upstream({"api_key": "k\n"}), "providers.a.api_key: holds a character"),
    "bad name": (lambda: upstream({"name": "A b"}), "providers.A b: a provider's name is"),
    "no address": (lambda: upstream({"base_url": ""}), "providers.a.base_url: is missing"),
    "other scheme": (lambda: upstream({"base_url": "ftp://a"}), "providers.a.base_url: is not an address like https://host/v1"),
    "bad port": (lambda: upstream({"base_url": "http://a:99999"}), "is not an address"),
    "query": (lambda: upstream({"base_url": "http://a/v1?key=x"}), "neither a query nor a user name"),
    "user": (lambda: upstream({"base_url": "http://u:p@a/v1"}), "credentials belong into api_key"),
    "no connections": (lambda: upstream({"connections_max": 0}), "connections_max: must be at least 1"),
    "breaker": (lambda: upstream({"breaker": BreakerLimits(0)}), "providers.a.breaker: failures"),
    "header name": (lambda: upstream({"headers": (("a b", "x"),)}), "headers.a b: is not a header"),
    "header value": (lambda: upstream({"headers": (("a", "x\r\ny"),)}), "headers.a: is not a header"),
    "our header": (lambda: upstream({"headers": (("Host", "x"),)}), "set by the gateway itself"),
    "credential": (lambda: upstream({"headers": (("Authorization", "x"),)}), "put that into providers.a.api_key"),
    "many headers": (lambda: upstream({"headers": tuple((f"a{i}", "x") for i in range(33))}), "has 33 entries; the limit is 32"),
    "azure without an address": (
        lambda: upstream({"hosting": "azure", "base_url": ""}),
        "providers.a.base_url: is missing; write the address of your resource, like https://NAME.openai.azure.com",
    ),
    "bedrock without a region": (lambda: upstream(BEDROCK | {"region": "", "base_url": ""}), "providers.a.region: is missing"),
    "bedrock without a key": (lambda: upstream(BEDROCK | {"api_key": None}), "write access_key_id and secret_access_key"),
    "bedrock with another key": (lambda: upstream(BEDROCK | {"api_key": "{}"}), "cannot be signed with this credential: it is not"),
    "bedrock's api key as one for signing": (lambda: upstream(BEDROCK | {"api_key": "ABSK"}), "cannot be signed with this credential"),
    "another dialect at bedrock": (lambda: upstream(BEDROCK | {"dialect": "gemini"}), "a.dialect: gemini is not spoken at bedrock"),
    "another dialect at azure": (
        lambda: upstream({"hosting": "azure", "dialect": "anthropic"}),
        "anthropic is not spoken at azure; there are: openai_chat, openai_responses",
    ),
    "also another at vertex": (lambda: upstream(VERTEX | {"also": ("ollama",)}), "providers.a.also: ollama is not spoken at vertex"),
    "also one that has its own door": (
        lambda: upstream({"also": ("gemini",)}),
        "providers.a.also: gemini is not served at the address of an upstream that speaks openai_chat",
    ),
    "signed for another": (lambda: upstream({"auth": "aws", "api_key": AWS_KEYS}), "providers.a.auth: aws signs requests to Bedrock only"),
    "vertex without a project": (lambda: upstream(VERTEX | {"project": ""}), "a.project: is missing; write the id of the project"),
    "vertex without a place": (lambda: upstream(VERTEX | {"region": ""}), "a.region: is missing; write the location, like global"),
    "vertex without an account": (lambda: upstream(VERTEX | {"api_key": None}), "write `api_key: file:service-account.json`"),
    "vertex with the name of a file": (lambda: upstream(VERTEX | {"api_key": "/sa.json"}), "is no key of a service account: it is not"),
    "vertex with a broken key": (
        lambda: upstream(VERTEX | {"api_key": service_account(private_key="x")}),
        "is no key of a service account: its private_key cannot be used",
    ),
    "a region with a slash": (lambda: upstream(BEDROCK | {"region": "us/east"}), "providers.a.region: may hold letters, digits"),
    "a version with a query": (lambda: upstream({"hosting": "azure", "api_version": "1&x=y"}), "providers.a.api_version: may hold letters"),
    "same name twice": (lambda: Draft((LOCAL, LOCAL)), "providers.local: is defined twice"),
    "same route twice": (lambda: Draft((OPENAI,), (GOOD.routes[0], GOOD.routes[0])), "routes.fast: is defined twice"),
    "no target": (lambda: route(targets=()), "routes.fast: has no target"),
    "star inside": (lambda: route(model="a*b"), "`*` may stand only at the end"),
    "no name": (lambda: route(model=""), "a route is for a model name"),
    "weight": (lambda: route(targets=(Target("openai", "x", 0),)), "the weight of 'openai' is 0"),
    "weight nan": (lambda: route(targets=(Target("openai", "x", float("nan")),)), "must be more than 0"),
    "many targets": (lambda: route(targets=(Target("openai"),) * 65), "has 65 entries; the limit is 64"),
    "hybrid": (lambda: route(hybrid=HybridWeights(0, 0, 0)), "routes.fast.hybrid: must not be negative, and not all 0"),
    "hybrid below 0": (lambda: route(hybrid=HybridWeights(-1, 2, 0)), "routes.fast.hybrid: must not be negative"),
    "match without the strategy": (lambda: route(targets=(Target("openai", match=("x",)),)), "only `strategy: model` heeds"),
    "strategy without a match": (lambda: route(strategy="model"), "routes.fast.strategy: model chooses by `match`"),
    "empty match": (lambda: route(strategy="model", targets=(Target("openai", match=("",)),)), "have an empty `match`"),
    "fallback to nobody": (lambda: route(fallbacks=Fallbacks(refusal=(Target("opnai"),))), "names upstream 'opnai'"),
    "many fallbacks": (lambda: route(fallbacks=Fallbacks(error=(Target("openai"),) * 65)), "routes.fast.fallbacks.error: has 65 entries"),
    "no call for fallbacks": (
        lambda: route(fallbacks=Fallbacks(error=(Target("openai"),)), retries=Retries(1)),
        "routes.fast.fallbacks: are never tried with retries.attempts of 1",
    ),
    "timeout": (lambda: route(timeouts=Timeouts(idle_s=0)), "routes.fast.timeouts.idle_s: must be more than 0"),
    "attempts": (lambda: route(retries=Retries(0)), "routes.fast.retries.attempts: must be between 1"),
    "factor": (lambda: route(retries=Retries(factor=0.5)), "factor at least 1"),
    "ttl": (lambda: route(cache=CachePolicy(ttl_s=0)), "write `mode: off`"),
    "limit": (lambda: Draft((), limits=Limits(connections_max=0)), "limits.connections_max: must be more than 0"),
    "rate": (lambda: Draft((), role_limits={"admin": RoleLimit(-1, 0)}), "limits.roles.admin: rpm"),
    "open door": (lambda: Draft((), keys_required=False, environment="staging"), "only service.environment: development allows"),
    "many upstreams": (lambda: Draft(tuple(numbered(i) for i in range(1001))), "providers: has 1001 entries; the limit is 1000"),
    "many routes": (lambda: Draft((LOCAL,), tuple(Route(f"r{i}", (Target("local"),)) for i in range(10_001))), "routes: has 10001 entries"),
}


def numbered(i: int) -> UpstreamDraft:
    return UpstreamDraft(f"u{i}", "x", "openai_chat", "http://x", auth="none")


@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_named(name: str) -> None:
    draft, expected = CASES[name]
    assert [text for text in problems(draft()) if expected in text], problems(draft())


def test_all_problems_come_at_once() -> None:
    bad = UpstreamDraft("a", "a", "openai_chat", "nonsense")
    assert len(problems(Draft((bad,), (Route("r", (Target("b"),)), Route("", ()))))) >= 5


def test_a_draft_does_not_show_its_credentials() -> None:
    assert "s3cret" not in repr(Draft((UpstreamDraft("a", "a", "openai_chat", api_key="s3cret", headers=(("x", "s3cret"),)),)))


def test_a_credential_that_cannot_be_used_is_not_repeated_by_the_complaint() -> None:
    draft = upstream(VERTEX | {"api_key": service_account(token_uri="http://x/")})
    assert "PRIVATE" not in "".join(problems(draft))


def test_a_key_of_vertex_express_mode_needs_neither_project_nor_account() -> None:
    change = VERTEX | {"auth": "x-goog-api-key", "api_key": "AIza", "project": "", "region": ""}
    assert compiled(upstream(change)).upstreams[0].project == ""


def test_keyless_callers_are_let_in_only_in_development() -> None:
    assert compiled(Draft((), keys_required=False)).keys_required is False


def test_content_is_the_same_whatever_number_it_bears() -> None:
    one = compiled(GOOD)
    assert same_content(one, msgspec.structs.replace(one, epoch=2, version=9, created_ns=99))
    assert not same_content(one, compiled(Draft((LOCAL,))))


def test_a_credential_that_did_not_change_keeps_its_seal_and_a_changed_one_does_not() -> None:
    def noisy(name: str, key: str) -> bytes:
        return f"{name}|again|{key}".encode()

    sealed = reseal(compiled(GOOD), noisy, unseal)
    assert sealed("openai", "k") == b"openai|k"
    assert sealed("openai", "other") == b"openai|again|other"
    assert sealed("new", "k") == b"new|again|k"
