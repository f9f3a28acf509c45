"""From a draft to a plan, or to everything that is wrong with it.

Compiling looks at the draft as a whole, because the usual mistakes lie between its parts: a route that names an upstream nobody
defined, two routes for one name. All problems are reported at once, each in words for the person who wrote the file.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterable
from urllib.parse import SplitResult, urlsplit

import msgspec

from setpoint.control.clouds import base_path, cloud_problems, secret_problems
from setpoint.control.draft import Draft, Problem, UpstreamDraft
from setpoint.control.key_problems import key_problems
from setpoint.domain.plan import AuthStyle, Plan, PriceBook, PriceRule, Route, SealedKey, StreamLimits, Target, Upstream

UPSTREAMS_MAX = 1_000
ROUTES_MAX = 10_000
TARGETS_MAX = 64
HEADERS_MAX = 32
PROBE_EVERY_S_MIN = 1.0
STREAM_BYTES_MIN = 64
"""Below this a write or a delta would be all framing."""

Seal = Callable[[str, str], bytes]
"""(upstream name, credential) to what the plan may hold of it."""
Unseal = Callable[[str, bytes], str | None]
"""(upstream name, sealed) to the credential; None when it was sealed with another key."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_OUR_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer", "expect"})
_CREDENTIAL_HEADERS = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "x-amz-security-token", "cookie", "proxy-authorization"}
)
MADE_FOR_EACH_REQUEST: frozenset[AuthStyle] = frozenset({"aws", "google"})
"""Ways to authenticate whose secret is no header's value."""


def compile_plan(draft: Draft, epoch: int, version: int, created_ns: int, seal: Seal, prices: PriceBook) -> Plan | tuple[Problem, ...]:
    """The plan that `draft` describes, or every problem it has."""
    problems = tuple(_find_problems(draft))
    if problems:
        return problems
    return Plan(
        epoch=epoch,
        version=version,
        created_ns=created_ns,
        upstreams=tuple(_upstream(upstream, seal) for upstream in draft.upstreams),
        routes=tuple(_with_wildcards(draft)),
        prices=_with_stated(prices, draft),
        role_limits=draft.role_limits,
        limits=draft.limits,
        capture=draft.capture,
        keys_required=draft.keys_required,
    )


def same_content(one: Plan, other: Plan) -> bool:
    """Whether two plans say the same; number and time of publication do not count."""
    return _unnumbered(one) == _unnumbered(other)


def reseal(before: Plan, seal: Seal, unseal: Unseal) -> Seal:
    """A seal that leaves a credential as `before` holds it unless it changed.

    Sealing twice never gives the same bytes. Without this every publication would change every upstream, and workers would drop their
    warm connections and what they learned of it.
    """
    sealed_before: dict[str, list[bytes]] = {}
    for upstream in before.upstreams:
        sealed_before[upstream.name] = [key.sealed for key in upstream.keys]
        if upstream.api_key_sealed is not None:
            sealed_before[upstream.name].append(upstream.api_key_sealed)

    def seal_if_changed(name: str, credential: str) -> bytes:
        kept = next((sealed for sealed in sealed_before.get(name, ()) if unseal(name, sealed) == credential), None)
        return kept if kept is not None else seal(name, credential)

    return seal_if_changed


# Problems


def _find_problems(draft: Draft) -> Iterable[Problem]:
    names = [upstream.name for upstream in draft.upstreams]
    yield from _too_many("providers", names, UPSTREAMS_MAX)
    yield from _too_many("routes", draft.routes, ROUTES_MAX)
    yield from (Problem(f"providers.{name}", "is defined twice; give one of them another name") for name in _twice(names))
    for upstream in draft.upstreams:
        yield from _upstream_problems(upstream)
    yield from (Problem(f"routes.{model}", "is defined twice; merge the two") for model in _twice(route.model for route in draft.routes))
    for route in draft.routes:
        yield from _route_problems(route, names)
    yield from _limit_problems(draft)


def _upstream_problems(upstream: UpstreamDraft) -> Iterable[Problem]:
    where = f"providers.{upstream.name}"
    if not _NAME.fullmatch(upstream.name):
        yield Problem(where, "a provider's name is lower-case letters, digits, '.', '_' and '-', at most 64 of them")
    if upstream.unix_path is None and (upstream.base_url or upstream.hosting == "vendor"):
        yield from _address_problems(where, upstream.base_url)
    yield from cloud_problems(upstream)
    if upstream.auth in MADE_FOR_EACH_REQUEST:
        yield from secret_problems(upstream)
    elif upstream.auth != "none" and not upstream.api_key:
        hint = f"env.{upstream.key_hint}" if upstream.key_hint else "env.MY_API_KEY"
        yield Problem(f"{where}.api_key", f"is missing; write `api_key: {hint}`, or `auth: none` if it wants no key")
    elif upstream.api_key and not _HEADER_VALUE.fullmatch(upstream.api_key):
        yield Problem(f"{where}.api_key", "holds a character that no HTTP header may hold; look for a line break that got into it")
    if upstream.connections_max < 1:
        yield Problem(f"{where}.connections_max", "must be at least 1")
    if upstream.breaker.failures < 1 or upstream.breaker.successes < 1 or upstream.breaker.open_s <= 0:
        yield Problem(f"{where}.breaker", "failures and successes must be at least 1, and open_s more than 0")
    yield from _header_problems(where, upstream.headers)
    yield from key_problems(where, upstream)
    probe = upstream.probe
    if probe is not None and not (probe.every_s >= PROBE_EVERY_S_MIN and re.fullmatch(r"/[!-~]*", probe.path)):
        what = f"is like {{every_s: 30, path: /models}}: every_s at least {PROBE_EVERY_S_MIN:g}, and a path from / on"
        yield Problem(f"{where}.probe", what)


