"""Where may this go? Resolves the model's name to a route and puts its targets in the order to try."""

from collections.abc import Callable

from setpoint.domain.faults import Fault, FaultKind
from setpoint.gateway.exchange import Exchange
from setpoint.gateway.passing import route_passing
from setpoint.gateway.published import Candidate, ResolvedRoute
from setpoint.gateway.stack import Check
from setpoint.gateway.surfaces import HotSurface


def in_order(route: ResolvedRoute, uniform: Callable[[], float]) -> tuple[Candidate, ...]:
    """The route's targets, first choice first. `uniform` draws from [0, 1).

    failover: as configured. round_robin: each exchange begins one further. weighted: drawn without replacement in proportion to the
    weights (Efraimidis and Spirakis 2006: the order of uniform^(1/weight)), so that the rest stays a fair fallback.
    """
    candidates = route.candidates
    if len(candidates) == 1 or route.route.strategy == "failover":
        return candidates
    if route.route.strategy == "round_robin":
        first = next(route.turns) % len(candidates)
        return candidates[first:] + candidates[:first]
    drawn = [(uniform() ** (1.0 / c.weight) if c.weight > 0 else -1.0, i, c) for i, c in enumerate(candidates)]
    return tuple(c for _, _, c in sorted(drawn, key=lambda row: (-row[0], row[1])))


def unknown_model(model: str) -> Fault:
    text = f"No route or provider here serves the model {model[:200]!r}. GET /v1/models lists what there is."
    return Fault(FaultKind.unknown_model, text, "model")


def not_served(model: str, surface: HotSurface) -> Fault:
    text = f"No provider behind {model[:200]!r} offers what {surface.name} asks for. Use another model, or another endpoint."
    return Fault(FaultKind.unsupported, text, "model")


def route(uniform: Callable[[], float]) -> Check:
    """Sets `exchange.route` and `exchange.candidates`; 404 when nothing serves the model."""

    def check(exchange: Exchange) -> Fault | None:
        envelope = exchange.envelope
        assert envelope is not None
        resolved: ResolvedRoute | Fault | None
        if exchange.surface.kind == "passing":
            resolved = route_passing(exchange)
            if isinstance(resolved, Fault):
                return resolved
        else:
            resolved = exchange.published.resolve(envelope.model, exchange.surface)
        if resolved is None:
            return unknown_model(envelope.model)
        if not resolved.candidates:
            return not_served(envelope.model, exchange.surface)
        exchange.route = resolved
        exchange.candidates = in_order(resolved, uniform)
        return None

    return check
