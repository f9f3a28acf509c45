"""Where may this go, and in which order? The model's name, or a header, chooses the route; the route's strategy and what the request
itself prefers choose among its targets."""

from collections.abc import Callable
from math import inf

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.plan import Strategy
from setpoint.gateway.decision import Chains, Decision, Ranked
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.passing import route_passing
from setpoint.gateway.preferences import (
    OPENROUTER,
    ROUTE_HEADER,
    Providers,
    Sort,
    Wishes,
    allowed,
    none_allowed,
    place_in,
    wishes_of,
)
from setpoint.gateway.published import Candidate, ResolvedRoute
from setpoint.gateway.scoring import (
    BYTES_PER_TOKEN,
    EXPECTED_OUTPUT_TOKENS,
    EXPLORE_S,
    Ranking,
    by_cost,
    by_load,
    by_score,
    by_speed,
    by_turn,
    by_weight,
    cost_of,
)
from setpoint.gateway.stack import Check
from setpoint.gateway.surfaces import HotSurface

_STRATEGY_OF: dict[Sort, Strategy] = {"price": "cost", "latency": "latency"}
_IN_ORDER = frozenset({"failover", "model"})
"""Strategies that leave the targets in the order they were resolved in."""
_MEASURED = frozenset({"latency", "throughput", "hybrid"})


class _OutputBound(msgspec.Struct):
    """The members by which requests bound the answer, as far as they are on top."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None


_output_bound = msgspec.json.Decoder(_OutputBound).decode


def unknown_model(model: str) -> Fault:
    text = f"No route or provider here serves the model {model[:200]!r}. GET /v1/models lists what there is."
    return Fault(FaultKind.unknown_model, text, "model")


def unknown_fallback(model: str) -> Fault:
    text = f"The request wants to fall back to {model[:200]!r}, which no route or provider here serves. GET /v1/models lists what there is."
    return Fault(FaultKind.bad_request, text, "models")


def unknown_route(name: str) -> Fault:
    text = f"There is no route {name[:200]!r} here, which the header x-setpoint-route asks for. GET /v1/models lists what there is."
    return Fault(FaultKind.bad_request, text, ROUTE_HEADER.decode())


def not_served(model: str, surface: HotSurface) -> Fault:
    text = f"No provider behind {model[:200]!r} offers what {surface.name} asks for. Use another model, or another endpoint."
    return Fault(FaultKind.unsupported, text, "model")


def route(uniform: Callable[[], float], now_s: Callable[[], float]) -> Check:
    """Sets `exchange.route`, `candidates` and `decision`; 404 when nothing serves the model, 400 when what is preferred cannot be."""
    order = Order(uniform, now_s)

    def check(exchange: Exchange) -> Fault | None:
        envelope = exchange.envelope
        assert envelope is not None
        resolved = resolved_for(exchange)
        if isinstance(resolved, Fault):
            return resolved
        exchange.route = resolved
        exchange.candidates = candidates = resolved.candidates
        if envelope.provider is None and envelope.models is None and envelope.fallbacks is None:
            if len(candidates) > 1 or resolved.fallbacks is not None:
                _choose(exchange, resolved, order)
            return None
        return _heed(exchange, resolved, order)

    return check


def resolved_for(exchange: Exchange) -> ResolvedRoute | Fault:
    """The route of the model that is asked for, or the one that the header names."""
    envelope, surface = exchange.envelope, exchange.surface
    assert envelope is not None
    forced = exchange.request.headers.get(ROUTE_HEADER)
    resolved: ResolvedRoute | Fault | None
    if forced is not None:
        name = forced.decode("latin-1").strip()
        resolved = exchange.published.resolve(envelope.model, surface, name) or unknown_route(name)
    elif surface.kind == "passing":
        resolved = route_passing(exchange)
    else:
        resolved = exchange.published.resolve(envelope.model, surface)
    if resolved is None:
        return unknown_model(envelope.model)
    if isinstance(resolved, Fault) or resolved.candidates:
        return resolved
    return unknown_model(envelope.model) if resolved.route.strategy == "model" else not_served(envelope.model, surface)


class Order:
    """Puts candidates in the order of a strategy. `uniform` draws from [0, 1)."""

    def __init__(self, uniform: Callable[[], float], now_s: Callable[[], float]) -> None:
        self._uniform = uniform
        self._now_s = now_s

    def ranked(self, exchange: Exchange, resolved: ResolvedRoute, candidates: tuple[Candidate, ...], sort: Sort | None = None) -> Ranked:
        """`candidates` of `resolved`, first choice first. `sort` is preferred to the route's own strategy."""
        strategy: str = resolved.route.strategy if sort is None else sort
        if strategy in _IN_ORDER or len(candidates) == 1:
            return Ranked(tuple((candidate, None) for candidate in candidates), strategy, "configured")
        ranking = self._ranking(exchange, resolved, candidates, _STRATEGY_OF.get(sort, sort) if sort else strategy)
        if ranking.reason == "untried":
            form = candidates[ranking.order[0]].track.form(stream=wants_stream(exchange))
            form.explored_until_s = self._now_s() + EXPLORE_S
        scores = ranking.scores or (None,) * len(candidates)
        rows = tuple((candidates[at], score) for at, score in zip(ranking.order, scores, strict=True))
        return Ranked(rows, strategy, ranking.reason, ranking.propensity, strategy in _MEASURED)

    def _ranking(self, exchange: Exchange, resolved: ResolvedRoute, candidates: tuple[Candidate, ...], strategy: str) -> Ranking:
        now_s = self._now_s()
        match strategy:
            case "round_robin":
                return by_turn(len(candidates), next(resolved.turns))
            case "weighted":
                return by_weight([candidate.weight for candidate in candidates], [self._uniform() for _ in candidates])
            case "cost":
                return by_cost(_costs(exchange, candidates))
            case "least_busy":
                return by_load([candidate.line.pool.busy for candidate in candidates])
            case "throughput":
                rates = [candidate.track.tokens_a_second.value(now_s) for candidate in candidates]
                seconds_a_token = [None if rate is None else 1 / max(rate, 1e-9) for rate in rates]
                return by_speed(seconds_a_token, _explored(exchange, candidates, now_s), now_s, "most tokens a second")
        seconds = [candidate.track.form(stream=wants_stream(exchange)).seconds.value(now_s) for candidate in candidates]
        explored = _explored(exchange, candidates, now_s)
        if strategy == "latency":
            return by_speed(seconds, explored, now_s)
        reliabilities = [candidate.track.reliability.value(now_s) for candidate in candidates]
        return by_score(_costs(exchange, candidates), seconds, reliabilities, explored, now_s, resolved.route.hybrid)