def _address_problems(where: str, base_url: str) -> Iterable[Problem]:
    if not base_url:
        yield Problem(f"{where}.base_url", "is missing; write the address that the provider's API has, like https://host/v1")
        return
    try:
        parts = urlsplit(base_url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, good = SplitResult("", "", "", "", ""), False
    if not good:
        yield Problem(f"{where}.base_url", "is not an address like https://host/v1 or http://127.0.0.1:8000/v1")
    if parts.query or parts.fragment or parts.username or parts.password:
        yield Problem(f"{where}.base_url", "may hold neither a query nor a user name; credentials belong into api_key")


def _header_problems(where: str, headers: tuple[tuple[str, str], ...]) -> Iterable[Problem]:
    yield from _too_many(f"{where}.headers", headers, HEADERS_MAX)
    for name, value in headers:
        at = f"{where}.headers.{name}"
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            yield Problem(at, "is not a header that HTTP allows (RFC 9110, section 5)")
        if name.lower() in _OUR_HEADERS:
            yield Problem(at, "is set by the gateway itself; remove it")
        if name.lower() in _CREDENTIAL_HEADERS:
            yield Problem(at, f"holds a credential; put that into {where}.api_key, where it is sealed")


def _route_problems(route: Route, upstreams: list[str]) -> Iterable[Problem]:
    where = f"routes.{route.model}"
    if not route.model or "*" in route.model[:-1]:
        yield Problem(where, "a route is for a model name, in which `*` may stand only at the end")
    if not route.targets:
        yield Problem(where, "has no target; write at least one, like `targets: [openai/gpt-4o-mini]`")
    yield from _too_many(f"{where}.targets", route.targets, TARGETS_MAX)
    for target in (*route.targets, *_fallback_targets(route)):
        if target.upstream not in upstreams:
            yield Problem(where, f"route {route.model!r} names upstream {target.upstream!r}, {_not_defined(target.upstream, upstreams)}")
        if not (math.isfinite(target.weight) and target.weight > 0):
            yield Problem(where, f"the weight of {target.upstream!r} is {target.weight}; it must be more than 0")
    yield from _choice_problems(where, route)
    yield from _timing_problems(where, route)


def _fallback_targets(route: Route) -> tuple[Target, ...]:
    """The targets of all chains."""
    chains = route.fallbacks
    return () if chains is None else (*chains.error, *chains.context_window, *chains.content_filter, *chains.refusal)


def _choice_problems(where: str, route: Route) -> Iterable[Problem]:
    """How one of the targets is chosen."""
    weights = msgspec.structs.astuple(route.hybrid)
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights) > 0:
        yield Problem(f"{where}.hybrid", "must not be negative, and not all 0; only the proportion of the weights matters")
    by_model = any(target.match for target in route.targets)
    if by_model and route.strategy != "model":
        yield Problem(f"{where}.targets", f"have `match`, which only `strategy: model` heeds (this is {route.strategy})")
    if route.strategy == "model" and not by_model:
        yield Problem(
            f"{where}.strategy", "model chooses by `match`, which no target has; write one, like `{upstream: openai, match: gpt-*}`"
        )
    if any(not pattern for target in route.targets for pattern in target.match):
        yield Problem(f"{where}.targets", "have an empty `match`; leave it out for a target that takes every model")
    for cause in route.fallbacks.__struct_fields__ if route.fallbacks is not None else ():
        yield from _too_many(f"{where}.fallbacks.{cause}", getattr(route.fallbacks, cause), TARGETS_MAX)
    if route.retries.attempts < 2 and _fallback_targets(route):
        yield Problem(f"{where}.fallbacks", "are never tried with retries.attempts of 1: their calls count among them; allow 2 or more")


