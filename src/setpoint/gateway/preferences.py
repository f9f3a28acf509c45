"""Where the client wants its request to go: further models, and OpenRouter's preferences of providers.

    models      OpenRouter: the model, then those to fall back to       https://openrouter.ai/docs/features/model-routing
    fallbacks   LiteLLM: those to fall back to                          https://docs.litellm.ai/docs/proxy/reliability
    provider    OpenRouter: order, only, ignore, allow_fallbacks, sort, max_price
                                                                        https://openrouter.ai/docs/features/provider-routing

The gateway heeds them and takes them out of the body; what cannot be heeded is refused with a word on what to do, because a wish that is
dropped in silence is a lie. When every target of the model asked for is at OpenRouter, `provider` and `models` are its own business and
are passed on to it.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from setpoint.domain.faults import Fault, FaultKind
from setpoint.domain.money import Price
from setpoint.gateway.envelope import Envelope
from setpoint.gateway.published import Candidate

MODELS_MAX = 16
"""Further models a request may name."""
NAMES_MAX = 64
"""Providers a list may name."""
OPENROUTER = "openrouter"
ROUTE_HEADER = b"x-setpoint-route"

Sort = Literal["price", "latency", "throughput"]
_SORTS: tuple[Sort, ...] = ("price", "latency", "throughput")
_PICOUSD_PER_TOKEN_OF_USD_PER_MTOK = 1_000_000
_SLUGS = {
    "amazon-bedrock": "bedrock",
    "google-vertex": "vertex",
    "google-ai-studio": "gemini",
    "moonshotai": "moonshot",
    "z-ai": "zai",
}
"""OpenRouter's names of providers that have another one here."""
_PROMISES: dict[str, tuple[object, ...]] = {
    "data_collection": (None, "allow"),
    "zdr": (None, False),
    "enforce_distillable_text": (None, False),
    "require_parameters": (None, False),
    "quantizations": (None, []),
}
"""OpenRouter's further members that ask for a promise, each with the values that ask for none."""


class Providers(msgspec.Struct, frozen=True):
    """What `provider` says. Names are in lower case, as of upstreams and providers here. Prices are pico-dollars per token."""

    order: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    allow_fallbacks: bool = True
    sort: Sort | None = None
    prompt_max: float | None = None
    completion_max: float | None = None
    request_max: float | None = None
    promises: tuple[str, ...] = ()
    """Members that ask for what only OpenRouter can promise."""

    def words(self) -> tuple[str, ...]:
        """What of it was heeded, for the decision."""
        named = [name for name in ("order", "only", "ignore") if getattr(self, name)]
        if not self.allow_fallbacks:
            named.append("allow_fallbacks=false")
        if self.sort is not None:
            named.append(f"sort={self.sort}")
        if self.capped:
            named.append("max_price")
        return (*named, *self.promises)

    @property
    def capped(self) -> bool:
        return self.prompt_max is not None or self.completion_max is not None or self.request_max is not None


class Wishes(msgspec.Struct, frozen=True):
    """What a request says about where to go. `at_openrouter`: that is OpenRouter's to heed, but for LiteLLM's `fallbacks`."""

    models: tuple[str, ...] = ()
    """To fall back to, in this order."""
    providers: Providers = Providers()
    at_openrouter: bool = False

    def ours(self, candidate: Candidate) -> tuple[str, ...]:
        """The members that `candidate` is not sent."""
        return ("fallbacks",) if self.passed_on(candidate) else ("models", "fallbacks", "provider")

    def passed_on(self, candidate: Candidate) -> tuple[str, ...]:
        """The members that are sent to it as they are."""
        return ("models", "provider") if self.at_openrouter and candidate.line.upstream.provider == OPENROUTER else ()


def wishes_of(envelope: Envelope, *, at_openrouter: bool) -> Wishes | Fault | None:
    """None when the request says nothing. `at_openrouter`: every target of the model asked for is there."""
    if envelope.provider is None and envelope.models is None and envelope.fallbacks is None:
        return None
    fallbacks = _names(envelope.fallbacks, "fallbacks", MODELS_MAX, 'a list of model names, like ["openai/gpt-4o-mini"]')
    if isinstance(fallbacks, Fault):
        return fallbacks
    if at_openrouter:
        return Wishes(_without(fallbacks, envelope.model), at_openrouter=True)
    models = _names(envelope.models, "models", MODELS_MAX, 'a list of model names, like ["openai/gpt-4o-mini"]')
    if isinstance(models, Fault):
        return models
    providers = providers_of(envelope.provider)
    if isinstance(providers, Fault):
        return providers
    return Wishes(_without((*models, *fallbacks), envelope.model), providers)


def first_model(envelope: Envelope) -> str:
    """The model of a request that names it only in its list of models; empty when it does not."""
    models = envelope.models
    return models[0] if isinstance(models, list) and models and isinstance(models[0], str) else ""


def providers_of(said: Any) -> Providers | Fault:
    """What `provider` says, or what is wrong with it."""
    if said is None:
        return Providers()
    if not isinstance(said, dict):
        return _wrong("provider", 'an object, like {"order": ["openai", "azure"]}')
    given: dict[str, Any] = {}
    for name in ("order", "only", "ignore"):
        listed = _names(said.get(name), f"provider.{name}", NAMES_MAX, 'a list of provider names, like ["openai", "azure"]')
        if isinstance(listed, Fault):
            return listed
        given[name] = tuple(_slug(each) for each in listed)
    allow_fallbacks = said.get("allow_fallbacks")
    if not isinstance(allow_fallbacks, bool | None):
        return _wrong("provider.allow_fallbacks", "true or false")
    sort = _sort(said.get("sort"))
    if isinstance(sort, Fault):
        return sort
    caps = _caps(said.get("max_price"))
    if isinstance(caps, Fault):
        return caps
    promises = tuple(name for name in said if name not in _HEEDED and said[name] not in _PROMISES.get(name, (None, False)))
    return Providers(**given, **caps, allow_fallbacks=allow_fallbacks is not False, sort=sort, promises=promises)