def _choose(exchange: Exchange, resolved: ResolvedRoute, order: Order) -> None:
    """By the route's own strategy. One that always decides the same has decided once."""
    settled = resolved.settled
    if isinstance(settled, Ranked):
        exchange.candidates = tuple([candidate for candidate, _ in settled.rows])
        exchange.decision = Decision(settled, chains=resolved.fallbacks)
        return
    _decide(exchange, order.ranked(exchange, resolved, resolved.candidates), resolved.fallbacks)
    if resolved.route.strategy in _IN_ORDER and exchange.decision is not None:
        resolved.settled = exchange.decision.ranked


def wants_stream(exchange: Exchange) -> bool:
    envelope = exchange.envelope
    return exchange.surface.streams and envelope is not None and bool(envelope.stream)


def _explored(exchange: Exchange, candidates: tuple[Candidate, ...], now_s: float) -> list[float]:
    """Until when each is somebody else's to explore. An open circuit lets nobody find out anything."""
    stream = wants_stream(exchange)
    return [
        inf if candidate.breaker.retry_after_s(now_s) > 0 else candidate.track.form(stream=stream).explored_until_s
        for candidate in candidates
    ]


def _costs(exchange: Exchange, candidates: tuple[Candidate, ...]) -> list[float | None]:
    """What each is expected to cost for this request."""
    prompt_tokens = len(exchange.body) // BYTES_PER_TOKEN
    answer_tokens = expected_output(exchange.body) if exchange.surface.kind == "chat" else 0
    return [cost_of(candidate.price, prompt_tokens, answer_tokens) for candidate in candidates]