def _timing_problems(where: str, route: Route) -> Iterable[Problem]:
    for name, value in msgspec.structs.asdict(route.timeouts).items():
        if value is not None and value <= 0:
            yield Problem(f"{where}.timeouts.{name}", "must be more than 0")
    for name, most in msgspec.structs.asdict(StreamLimits()).items():
        if not STREAM_BYTES_MIN <= getattr(route.stream, name) <= most:
            yield Problem(f"{where}.stream.{name}", f"must be between {STREAM_BYTES_MIN} and {most}")
    if not 1 <= route.retries.attempts <= 20:
        yield Problem(f"{where}.retries.attempts", "must be between 1 (no retry) and 20")
    if route.retries.base_s < 0 or route.retries.factor < 1 or route.retries.cap_s < 0:
        yield Problem(f"{where}.retries", "base_s and cap_s must not be negative, and factor at least 1")
    if route.retries.total_s is not None and route.retries.total_s <= 0:
        yield Problem(f"{where}.retries.total_s", "must be more than 0")
    yield from _hedge_problems(where, route)
    if route.cache.ttl_s <= 0:
        yield Problem(f"{where}.cache.ttl_s", "must be more than 0; to switch caching off write `mode: off`")


def _hedge_problems(where: str, route: Route) -> Iterable[Problem]:
    hedge = route.hedge
    if hedge is None:
        return
    if not isinstance(hedge.after_s, str) and not 0 < hedge.after_s < math.inf:
        yield Problem(f"{where}.hedge.after_s", "must be more than 0 seconds, or p50, p90, p95 or p99")
    if not 0 < hedge.max_ratio <= 1:
        yield Problem(f"{where}.hedge.max_ratio", "must be more than 0 and at most 1: the part of the requests that may be asked twice")
    if route.retries.attempts < 2:
        yield Problem(f"{where}.hedge", "needs retries.attempts of at least 2: the second call counts among them")


def _limit_problems(draft: Draft) -> Iterable[Problem]:
    for name, value in msgspec.structs.asdict(draft.limits).items():
        if value <= 0:
            yield Problem(f"limits.{name}", "must be more than 0")
    for role, limit in draft.role_limits.items():
        if limit.rpm < 0 or limit.burst < 0:
            yield Problem(f"limits.roles.{role}", "rpm and burst must not be negative; 0 means no limit")
    if not draft.keys_required and draft.environment != "development":
        yield Problem("keys.required", f"is false, which only service.environment: development allows (this is {draft.environment})")


def _not_defined(name: str, defined: list[str]) -> str:
    near = difflib.get_close_matches(name, defined, 1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"which the configuration does not define (defined: {', '.join(sorted(defined)) or 'none'}){guess}"


def _too_many(where: str, things: Iterable[object], most: int) -> Iterable[Problem]:
    count = len(list(things))
    if count > most:
        yield Problem(where, f"has {count} entries; the limit is {most}")


def _twice(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]


# The plan


def _upstream(draft: UpstreamDraft, seal: Seal) -> Upstream:
    parts = urlsplit(draft.base_url)
    tls = parts.scheme == "https"
    return Upstream(
        name=draft.name,
        provider=draft.provider,
        dialect=draft.dialect,
        host=parts.hostname or "localhost",
        port=parts.port or (443 if tls else 80),
        tls=tls,
        base_path=base_path(draft, parts.path),
        auth=draft.auth,
        api_key_sealed=seal(draft.name, draft.api_key) if draft.api_key and draft.auth != "none" and not draft.keys else None,
        keys=tuple(SealedKey(key.label, seal(draft.name, key.key), key.weight) for key in draft.keys) if draft.auth != "none" else (),
        probe=draft.probe,
        unix_path=draft.unix_path,
        headers=draft.headers,
        connections_max=draft.connections_max,
        breaker=draft.breaker,
        ca_file=draft.ca_file,
        also=draft.also,
        hosting=draft.hosting,
        can=draft.can,
        region=draft.region,
        project=draft.project,
        api_version=draft.api_version,
    )


def _with_wildcards(draft: Draft) -> Iterable[Route]:
    """The routes as written, then `<upstream>/*` and the upstream's own wildcards; who comes first keeps a name."""
    yield from draft.routes
    taken = {route.model for route in draft.routes}
    for upstream in draft.upstreams:
        for model in (f"{upstream.name}/*", *upstream.wildcards):
            if model not in taken:
                taken.add(model)
                yield Route(model, (Target(upstream.name),), cache=draft.cache, long_by_itself=True)


def _with_stated(prices: PriceBook, draft: Draft) -> PriceBook:
    """What the draft states wins; its price for `*` is tried before the table's rules, for it is meant for every other model."""
    exact = {provider: dict(models) for provider, models in prices.exact.items()}
    rules = dict(prices.rules)
    for provider, models in draft.prices.items():
        exact.setdefault(provider, {}).update({model: price for model, price in models.items() if model != "*"})
        if "*" in models:
            rules[provider] = (PriceRule("starts_with", "", models["*"]), *rules.get(provider, ()))
    return PriceBook(prices.version, exact, rules)


def _unnumbered(plan: Plan) -> Plan:
    return msgspec.structs.replace(plan, epoch=0, version=0, created_ns=0)