_HEEDED = frozenset({"order", "only", "ignore", "allow_fallbacks", "sort", "max_price"})


def allowed(candidates: Iterable[Candidate], wanted: Providers) -> tuple[Candidate, ...]:
    """Those of the candidates that the request may go to. An unknown price is over every limit."""
    return tuple(
        candidate
        for candidate in candidates
        if (not wanted.only or is_named(candidate, wanted.only))
        and not is_named(candidate, wanted.ignore)
        and (not wanted.capped or _is_within(candidate.price, wanted))
        and (not wanted.promises or candidate.line.upstream.provider == OPENROUTER)
    )


def none_allowed(candidates: Iterable[Candidate], wanted: Providers) -> Fault:
    """Why none of the candidates may be asked, and what to do."""
    listed = list(candidates)
    known = ", ".join(sorted({candidate.line.upstream.name for candidate in listed}))
    if wanted.promises:
        member = f"provider.{wanted.promises[0]}"
        text = f"`{member[:100]}` is kept to by OpenRouter only, and this model is served by: {known}. Remove it from the request."
        return Fault(FaultKind.bad_request, text, member[:100])
    named = [each for each in listed if (not wanted.only or is_named(each, wanted.only)) and not is_named(each, wanted.ignore)]
    if not named:
        member = "provider.only" if wanted.only else "provider.ignore"
        return Fault(FaultKind.bad_request, f"`{member}` leaves no provider for this model. It is served by: {known}.", member)
    text = f"`provider.max_price` leaves no provider for this model. {_prices_text(named)} Raise it, or remove it."
    return Fault(FaultKind.bad_request, text, "provider.max_price")


def is_named(candidate: Candidate, names: tuple[str, ...]) -> bool:
    upstream = candidate.line.upstream
    return upstream.name in names or upstream.provider in names


def place_in(candidate: Candidate, names: tuple[str, ...]) -> int:
    """Where in `names` the candidate is; behind all when it is not."""
    upstream = candidate.line.upstream
    return next((at for at, name in enumerate(names) if name in (upstream.name, upstream.provider)), len(names))


def _is_within(price: Price | None, wanted: Providers) -> bool:
    if price is None:
        return False
    pairs = ((price.input, wanted.prompt_max), (price.output, wanted.completion_max), (price.request_picousd, wanted.request_max))
    return all(most is None or figure <= most for figure, most in pairs)


def _prices_text(candidates: list[Candidate]) -> str:
    """What they cost, in dollars a million tokens."""
    said = [
        f"{candidate.line.upstream.name} costs {candidate.price.input / 1e6:g} and {candidate.price.output / 1e6:g}"
        if candidate.price is not None
        else f"the price of {candidate.line.upstream.name} is unknown"
        for candidate in candidates[:8]
    ]
    return f"In US dollars a million tokens of prompt and completion: {'; '.join(said)}."


def _names(said: Any, param: str, most: int, expected: str) -> tuple[str, ...] | Fault:
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(each, str) and each for each in said):
        return _wrong(param, expected)
    if len(said) > most:
        return Fault(FaultKind.bad_request, f"`{param}` has {len(said)} entries; the limit is {most}.", param)
    return tuple(said)


def _slug(name: str) -> str:
    """A provider's name as it is written here. OpenRouter's may say which of its endpoints is meant: `deepinfra/turbo`."""
    name = name.lower().partition("/")[0]
    return _SLUGS.get(name, name)


def _sort(said: Any) -> Sort | Fault | None:
    """A word, or an object with the word as `by`."""
    word = said.get("by") if isinstance(said, dict) else said
    if word is None and said is None:
        return None
    for known in _SORTS:
        if word == known:
            return known
    return _wrong("provider.sort", f"one of {', '.join(_SORTS)}")


def _caps(said: Any) -> dict[str, Any] | Fault:
    """Dollars a million tokens, and dollars a request, as pico-dollars per token and per request. OpenRouter takes texts too."""
    if said is None:
        return {}
    expected = 'an object of US dollars a million tokens, like {"prompt": 1, "completion": 2}'
    if not isinstance(said, dict):
        return _wrong("provider.max_price", expected)
    caps: dict[str, Any] = {}
    for name, value in said.items():
        if name not in ("prompt", "completion", "request"):
            text = f"`provider.max_price.{name[:100]}` is not known here; `prompt`, `completion` and `request` are. Remove it."
            return Fault(FaultKind.bad_request, text, f"provider.max_price.{name[:100]}")
        figure = _figure(value)
        if figure is None:
            return _wrong(f"provider.max_price.{name}", "a number that is not negative")
        caps[f"{name}_max"] = figure * (1e12 if name == "request" else _PICOUSD_PER_TOKEN_OF_USD_PER_MTOK)
    return caps


def _figure(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if 0 <= figure < 1e12 else None


def _without(names: tuple[str, ...], model: str) -> tuple[str, ...]:
    """Each once, and not the model itself."""
    return tuple(name for name in dict.fromkeys(names) if name != model)


def _wrong(param: str, expected: str) -> Fault:
    return Fault(FaultKind.bad_request, f"`{param}` must be {expected}. Correct or remove it.", param)
