"""Plans for tests: an upstream of each fake provider, and routes to them that retry without waiting."""

from collections.abc import Mapping
from typing import Any

from setpoint.domain.money import Price
from setpoint.domain.plan import BreakerLimits, DialectName, Limits, Plan, PriceBook, Retries, Route, Target, Timeouts, Upstream
from setpoint.testing.fake_upstream import FakeUpstream

PROVIDER = "fake"
PATIENT_TIMEOUTS = Timeouts(connect_s=5.0, first_byte_s=10.0, idle_s=10.0, unary_total_s=20.0, stream_total_s=20.0)
"""Longer than any stall of a busy machine: a test of a deadline names its own."""
QUICK_RETRIES = Retries(attempts=3, base_s=0.001, factor=1.0, cap_s=0.002)
UNHURRIED = Limits(delay_max_s=60.0)
"""A busy machine makes the loop late; only a test of overload wants requests refused for that."""
NEVER_OPEN = BreakerLimits(failures=1_000_000)
PRICES = PriceBook("fake-prices", {PROVIDER: {"fake-1": Price(1_000_000, 2_000_000, cached_read=100_000, source="fake")}})
"""One dollar a million input tokens, two a million output tokens."""


def fake(up: FakeUpstream, name: str, dialect: DialectName = "openai_chat", **members: Any) -> Upstream:
    """`up` as a plan names it. `members` override: api_key_sealed, ca_file, breaker, connections_max, ..."""
    given: dict[str, Any] = {
        "base_path": "/v1", "auth": "none", "breaker": NEVER_OPEN, "tls": up.certificate is not None, "host": "127.0.0.1", **members,
    }  # fmt: skip
    return Upstream(name=name, provider=PROVIDER, dialect=dialect, port=up.port, **given)


def route(model: str, *upstreams: str, target_model: str = "", **members: Any) -> Route:
    """A route in this order of targets. `members` override: strategy, timeouts, retries, cache."""
    given: dict[str, Any] = {"timeouts": PATIENT_TIMEOUTS, "retries": QUICK_RETRIES, **members}
    return Route(model, tuple(Target(name, target_model) for name in upstreams), **given)


def plan(upstreams: Mapping[str, Upstream] | tuple[Upstream, ...], routes: tuple[Route, ...], **members: Any) -> Plan:
    """A first version. `members` override: limits, capture, role_limits, prices, keys_required, version."""
    listed = tuple(upstreams.values()) if isinstance(upstreams, Mapping) else upstreams
    given: dict[str, Any] = {
        "epoch": 1, "version": 1, "created_ns": 1_700_000_000_000_000_000, "prices": PRICES, "limits": UNHURRIED, **members,
    }  # fmt: skip
    return Plan(upstreams=listed, routes=routes, **given)
