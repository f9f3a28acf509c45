"""A whole set for a test to play on: a gateway and the fake providers behind it.

    with stage() as s:
        s.openai.says(text("hello"))
        ... s.gateway.url ...
        s.reset()          # between tests: healthy providers that have seen nothing

Routes: `fake-1` → openai · `claude-1` → anthropic · `spare` → openai, then openai-2 · `claude-spare` → anthropic, then openai-2 ·
`secure` → openai-tls · `cached` → openai, cached whatever it asks · `fake/*` → openai.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from setpoint.domain.plan import CachePolicy, Plan
from setpoint.testing.certificates import Certificate, self_signed
from setpoint.testing.fake_upstream import FakeUpstream
from setpoint.testing.gateway import RunningGateway, TestKey, running_gateway, sealed_key
from setpoint.testing.plans import fake, plan, route

OPENAI_CREDENTIAL = "sk-fake-openai-credential"
ANTHROPIC_CREDENTIAL = "sk-ant-fake-credential"
KEYS = {
    "developer": TestKey(1),
    "viewer": TestKey(2, "viewer"),
    "service": TestKey(3, "service"),
    "small": TestKey(4, rpm=60, burst=2),
    "expired": TestKey(5, expires_s=1),
    "admin": TestKey(6, "admin"),
}
"""Gateway keys by what is special about them."""


class Stage:
    """The gateway, its providers by name, and the keys it knows."""

    def __init__(self, gateway: RunningGateway, upstreams: dict[str, FakeUpstream], engine: FakeUpstream, served: Plan) -> None:
        self.gateway = gateway
        self.upstreams = upstreams
        self.engine = engine
        self.plan = served
        self.openai = upstreams["openai"]
        self.openai_2 = upstreams["openai-2"]
        self.openai_tls = upstreams["openai-tls"]
        self.anthropic = upstreams["anthropic"]
        self.keys = {name: key.token for name, key in KEYS.items()}

    def reset(self) -> None:
        """Healthy providers that have seen nothing."""
        for up in (*self.upstreams.values(), self.engine):
            up.forget()


def stage_plan(upstreams: dict[str, FakeUpstream], ca_file: str, **members: Any) -> Plan:
    """The plan of a stage; `members` are those of `plans.plan`."""
    openai_key, anthropic_key = sealed_key("openai", OPENAI_CREDENTIAL), sealed_key("anthropic", ANTHROPIC_CREDENTIAL)
    listed = (
        fake(upstreams["openai"], "openai", auth="bearer", api_key_sealed=openai_key),
        fake(upstreams["openai-2"], "openai-2"),
        fake(upstreams["openai-tls"], "openai-tls", ca_file=ca_file),
        fake(upstreams["anthropic"], "anthropic", "anthropic", auth="x-api-key", api_key_sealed=anthropic_key),
    )
    routes = (
        route("fake-1", "openai"),
        route("claude-1", "anthropic"),
        route("spare", "openai", "openai-2", target_model="fake-1"),
        route("claude-spare", "anthropic", "openai-2", target_model="fake-1"),
        route("secure", "openai-tls", target_model="fake-1"),
        route("cached", "openai", target_model="fake-1", cache=CachePolicy("all")),
        route("fake/*", "openai"),
    )
    return plan(listed, routes, **members)


@contextmanager
def stage(*, tls: bool = False, **members: Any) -> Iterator[Stage]:
    """Everything running, on TLS if asked for. `members` are those of `plans.plan`: limits, capture, ..."""
    certificate: Certificate = self_signed()
    with ExitStack() as stack:
        ca_file = certificate.write_ca(Path(stack.enter_context(TemporaryDirectory(prefix="setpoint-ca-"))))
        upstreams = {name: stack.enter_context(FakeUpstream()) for name in ("openai", "openai-2", "anthropic")}
        upstreams["openai-tls"] = stack.enter_context(FakeUpstream(tls=certificate))
        served = stage_plan(upstreams, ca_file, **members)
        gateway = stack.enter_context(running_gateway(served, *KEYS.values(), certificate=certificate if tls else None))
        engine = stack.enter_context(FakeUpstream(unix_path=gateway.engine_path))
        yield Stage(gateway, upstreams, engine, served)
