"""A draft: what was configured, before it is checked and compiled into a plan.

A draft may be wrong in every way that people write things; `control.compile` says how. It holds credentials in the clear, so it
never leaves the process that made it, and its repr hides them.
"""

from dataclasses import dataclass, field

import msgspec

from setpoint.domain.capabilities import STANDARD, Capabilities
from setpoint.domain.money import Price
from setpoint.domain.plan import AuthStyle, BreakerLimits, CachePolicy, Capture, DialectName, HealthProbe, Hosting, Limits, RoleLimit, Route


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: where in the configuration, and what was expected or what to do."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """One of several credentials of an upstream."""

    label: str
    key: str = field(repr=False)
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class UpstreamDraft:
    """An endpoint as configured. `wildcards` are model names it answers without being named in a route, like `gpt-*`."""

    name: str
    provider: str
    dialect: DialectName
    base_url: str = ""
    unix_path: str | None = None
    auth: AuthStyle = "bearer"
    api_key: str | None = field(default=None, repr=False)
    """With auth aws a JSON object (`wire.aws_keys`), with google the JSON of an account (`wire.google_token`)."""
    keys: tuple[KeyDraft, ...] = ()
    """Several, used in turn; `api_key` then is the first of them."""
    key_hint: str = ""
    """How its credential usually is given: the name of an environment variable."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    connections_max: int = 1024
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    ca_file: str | None = None
    wildcards: tuple[str, ...] = ()
    also: tuple[DialectName, ...] = ()
    hosting: Hosting = "vendor"
    can: Capabilities = STANDARD
    region: str = ""
    project: str = ""
    api_version: str = ""
    probe: HealthProbe | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """Everything a plan is compiled from. Routes come in the order they were written."""

    upstreams: tuple[UpstreamDraft, ...]
    routes: tuple[Route, ...] = ()
    prices: dict[str, dict[str, Price]] = field(default_factory=dict)
    """Prices stated by provider and model; they win over the price table. The model `*` is every other one."""
    role_limits: dict[str, RoleLimit] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    capture: Capture = field(default_factory=Capture)
    cache: CachePolicy = field(default_factory=CachePolicy)
    """What wildcards follow; a written route has its own."""
    keys_required: bool = True
    environment: str = "development"
