"""The plan: all that a gateway worker needs to serve traffic, as one immutable document.

Control compiles it, publishes it as a file, and every worker swaps its reference to it. An exchange keeps the plan it
started with. Nothing in it is secret in the clear: credentials are sealed (see `control.secrets`).
"""

from typing import Literal

import msgspec

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.money import Price
from setpoint.domain.principal import Role

DialectName = Literal[
    "openai_chat",
    "openai_responses",
    "openai_completions",
    "openai_embeddings",
    "anthropic",
    "gemini",
    "gemini_embeddings",
    "vertex_embeddings",
    "bedrock_converse",
    "cohere",
    "cohere_embeddings",
    "ollama",
    "ollama_embeddings",
]
Hosting = Literal["vendor", "azure", "bedrock", "vertex"]
"""Whose doors a dialect stands behind: clouds serve vendors' dialects at paths, and with credentials, of their own."""
AuthStyle = Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "aws", "google", "none"]
"""In which header a credential goes; aws signs each request with it, google trades a service account for a token."""
Priority = Literal["low", "normal", "high"]
"""Who is shed first and last when there is more to do than a worker can."""
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")
"""By number: the first to give way is 0."""
Strategy = Literal["failover", "weighted", "round_robin", "cost", "latency", "least_busy", "hybrid", "model"]
"""Which target comes first; see docs/routing.md."""


class Timeouts(msgspec.Struct, frozen=True):
    """Deadlines of one upstream call, in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    """Until the head of the answer; of a stream until the first bytes of its body."""
    idle_s: float = 30.0
    unary_total_s: float = 30.0
    stream_total_s: float = 60.0
    stream_events_max: int = 10_000
    first_token_s: float | None = None
    """Streams: until the first content (time to first token), however many signs of life come before. None: `first_byte_s`."""


LONG_TIMEOUTS = Timeouts(first_byte_s=120.0, idle_s=120.0, unary_total_s=600.0, stream_total_s=600.0, stream_events_max=200_000)
"""The preset `long`, for reasoning models."""


class Retries(msgspec.Struct, frozen=True):
    """At most `attempts` upstream calls a request, over all targets together."""

    attempts: int = 3
    base_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 10.0
    total_s: float | None = None
    """All calls and waits of one request. None: twice what one call may take, time for one that hangs and another that answers."""


RETRY_PRESETS: dict[str, Retries] = {
    "default": Retries(),
    "aggressive": Retries(5, 0.05, 1.5, 1.0),
    "conservative": Retries(2, 0.5, 3.0, 30.0),
    "none": Retries(1),
}


class BreakerLimits(msgspec.Struct, frozen=True):
    """When a circuit opens and how it closes again."""

    failures: int = 5
    open_s: float = 30.0
    successes: int = 2


class SealedKey(msgspec.Struct, frozen=True):
    """One of several credentials of an upstream. `label` is what metrics and traces call it; it says nothing of the key itself."""

    label: str
    sealed: bytes
    weight: float = 1.0


class HealthProbe(msgspec.Struct, frozen=True):
    """A GET that each worker sends by itself. `path` comes behind the upstream's base path."""

    every_s: float = 30.0
    path: str = "/models"


class Upstream(msgspec.Struct, frozen=True):
    """An endpoint and a credential.

    `unix_path` set: connect there and ignore host and port. `base_path` is put before the dialect's own path
    ("/v1" + "/chat/completions"). `api_key_sealed` is opened by the worker with the key it inherited.
    """

    name: str
    provider: str
    dialect: DialectName
    host: str
    port: int
    tls: bool
    base_path: str
    auth: AuthStyle
    api_key_sealed: bytes | None = None
    unix_path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    connections_max: int = 1024
    breaker: BreakerLimits = BreakerLimits()
    ca_file: str | None = None
    """PEM bundle to verify the upstream with, instead of the system's."""
    also: tuple[DialectName, ...] = ()
    """Further dialects it speaks at the same address: a client of one of them is relayed, not translated."""
    hosting: Hosting = "vendor"
    can: Capabilities = STANDARD
    region: str = ""
    """Bedrock: part of the signature. Vertex: the location."""
    project: str = ""
    """Vertex: whose models are used."""
    api_version: str = ""
    """Azure: set, it chooses the paths by deployment; empty, the versionless ones (`/openai/v1`)."""
    keys: tuple[SealedKey, ...] = ()
    """Several credentials that are used in turn; `api_key_sealed` then is None."""
    probe: HealthProbe | None = None


class Target(msgspec.Struct, frozen=True):
    """One place a route can send to: an upstream and the model name there. An empty model means "as the client wrote it"."""

    upstream: str
    model: str = ""
    weight: float = 1.0
    match: tuple[str, ...] = ()
    """Strategy model: patterns of the names that go here, with `*` and `?`; none means every name."""


class HybridWeights(msgspec.Struct, frozen=True):
    """How much each counts in the score of strategy hybrid; only their proportion matters."""

    cost: float = 0.4
    latency: float = 0.4
    reliability: float = 0.2


class Fallbacks(msgspec.Struct, frozen=True):
    """Targets that are tried only for a reason, in this order, behind those of the route.

    error: the others failed. context_window: the prompt is too long for the model. content_filter: the provider refused the request.
    refusal: the answer is a refusal, or was filtered.
    """

    error: tuple[Target, ...] = ()
    context_window: tuple[Target, ...] = ()
    content_filter: tuple[Target, ...] = ()
    refusal: tuple[Target, ...] = ()