def expected_output(body: bytes) -> int:
    """Tokens of the answer, as far as the request tells."""
    try:
        bound = _output_bound(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return EXPECTED_OUTPUT_TOKENS
    stated = [most for most in (bound.max_tokens, bound.max_completion_tokens, bound.max_output_tokens) if most is not None]
    return max(0, min([EXPECTED_OUTPUT_TOKENS, *stated]))


# What the request prefers


def _heed(exchange: Exchange, resolved: ResolvedRoute, order: Order) -> Fault | None:
    """Candidates and decision as the request wants them."""
    envelope = exchange.envelope
    assert envelope is not None
    if exchange.surface.kind == "passing":  # whatever they mean there, it is the provider's business
        if len(resolved.candidates) > 1 or resolved.fallbacks is not None:
            _choose(exchange, resolved, order)
        return None
    at_openrouter = all(candidate.line.upstream.provider == OPENROUTER for candidate in resolved.candidates)
    wishes = wishes_of(envelope, at_openrouter=at_openrouter)
    if isinstance(wishes, Fault):
        return wishes
    assert wishes is not None
    exchange.wishes = wishes
    further: list[ResolvedRoute] = []
    for name in wishes.models:
        found = exchange.published.resolve(name, exchange.surface)
        if found is None or not found.candidates:
            return unknown_fallback(name)
        further.append(found)
    wanted = wishes.providers
    own = _preferred(exchange, resolved, wanted, order)
    others = [_preferred(exchange, each, wanted, order) for each in further]
    whole = _joined([own, *others])
    if not whole.rows:
        return none_allowed([candidate for each in (resolved, *further) for candidate in each.candidates], wanted)
    chains = _chains(resolved, wanted, [candidate for each in others for candidate, _ in each.rows])
    _decide(exchange, whole, chains, _applied(wishes, envelope))
    return None


def _preferred(exchange: Exchange, resolved: ResolvedRoute, wanted: Providers, order: Order) -> Ranked:
    """One model's candidates: those that are allowed, by strategy or as sorted, and those that `order` names in front."""
    candidates = allowed(resolved.candidates, wanted)
    if not candidates:
        return Ranked((), resolved.route.strategy, "configured")
    ranked = order.ranked(exchange, resolved, candidates, wanted.sort)
    rows = ranked.rows
    if not wanted.order:
        return ranked if wanted.allow_fallbacks else msgspec.structs.replace(ranked, rows=rows[:1])
    rows = tuple(sorted(rows, key=lambda row: place_in(row[0], wanted.order)))
    named = tuple(row for row in rows if place_in(row[0], wanted.order) < len(wanted.order))
    if not named:
        return ranked if wanted.allow_fallbacks else msgspec.structs.replace(ranked, rows=rows[:1])
    return Ranked(rows if wanted.allow_fallbacks else named, "order", "asked for", measured=ranked.measured)


def _joined(parts: list[Ranked]) -> Ranked:
    """One order: the first part that has any says why."""
    first = next((part for part in parts if part.rows), parts[0])
    rows = tuple(row for part in parts for row in part.rows)
    return msgspec.structs.replace(first, rows=rows, measured=any(part.measured for part in parts))


def _chains(resolved: ResolvedRoute, wanted: Providers, further: list[Candidate]) -> Chains | None:
    """The route's chains as far as the request allows them. Its own further models help against a prompt that is too long, and one that is
    filtered, too."""
    own = resolved.fallbacks if resolved.fallbacks is not None and wanted.allow_fallbacks else {}
    chains = {cause: allowed(listed, wanted) for cause, listed in own.items()}
    for cause in ("context_window", "content_filter"):
        chains[cause] = (*chains.get(cause, ()), *further)
    return chains if any(chains.values()) else None


def _applied(wishes: Wishes, envelope: Envelope) -> tuple[str, ...]:
    """What of the request was heeded, or left to OpenRouter."""
    given = [name for name in ("models", "fallbacks", "provider") if getattr(envelope, name) is not None]
    if wishes.at_openrouter:
        return tuple(name if name == "fallbacks" else f"{name} passed on" for name in given)
    return (*(name for name in given if name != "provider"), *wishes.providers.words())


def _decide(exchange: Exchange, ranked: Ranked, chains: Chains | None, applied: tuple[str, ...] = ()) -> None:
    """Targets for errors stand behind the others; those for other causes wait in their chains."""
    errors = chains.get("error", ()) if chains is not None else ()
    exchange.candidates = (*(candidate for candidate, _ in ranked.rows), *errors)
    if len(exchange.candidates) > 1 or chains is not None:
        if errors:
            ranked = msgspec.structs.replace(ranked, rows=(*ranked.rows, *((candidate, None) for candidate in errors)))
        exchange.decision = Decision(ranked, applied, chains)
