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
Strategy = Literal["failover", "weighted", "round_robin"]


class Timeouts(msgspec.Struct, frozen=True):
    """Deadlines of one upstream call, in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    """Unary: until the head of the answer. Streams: until the first event (time to first token)."""
    idle_s: float = 30.0
    unary_total_s: float = 30.0
    stream_total_s: float = 60.0
    stream_events_max: int = 10_000


LONG_TIMEOUTS = Timeouts(first_byte_s=120.0, idle_s=120.0, unary_total_s=600.0, stream_total_s=600.0, stream_events_max=200_000)
"""The preset `long`, for reasoning models."""


class Retries(msgspec.Struct, frozen=True):
    """At most `attempts` upstream calls a request, over all targets together."""

    attempts: int = 3
    base_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 10.0


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


class Target(msgspec.Struct, frozen=True):
    """One place a route can send to: an upstream and the model name there. An empty model means "as the client wrote it"."""

    upstream: str
    model: str = ""
    weight: float = 1.0


class CachePolicy(msgspec.Struct, frozen=True):
    """`mode` off: only requests that ask for it by header or body are cached. deterministic: those with temperature 0 too. all: every."""

    mode: Literal["off", "deterministic", "all"] = "deterministic"
    ttl_s: float = 300.0


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


class RoleLimit(msgspec.Struct, frozen=True):
    """Requests a minute and burst of one role; 0 means no limit."""

    rpm: int
    burst: int


ROLE_LIMITS: dict[Role, RoleLimit] = {
    "admin": RoleLimit(100_000, 120_000),
    "developer": RoleLimit(10_000, 12_000),
    "viewer": RoleLimit(1_000, 1_200),
    "billing": RoleLimit(1_000, 1_200),
    "auditor": RoleLimit(1_000, 1_200),
    "service": RoleLimit(1_000, 1_200),
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