class CachePolicy(msgspec.Struct, frozen=True):
    """`mode` off: only requests that ask for it by header or body are cached. deterministic: those with temperature 0 too. all: every."""

    mode: Literal["off", "deterministic", "all"] = "deterministic"
    ttl_s: float = 300.0


class StreamLimits(msgspec.Struct, frozen=True):
    """Bounds of one stream, in bytes. An event over its bound ends the stream with an error event; the other two only split."""

    event_bytes_max: int = 8_388_608
    write_bytes_max: int = 8_192
    """The most that is handed to a client's connection at once."""
    delta_bytes_max: int = 4_096
    """The longest text of one translated delta, in UTF-8."""


Quantile = Literal["p50", "p90", "p95", "p99"]


class Hedge(msgspec.Struct, frozen=True):
    """When the first call is slow to say anything, a second one is made besides, and who has content first wins.

    `after_s` is seconds, or a quantile of the route's own times to first content. `max_ratio`: hedges a request, over ten seconds.
    """

    after_s: float | Quantile = 1.5
    max_ratio: float = 0.1


class Route(msgspec.Struct, frozen=True):
    """What happens to requests for one model name. `model` may end in `*`: "openai/*"; the rest then is the model at the target."""

    model: str
    targets: tuple[Target, ...]
    strategy: Strategy = "failover"
    timeouts: Timeouts = Timeouts()
    retries: Retries = Retries()
    cache: CachePolicy = CachePolicy()
    untranslated: Literal["report", "refuse"] = "report"
    """What to do when a target's dialect cannot say all that was asked: name it in a header, or go to another target and else refuse."""
    hybrid: HybridWeights = HybridWeights()
    fallbacks: Fallbacks | None = None
    long_by_itself: bool = False
    """No preset was chosen: LONG_TIMEOUTS where the model is known to think, or is asked to."""
    stream: StreamLimits = StreamLimits()
    on_client_gone: Literal["abort", "drain"] = "abort"
    """When a client leaves in mid-answer: hang up on the upstream at once, or read the answer to its end for its usage and the cache."""
    continuation: Literal["off", "auto"] = "off"
    """Whether a stream that breaks off in the middle of its text is continued by another call."""
    hedge: Hedge | None = None
    priority: Priority | None = None
    """Whose requests are shed first when a worker is overloaded; None: the class that key and header say."""


class RoleLimit(msgspec.Struct, frozen=True):
    """Requests a minute and burst of one role; 0 means no limit. `priority` is the highest class that its requests can have."""

    rpm: int
    burst: int
    priority: Priority = "normal"


ROLE_LIMITS: dict[Role, RoleLimit] = {
    "admin": RoleLimit(100_000, 120_000, "high"),
    "developer": RoleLimit(10_000, 12_000),
    "viewer": RoleLimit(1_000, 1_200),
    "billing": RoleLimit(1_000, 1_200),
    "auditor": RoleLimit(1_000, 1_200),
    "service": RoleLimit(1_000, 1_200, "high"),
}


class Capture(msgspec.Struct, frozen=True):
    """What of prompts and answers a trace keeps; the rest is length and hash."""

    prompts: bool = True
    answers: bool = True
    bytes_max: int = 262_144


class PriceRule(msgspec.Struct, frozen=True):
    """A price and the model names it covers at one provider. Rules are tried in order; the first match wins."""

    match: Literal["equals", "starts_with", "contains", "ends_with", "regex"]
    text: str
    price: Price


class PriceBook(msgspec.Struct, frozen=True):
    """Prices by provider. `exact` is looked up first."""

    version: str = ""
    exact: dict[str, dict[str, Price]] = {}
    rules: dict[str, tuple[PriceRule, ...]] = {}


class Limits(msgspec.Struct, frozen=True):
    """Bounds of one worker; each has a test of what happens at it."""

    body_bytes_max: int = 33_554_432
    bodies_bytes_max: int = 268_435_456
    """All request bodies a worker holds at once."""
    head_bytes_max: int = 32_768
    head_s: float = 10.0
    body_s: float = 60.0
    idle_s: float = 75.0
    connections_max: int = 20_000
    in_flight_max: int = 10_000
    answer_bytes_max: int = 67_108_864
    """A unary answer that has to be held (translated, cached, priced in a header)."""
    cache_bytes_max: int = 67_108_864
    cache_entry_bytes_max: int = 1_048_576
    held_bytes_max: int = 536_870_912
    """Requests, answers, kept text and unsent bytes that a worker holds at once, all together."""
    delay_max_s: float = 0.05
    """How long what is ready may wait for the worker, all the time, before it sheds requests."""


class Plan(msgspec.Struct, frozen=True):
    """Published as msgpack. (epoch, version) only grows."""

    epoch: int
    version: int
    created_ns: int
    upstreams: tuple[Upstream, ...]
    routes: tuple[Route, ...]
    prices: PriceBook = PriceBook()
    role_limits: dict[str, RoleLimit] = {}
    """Empty means ROLE_LIMITS."""
    limits: Limits = Limits()
    capture: Capture = Capture()
    keys_required: bool = True
    """False lets keyless callers in as role `developer`; only the development profile may say so."""
