"""From settings to a draft: names become upstreams, short forms become routes, profiles become figures."""

from collections.abc import Mapping

import msgspec

from setpoint.adapters.local_model.packages import MODEL as LOCAL_MODEL
from setpoint.app.settings import FallbackSettings, Provider, RoleRate, RouteSettings, RouteTarget, Settings, StatedPrice
from setpoint.app.upstreams import upstream_of
from setpoint.control.draft import Draft, UpstreamDraft
from setpoint.domain.money import Price
from setpoint.domain.plan import (
    LONG_TIMEOUTS,
    RETRY_PRESETS,
    ROLE_LIMITS,
    CachePolicy,
    Capture,
    Fallbacks,
    Limits,
    Retries,
    RoleLimit,
    Route,
    Target,
    Timeouts,
)
from setpoint.domain.principal import Role

PICOUSD_PER_TOKEN_OF_USD_PER_MTOK = 1_000_000

_PROFILE_RATES: dict[str, RoleLimit] = {
    "production": RoleLimit(1_000, 1_200),
    "staging": RoleLimit(500, 600),
    "development": RoleLimit(0, 0),
}
"""What serves roles without a figure of their own: service and auditor."""


def draft_of(settings: Settings, sim_socket: str, sim_prices: Mapping[str, Price], local_socket: str | None = None) -> Draft:
    """The draft that `settings` describe.

    `sim_socket` is where the simulated models listen; they are offered unless switched off. `local_socket` is where the tree's own local
    model listens, when it runs: then the provider `local` is offered there unless it is switched off or given another address.
    """
    providers = dict(settings.providers)
    if local_socket:
        providers.setdefault("local", Provider())
    upstreams = [
        upstream_of(name, provider, local_socket if name == "local" else None)
        for name, provider in providers.items()
        if provider.enabled and name != "sim"
    ]
    prices = _prices(providers, upstreams)
    for model in (LOCAL_MODEL, "*"):  # a model that has a price is listed
        prices.setdefault("local", {}).setdefault(model, Price(0, 0, source="local: runs on this machine"))
    if settings.providers.get("sim", Provider()).enabled:
        upstreams.append(UpstreamDraft("sim", "sim", "openai_chat", unix_path=sim_socket, auth="none"))
        prices["sim"] = dict(sim_prices)
    return Draft(
        upstreams=tuple(upstreams),
        routes=tuple(_route(model, route, settings) for model, route in settings.routes.items()),
        prices=prices,
        role_limits=_role_limits(settings),
        limits=_limits(settings),
        capture=_capture(settings),
        cache=CachePolicy(settings.cache.mode, settings.cache.ttl_s),
        keys_required=settings.keys.required,
        environment=settings.service.environment,
    )


def _prices(providers: Mapping[str, Provider], upstreams: list[UpstreamDraft]) -> dict[str, dict[str, Price]]:
    """Stated prices; two upstreams of one provider share them."""
    prices: dict[str, dict[str, Price]] = {}
    for upstream in upstreams:
        stated = {model: _price(price) for model, price in providers[upstream.name].prices.items()}
        prices.setdefault(upstream.provider, {}).update(stated)
    return {provider: models for provider, models in prices.items() if models}


def _route(model: str, route: str | list[str] | RouteSettings, settings: Settings) -> Route:
    if not isinstance(route, RouteSettings):
        route = RouteSettings(targets=(route,) if isinstance(route, str) else tuple(route))
    return Route(
        model=model,
        targets=tuple(_target(target) for target in route.targets),
        strategy=route.strategy,
        hybrid=route.hybrid,
        fallbacks=None if route.fallbacks is None else _fallbacks(route.fallbacks),
        timeouts=_timeouts(route.timeouts),
        retries=route.retries if isinstance(route.retries, Retries) else RETRY_PRESETS[route.retries],
        cache=route.cache or CachePolicy(settings.cache.mode, settings.cache.ttl_s),
        untranslated=route.untranslated,
        hedge=route.hedge,
        long_by_itself=route.timeouts == "auto",
        stream=route.stream,
        on_client_gone=route.on_client_gone,
        continuation=route.continuation,
        priority=route.priority,
    )


def _fallbacks(chains: FallbackSettings) -> Fallbacks:
    return Fallbacks(**{cause: tuple(_target(target) for target in getattr(chains, cause)) for cause in chains.__struct_fields__})


def _target(target: str | RouteTarget) -> Target:
    """`upstream/model`; the model may hold further slashes. Without one it is asked for as the client wrote it."""
    if isinstance(target, RouteTarget):
        match = (target.match,) if isinstance(target.match, str) else target.match
        return Target(target.upstream, target.model, target.weight, match)
    upstream, _, model = target.partition("/")
    return Target(upstream, model)


def _timeouts(chosen: str | Timeouts) -> Timeouts:
    if isinstance(chosen, Timeouts):
        return chosen
    return LONG_TIMEOUTS if chosen == "long" else Timeouts()


def _role_limits(settings: Settings) -> dict[str, RoleLimit]:
    profile = _PROFILE_RATES[settings.service.environment]
    limits: dict[str, RoleLimit] = {role: limit for role, limit in ROLE_LIMITS.items() if role not in {"service", "auditor"}}
    limits |= {"service": msgspec.structs.replace(profile, priority=ROLE_LIMITS["service"].priority), "auditor": profile}
    limits |= {role: _role_limit(role, rate) for role, rate in settings.limits.roles.items()}
    return limits


def _role_limit(role: Role, rate: RoleRate) -> RoleLimit:
    burst = rate.rpm * 12 // 10 if rate.burst is None else rate.burst
    return RoleLimit(rate.rpm, burst, rate.priority or ROLE_LIMITS[role].priority)


def _limits(settings: Settings) -> Limits:
    given, cache = settings.limits, settings.cache
    return Limits(
        body_bytes_max=given.body_bytes_max,
        bodies_bytes_max=given.bodies_bytes_max,
        head_bytes_max=given.head_bytes_max,
        head_s=given.head_s,
        body_s=given.body_s,
        idle_s=given.idle_s,
        connections_max=given.connections_max,
        in_flight_max=given.in_flight_max,
        answer_bytes_max=given.answer_bytes_max,
        held_bytes_max=given.held_bytes_max,
        delay_max_s=given.delay_max_s,
        cache_bytes_max=cache.bytes_max,
        cache_entry_bytes_max=cache.entry_bytes_max,
    )


def _capture(settings: Settings) -> Capture:
    chosen = settings.observability.capture
    return Capture(chosen.prompts, chosen.answers, chosen.bytes_max)


def _price(stated: StatedPrice) -> Price:
    return Price(
        input=_picousd(stated.input),
        output=_picousd(stated.output),
        cached_read=None if stated.cached_read is None else _picousd(stated.cached_read),
        cache_write=None if stated.cache_write is None else _picousd(stated.cache_write),
        source="configuration",
    )


def _picousd(usd_per_mtok: float) -> int:
    return round(usd_per_mtok * PICOUSD_PER_TOKEN_OF_USD_PER_MTOK)
